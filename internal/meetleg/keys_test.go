package meetleg

import (
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/media"
)

// TestKeysAreOfTheStream: what is sent of a key takes the place of sound, by the numbers and timestamps of the stream, and
// the sound goes on where it would have been. A phone that types by INFO says something all the while.
func TestKeysAreOfTheStream(t *testing.T) {
	for _, talks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{}
			v := newVoice(codec.OpusOptions{}, 77, false)
			if v.press('5', 100) {
				t.Error("a key is kept for a bridge that is not there")
			}
			v.start(w, 111)
			speak(v, 10, said(media.Narrow, 440))
			if !v.press('5', 160) || !v.press('#', 100) || v.press('x', 100) {
				t.Error("a key is refused, or something else taken")
			}
			for v.key(126, 8000) {
				if talks {
					v.push(said(media.Narrow, 440))
				}
				time.Sleep(media.Tick)
			}
			speak(v, 10, said(media.Narrow, 440))
			first := w.packets[0]
			var starts []int
			for i, p := range w.packets {
				at := first.h.Timestamp + uint32((p.at-first.at)/time.Millisecond)*48
				if p.h.Seq != first.h.Seq+uint16(i) || p.h.SSRC != 77 {
					t.Errorf("packet %d: %+v", i, p.h)
				}
				if p.h.PT == 111 {
					if p.h.Timestamp != at || !p.h.HasLevel || p.h.Marker != (i == 0 || w.packets[i-1].h.PT == 126) {
						t.Errorf("sound %d: %+v, want it at %d", i, p.h, at)
					}
					continue
				}
				if p.h.Marker {
					starts = append(starts, i)
				}
				turn := i - starts[len(starts)-1]
				ticks, event := 8, byte(5) // 160 ms
				if len(starts) == 2 {
					ticks, event = 5, 11
				}
				units, volume := 160*min(turn+1, ticks), byte(10)
				if turn+1 >= ticks {
					volume |= 0x80
				}
				if b := p.payload; p.h.PT != 126 || p.h.HasLevel || p.h.Timestamp+uint32(turn)*960 != at || b[0] != event || b[1] != volume || int(b[2])<<8|int(b[3]) != units {
					t.Errorf("event %d: %+v % x, want %d units at %d", i, p.h, p.payload, units, at)
				}
			}
			if n := len(w.packets); n != 10+10+7+10 || len(starts) != 2 {
				t.Errorf("%d packets, keys begin at %v", n, starts)
			}
			if s := v.sender(); int(s.Packets) != len(w.packets) {
				t.Errorf("%d packets are reported", s.Packets)
			}
			v.press('1', 100)
			v.key(126, 8000)
			v.mute(true)
			if n := len(w.packets); v.press('2', 100) || v.key(126, 8000) || len(w.packets) != n {
				t.Error("a muted phone types")
			}
		})
	}
}
