package meetleg

import (
	"bytes"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A wire keeps what is written to it.
type wire struct {
	packets []packet
	drop    bool // keep nothing: for counting allocations
}

type packet struct {
	h       rtpx.Header
	payload []byte
	at      time.Duration
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when virtual time begins

func (w *wire) WriteRTP(h *rtpx.Header, payload []byte) {
	if !w.drop {
		w.packets = append(w.packets, packet{*h, bytes.Clone(payload), time.Since(epoch)})
	}
}

func (w *wire) Stats() bridge.Stats { return bridge.Stats{Sent: int64(len(w.packets))} }

// said is 20 ms of a sine, or of silence where hz is 0.
func said(rate int, hz float64) *media.Chunk {
	c := &media.Chunk{PCM: make([]int16, rate/50), Rate: rate}
	for i := range c.PCM {
		if hz > 0 {
			c.PCM[i] = int16(8192 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
		}
	}
	return c
}

// speak pushes n chunks, 20 ms apart.
func speak(v *voice, n int, c *media.Chunk) {
	for range n {
		v.push(c)
		time.Sleep(media.Tick)
	}
}

func TestVoiceIsAStream(t *testing.T) {
	for _, rate := range []int{media.Narrow, media.Wide, media.Full} {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{}
			v := newVoice(codec.OpusOptions{}, 77, true)
			v.push(said(rate, 440)) // nobody to send it to
			v.start(w, 111)
			speak(v, 50, said(rate, 440))
			if len(w.packets) != 50 {
				t.Fatalf("%d Hz: %d packets of 50", rate, len(w.packets))
			}
			for i, p := range w.packets {
				want := w.packets[0].h
				want.Seq, want.Timestamp, want.Marker = want.Seq+uint16(i), want.Timestamp+uint32(i)*960, i == 0
				if p.h != want || p.h.PT != 111 || p.h.SSRC != 77 || !p.h.HasLevel || !p.h.Voice || p.h.Level < 10 || p.h.Level > 20 || len(p.payload) == 0 {
					t.Fatalf("%d Hz, packet %d: %+v, want %+v", rate, i, p.h, want)
				}
			}
			s := v.sender()
			octets := 0
			for _, p := range w.packets {
				octets += len(p.payload)
			}
			if s.Packets != 50 || int(s.Octets) != octets || s.SSRC != 77 || s.Timestamp != w.packets[49].h.Timestamp || s.At.Sub(epoch) != w.packets[49].at {
				t.Errorf("%d Hz: report %+v", rate, s)
			}
		})
	}
}

// TestTimestampsFollowTheClock: regular through jitter and bursts, and by what really passed over a pause.
func TestTimestampsFollowTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, false)
		v.start(w, 111)
		c := said(media.Narrow, 440)
		for _, ms := range []int{5, 35, 0, 40, 20, 1, 39, 20, 0, 40} { // 20 in the mean
			v.push(c)
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		for i, p := range w.packets {
			if d := p.h.Timestamp - w.packets[0].h.Timestamp; d != uint32(i)*960 {
				t.Errorf("packet %d at %d", i, d)
			}
		}
		before := len(w.packets)
		for _, pause := range []time.Duration{3 * time.Second, 10 * time.Minute, 30 * time.Hour, 100 * time.Hour} {
			last := w.packets[len(w.packets)-1]
			time.Sleep(pause)
			speak(v, 3, c)
			first := w.packets[len(w.packets)-3]
			real := uint32((first.at - last.at) / time.Millisecond * 48)
			if d := first.h.Timestamp - last.h.Timestamp; d+960 < real || d > real+960 || !first.h.Marker || first.h.Seq != last.h.Seq+1 {
				t.Errorf("after %v: %d units for %d, marker %v", pause, d, real, first.h.Marker)
			}
			if second := w.packets[len(w.packets)-2]; second.h.Timestamp != first.h.Timestamp+960 || second.h.Marker {
				t.Errorf("after %v goes on with %+v", pause, second.h)
			}
		}
		if len(w.packets) != before+12 {
			t.Errorf("%d packets", len(w.packets)-before)
		}
	})
}

// TestSilenceIsGated: after 300 ms a packet now and then; the voice that returns begins a talk spurt in time.
func TestSilenceIsGated(t *testing.T) {
	for _, gate := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{}
			v := newVoice(codec.OpusOptions{}, 77, gate)
			v.start(w, 111)
			speak(v, 50, said(media.Narrow, 440))
			quiet := len(w.packets)
			speak(v, 500, said(media.Narrow, 0)) // 10 s
			n := len(w.packets) - quiet
			if gate && (n < 16+20 || n > 16+30) || !gate && n != 500 {
				t.Errorf("gate %v: %d packets in 10 s of silence", gate, n)
			}
			for _, p := range w.packets[quiet:] {
				if p.h.Voice || p.h.Level != 127 {
					t.Fatalf("silence has %+v", p.h)
				}
			}
			speak(v, 5, said(media.Narrow, 440))
			back := w.packets[quiet+n]
			if !back.h.Marker || !back.h.Voice || w.packets[quiet+n+1].h.Marker {
				t.Errorf("gate %v: comes back with %+v", gate, back.h)
			}
			for i, p := range w.packets {
				if want := uint32(p.at * 48000 / time.Second); p.h.Timestamp-w.packets[0].h.Timestamp != want-uint32(w.packets[0].at*48000/time.Second) || p.h.Seq != w.packets[0].h.Seq+uint16(i) {
					t.Fatalf("gate %v: packet %d at %v has %+v", gate, i, p.at, p.h)
				}
			}
		})
	}
}

