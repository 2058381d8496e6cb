package room_test

import (
	"testing"
	"testing/synctest"

	"jigasi/internal/media"
)

// joined is packets of 20 ms as one packet (RFC 6716, 3.2.5: code 3, of different lengths).
func joined(frames ...[]byte) []byte {
	out := []byte{frames[0][0] | 3, 0x80 | byte(len(frames))}
	for _, f := range frames[:len(frames)-1] {
		out = append(out, byte(len(f)-1)) // less than 252
	}
	for _, f := range frames {
		out = append(out, f[1:]...)
	}
	return out
}

// TestPacketsOfOtherLengths are heard at both rates, also by a phone that was away in the midst of one.
func TestPacketsOfOtherLengths(t *testing.T) {
	t.Parallel()
	for _, frames := range []int{2, 3, 6} {
		synctest.Test(t, func(t *testing.T) {
			tb := newTable(t)
			a := tb.person(400, -20)
			a.mute = true
			p, q := tb.phone(media.Wide, 700, -20), tb.phone(media.Full, 850, -20)
			h := a.h
			for i := range 300 {
				if i%frames == 0 {
					var list [][]byte
					for k := range frames {
						list = append(list, a.voice[(i+k)%50])
					}
					h.Seq++
					h.Timestamp += uint32(960 * frames)
					for _, ph := range tb.phones {
						bring(ph.ear, h, joined(list...))
					}
				}
				q.hold = i > 100 && i < 112
				tb.run(1)
			}
			for _, ph := range []*phone{p, q} {
				if n := ph.unsteady(400, 178); n > 0 {
					t.Errorf("packets of %d ms: the phone that says %v hears the tone wrong in %d of 178 ticks", 20*frames, ph.hz, n)
				}
			}
			if d := p.ear.Stats().Delay; d > media.Tick*4*3*2 {
				t.Errorf("packets of %d ms: %v are held", 20*frames, d)
			}
		})
	}
}

// TestShortPackets: two of 10 ms are a tick. They are empty, which is concealed, and no sound.
func TestShortPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		a := tb.person(400, -20)
		a.mute = true
		p, q := tb.phone(media.Wide, 700, -20), tb.phone(media.Wide, 850, -20)
		h := a.h
		for range 100 {
			for range 2 {
				h.Seq++
				h.Timestamp += 480
				bring(p.ear, h, []byte{30 << 3}) // CELT, 48 kHz, 10 ms
				bring(q.ear, h, []byte{30 << 3})
			}
			tb.run(1)
		}
		if n := decoded(tb); n < 190 || n > 200 {
			t.Errorf("%d packets of 200 are decoded", n)
		}
		if d := p.ear.Stats().Delay; d > 3*media.Tick {
			t.Errorf("%v are held", d)
		}
	})
}
