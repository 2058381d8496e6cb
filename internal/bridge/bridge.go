// Package bridge is the media connection to a videobridge: ICE (RFC 8445, we
// are controlled), DTLS (RFC 5764, we are the client), SRTP. It knows no Jingle IQ
// and no sound: transports come as structs, packets go to callbacks.
//
// There is no PeerConnection (docs/adr/0005). Media is read on the goroutine of the UDP
// socket itself: a tap around the socket (tap.go) takes RTP and DTLS of the
// selected pair out before the ICE agent would queue them, which saves a wake-up per packet.
package bridge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/rtpx"
	"jigasi/internal/xlog"
)

// A Relay is a TURN server.
type Relay struct {
	URL            string // turn:host:port?transport=udp
	User, Password string
}

// Options makes connections.
type Options struct {
	PortMin, PortMax uint16     // of our UDP ports; 0 means any
	PublicIP         netip.Addr // offered beside the local addresses; invalid means none
	Relays           []Relay
	Loopback         bool // offer loopback addresses too, for a bridge on this host

	// Want is asked before decryption whether a packet of a speaker is needed. It is
	// called on the socket's goroutine and must not block. nil wants all.
	Want func(h *rtpx.Header) bool
	// RTP is given each packet; payload is valid until it returns. The same goroutine.
	RTP func(h *rtpx.Header, payload []byte)
	Log *slog.Logger
}

// Timeouts of a connection.
const (
	gatherLimit   = 3 * time.Second
	disconnected  = 5 * time.Second
	failedAfter   = 10 * time.Second // without consent (RFC 7675)
	reportEvery   = 5 * time.Second
	handshakeTime = 10 * time.Second
)

// A Conn is one connection to a bridge, from gathering to the end.
type Conn struct {
	opt     Options
	log     *slog.Logger
	agent   *ice.Agent
	local   jingle.Transport
	levelID atomic.Uint32

	tap    *tapNet
	dtlsIn *packetio.Buffer
	conn   *ice.Conn
	dtls   *dtls.Conn
	media  atomic.Pointer[session]

	done   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
	errMu  sync.Mutex
	err    error
	cancel context.CancelFunc
	ctx    context.Context
	stats  counters
}

type counters struct{ received, skipped, bad, sent, flood atomic.Int64 }

// Stats are what a connection has counted.
type Stats struct {
	Received, Skipped, Bad, Sent, Flood int64
	Remote                              netip.AddrPort
	Profile                             string
}

// New makes a connection and gathers candidates. It blocks for as long as STUN and TURN
// servers take, at most 3 s; without them it is done at once.
func New(ctx context.Context, o Options) (*Conn, error) {
	c := &Conn{opt: o, log: xlog.Or(o.Log), dtlsIn: packetio.NewBuffer(), done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	var err error
	if c.tap, err = newTapNet(c); err != nil {
		return nil, err
	}
	opts, err := c.agentOptions()
	if err != nil {
		return nil, err
	}
	if c.agent, err = ice.NewAgentWithOptions(opts...); err != nil {
		return nil, fmt.Errorf("bridge: ICE: %w", err)
	}
	if err := c.gather(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) agentOptions() ([]ice.AgentOption, error) {
	o := c.opt
	types := []ice.CandidateType{ice.CandidateTypeHost}
	if o.PublicIP.IsValid() {
		types = append(types, ice.CandidateTypeServerReflexive)
	}
	var urls []*stun.URI
	for _, r := range o.Relays {
		u, err := stun.ParseURI(r.URL)
		if err != nil {
			return nil, fmt.Errorf("bridge: TURN address %q: %w", r.URL, err)
		}
		u.Username, u.Password = r.User, r.Password
		urls = append(urls, u)
		types = append(types, ice.CandidateTypeRelay)
	}
	opts := []ice.AgentOption{
		ice.WithNet(c.tap), ice.WithCandidateTypes(types), ice.WithUrls(urls),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled), ice.WithRelayAcceptanceMinWait(500 * time.Millisecond),
		ice.WithDisconnectedTimeout(disconnected), ice.WithFailedTimeout(failedAfter), ice.WithKeepaliveInterval(2 * time.Second),
		ice.WithHostAcceptanceMinWait(0), ice.WithPrflxAcceptanceMinWait(0), ice.WithSrflxAcceptanceMinWait(0),
		ice.WithCheckInterval(50 * time.Millisecond),
	}
	if o.PortMin != 0 || o.PortMax != 0 {
		opts = append(opts, ice.WithPortRange(o.PortMin, o.PortMax))
	}
	if o.Loopback {
		opts = append(opts, ice.WithIncludeLoopback())
	}
	if o.PublicIP.IsValid() {
		opts = append(opts, ice.WithAddressRewriteRules(ice.AddressRewriteRule{
			External: []string{o.PublicIP.String()}, AsCandidateType: ice.CandidateTypeServerReflexive,
		}))
	}
	return opts, nil
}

func (c *Conn) gather(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gatherLimit)
	defer cancel()
	complete := make(chan struct{})
	var mu sync.Mutex
	var found []ice.Candidate
	if err := c.agent.OnCandidate(func(cand ice.Candidate) {
		if cand == nil {
			close(complete)
			return
		}
		mu.Lock()
		found = append(found, cand)
		mu.Unlock()
	}); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	if err := c.agent.GatherCandidates(); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	select {
	case <-complete:
	case <-ctx.Done(): // what there is has to do
	}
	ufrag, pwd, err := c.agent.GetLocalUserCredentials()
	if err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	_, fp, err := certificate()
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	if len(found) == 0 {
		return cause.Cause{Code: cause.MediaFailed, Text: "no local UDP address for media towards the bridge: check the port range and network interfaces"}
	}
	c.local = jingle.Transport{Ufrag: ufrag, Pwd: pwd, RTCPMux: true, Fingerprints: []jingle.Fingerprint{fp}}
	for i, cand := range found {
		c.local.Candidates = append(c.local.Candidates, toJingle(i, cand))
	}
	return nil
}

