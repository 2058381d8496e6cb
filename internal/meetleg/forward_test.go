package meetleg

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/media"
)

// caller makes the packets of an Opus phone.
type caller struct{ k media.Packet }

func (c *caller) say(v *voice, n int) {
	for range n {
		c.k.Seq, c.k.Timestamp = c.k.Seq+1, c.k.Timestamp+960
		v.forward(c.k)
		time.Sleep(media.Tick)
	}
}

func forwarded(ssrc, stamp uint32, seq uint16) *caller {
	return &caller{media.Packet{SSRC: ssrc, Timestamp: stamp, Seq: seq, Measured: true, Level: 33, Payload: []byte{0x78, 1, 2, 3}}}
}

// TestThePhonesPacketsAreForwarded: untouched but for what stands in the header, one stream whatever the phone does.
func TestThePhonesPacketsAreForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, true)
		a, b := forwarded(5, 1000, 65530), forwarded(6, 4_000_000_000, 9)
		a.say(v, 3) // nobody to send it to
		v.start(w, 111)
		a.say(v, 10)
		time.Sleep(2 * time.Second)
		b.say(v, 10) // the phone has another stream now
		v.mute(true)
		b.say(v, 50)
		if len(w.packets) != 20 {
			t.Fatalf("%d packets of a muted phone", len(w.packets)-20)
		}
		v.mute(false)
		b.say(v, 10)
		b.k.Seq += 2 // lost on the way
		b.k.Timestamp += 2 * 960
		b.say(v, 1)
		for i, p := range w.packets {
			seq, stamp := uint16(i), uint32(p.at-w.packets[0].at)/1e6*48
			if i == 30 {
				seq, stamp = seq+2, stamp+2*960
			}
			h := p.h
			if h.SSRC != 77 || h.PT != 111 || h.Seq != w.packets[0].h.Seq+seq || h.Timestamp-w.packets[0].h.Timestamp != stamp || !h.HasLevel || h.Level != 33 || !h.Voice {
				t.Errorf("packet %d: %+v", i, h)
			}
			if !bytes.Equal(p.payload, []byte{0x78, 1, 2, 3}) {
				t.Errorf("packet %d is changed", i)
			}
			if first := i == 0 || i == 20; h.Marker != first {
				t.Errorf("packet %d: marker %v", i, h.Marker)
			}
		}
		if s := v.sender(); s.Packets != 31 || s.Octets != 31*4 || s.Timestamp != w.packets[30].h.Timestamp {
			t.Errorf("report %+v", s)
		}
	})
}

// TestFromForwardingToTheMixAndBack: a phone that changes its codec goes on in the same stream.
func TestFromForwardingToTheMixAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, false)
		v.start(w, 111)
		a, pcm := forwarded(5, 1000, 500), said(media.Narrow, 440)
		speak(v, 5, pcm)
		a.say(v, 5)
		speak(v, 5, pcm)
		a.say(v, 5)
		for i, p := range w.packets {
			if h := p.h; h.Seq != w.packets[0].h.Seq+uint16(i) || h.Timestamp != w.packets[0].h.Timestamp+uint32(i)*960 || !h.HasLevel {
				t.Errorf("packet %d: %+v", i, h)
			}
		}
		if len(w.packets) != 20 {
			t.Errorf("%d packets", len(w.packets))
		}
		a.k.Measured = false
		a.say(v, 1)
		if w.packets[20].h.HasLevel {
			t.Error("a level that nobody knows is told")
		}
	})
}

// TestKeysBetweenForwardedPackets: they go in place of what is said, and the numbers go on.
func TestKeysBetweenForwardedPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		v := newVoice(codec.OpusOptions{}, 77, false)
		v.start(w, 111)
		a := forwarded(5, 1000, 500)
		a.say(v, 5)
		v.press('5', 100)
		for v.key(126, 8000) {
			a.say(v, 1)
		}
		a.say(v, 5)
		events := 0
		for i, p := range w.packets {
			if p.h.PT == 126 {
				events++
			} else if p.h.Marker != (i == 0 || w.packets[i-1].h.PT == 126) {
				t.Errorf("packet %d: marker %v", i, p.h.Marker)
			}
			if p.h.Seq != w.packets[0].h.Seq+uint16(i) || i > 0 && int32(p.h.Timestamp-w.packets[i-1].h.Timestamp) < 0 {
				t.Errorf("packet %d: %+v", i, p.h)
			}
		}
		if events != 7 || len(w.packets) != 17 {
			t.Errorf("%d events among %d packets", events, len(w.packets))
		}
	})
}

func TestForwardAllocatesNothing(t *testing.T) {
	v := newVoice(codec.OpusOptions{}, 77, true)
	v.start(&wire{drop: true}, 111)
	var p media.Forwarder = (*port)(&Leg{voice: v})
	k := forwarded(5, 0, 0).k
	if n := testing.AllocsPerRun(100, func() {
		k.Seq++
		p.Forward(k)
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}
