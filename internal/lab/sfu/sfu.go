// Package sfu is a selective forwarding unit for tests and the demo: what a
// videobridge does for audio, below any SDP. It is a full ICE agent, controlling, and a DTLS
// server; RTP of one endpoint goes unchanged to all others of its conference.
package sfu

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/jingle"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/packetio"
)

// A Bridge holds conferences.
type Bridge struct {
	cert tls.Certificate
	fp   string

	mu          sync.Mutex
	conferences map[string]map[string]*Endpoint
	exports     map[string]*Export
	dead        bool
	admit       func(netip.AddrPort) bool

	blocked atomic.Int64
	opened  atomic.Int64
	lose    atomic.Pointer[func(endpoint string, packet []byte) bool]
}

// New makes a bridge.
func New() (*Bridge, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(240 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return &Bridge{
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fp: strings.Join(parts, ":"),
		conferences: map[string]map[string]*Endpoint{},
	}, nil
}

// An Endpoint is one participant's transport.
type Endpoint struct {
	b          *Bridge
	conference string
	id         string
	agent      *ice.Agent
	local      jingle.Transport
	dtlsIn     *packetio.Buffer
	conn       *ice.Conn
	dtls       atomic.Pointer[dtls.Conn] // set when the handshake begins
	cancel     context.CancelFunc
	ctx        context.Context
	wg         sync.WaitGroup
	once       sync.Once

	ready   atomic.Bool
	in      *srtp.Context
	outMu   sync.Mutex
	out     *srtp.Context
	got     atomic.Int64
	silence map[uint32]int // consecutive packets of level 127, by SSRC
	sources sync.Map       // SSRCs that were signalled
}

// Endpoint makes the transport of a participant, in place of one of that id.
func (b *Bridge) Endpoint(conference, id string) (*Endpoint, error) {
	b.opened.Add(1)
	network, err := b.net(id)
	if err != nil {
		return nil, err
	}
	agent, err := ice.NewAgentWithOptions(
		ice.WithNet(network), ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}), ice.WithIncludeLoopback(), ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithHostAcceptanceMinWait(0), ice.WithPrflxAcceptanceMinWait(0), ice.WithCheckInterval(50*time.Millisecond),
		ice.WithInterfaceFilter(func(name string) bool { return name == "lo" }))
	if err != nil {
		return nil, err
	}
	e := &Endpoint{b: b, conference: conference, id: id, agent: agent, dtlsIn: packetio.NewBuffer(), silence: map[uint32]int{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	gathered := make(chan struct{})
	n := 0
	if err := agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
			return
		}
		n++
		e.local.Candidates = append(e.local.Candidates, jingle.Candidate{
			ID: fmt.Sprintf("%x", n), Foundation: "1", Component: 1, Protocol: "udp", Priority: c.Priority(), IP: c.Address(), Port: c.Port(), Type: "host",
		})
	}); err != nil {
		return nil, err
	}
	if err := agent.GatherCandidates(); err != nil {
		return nil, err
	}
	<-gathered
	if e.local.Ufrag, e.local.Pwd, err = agent.GetLocalUserCredentials(); err != nil {
		return nil, err
	}
	e.local.RTCPMux = true
	e.local.Fingerprints = []jingle.Fingerprint{{Hash: "sha-256", Value: b.fp, Setup: "actpass"}}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		_ = agent.Close()
		return nil, errors.New("sfu: the bridge is dead")
	}
	if b.conferences[conference] == nil {
		b.conferences[conference] = map[string]*Endpoint{}
	}
	if old := b.conferences[conference][id]; old != nil {
		go old.Close()
	}
	b.conferences[conference][id] = e
	return e, nil
}

// Kill ends the bridge at once, without a word to anybody.
func (b *Bridge) Kill() {
	b.mu.Lock()
	b.dead = true
	var all []*Endpoint
	for _, c := range b.conferences {
		for _, e := range c {
			all = append(all, e)
		}
	}
	b.conferences = map[string]map[string]*Endpoint{}
	b.mu.Unlock()
	for _, e := range all {
		e.close(false)
	}
}

// Endpoints is how many endpoints there are.
func (b *Bridge) Endpoints() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, c := range b.conferences {
		n += len(c)
	}
	return n
}

// Opened is how many endpoints there ever were.
func (b *Bridge) Opened() int64 { return b.opened.Load() }

// Local is what to offer the participant.
func (e *Endpoint) Local() jingle.Transport { return e.local }

// AddSource allows an SSRC: RTP of others is not routed.
func (e *Endpoint) AddSource(ssrc uint32) { e.sources.Store(ssrc, true) }

// AddCandidates takes candidates of the participant.
func (e *Endpoint) AddCandidates(list []jingle.Candidate) {
	for _, c := range list {
		if _, err := netip.ParseAddr(c.IP); err != nil || c.Generation != 0 {
			continue
		}
		cand, err := ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: c.IP, Port: c.Port, Component: 1, Priority: c.Priority})
		if err == nil {
			_ = e.agent.AddRemoteCandidate(cand) // a duplicate is no harm
		}
	}
}

// Connect runs ICE and DTLS with the participant in the background; done learns how it went.
func (e *Endpoint) Connect(remote jingle.Transport, done func(error)) {
	e.AddCandidates(remote.Candidates)
	e.wg.Go(func() { done(e.connect(remote)) })
}

