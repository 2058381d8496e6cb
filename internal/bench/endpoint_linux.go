package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/jingle"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"
)

// An endpoint is the bridge's side of one call: the controlling end of ICE, a DTLS server, SRTP. It
// runs on the generator's goroutine, which asks its socket; only the DTLS handshake has one of its own.
type endpoint struct {
	sock       *socket
	ufrag, pwd string
	cert       tls.Certificate
	fp         string

	remote  jingle.Transport // of the gateway; without candidates until it has accepted
	checked time.Time
	peer    netip.AddrPort // found by ICE
	dtlsIn  *packetio.Buffer
	ready   atomic.Bool // in and out are there
	in, out *srtp.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	err     atomic.Pointer[error]
}

func newEndpoint(ip netip.Addr, cert tls.Certificate, fp string) (*endpoint, error) {
	s, err := openSocket(ip)
	if err != nil {
		return nil, err
	}
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return &endpoint{
		sock: s, ufrag: hex.EncodeToString(b[:4]), pwd: hex.EncodeToString(b[4:]), cert: cert, fp: fp,
		dtlsIn: packetio.NewBuffer(), cancel: func() {},
	}, nil
}

// local is what to offer the gateway.
func (e *endpoint) local() *jingle.Transport {
	return &jingle.Transport{
		Ufrag: e.ufrag, Pwd: e.pwd, RTCPMux: true, Fingerprints: []jingle.Fingerprint{{Hash: "sha-256", Value: e.fp, Setup: "actpass"}},
		Candidates: []jingle.Candidate{{
			ID: "1", Foundation: "1", Component: 1, Protocol: "udp", Priority: 2130706431, IP: e.sock.local.Addr().String(), Port: int(e.sock.local.Port()), Type: "host",
		}},
	}
}

// check asks the gateway's candidates until one answers.
func (e *endpoint) check(now time.Time) {
	if e.peer.IsValid() || e.remote.Ufrag == "" || now.Sub(e.checked) < 50*time.Millisecond {
		return
	}
	e.checked = now
	for _, c := range e.remote.Candidates {
		ip, err := netip.ParseAddr(c.IP)
		if err != nil || !ip.Is4() {
			continue
		}
		m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(e.remote.Ufrag+":"+e.ufrag),
			stun.RawAttribute{Type: stun.AttrPriority, Value: binary.BigEndian.AppendUint32(nil, 1862270975)},
			stun.RawAttribute{Type: stun.AttrICEControlling, Value: []byte("jigasibm")}, stun.RawAttribute{Type: stun.AttrUseCandidate},
			stun.NewShortTermIntegrity(e.remote.Pwd), stun.Fingerprint)
		if err == nil {
			e.sock.writeTo(m.Raw, netip.AddrPortFrom(ip, uint16(c.Port)))
		}
	}
}

// other takes what is no SRTP: STUN and DTLS.
func (e *endpoint) other(b []byte, from netip.AddrPort) {
	switch {
	case len(b) > 0 && b[0] >= 20 && b[0] <= 63:
		_, _ = e.dtlsIn.Write(b, packetio.Attributes{}) // what does not fit comes again
	case stun.IsMessage(b):
		m := &stun.Message{Raw: append([]byte(nil), b...)}
		if m.Decode() != nil {
			return
		}
		switch m.Type {
		case stun.BindingRequest:
			e.answer(m, from)
		case stun.BindingSuccess:
			if !e.peer.IsValid() && from.IsValid() {
				e.peer = from
				e.begin()
			}
		}
	}
}

func (e *endpoint) answer(m *stun.Message, from netip.AddrPort) {
	to := from
	if !to.IsValid() {
		to = e.peer
	}
	res, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: to.Addr().AsSlice(), Port: int(to.Port())}, stun.NewShortTermIntegrity(e.pwd), stun.Fingerprint)
	if err == nil {
		e.sock.writeTo(res.Raw, to)
	}
}

// begin is DTLS, beside the generator.
func (e *endpoint) begin() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	e.cancel = cancel
	e.wg.Go(func() {
		defer cancel()
		if err := e.handshake(ctx); err != nil {
			e.err.Store(&err)
		}
	})
}

func (e *endpoint) handshake(ctx context.Context) error {
	// That the certificate is the signalled one does not matter here: nobody else is on this machine's loopback.
	d, err := dtls.ServerWithOptions(dtlsConn{e}, net.UDPAddrFromAddrPort(e.peer), dtls.WithCertificates(e.cert),
		dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM))
	if err != nil {
		return fmt.Errorf("bench: DTLS: %w", err)
	}
	if err := d.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("bench: DTLS: %w", err)
	}
	state, _ := d.ConnectionState()
	cfg := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return fmt.Errorf("bench: SRTP keys: %w", err)
	}
	k := cfg.Keys
	if e.out, err = srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, cfg.Profile); err != nil {
		return fmt.Errorf("bench: SRTP: %w", err)
	}
	if e.in, err = srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, cfg.Profile, srtp.SRTPReplayProtection(128)); err != nil {
		return fmt.Errorf("bench: SRTP: %w", err)
	}
	if err := e.sock.connect(e.peer); err != nil {
		return fmt.Errorf("bench: connect: %w", err)
	}
	e.ready.Store(true)
	return nil
}

func (e *endpoint) close() {
	e.cancel()
	_ = e.dtlsIn.Close()
	e.wg.Wait()
	e.sock.close()
}

// dtlsConn is the packet connection of DTLS; other feeds it.
type dtlsConn struct{ e *endpoint }

func (d dtlsConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := d.e.dtlsIn.Read(b, packetio.Attributes{})
	return n, net.UDPAddrFromAddrPort(d.e.peer), err
}

func (d dtlsConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	d.e.sock.writeTo(b, d.e.peer)
	return len(b), nil
}

func (d dtlsConn) Close() error                       { return d.e.dtlsIn.Close() }
func (d dtlsConn) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(d.e.sock.local) }
func (d dtlsConn) SetDeadline(t time.Time) error      { return d.e.dtlsIn.SetReadDeadline(t) }
func (d dtlsConn) SetReadDeadline(t time.Time) error  { return d.e.dtlsIn.SetReadDeadline(t) }
func (d dtlsConn) SetWriteDeadline(_ time.Time) error { return nil }