// Local is our side of the transport, with setup="active".
func (c *Conn) Local() jingle.Transport { return c.local }

// SetLevelID sets the id of the audio level extension that the bridge offered; 0 is none.
func (c *Conn) SetLevelID(id uint8) { c.levelID.Store(uint32(id)) }

// AddCandidates takes candidates of the bridge, with Connect or later. Names, other
// generations and nonsense are passed over.
func (c *Conn) AddCandidates(list []jingle.Candidate) {
	for _, j := range list {
		cand, err := fromJingle(j)
		if err != nil {
			continue
		}
		if err := c.agent.AddRemoteCandidate(cand); err != nil {
			c.log.Debug("a candidate was not taken", xlog.Err, err)
		}
	}
}

// Connect runs ICE and DTLS with the bridge. It blocks until media can flow, or gives a
// cause.Cause. It may be called once.
func (c *Conn) Connect(ctx context.Context, remote jingle.Transport) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	began := time.Now()
	if err := c.agent.OnConnectionStateChange(c.stateChanged); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	c.AddCandidates(remote.Candidates)
	var err error
	if c.conn, err = c.agent.Accept(ctx, remote.Ufrag, remote.Pwd); err != nil {
		return cause.Cause{Code: cause.MediaFailed, Err: err, Text: "ICE found no way to the bridge (" + places(remote) + "): check that its UDP port can be reached from here"}
	}
	c.selectPair()
	if err := c.agent.OnSelectedCandidatePairChange(func(_, _ ice.Candidate) { c.selectPair() }); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	iceDone := time.Now()
	c.wg.Go(c.readRest)
	if err := c.handshake(ctx, remote.Fingerprints); err != nil {
		return cause.Cause{Code: cause.MediaFailed, Err: err, Text: "DTLS with the bridge failed: " + err.Error()}
	}
	c.log.Info("media connected", "ice_ms", iceDone.Sub(began).Milliseconds(), "dtls_ms", time.Since(iceDone).Milliseconds())
	return nil
}

// places names where a transport's candidates are.
func places(t jingle.Transport) string {
	var out []string
	for _, c := range t.Candidates {
		out = append(out, net.JoinHostPort(c.IP, strconv.Itoa(c.Port)))
		if len(out) == 4 {
			break
		}
	}
	if out == nil {
		return "it offers no candidates"
	}
	return strings.Join(out, ", ")
}

func (c *Conn) stateChanged(s ice.ConnectionState) {
	switch s {
	case ice.ConnectionStateFailed:
		c.fail(cause.Cause{Code: cause.Lost, Text: "the bridge does not answer any more (no consent for 15 s)"})
	case ice.ConnectionStateClosed:
		c.fail(cause.Cause{Code: cause.Normal})
	}
}

func (c *Conn) fail(err error) {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

// Done is closed when the connection is lost or closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why Done is closed.
func (c *Conn) Err() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	return c.err
}

// selectPair notes the far end of the selected pair, whose packets are media.
func (c *Conn) selectPair() {
	pair, err := c.agent.GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return
	}
	ip, err := netip.ParseAddr(pair.Remote.Address())
	if err != nil || pair.Local.Type() == ice.CandidateTypeRelay {
		return
	}
	c.tap.choose(netip.AddrPortFrom(ip.Unmap(), uint16(pair.Remote.Port())))
}

