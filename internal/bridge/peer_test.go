package bridge_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"jigasi/internal/jingle"
	"jigasi/internal/rtpx"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/packetio"
)

// peer is the far side: a controlling agent and a DTLS server, as the videobridge.
type peer struct {
	agent   *ice.Agent
	conn    *ice.Conn
	der     []byte
	cert    tls.Certificate
	dtls    *dtls.Conn
	in, out *srtp.Context
	up      chan error
	dtlsIn  *packetio.Buffer
	media   chan []byte
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{der: der, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, up: make(chan error, 1), dtlsIn: packetio.NewBuffer(), media: make(chan []byte, 1000)}
	p.agent, err = ice.NewAgentWithOptions(ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}), ice.WithIncludeLoopback(),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled), ice.WithInterfaceFilter(func(i string) bool { return i == "lo" }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// read sorts what comes in: DTLS to its buffer, the rest to media.
func (p *peer) read() {
	buf := make([]byte, 2000)
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			_ = p.dtlsIn.Close()
			return
		}
		if buf[0] >= 20 && buf[0] <= 63 {
			_, _ = p.dtlsIn.Write(buf[:n], packetio.Attributes{})
			continue
		}
		select {
		case p.media <- bytes.Clone(buf[:n]):
		default:
		}
	}
}

func (p *peer) close() {
	_ = p.dtlsIn.Close()
	if p.dtls != nil {
		_ = p.dtls.Close()
	}
	_ = p.agent.GracefulClose()
}

func (p *peer) transport(t *testing.T, fp jingle.Fingerprint) jingle.Transport {
	t.Helper()
	done := make(chan struct{})
	tr := jingle.Transport{Fingerprints: []jingle.Fingerprint{fp}}
	_ = p.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(done)
			return
		}
		tr.Candidates = append(tr.Candidates, jingle.Candidate{IP: c.Address(), Port: c.Port(), Protocol: "udp", Type: "host", Component: 1, Priority: c.Priority(), Foundation: "1"})
	})
	if err := p.agent.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	<-done
	tr.Ufrag, tr.Pwd, _ = p.agent.GetLocalUserCredentials()
	return tr
}

// join runs ICE and DTLS against what the gateway signalled.
func (p *peer) join(ctx context.Context, theirs jingle.Transport) error {
	for _, c := range theirs.Candidates {
		cand, err := ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: c.IP, Port: c.Port, Component: 1})
		if err != nil {
			return err
		}
		_ = p.agent.AddRemoteCandidate(cand)
	}
	var err error
	if p.conn, err = p.agent.Dial(ctx, theirs.Ufrag, theirs.Pwd); err != nil {
		return err
	}
	go p.read()
	p.dtls, err = dtls.ServerWithOptions(onePeer{p}, p.conn.RemoteAddr(), dtls.WithCertificates(p.cert), dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM))
	if err != nil {
		return err
	}
	if err := p.dtls.HandshakeContext(ctx); err != nil {
		return err
	}
	st, _ := p.dtls.ConnectionState()
	cfg := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	if err := cfg.ExtractSessionKeysFromDTLS(&st, false); err != nil {
		return err
	}
	p.out, _ = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	p.in, _ = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile)
	return nil
}

func sha(der []byte) string {
	s := sha256.Sum256(der)
	return colons(s[:])
}

func colons(b []byte) string {
	var parts []string
	for _, x := range b {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{x})))
	}
	return strings.Join(parts, ":")
}

func (p *peer) send(ssrc uint32, seq uint16, forge bool) {
	h := rtpx.Header{SSRC: ssrc, Seq: seq, PT: 111, Level: 20, HasLevel: true}
	b := append(h.Append(nil, 1), []byte("opus packet")...)
	enc, err := p.out.EncryptRTP(nil, b, nil)
	if err != nil {
		return
	}
	if forge {
		enc[len(enc)-1] ^= 1
	}
	_, _ = p.conn.Write(enc)
}

// onePeer makes a peer a packet connection for DTLS.
type onePeer struct{ p *peer }

func (p onePeer) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := p.p.dtlsIn.Read(b, packetio.Attributes{})
	return n, p.p.conn.RemoteAddr(), err
}
func (p onePeer) WriteTo(b []byte, _ net.Addr) (int, error) { return p.p.conn.Write(b) }
func (p onePeer) Close() error                              { return p.p.dtlsIn.Close() }
func (p onePeer) LocalAddr() net.Addr                       { return p.p.conn.LocalAddr() }
func (p onePeer) SetDeadline(t time.Time) error             { return p.p.dtlsIn.SetReadDeadline(t) }
func (p onePeer) SetReadDeadline(t time.Time) error         { return p.p.dtlsIn.SetReadDeadline(t) }
func (p onePeer) SetWriteDeadline(time.Time) error          { return nil }
