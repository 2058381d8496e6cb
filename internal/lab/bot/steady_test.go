package bot

import (
	"math"
	"testing"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

// TestSteadyTone: what is said again and again sounds like one tone, also where its end meets its beginning.
func TestSteadyTone(t *testing.T) {
	for _, hz := range []float64{440, 620, 701, 1500} {
		s := steadyTone(hz, -20)
		dec, err := codec.NewOpusDecoder(48000)
		if err != nil {
			t.Fatal(err)
		}
		var heard []int16
		pcm := make([]int16, 5760)
		for n := range 160 {
			got, err := dec.Decode(pcm, s.packets[n%len(s.packets)])
			if err != nil {
				t.Fatal(err)
			}
			heard = append(heard, pcm[:got]...)
		}
		for at := 4800; at+4800 <= len(heard); at += 2400 { // each tenth of a second, but the first
			part := heard[at : at+4800]
			if got := audio.Goertzel(part, hz, 48000); math.Abs(got+20) > 1 {
				t.Errorf("%v Hz after %d ms: %.1f dBov", hz, at/48, got)
			}
			if got := audio.Goertzel(part, hz+130, 48000); got > -45 {
				t.Errorf("%v Hz after %d ms: %v Hz is heard at %.1f dBov", hz, at/48, hz+130, got)
			}
		}
	}
	if steadyTone(440.5, -20) != nil {
		t.Error("a tone of which a second has no whole periods is steady")
	}
	if first, again := steadyTone(440, -20), steadyTone(440, -20); first != again {
		t.Error("a tone is encoded again")
	}
}
