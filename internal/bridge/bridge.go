// Package bridge is the media connection to a videobridge: ICE (RFC 8445, we
// are controlled), DTLS (RFC 5764, we are the client), SRTP (RFC 3711, 7714). It knows no
// Jingle IQ and no sound: transports come as structs, packets go to callbacks.
//
// There is no PeerConnection (docs/adr/0005). A tap around each UDP socket (tap.go) takes RTP and
// DTLS of the selected pair out before the ICE agent would queue them; once media flows, a
// twin of the socket has what the bridge sends, and is read by the clock (line.go).
//
// A Conn owns its goroutines; Close waits for all of them.
package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/rtpx"
	"jigasi/internal/twin"
	"jigasi/internal/xlog"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5/packetio"
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
	RelayTLS         *tls.Config // which certificates of TURN servers are accepted; nil means by the system's authorities
	Loopback         bool        // offer loopback addresses too, for a bridge on this host
	DSCP             int         // of what is sent
	Loop             *twin.Loop  // reads media once it flows; nil: as it comes

	CheckLimit   time.Duration // until ICE has found a way; 0 means 15 s
	ConsentLimit time.Duration // how long the bridge may leave our checks unanswered (RFC 7675); 0 means 7 s

	// The callbacks run on the goroutine that reads, one at a time, and must not block. What they
	// are given is valid until they return. A panic in one of them ends this connection alone.

	// Want is asked before decryption whether a packet of a speaker is needed, so its header
	// is not authentic yet. nil wants all.
	Want func(h *rtpx.Header) bool
	// RTP is given each authentic packet that was wanted.
	RTP func(h *rtpx.Header, payload []byte)
	// RTCP is given the reports of the bridge and, through it, of the senders.
	RTCP func(r *rtpx.Report)
	Log  *slog.Logger
}

// Timeouts of a connection.
const (
	gatherLimit   = 3 * time.Second
	checkEvery    = 50 * time.Millisecond
	handshakeTime = 10 * time.Second

	// ReportEvery is the interval of Report.
	ReportEvery = 5 * time.Second
)

// A Conn is one connection to a bridge, from gathering to the end. Its methods are safe for
// concurrent use.
type Conn struct {
	opt     Options
	log     *slog.Logger
	agent   *ice.Agent
	cert    tls.Certificate
	local   jingle.Transport
	levelID atomic.Uint32

	tap    *tapNet
	dtlsIn *packetio.Buffer
	conn   *ice.Conn
	dtls   *dtls.Conn
	media  atomic.Pointer[session]
	line   line

	connecting sync.Mutex // held by Connect and by the end of Close
	done       chan struct{}
	once       sync.Once
	wg         sync.WaitGroup
	ctx        context.Context
	cancel     context.CancelFunc
	stats      counters

	mu    sync.Mutex
	err   error
	doubt *time.Timer // runs while the bridge does not answer
}

type counters struct{ received, skipped, bad, sent, unsent, flood atomic.Int64 }

// Stats are what a connection has counted.
type Stats struct {
	Received int64 // RTP packets decrypted
	Skipped  int64 // passed over before decryption
	Bad      int64 // forged, replayed or no RTP at all
	Flood    int64 // times the state of streams was cut down to those alive
	Sent     int64
	Unsent   int64          // the socket refused them
	Remote   netip.AddrPort // where media goes directly; zero by a relay
	Profile  string         // of SRTP, in the terms of RFC 5764
}

