package rtpport

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
	"jigasi/internal/sdp"
)

// room gives sound or silence and takes all.
type room struct {
	silent bool
	voice  *audio.Tone // nil: something cheaper; it comes and goes, as a steady one is taken for noise
	ticks  int
}

func (r *room) Pull(c *media.Chunk) {
	for i := range c.PCM {
		c.PCM[i] = int16(i * 50)
	}
	c.Level, c.Measured = 20, true
	if r.voice != nil {
		r.voice.Fill(c.PCM)
		if r.ticks++; r.ticks/4%2 == 0 {
			clear(c.PCM)
		}
	}
	if r.silent {
		clear(c.PCM)
		c.Level = audio.Silent
	}
}

func (*room) Push(*media.Chunk) {}

// lone is a port that only this test drives: no goroutine, no clock.
func lone(t *testing.T, codecName string, pt int, srtp bool) (p *Port, c *config, phone *net.UDPConn) {
	t.Helper()
	phone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := NewPool(40000, 40999)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := pool.take(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pair.close(); _ = phone.Close() })
	p = &Port{pair: pair, ssrc: 1, name: "x", started: time.Now()}
	r := sdp.Result{
		Remote: netip.MustParseAddrPort(phone.LocalAddr().String()), RecvPT: pt, DTMF: -1, CN: -1, Ptime: 20, Send: true, Recv: true,
		Codec: sdp.Codecs(codecName)[0],
	}
	if srtp {
		key := make([]byte, 30)
		r.SRTP = &sdp.Keys{Suite: "AES_CM_128_HMAC_SHA1_80", Local: key, Peer: key}
	}
	if err := p.Start(r); err != nil {
		t.Fatal(err)
	}
	p.report = time.Now().Add(time.Hour) // a report each 5 s may allocate
	return p, p.cfg.Load(), phone
}

// leastAllocs is what f allocates in any case: under the race detector pools forget at random what is put into them.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(100, f)
	for i := 0; least > 0 && i < 9; i++ {
		least = min(least, testing.AllocsPerRun(100, f))
	}
	return least
}

func TestNothingAllocates(t *testing.T) {
	for _, tt := range []struct {
		name string
		pt   int
		srtp bool
	}{{"PCMU", 0, false}, {"PCMA", 8, false}, {"G722", 9, false}, {"opus", 96, false}, {"PCMU", 0, true}} {
		name := tt.name
		if tt.srtp {
			name += " SRTP"
		}
		t.Run(name, func(t *testing.T) {
			p, c, _ := lone(t, tt.name, tt.pt, tt.srtp)
			above := &room{}
			p.Connect(above)
			payload := make([]byte, 160)
			if c.opus {
				enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: media.Wide})
				if err != nil {
					t.Fatal(err)
				}
				n, _ := enc.Encode(payload, make([]int16, media.Wide/50))
				payload = payload[:n]
			}
			h := rtpx.Header{SSRC: 7, PT: uint8(tt.pt)}
			packet, now := make([]byte, 0, 300), time.Now()
			if n := leastAllocs(func() {
				h.Seq, h.Timestamp, now = h.Seq+1, h.Timestamp+160, now.Add(20*time.Millisecond)
				b := append(h.Append(packet[:0], 0), payload...)
				if c.srtp != nil {
					b, _ = c.srtp.out.EncryptRTP(p.out.cipher[:0], b, &p.out.head)
				}
				p.take(b, c.Remote, now)
			}); n != 0 {
				t.Errorf("%v allocations per packet received", n)
			}
			if got := p.Stats().Received; got < 100 {
				t.Errorf("%d packets were taken, want 101", got)
			}
			for _, above.silent = range []bool{false, true} {
				if n := leastAllocs(p.tick); n != 0 {
					t.Errorf("%v allocations per tick, silent %v", n, above.silent)
				}
			}
			if got := p.Stats().Sent; got < 200 {
				t.Errorf("%d packets were sent, want 202", got)
			}
		})
	}
}

// TestSilenceIsSentAsItWas: silence is not filtered and encoded anew, and sounds the same; what
// follows it is heard at once.
func TestSilenceIsSentAsItWas(t *testing.T) {
	p, _, phone := lone(t, "PCMU", 0, false)
	above := &room{}
	p.Connect(above)
	_ = phone.SetReadDeadline(time.Now().Add(10 * time.Second))
	seq, buf, pcm := uint16(0), make([]byte, 500), make([]int16, 160)
	var heard []uint8
	for tick := range 12 {
		above.silent = tick >= 2 && tick < 9
		p.tick()
		n, err := phone.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		var h rtpx.Header
		payload, err := h.Parse(buf[:n], 0)
		if err != nil || len(payload) != 160 {
			t.Fatalf("tick %d: %d bytes, %v", tick, len(payload), err)
		}
		if tick > 0 && h.Seq != seq+1 {
			t.Errorf("tick %d: number %d after %d", tick, h.Seq, seq)
		}
		seq = h.Seq
		if _, err := codec.NewPCMU().Decode(pcm, payload); err != nil {
			t.Fatal(err)
		}
		heard = append(heard, audio.Level(pcm))
	}
	for tick, level := range heard {
		if silent := tick >= 3 && tick < 9; silent != (level == audio.Silent) {
			t.Errorf("tick %d is at -%d dBov", tick, level)
		}
	}
}

// TestLossOfAnOpusPhoneIsProtectedAgainst: only while it reports loss, and only where it is wanted.
func TestLossOfAnOpusPhoneIsProtectedAgainst(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{true, false} {
		p, c, phone := lone(t, "opus", 96, false)
		p.opt.FEC = wanted
		p.Connect(&room{voice: audio.NewTone(440, media.Full, -16)})
		_ = phone.SetReadDeadline(time.Now().Add(10 * time.Second))
		protected := func() (yes bool) {
			buf := make([]byte, 1500)
			for i := range 40 {
				p.tick()
				if _, err := phone.Read(buf); err != nil {
					t.Fatal(err)
				}
				yes = yes || i >= 5 && buf[13]&0x40 != 0 // RFC 6716, 4.2.3: the LBRR flag of SILK
			}
			return yes
		}
		seq, far := uint16(0), rtpx.Receiver{SSRC: p.ssrc, Clock: 48000}
		report := func(step uint16) { // each step-th packet came
			now := time.Now()
			for range 50 {
				seq += step
				far.Packet(seq, uint32(seq)*960, now)
			}
			p.takeRTCP(rtpx.AppendReport(nil, &rtpx.Sender{SSRC: 9}, []*rtpx.Receiver{&far}, "phone", false, now), c.Remote)
			p.protect(c)
		}
		if report(1); protected() {
			t.Error("protected without loss")
		}
		if report(2); protected() != wanted {
			t.Errorf("a loss of one half: protected %v, want %v", !wanted, wanted)
		}
		for range 3 {
			report(1)
		}
		if protected() {
			t.Error("protected when nothing is lost any more")
		}
	}
}