func (e *Endpoint) connect(remote jingle.Transport) error {
	ctx, cancel := context.WithTimeout(e.ctx, 30*time.Second)
	defer cancel()
	var err error
	if e.conn, err = e.agent.Dial(ctx, remote.Ufrag, remote.Pwd); err != nil {
		return err
	}
	e.wg.Go(e.read)
	verify := func(raw [][]byte, _ [][]*x509.Certificate) error {
		sum := sha256.Sum256(raw[0])
		hex := fmt.Sprintf("%X", sum[:])
		for _, f := range remote.Fingerprints {
			if strings.EqualFold(strings.ReplaceAll(f.Value, ":", ""), hex) {
				return nil
			}
		}
		return errors.New("sfu: wrong fingerprint")
	}
	secure, err := dtls.ServerWithOptions(dtlsConn{e}, e.conn.RemoteAddr(), dtls.WithCertificates(e.b.cert), dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), dtls.WithVerifyPeerCertificate(verify),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80))
	if err != nil {
		return err
	}
	e.dtls.Store(secure)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	state, _ := secure.ConnectionState()
	p, _ := secure.SelectedSRTPProtectionProfile()
	cfg := srtp.Config{Profile: srtp.ProtectionProfileAes128CmHmacSha1_80}
	if p == dtls.SRTP_AEAD_AES_128_GCM {
		cfg.Profile = srtp.ProtectionProfileAeadAes128Gcm
	}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return err
	}
	if e.out, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile); err != nil {
		return err
	}
	if e.in, err = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile, srtp.SRTPReplayProtection(128)); err != nil {
		return err
	}
	e.ready.Store(true)
	return nil
}

func (e *Endpoint) read() {
	buf := make([]byte, 2000)
	for {
		n, err := e.conn.Read(buf)
		if err != nil {
			_ = e.dtlsIn.Close()
			return
		}
		b := buf[:n]
		switch {
		case n < 12:
		case b[0] >= 20 && b[0] <= 63:
			_, _ = e.dtlsIn.Write(b, packetio.Attributes{})
		case b[0]>>6 == 2 && e.ready.Load() && (b[1] < 192 || b[1] > 223):
			e.rtp(b)
		}
	}
}

func (e *Endpoint) rtp(b []byte) {
	var h rtp.Header
	plain, err := e.in.DecryptRTP(nil, b, &h)
	if err != nil {
		return
	}
	if _, ok := e.sources.Load(h.SSRC); !ok {
		return
	}
	e.got.Add(1)
	plain = strip(plain)
	var level rtp.AudioLevelExtension
	if ext := h.GetExtension(1); ext != nil && level.Unmarshal(ext) == nil && level.Level == 127 {
		if e.silence[h.SSRC]++; e.silence[h.SSRC] > 3 {
			return
		}
	} else {
		e.silence[h.SSRC] = 0
	}
	e.b.mu.Lock()
	others := make([]*Endpoint, 0, 8)
	for id, o := range e.b.conferences[e.conference] {
		if id != e.id {
			others = append(others, o)
		}
	}
	export := e.b.exports[e.conference]
	e.b.mu.Unlock()
	if export != nil {
		export.packet(e.id, plain)
	}
	for _, o := range others {
		o.forward(plain)
	}
}

// strip leaves of the header extensions only the level, as the real bridge does.
func strip(plain []byte) []byte {
	var p rtp.Packet
	if p.Unmarshal(plain) != nil {
		return plain
	}
	more := false
	for _, id := range p.GetExtensionIDs() {
		if id != 1 {
			more = true
			_ = p.DelExtension(id) // it is there
		}
	}
	if !more {
		return plain
	}
	out, err := p.Marshal()
	if err != nil {
		return plain
	}
	return out
}

func (e *Endpoint) forward(plain []byte) {
	if !e.ready.Load() {
		return
	}
	e.outMu.Lock()
	defer e.outMu.Unlock()
	if enc, err := e.out.EncryptRTP(nil, plain, nil); err == nil {
		_, _ = e.conn.Write(enc) // a dead endpoint is closed by its owner
	}
}

// Received is how many RTP packets the participant has sent.
func (e *Endpoint) Received() int64 { return e.got.Load() }

// Close ends the transport.
func (e *Endpoint) Close() { e.close(true) }

func (e *Endpoint) close(polite bool) {
	e.once.Do(func() {
		e.b.mu.Lock()
		if c := e.b.conferences[e.conference]; c != nil && c[e.id] == e {
			delete(c, e.id)
			if len(c) == 0 {
				delete(e.b.conferences, e.conference)
			}
		}
		e.b.mu.Unlock()
		e.cancel()
		if secure := e.dtls.Load(); polite && secure != nil {
			_ = secure.Close()
		}
		_ = e.dtlsIn.Close()
		_ = e.agent.GracefulClose()
		e.wg.Wait()
	})
}

type dtlsConn struct{ e *Endpoint }

func (d dtlsConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := d.e.dtlsIn.Read(b, packetio.Attributes{})
	return n, d.e.conn.RemoteAddr(), err
}
func (d dtlsConn) WriteTo(b []byte, _ net.Addr) (int, error) { return d.e.conn.Write(b) }
func (d dtlsConn) Close() error                              { return d.e.dtlsIn.Close() }
func (d dtlsConn) LocalAddr() net.Addr                       { return d.e.conn.LocalAddr() }
func (d dtlsConn) SetDeadline(t time.Time) error             { return d.e.dtlsIn.SetReadDeadline(t) }

func (d dtlsConn) SetReadDeadline(t time.Time) error { return d.e.dtlsIn.SetReadDeadline(t) }
func (dtlsConn) SetWriteDeadline(time.Time) error    { return nil }