// New makes a connection and gathers candidates. It blocks for as long as STUN and TURN
// servers take, at most 3 s or until ctx is done; without them it is done at once.
func New(ctx context.Context, o Options) (*Conn, error) {
	if o.CheckLimit == 0 {
		o.CheckLimit = 15 * time.Second
	}
	if o.ConsentLimit == 0 {
		o.ConsentLimit = 7 * time.Second
	}
	c := &Conn{opt: o, log: xlog.Or(o.Log), dtlsIn: packetio.NewBuffer(), done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.doubt = time.AfterFunc(time.Hour, c.lost)
	c.doubt.Stop()
	if err := c.prepare(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) prepare(ctx context.Context) error {
	var err error
	if c.tap, err = newTapNet(c); err != nil {
		return err
	}
	opts, err := c.agentOptions()
	if err != nil {
		return err
	}
	if c.agent, err = ice.NewAgentWithOptions(opts...); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	var fp jingle.Fingerprint
	if c.cert, fp, err = certificate(time.Now()); err != nil {
		return err
	}
	c.local = jingle.Transport{RTCPMux: true, Fingerprints: []jingle.Fingerprint{fp}}
	return c.gather(ctx)
}

// Local is our side of the transport, with setup="active". It does not change.
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
// cause.Cause; ErrFingerprint is in its chain if the bridge is not who it should be. It may
// be called once.
func (c *Conn) Connect(ctx context.Context, remote jingle.Transport) error {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	began := time.Now()
	if err := c.agent.OnConnectionStateChange(c.stateChanged); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	if err := c.agent.OnSelectedCandidatePairChange(c.tap.choose); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	c.AddCandidates(remote.Candidates)
	var err error
	if c.conn, err = c.agent.Accept(ctx, remote.Ufrag, remote.Pwd); err != nil {
		return cause.Cause{Code: cause.MediaFailed, Err: err, Text: "ICE found no way to the bridge (" + places(remote) + "): check that its UDP port can be reached from here"}
	}
	iceDone := time.Now()
	c.wg.Go(c.readRest)
	if err := c.handshake(ctx, remote.Fingerprints); err != nil {
		return cause.Cause{Code: cause.MediaFailed, Err: err, Text: "DTLS with the bridge failed: " + err.Error() + " (check that nothing on the way changes its packets)"}
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

// stateChanged runs on a goroutine of the agent. Consent (RFC 7675) is ours to watch: media
// that comes by the tap does not count, only answers to our checks do.
func (c *Conn) stateChanged(s ice.ConnectionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case ice.ConnectionStateConnected, ice.ConnectionStateCompleted:
		c.doubt.Stop()
	case ice.ConnectionStateDisconnected:
		if c.err == nil {
			c.doubt.Reset(c.opt.ConsentLimit - c.opt.disconnected())
		}
	case ice.ConnectionStateFailed:
		c.failLocked(c.noConsent())
	}
}

// disconnected is after how long without an answer the agent tells us so.
func (o Options) disconnected() time.Duration { return o.ConsentLimit * 5 / 7 }

func (c *Conn) noConsent() error {
	return cause.Cause{Code: cause.Lost, Text: fmt.Sprintf("the bridge does not answer any more (no consent for %v)", c.opt.ConsentLimit)}
}

func (c *Conn) lost() { c.fail(c.noConsent()) }

func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *Conn) failLocked(err error) {
	if c.err == nil {
		c.err = err
		c.doubt.Stop()
		c.cancel() // Connect, if it is under way
		close(c.done)
	}
}

// Done is closed when the connection is lost or closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why Done is closed: a cause.Cause.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
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
	defer c.guard()
	switch {
	case len(b) < 8:
		c.stats.bad.Add(1)
	case b[0] >= 20 && b[0] <= 63:
		_, _ = c.dtlsIn.Write(b, packetio.Attributes{}) // a full buffer drops, and DTLS repeats
	case b[0] >= 128 && b[0] <= 191:
		if s := c.media.Load(); s != nil {
			s.take(b)
		}
	default:
		c.stats.bad.Add(1)
	}
}

// guard keeps a panic of a callback from ending more than this connection.
func (c *Conn) guard() {
	if r := recover(); r != nil {
		c.log.Error("panic while reading media", xlog.Err, fmt.Errorf("panic: %v", r), "stack", string(debug.Stack()))
		c.fail(cause.Cause{Code: cause.Panic, Text: "a defect of ours ended this connection"})
	}
}

// WriteRTP encrypts and sends a packet with the level extension, if it was offered. payload is at
// most 1275 bytes. It allocates nothing; before Connect is done it drops.
func (c *Conn) WriteRTP(h *rtpx.Header, payload []byte) {
	if s := c.media.Load(); s != nil {
		s.send(h, payload)
	}
}

// Report sends RTCP: what we have sent, and what came of those speakers. Call it every ReportEvery.
func (c *Conn) Report(sent *rtpx.Sender, received []*rtpx.Receiver, cname string) {
	if s := c.media.Load(); s != nil {
		s.report(sent, received, cname)
	}
}

// Stats gives the counters.
func (c *Conn) Stats() Stats {
	s := Stats{
		Received: c.stats.received.Load(), Skipped: c.stats.skipped.Load(), Bad: c.stats.bad.Load(),
		Sent: c.stats.sent.Load(), Unsent: c.stats.unsent.Load(), Flood: c.stats.flood.Load(),
	}
	if r := c.tap.route.Load(); r != nil {
		s.Remote = r.remote
	}
	if m := c.media.Load(); m != nil {
		s.Profile = m.profile
	}
	return s
}

// Close ends the connection and waits for its goroutines. It must not be called from a callback.
func (c *Conn) Close() {
	c.once.Do(func() {
		c.cancel()
		c.connecting.Lock() // Connect has returned
		defer c.connecting.Unlock()
		c.line.end()
		if c.dtls != nil {
			_ = c.dtls.Close() // the alert is a courtesy
		}
		_ = c.dtlsIn.Close()
		if c.agent != nil {
			_ = c.agent.GracefulClose() // nothing can be done about an error
		}
		c.wg.Wait()
		c.fail(cause.Cause{Code: cause.Normal})
	})
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
