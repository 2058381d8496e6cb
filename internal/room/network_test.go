package room_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/lab/relay"
	"jigasi/internal/lab/soak"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// heard is what an ear makes of a speaker behind a bad network.
type heard struct {
	good, ticks int          // ticks with the tone, of those in which there should be one
	windows     map[int]bool // of 10 s, with a gap of over 200 ms
	delay       time.Duration
	late        int64
	packets     int
}

const spokenTone = 400 // Hz: eight periods in a packet

// listenThrough has a person speak for so long through a line, in virtual time.
func listenThrough(t *testing.T, l *relay.Line, long time.Duration) (r heard) {
	r.windows = map[int]bool{}
	synctest.Test(t, func(t *testing.T) {
		e := newEar(t)
		e.SetOwner(1, "x")
		s := newSpeaker(t, 1, spokenTone, -20)
		var voice [50][]byte // a second, again and again: encoding is dear
		for i := range voice {
			s.tone.Fill(s.pcm[:])
			n, err := s.enc.Encode(s.buf[:], s.pcm[:])
			if err != nil {
				t.Fatal(err)
			}
			voice[i] = slices.Clone(s.buf[:n])
		}
		var way []relay.Arrival
		begun := time.Now()
		buf := make([]int16, media.Wide/50)
		var c media.Chunk
		gap := 0
		for tick := range int(long / media.Tick) {
			now := time.Since(begun)
			way = append(way, l.Send(now, binary.BigEndian.AppendUint32(nil, uint32(tick)))...)
			slices.SortStableFunc(way, func(a, b relay.Arrival) int { return cmp.Compare(a.At, b.At) })
			for len(way) > 0 && way[0].At <= now+media.Tick {
				time.Sleep(max(0, way[0].At-time.Since(begun)))
				n := binary.BigEndian.Uint32(way[0].Data)
				h := rtpx.Header{SSRC: 1, PT: 111, Seq: uint16(n), Timestamp: n * 960, HasLevel: true, Level: 20, Voice: true}
				if e.Want(&h) {
					e.RTP(&h, voice[n%50])
				}
				way = way[1:]
			}
			time.Sleep(max(0, now+media.Tick-time.Since(begun)))
			c.Reset(media.Wide, buf, false)
			e.Pull(&c)
			if tick < 100 {
				continue // it settles
			}
			if tick%10 == 0 {
				r.delay = max(r.delay, e.Stats().Delay)
			}
			r.ticks++
			if audio.Goertzel(c.PCM, spokenTone, media.Wide) > -32 {
				r.good++
				gap = 0
			} else if gap++; gap > 10 {
				r.windows[tick/500] = true
			}
		}
		st := e.Stats()
		r.late, r.packets = st.Late, l.Counts().Packets
	})
	return r
}

// T47: what people say reaches a phone as promised, through a network that loses packets on the way from
// the bridge.
func TestT47_LossFromTheBridge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ loss, burst, wrong, gaps float64 }{ // of bursts, some are longer than 200 ms in themselves
		{0.01, 0, 0.012, 0.01}, {0.05, 0, 0.06, 0.01}, {0.10, 0, 0.12, 0.01}, {0.10, 2, 0.13, 0.05}, {0.20, 0, 0.25, 0.01}, {0.20, 4, 0.30, 1},
	} {
		t.Run(fmt.Sprintf("%v in bursts of %v", tt.loss, tt.burst), func(t *testing.T) {
			t.Parallel()
			windows := soak.Count(6, 100)
			r := listenThrough(t, relay.NewLine(1, relay.Faults{Loss: tt.loss, Burst: tt.burst}), time.Duration(windows)*10*time.Second)
			if wrong := 1 - float64(r.good)/float64(r.ticks); wrong > tt.wrong {
				t.Errorf("%.4f of the sound is wrong, want at most %v", wrong, tt.wrong)
			}
			if len(r.windows) > int(float64(windows)*tt.gaps) {
				t.Errorf("%d of %d windows have a gap of over 200 ms", len(r.windows), windows)
			}
		})
	}
}

// T48: disorder, doubles and jitter on the way from the bridge: at most 2 % is too late to be heard, and
// what is held never adds more than 300 ms.
func TestT48_DisorderFromTheBridge(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]relay.Faults{
		"jitter of 200 ms": {Jitter: 200 * time.Millisecond},
		"5 % out of order": {Reorder: 0.05},
		"5 % twice":        {Duplicate: 0.05},
		"all of it":        {Reorder: 0.05, Duplicate: 0.05, Jitter: 200 * time.Millisecond, Delay: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := listenThrough(t, relay.NewLine(3, f), time.Duration(soak.Count(60, 600))*time.Second)
			if r.late > int64(r.packets/50) {
				t.Errorf("%d of %d packets are too late", r.late, r.packets)
			}
			if r.delay > 300*time.Millisecond {
				t.Errorf("%v are held", r.delay)
			}
			if r.good < r.ticks*95/100 {
				t.Errorf("%d of %d ticks have the tone", r.good, r.ticks)
			}
		})
	}
}
