package scribeleg

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/lab/relay"
	"jigasi/internal/lab/soak"
	"jigasi/internal/rtpx"
)

const sentence, breathing = 80, 50 // packets of a tone, and of the soft noise after it

// badly lets an SSRC say tones through a bad network, with noise between them, and gives from when to when of each something
// arrived, and how many packets were lost.
func (h *hall) badly(l *relay.Line, ssrc uint32, tones []float64) (spoken [][2]time.Duration, lost int) {
	h.t.Helper()
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 48000, Bitrate: 32000, Complexity: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	const tick = 20 * time.Millisecond
	r, pcm, buf, count := rand.New(rand.NewPCG(1, 2)), make([]int16, 960), make([]byte, 4+codec.MaxOpus), len(tones)*(sentence+breathing)
	var tone *audio.Tone
	var way []relay.Arrival
	came, began := map[int]bool{}, time.Now()
	for n := 0; n < count || len(way) > 0; n++ {
		now := time.Duration(n) * tick
		if n < count {
			if n%(sentence+breathing) == 0 {
				tone = audio.NewTone(tones[n/(sentence+breathing)], 48000, -20)
			}
			if tone.Fill(pcm); n%(sentence+breathing) >= sentence {
				for i := range pcm {
					pcm[i] = int16(r.IntN(40) - 20)
				}
			}
			size, err := enc.Encode(buf[4:], pcm)
			if err != nil {
				h.t.Fatal(err)
			}
			binary.BigEndian.PutUint32(buf, uint32(n))
			way = append(way, l.Send(now, buf[:4+size])...)
			slices.SortStableFunc(way, func(a, b relay.Arrival) int { return cmp.Compare(a.At, b.At) })
		}
		for ; len(way) > 0 && way[0].At < now+tick; way = way[1:] {
			time.Sleep(max(0, way[0].At-time.Since(began)))
			at := int(binary.BigEndian.Uint32(way[0].Data))
			came[at] = true
			packet := rtpx.Header{SSRC: ssrc, Seq: uint16(65000 + at), Timestamp: uint32(at) * 960, HasLevel: true, Level: 20}
			if at%(sentence+breathing) >= sentence {
				packet.Level = 70
			}
			h.ears.rtp(&packet, way[0].Data[4:])
		}
		time.Sleep(max(0, now+tick-time.Since(began)))
	}
	for n := range tones {
		first, last := -1, 0
		for i := n * (sentence + breathing); i < n*(sentence+breathing)+sentence; i++ {
			if came[i] {
				if last = i; first < 0 {
					first = i
				}
			}
		}
		spoken = append(spoken, [2]time.Duration{time.Duration(first) * tick, time.Duration(last+1) * tick})
	}
	return spoken, count - len(came)
}

// T47: a fifth of what the bridge sends is lost, each for itself, in bursts, or with disorder besides: of what somebody says each
// sentence comes, once, in its order, and where it was spoken: of the sound no time is lost.
func TestT47_LossToATranscriber(t *testing.T) {
	for name, f := range map[string]relay.Faults{
		"each for itself": {Loss: 0.20},
		"in bursts":       {Loss: 0.20, Burst: 2},
		"with disorder":   {Loss: 0.20, Reorder: 0.05, Duplicate: 0.05, Jitter: 40 * time.Millisecond, Delay: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var tones []float64
			var want []string
			for n := range soak.Count(16, 200) {
				tones = append(tones, []float64{400, 500, 600, 700}[n%4])
				want = append(want, fmt.Sprintf("t%.0f", tones[n]))
			}
			var spoken [][2]time.Duration
			lost := 0
			h, _ := play(t, 10, func(h *hall) {
				h.own(map[uint32]string{1: "a"})
				spoken, lost = h.badly(relay.NewLine(7, f), 1, tones)
				h.pause()
			})
			if share := float64(lost) / float64(len(tones)*(sentence+breathing)); share < 0.15 || share > 0.25 {
				t.Fatalf("%.2f was lost", share)
			}
			if len(h.reader.got) != len(h.service.long) {
				t.Fatalf("%d finals came, the service said %d", len(h.reader.got), len(h.service.long))
			}
			var texts []string
			var heard [][2]time.Duration
			for i, e := range h.reader.got {
				at, n := h.service.long[i], len(texts)-1
				if n >= 0 && texts[n] == e.Text && at[0] >= heard[n][1] && at[0]-heard[n][1] < 700*time.Millisecond { // what was lost has torn it
					heard[n][1] = at[1]
					continue
				}
				texts, heard = append(texts, e.Text), append(heard, at)
			}
			if strings.Join(texts, ", ") != strings.Join(want, ", ") {
				t.Fatalf("heard %q, want %q", texts, want)
			}
			within := [2][2]time.Duration{{-100 * time.Millisecond, 400 * time.Millisecond}, {-400 * time.Millisecond, 150 * time.Millisecond}}
			for i, at := range heard { // a tone is soft where much of it was lost, and what covers losses may add to its end
				for n, limit := range within {
					if d := at[n] - spoken[i][n]; d < limit[0] || d > limit[1] {
						t.Errorf("sentence %d lasts from %v to %v, said was it from %v to %v", i+1, at[0], at[1], spoken[i][0], spoken[i][1])
					}
				}
			}
			if h.counts.Unheard.Load() != 0 || h.counts.Damaged.Load() != 0 {
				t.Errorf("%d unheard, %d damaged", h.counts.Unheard.Load(), h.counts.Damaged.Load())
			}
		})
	}
}