// readRest reads what does not come by the tap: relayed packets, and those of the first moments.
func (c *Conn) readRest() {
	buf := make([]byte, 2048)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			_ = c.dtlsIn.Close() // ends the handshake, if it is under way
			return
		}
		c.take(buf[:n])
	}
}

// take sorts a packet of the bridge (RFC 7983).
func (c *Conn) take(b []byte) {
	switch {
	case len(b) < 8:
	case b[0] >= 20 && b[0] <= 63:
		_, _ = c.dtlsIn.Write(b, packetio.Attributes{}) // a full buffer drops, and DTLS repeats
	case b[0] >= 128 && b[0] <= 191:
		if s := c.media.Load(); s != nil {
			s.take(b)
		}
	}
}

func (c *Conn) handshake(ctx context.Context, theirs []jingle.Fingerprint) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	cert, _, err := certificate()
	if err != nil {
		return err
	}
	verify := func(raw [][]byte, _ [][]*x509.Certificate) error { return matches(raw, theirs) }
	c.dtls, err = dtls.ClientWithOptions(dtlsConn{c}, c.conn.RemoteAddr(),
		dtls.WithCertificates(cert), dtls.WithInsecureSkipVerify(true), dtls.WithVerifyPeerCertificate(verify),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret), dtls.WithFlightInterval(300*time.Millisecond))
	if err != nil {
		return err
	}
	if err := c.dtls.HandshakeContext(ctx); err != nil {
		return err
	}
	s, err := newSession(c)
	if err != nil {
		return err
	}
	c.media.Store(s)
	c.wg.Go(c.drainDTLS)
	return nil
}

// drainDTLS reads application data, of which none is wanted, and notices the bridge's goodbye.
func (c *Conn) drainDTLS() {
	buf := make([]byte, 2048)
	for {
		if _, err := c.dtls.Read(buf); err != nil {
			if !errors.Is(err, net.ErrClosed) && c.ctx.Err() == nil {
				c.fail(cause.Cause{Code: cause.Lost, Text: "the bridge closed the media connection"})
			}
			return
		}
	}
}

// WriteRTP encrypts and sends a packet with the level extension, if it was offered. It
// allocates nothing and is safe for concurrent use; before Connect is done it drops.
func (c *Conn) WriteRTP(h *rtpx.Header, payload []byte) {
	if s := c.media.Load(); s != nil {
		s.send(h, payload)
	}
}

// Report sends RTCP: what we have sent, and what came of those speakers. Call it every 5 s.
func (c *Conn) Report(sent *rtpx.Sender, received []*rtpx.Receiver, cname string) {
	if s := c.media.Load(); s != nil {
		s.report(sent, received, cname)
	}
}

// ReportEvery is the interval of Report.
func ReportEvery() time.Duration { return reportEvery }

// Stats gives the counters.
func (c *Conn) Stats() Stats {
	s := Stats{
		Received: c.stats.received.Load(), Skipped: c.stats.skipped.Load(), Bad: c.stats.bad.Load(),
		Sent: c.stats.sent.Load(), Flood: c.stats.flood.Load(),
	}
	if p := c.tap.remote.Load(); p != nil {
		s.Remote = *p
	}
	if m := c.media.Load(); m != nil {
		s.Profile = m.profile
	}
	return s
}

// Close ends the connection and waits for its goroutines.
func (c *Conn) Close() {
	c.once.Do(func() {
		c.cancel()
		if c.dtls != nil {
			_ = c.dtls.Close() // the alert is a courtesy
		}
		_ = c.dtlsIn.Close()
		if c.agent != nil {
			_ = c.agent.GracefulClose() // nothing can be done about an error
		}
		c.fail(cause.Cause{Code: cause.Normal})
		c.wg.Wait()
	})
}

// dtlsConn is what the DTLS library reads from and writes to.
type dtlsConn struct{ c *Conn }

func (d dtlsConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := d.c.dtlsIn.Read(b, packetio.Attributes{})
	return n, d.c.conn.RemoteAddr(), err
}
func (d dtlsConn) WriteTo(b []byte, _ net.Addr) (int, error) { return d.c.conn.Write(b) }
func (d dtlsConn) Close() error                              { return d.c.dtlsIn.Close() }
func (d dtlsConn) LocalAddr() net.Addr                       { return d.c.conn.LocalAddr() }
func (d dtlsConn) SetDeadline(t time.Time) error             { return d.c.dtlsIn.SetReadDeadline(t) }
func (d dtlsConn) SetReadDeadline(t time.Time) error         { return d.c.dtlsIn.SetReadDeadline(t) }
func (dtlsConn) SetWriteDeadline(time.Time) error            { return nil }
