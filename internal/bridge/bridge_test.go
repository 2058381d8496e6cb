package bridge_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/packetio"
	"go.uber.org/goleak"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/rtpx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func connect(t *testing.T, o bridge.Options) (*bridge.Conn, *peer) {
	t.Helper()
	o.Loopback = true
	c, err := bridge.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.SetLevelID(1)
	p := newPeer(t)
	tr := p.transport(t, jingle.Fingerprint{Hash: "sha-256", Value: sha(p.der), Setup: "actpass"})
	go func() { p.up <- p.join(t.Context(), c.Local()) }()
	if err := c.Connect(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	if err := <-p.up; err != nil {
		t.Fatal(err)
	}
	return c, p
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

func TestT10_ForgedPacketsDoNotMatter(t *testing.T) {
	var good, wrong atomic.Int64
	c, p := connect(t, bridge.Options{RTP: func(h *rtpx.Header, payload []byte) {
		if string(payload) == "opus packet" && h.HasLevel && h.Level == 20 {
			good.Add(1)
		} else {
			wrong.Add(1)
		}
	}})
	for i := range 200 {
		p.send(7, uint16(i), false)
		for j := range 20 {
			switch j % 4 {
			case 0:
				p.send(99, uint16(20*i+j), true)
			case 1:
				_, _ = p.conn.Write([]byte{0x80, 111, 0}[:j%3+1])
			case 2:
				_, _ = p.conn.Write(bytes.Repeat([]byte{0x9f}, 40))
			case 3:
				_, _ = p.conn.Write([]byte{0x80, 201, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8})
			}
		}
		if i%10 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if good.Load() != 200 || wrong.Load() != 0 {
		t.Errorf("%d good packets and %d wrong ones, want 200 and 0; %+v", good.Load(), wrong.Load(), c.Stats())
	}
	if s := c.Stats(); s.Profile != "AEAD_AES_128_GCM" || s.Bad == 0 {
		t.Errorf("%+v", s)
	}
}

func TestWrittenPacketsBearTheLevel(t *testing.T) {
	c, p := connect(t, bridge.Options{})
	c.WriteRTP(&rtpx.Header{SSRC: 5, Seq: 9, PT: 111, Level: 33, Voice: true, HasLevel: true}, []byte("hello"))
	buf := <-p.media
	plain, err := p.in.DecryptRTP(nil, buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	var pkt rtp.Packet
	if err := pkt.Unmarshal(plain); err != nil || pkt.SSRC != 5 || string(pkt.Payload) != "hello" {
		t.Fatalf("%v %v", pkt, err)
	}
	var level rtp.AudioLevelExtension
	if err := level.Unmarshal(pkt.GetExtension(1)); err != nil || level.Level != 33 || !level.Voice {
		t.Errorf("level %+v, %v", level, err)
	}
	h, payload := rtpx.Header{SSRC: 5, PT: 111, HasLevel: true}, make([]byte, 80)
	if n := testing.AllocsPerRun(100, func() { h.Seq++; c.WriteRTP(&h, payload) }); n != 0 {
		t.Errorf("%v allocations per packet sent", n)
	}
}

func TestUnwantedIsNotDecrypted(t *testing.T) {
	var got atomic.Int64
	c, p := connect(t, bridge.Options{
		Want: func(h *rtpx.Header) bool { return h.SSRC == 1 },
		RTP:  func(*rtpx.Header, []byte) { got.Add(1) },
	})
	for i := range 100 {
		p.send(1, uint16(i), false)
		p.send(2, uint16(i), false)
	}
	time.Sleep(100 * time.Millisecond)
	if s := c.Stats(); got.Load() != 100 || s.Skipped != 100 {
		t.Errorf("%d packets, %+v", got.Load(), s)
	}
}

func TestT11_SSRCFloodIsBounded(t *testing.T) {
	var got atomic.Int64
	_, p := connect(t, bridge.Options{RTP: func(h *rtpx.Header, _ []byte) {
		if h.SSRC == 1 {
			got.Add(1)
		}
	}})
	for i := range 20000 {
		p.send(uint32(1000+i), 1, i%2 == 0)
		if i%100 == 0 {
			p.send(1, uint16(i/100), false)
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if got.Load() < 190 {
		t.Errorf("%d of 200 packets of the speaker came through a flood of 20000 streams", got.Load())
	}
}

func TestT25_FingerprintIsChecked(t *testing.T) {
	for _, tt := range []struct {
		name string
		fp   func(der []byte) jingle.Fingerprint
	}{
		{"one digit off", func(der []byte) jingle.Fingerprint {
			v := []byte(sha(der))
			v[0] ^= 1
			return jingle.Fingerprint{Hash: "sha-256", Value: string(v)}
		}},
		{"sha-1", func(der []byte) jingle.Fingerprint {
			s := sha1.Sum(der)
			return jingle.Fingerprint{Hash: "sha-1", Value: colons(s[:])}
		}},
		{"none", func([]byte) jingle.Fingerprint { return jingle.Fingerprint{} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got atomic.Int64
			c, err := bridge.New(t.Context(), bridge.Options{Loopback: true, RTP: func(*rtpx.Header, []byte) { got.Add(1) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			p := newPeer(t)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			tr := p.transport(t, tt.fp(p.der))
			go func() { p.up <- p.join(ctx, c.Local()) }()
			if err := c.Connect(ctx, tr); cause.Of(err).Code != cause.MediaFailed {
				t.Errorf("Connect = %v", err)
			}
			cancel()
			<-p.up
			if got.Load() != 0 {
				t.Error("packets were decrypted")
			}
		})
	}
}

func TestT50_ConnectionsLeaveNothing(t *testing.T) {
	for range 10 {
		c, err := bridge.New(t.Context(), bridge.Options{Loopback: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := c.Connect(ctx, jingle.Transport{Ufrag: "abcd", Pwd: "abcdefghijklmnopqrstuvwx"}); err == nil {
			t.Error("connected to nobody")
		}
		cancel()
		c.Close()
	}
}
