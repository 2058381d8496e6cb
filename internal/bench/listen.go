package bench

import (
	"fmt"
	"math"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
)

// Who listens to what came out of the gateway: nothing counts that cannot be heard.

func decodePCMU(pcm []int16, b []byte) bool {
	_, err := codec.NewPCMU().Decode(pcm, b)
	return err == nil
}

// sound is what packets of a phone or, with opus, of a bridge sound like at 8 kHz. Each is 160
// samples; one that cannot be decoded is silence.
func sound(list [][]byte, opus bool) ([]int16, error) {
	out := make([]int16, 160*len(list))
	dec, err := codec.NewOpusDecoder(media.Narrow)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	for i, p := range list {
		block := out[160*i : 160*i+160]
		if opus {
			if _, err := dec.Decode(block, p); err != nil {
				clear(block)
			}
		} else if len(p) != 160 || !decodePCMU(block, p) {
			clear(block)
		}
	}
	return out, nil
}

// tolerance is how far a pilot's level may be off, in dB.
const tolerance = 3.0

// hearsPilot says what is wrong with pcm, in which the pilot of a voice should be heard, and no other
// of the same side; "" for nothing.
func hearsPilot(pcm []int16, voice int, phone bool) string {
	own := pilotLevel(pcm, voice, phone)
	if math.Abs(own-pilotDBov) > tolerance {
		return fmt.Sprintf("its own tone is at %.1f dBov and not at %.0f", own, pilotDBov)
	}
	for v := range voices {
		if v == voice%voices {
			continue
		}
		if other := pilotLevel(pcm, v, phone); other > own-6 {
			return fmt.Sprintf("the tone of another call is at %.1f dBov", other)
		}
	}
	return ""
}

// pilotLevel is the median over windows of 200 ms: a jitter buffer may drop or make up a packet, after
// which a sine goes on with another phase.
func pilotLevel(pcm []int16, voice int, phone bool) float64 {
	const window = media.Narrow / 5
	var all []float64
	for ; len(pcm) >= window; pcm = pcm[window:] {
		all = append(all, audio.Goertzel(pcm[:window], pilot(voice, phone), media.Narrow))
	}
	return median(all)
}

// pulses finds the beginnings of pulses in pcm at 8 kHz, in samples: a matched filter, and of each
// half second its best place.
func pulses(pcm []int16, hz float64) []int {
	long := int(pulseLong * media.Narrow)
	if len(pcm) < long {
		return nil
	}
	re, im := make([]float64, len(pcm)+1), make([]float64, len(pcm)+1) // sums so far
	for i, v := range pcm {
		w := 2 * math.Pi * hz * float64(i) / media.Narrow
		re[i+1], im[i+1] = re[i]+float64(v)*math.Cos(w), im[i]+float64(v)*math.Sin(w)
	}
	whole := 32768 * math.Sqrt2 * math.Pow(10, pulseDBov/20) * float64(long) / 2
	var out []int
	const apart = media.Narrow / 2
	for i := 0; i+long <= len(pcm); i++ {
		if matched(re, im, i, long) < 0.4*whole {
			continue
		}
		best := i
		for k := i; k < min(i+apart, len(pcm)-long); k++ {
			if matched(re, im, k, long) > matched(re, im, best, long) {
				best = k
			}
		}
		out = append(out, best)
		i = best + apart
	}
	return out
}

func matched(re, im []float64, i, long int) float64 {
	return math.Hypot(re[i+long]-re[i], im[i+long]-im[i])
}

// delays are the times from a pulse's way into the gateway to its way out, in ms. sent tells when each
// packet of the talker's loop was sent, arrived when each packet of got came; offset is what the codec
// alone delays, in samples at 8 kHz.
func delays(got []int16, hz float64, arrived, sent []time.Time, offset int) []float64 {
	var out []float64
	for _, at := range pulses(got, hz) {
		block := at / 160
		when := arrived[block].Add(time.Duration(at%160-offset) * time.Second / media.Narrow)
		best := time.Duration(-1)
		for p := 25; p < len(sent); p += 50 { // pulses begin with a packet
			if d := when.Sub(sent[p]); !sent[p].IsZero() && d > -5*time.Millisecond && d < 900*time.Millisecond && (best < 0 || d < best) {
				best = max(0, d)
			}
		}
		if best >= 0 {
			out = append(out, best.Seconds()*1000)
		}
	}
	return out
}

// codecDelay is how many samples at 8 kHz a probe's pulse is late when the loop is only decoded, and
// coded anew as the gateway does it, without a gateway.
func codecDelay(loop packets, phone bool) (int, error) {
	var pcm []int16
	var err error
	if phone {
		pcm, err = throughOpus(loop)
	} else {
		pcm, err = throughDecoder(loop)
	}
	if err != nil {
		return 0, err
	}
	var off []float64
	for _, at := range pulses(pcm, pulseHz(phone)) {
		off = append(off, float64((at+media.Narrow/2)%media.Narrow))
	}
	if len(off) < loopSeconds-1 {
		return 0, fmt.Errorf("bench: only %d pulses are heard through the codecs alone", len(off))
	}
	return int(median(off)), nil
}

func throughOpus(loop packets) ([]int16, error) {
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: media.Narrow})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var made [][]byte
	pcm := make([]int16, 160)
	for _, p := range loop {
		buf := make([]byte, codec.MaxOpus)
		if !decodePCMU(pcm, p) {
			continue
		}
		n, err := enc.Encode(buf, pcm)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		made = append(made, buf[:n])
	}
	return sound(made, true)
}

func throughDecoder(loop packets) ([]int16, error) {
	dec, err := codec.NewOpusDecoder(media.Wide)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var half audio.Halver
	wide := make([]int16, media.Wide/50)
	out := make([]int16, 160*len(loop))
	for i, p := range loop {
		if _, err := dec.Decode(wide, p); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		half.Run(out[160*i:160*i+160], wide)
	}
	return out, nil
}
