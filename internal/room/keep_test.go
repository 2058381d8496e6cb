package room_test

import (
	"cmp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// TestAnotherSessionGoesOn: a leg that comes back to its meeting, or to another bridge of it, hears out what was held of who
// speaks, and hears him as before at once, as it knows his network; whoever is not there any more is forgotten.
func TestAnotherSessionGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEar(t)
		e.SetOwner(1, "x")
		e.SetOwner(2, "y")
		s := newSpeaker(t, 1, spokenTone, -20)
		type packet struct {
			at   time.Time
			n    int
			data []byte
		}
		var way []packet
		buf := make([]int16, media.Wide/50)
		var c media.Chunk
		n := 0
		listens := func(ticks int, there bool) (good int) {
			for range ticks {
				s.tone.Fill(s.pcm[:])
				size, err := s.enc.Encode(s.buf[:], s.pcm[:])
				if err != nil {
					t.Fatal(err)
				}
				if n++; there { // each second packet is late
					way = append(way, packet{time.Now().Add(time.Duration(n%2) * 150 * time.Millisecond), n, slices.Clone(s.buf[:size])})
				}
				slices.SortStableFunc(way, func(a, b packet) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
				for len(way) > 0 && !way[0].at.After(time.Now()) {
					h := rtpx.Header{SSRC: 1, PT: 111, Seq: uint16(way[0].n), Timestamp: uint32(way[0].n) * 960, HasLevel: true, Level: 20, Voice: true}
					if e.Want(&h) {
						e.RTP(&h, way[0].data)
					}
					way = way[1:]
				}
				time.Sleep(media.Tick)
				c.Reset(media.Wide, buf, false)
				e.Pull(&c)
				if audio.Goertzel(c.PCM, spokenTone, media.Wide) > -32 {
					good++
				}
			}
			return good
		}
		listens(500, true)
		way = nil
		if good := listens(50, false); good < 3 {
			t.Errorf("%d ticks of what was held are heard", good)
		}
		if got := len(e.Reports(nil)); got != 1 {
			t.Errorf("%d streams are reported", got)
		}
		e.Keep(map[uint32]bool{1: true})
		if got := e.Reports(nil); len(got) != 0 {
			t.Errorf("the new session is told of %+v", got)
		}
		before := e.Stats()
		good := listens(100, true)
		if late := e.Stats().Late - before.Late; late > 2 || good < 80 {
			t.Errorf("in the new session %d packets are late, %d of 100 ticks are heard", late, good)
		}
		e.Keep(nil)
		if n := e.Stats().Streams; n != 0 {
			t.Errorf("%d streams are left of nobody", n)
		}
	})
}
