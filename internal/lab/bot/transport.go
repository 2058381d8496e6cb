package bot

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
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

// transport is the bot's way to the bridge: a controlled ICE agent and a DTLS client.
type transport struct {
	agent  *ice.Agent
	cert   tls.Certificate
	local  jingle.Transport
	heard  func(*rtp.Header, []byte)
	dtlsIn *packetio.Buffer
	conn   *ice.Conn
	dtls   atomic.Pointer[dtls.Conn] // set when the handshake begins
	wg     sync.WaitGroup
	ready  atomic.Bool
	in     *srtp.Context
	mu     sync.Mutex
	out    *srtp.Context
	once   sync.Once
}

func newTransport(heard func(*rtp.Header, []byte)) (*transport, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	t := &transport{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, heard: heard, dtlsIn: packetio.NewBuffer()}
	if t.agent, err = ice.NewAgentWithOptions(ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}), ice.WithIncludeLoopback(),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled), ice.WithHostAcceptanceMinWait(0), ice.WithPrflxAcceptanceMinWait(0)); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	if err := t.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(done)
			return
		}
		t.local.Candidates = append(t.local.Candidates, jingle.Candidate{
			ID: fmt.Sprint("b", len(t.local.Candidates)), Foundation: "1", Component: 1, Protocol: "udp", Priority: c.Priority(), IP: c.Address(), Port: c.Port(), Type: "host",
		})
	}); err != nil {
		return nil, err
	}
	if err := t.agent.GatherCandidates(); err != nil {
		return nil, err
	}
	<-done
	t.local.Ufrag, t.local.Pwd, err = t.agent.GetLocalUserCredentials()
	t.local.RTCPMux = true
	t.local.Fingerprints = []jingle.Fingerprint{{Hash: "sha-256", Value: print256(der), Setup: "active"}}
	return t, err
}

func print256(der []byte) string {
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

func (t *transport) connect(ctx context.Context, remote jingle.Transport) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, c := range remote.Candidates {
		if cand, err := ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: c.IP, Port: c.Port, Component: 1, Priority: c.Priority}); err == nil {
			_ = t.agent.AddRemoteCandidate(cand) // a duplicate is no harm
		}
	}
	var err error
	if t.conn, err = t.agent.Accept(ctx, remote.Ufrag, remote.Pwd); err != nil {
		return err
	}
	t.wg.Go(t.read)
	secure, err := dtls.ClientWithOptions(dtlsConn{t}, t.conn.RemoteAddr(), dtls.WithCertificates(t.cert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80))
	if err != nil {
		return err
	}
	t.dtls.Store(secure)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	st, _ := secure.ConnectionState()
	p, _ := secure.SelectedSRTPProtectionProfile()
	cfg := srtp.Config{Profile: srtp.ProtectionProfileAes128CmHmacSha1_80}
	if p == dtls.SRTP_AEAD_AES_128_GCM {
		cfg.Profile = srtp.ProtectionProfileAeadAes128Gcm
	}
	if err := cfg.ExtractSessionKeysFromDTLS(&st, true); err != nil {
		return err
	}
	if t.out, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile); err != nil {
		return err
	}
	if t.in, err = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile); err != nil {
		return err
	}
	t.ready.Store(true)
	return nil
}

func (t *transport) read() {
	buf := make([]byte, 2000)
	for {
		n, err := t.conn.Read(buf)
		if err != nil {
			_ = t.dtlsIn.Close()
			return
		}
		b := buf[:n]
		switch {
		case n < 12:
		case b[0] >= 20 && b[0] <= 63:
			_, _ = t.dtlsIn.Write(b, packetio.Attributes{})
		case b[0]>>6 == 2 && t.ready.Load() && (b[1] < 192 || b[1] > 223):
			var p rtp.Packet
			plain, err := t.in.DecryptRTP(nil, b, nil)
			if err == nil && p.Unmarshal(plain) == nil {
				t.heard(&p.Header, p.Payload)
			}
		}
	}
}

func (t *transport) send(h *rtp.Header, payload []byte) {
	if !t.ready.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	raw, err := (&rtp.Packet{Header: *h, Payload: payload}).Marshal()
	if err != nil {
		return
	}
	if enc, err := t.out.EncryptRTP(nil, raw, nil); err == nil {
		_, _ = t.conn.Write(enc) // a dead transport is replaced by the next offer
	}
}

func (t *transport) close() {
	t.once.Do(func() {
		if secure := t.dtls.Load(); secure != nil {
			_ = secure.Close()
		}
		_ = t.dtlsIn.Close()
		_ = t.agent.GracefulClose()
		t.wg.Wait()
	})
}

type dtlsConn struct{ t *transport }

func (d dtlsConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := d.t.dtlsIn.Read(b, packetio.Attributes{})
	return n, d.t.conn.RemoteAddr(), err
}
func (d dtlsConn) WriteTo(b []byte, _ net.Addr) (int, error) { return d.t.conn.Write(b) }
func (d dtlsConn) Close() error                              { return d.t.dtlsIn.Close() }
func (d dtlsConn) LocalAddr() net.Addr                       { return d.t.conn.LocalAddr() }
func (d dtlsConn) SetDeadline(t time.Time) error             { return d.t.dtlsIn.SetReadDeadline(t) }

func (d dtlsConn) SetReadDeadline(t time.Time) error { return d.t.dtlsIn.SetReadDeadline(t) }
func (dtlsConn) SetWriteDeadline(time.Time) error    { return nil }
