package bridge_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/lab/soak"
	"jigasi/internal/rtpx"
	"jigasi/internal/twin"

	"github.com/pion/rtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	soak.Together(8)
	goleak.VerifyTestMain(m)
}

func connect(t *testing.T, o bridge.Options) (*bridge.Conn, *peer) {
	t.Helper()
	o.Loopback, o.Loop = true, twin.NewLoop(func(v any, stack []byte) { t.Errorf("panic %v\n%s", v, stack) })
	t.Cleanup(o.Loop.Close)
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

func TestT10_ForgedPacketsDoNotMatter(t *testing.T) {
	t.Parallel()
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
		looked(t, c, 21*(i+1))
	}
	if good.Load() != 200 || wrong.Load() != 0 {
		t.Errorf("%d good packets and %d wrong ones, want 200 and 0; %+v", good.Load(), wrong.Load(), c.Stats())
	}
	if s := c.Stats(); s.Profile != "AEAD_AES_128_GCM" || s.Bad == 0 {
		t.Errorf("%+v", s)
	}
}

// looked waits until c has looked at so many packets: then no buffer on the way runs over.
func looked(t *testing.T, c *bridge.Conn, packets int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		if s := c.Stats(); s.Received+s.Skipped+s.Bad >= int64(packets) {
			return
		}
	}
	t.Fatalf("%+v of %d packets", c.Stats(), packets)
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
	t.Parallel()
	var got atomic.Int64
	c, p := connect(t, bridge.Options{
		Want: func(h *rtpx.Header) bool { return h.SSRC == 1 },
		RTP:  func(*rtpx.Header, []byte) { got.Add(1) },
	})
	for i := range 100 {
		p.send(1, uint16(i), false)
		p.send(2, uint16(i), false)
		looked(t, c, 2*(i+1))
	}
	if s := c.Stats(); got.Load() != 100 || s.Skipped != 99 { // the first one begins the counting
		t.Errorf("%d packets, %+v", got.Load(), s)
	}
}

func TestT11_SSRCFloodIsBounded(t *testing.T) {
	t.Parallel()
	flood := soak.Count(5000, 20000)
	var got atomic.Int64
	c, p := connect(t, bridge.Options{RTP: func(h *rtpx.Header, _ []byte) {
		if h.SSRC == 1 {
			got.Add(1)
		}
	}})
	for i := range flood {
		p.send(uint32(1000+i), 1, i%2 == 0)
		if i%100 == 0 {
			p.send(1, uint16(i/100), false)
		}
		if i%20 == 0 {
			looked(t, c, i+1+i/100)
		}
	}
	looked(t, c, flood+flood/100)
	if n := got.Load(); n != int64(flood/100) {
		t.Errorf("%d of %d packets of the speaker came through a flood of %d streams", n, flood/100, flood)
	}
}

func TestT25_FingerprintIsChecked(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