// TestMute: nothing at all is sent, and what is said after it begins a talk spurt at its time.
func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, true)
		v.start(w, 111)
		c := said(media.Wide, 440)
		speak(v, 10, c)
		v.mute(true)
		speak(v, 100, c)
		if len(w.packets) != 10 {
			t.Errorf("%d packets of a muted phone", len(w.packets)-10)
		}
		v.mute(false)
		speak(v, 10, c)
		first := w.packets[10]
		if d := first.h.Timestamp - w.packets[9].h.Timestamp; !first.h.Marker || d != 101*960 || first.h.Seq != w.packets[9].h.Seq+1 {
			t.Errorf("%+v, %d units later", first.h, d)
		}
	})
}

// TestOpusPassesThrough: a packet of the phone is not touched, its level is that of what is in it.
func TestOpusPassesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, true)
		v.start(w, 111)
		c := said(media.Full, 440)
		c.Opus, c.Level, c.Measured = []byte{0x78, 1, 2, 3}, 33, true
		speak(v, 3, c)
		c.Opus = nil
		speak(v, 1, c)
		if len(w.packets) != 4 || !bytes.Equal(w.packets[1].payload, []byte{0x78, 1, 2, 3}) || w.packets[1].h.Level != 33 {
			t.Fatalf("%d packets, %+v", len(w.packets), w.packets[1])
		}
		if bytes.Equal(w.packets[3].payload, w.packets[2].payload) || w.packets[3].h.Timestamp != w.packets[2].h.Timestamp+960 {
			t.Errorf("then encodes %+v", w.packets[3])
		}
	})
}

// TestTheStreamOutlivesTheBridge: one SSRC, one numbering, whatever bridge takes it.
func TestTheStreamOutlivesTheBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &wire{}, &wire{}
		v := newVoice(codec.OpusOptions{}, 77, true)
		c := said(media.Wide, 440)
		v.start(a, 111)
		speak(v, 10, c)
		v.stop()
		speak(v, 50, c) // it moves
		v.start(b, 96)
		speak(v, 10, c)
		if len(a.packets) != 10 || len(b.packets) != 10 || v.conn.Stats().Sent != 10 {
			t.Fatalf("%d and %d packets", len(a.packets), len(b.packets))
		}
		last, first := a.packets[9].h, b.packets[0].h
		if first.SSRC != last.SSRC || first.Seq != last.Seq+1 || first.Timestamp != last.Timestamp+51*960 || !first.Marker || first.PT != 96 {
			t.Errorf("%+v goes on as %+v", last, first)
		}
		v.stop()
		if v.conn != nil {
			t.Error("counts without a bridge")
		}
	})
}

// TestAnotherSeatHasAnotherStream: the old one may still be known to the focus.
func TestAnotherSeatHasAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, false)
		v.start(w, 111)
		c := said(media.Wide, 440)
		speak(v, 10, c)
		v.stop()
		v.renew(78)
		v.start(w, 111)
		speak(v, 10, c)
		h := w.packets[10].h
		if s := v.sender(); h.SSRC != 78 || h.PT != 111 || !h.Marker || !h.HasLevel || s.SSRC != 78 || s.Packets != 10 {
			t.Errorf("%+v, %+v", h, s)
		}
	})
}

// TestPushAllocatesNothing, for each way that sound goes.
func TestPushAllocatesNothing(t *testing.T) {
	opus := said(media.Full, 440)
	opus.Opus = []byte{0x78, 1, 2, 3}
	for name, c := range map[string]*media.Chunk{
		"8 kHz": said(media.Narrow, 440), "16 kHz": said(media.Wide, 440), "48 kHz": said(media.Full, 440), "Opus": opus, "silence": said(media.Narrow, 0),
	} {
		v := newVoice(codec.OpusOptions{}, 77, name != "silence")
		v.start(&wire{drop: true}, 111)
		v.push(c) // makes the encoder
		if n := testing.AllocsPerRun(100, func() { v.push(c) }); n != 0 {
			t.Errorf("%s: %v allocations per chunk", name, n)
		}
	}
}

// TestLossIsProtectedAgainst: only while the bridge reports it, and of our stream.
func TestLossIsProtectedAgainst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, false)
		v.start(w, 111)
		c := said(media.Narrow, 440)
		protected := func() bool {
			speak(v, 10, c)
			return w.packets[len(w.packets)-1].payload[1]&0x40 != 0 // RFC 6716, 4.2.3: the LBRR flag of SILK
		}
		if protected() {
			t.Error("protected without a report")
		}
		v.reported([]rtpx.Block{{SSRC: 78, FractionLost: 100}})
		if protected() {
			t.Error("protected against another's loss")
		}
		v.reported([]rtpx.Block{{SSRC: 78}, {SSRC: 77, FractionLost: 26}})
		if !protected() {
			t.Error("a loss of 10 % is not protected against")
		}
		for range 3 {
			v.reported([]rtpx.Block{{SSRC: 77}})
		}
		if protected() {
			t.Error("protected when nothing is lost any more")
		}
	})
}
