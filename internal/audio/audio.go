// Package audio is arithmetic on PCM: gain, mixing, loudness, filters between
// rates, tones and how to find them again, WAV files. Samples are 16-bit, mono.
// Nothing here allocates after its constructor, keeps a buffer of the caller's or starts a goroutine.
package audio

import "math"

// Add adds src to dst with saturation. Both have the same length.
func Add(dst, src []int16) {
	src = src[:len(dst)]
	for i, s := range src {
		dst[i] = clip(int32(dst[i]) + int32(s))
	}
}

// Accumulate adds src to a wide accumulator, so that many streams are clipped only once.
func Accumulate(acc []int32, src []int16) {
	src = src[:len(acc)]
	for i, s := range src {
		acc[i] += int32(s)
	}
}

// Settle writes an accumulator to dst with saturation and clears it.
func Settle(dst []int16, acc []int32) {
	dst = dst[:len(acc)]
	for i, a := range acc {
		dst[i] = clip(a)
		acc[i] = 0
	}
}

func clip(v int32) int16 { return int16(max(min(v, math.MaxInt16), math.MinInt16)) }

// Silent is the level of digital silence.
const Silent = 127

// Level is the loudness of pcm in -dBov: 0 is the loudest, 127 is silence (RFC 6464, 3).
func Level(pcm []int16) uint8 {
	var sum uint64
	for _, s := range pcm {
		sum += uint64(int64(s) * int64(s))
	}
	if sum == 0 || len(pcm) == 0 {
		return Silent
	}
	db := 10 * math.Log10(float64(sum)/float64(len(pcm))/(32768*32768))
	return uint8(max(0, min(Silent, math.Round(-db))))
}

// A Tone is a sine that keeps its phase from one Fill to the next.
type Tone struct{ phase, step, peak float64 }

// NewTone makes a sine of hz at a rate in Hz with an RMS level in dBov (0 or less).
func NewTone(hz float64, rate int, dbov float64) *Tone {
	return &Tone{step: 2 * math.Pi * hz / float64(rate), peak: 32768 * math.Sqrt2 * math.Pow(10, dbov/20)}
}

// Fill overwrites pcm with the next samples.
func (t *Tone) Fill(pcm []int16) {
	for i := range pcm {
		pcm[i] = int16(max(min(t.peak*math.Sin(t.phase), math.MaxInt16), math.MinInt16))
		t.phase += t.step
		if t.phase > 2*math.Pi {
			t.phase -= 2 * math.Pi
		}
	}
}

// Goertzel is the level of one frequency in pcm, in dBov of its RMS; absent is about -120.
func Goertzel(pcm []int16, hz float64, rate int) float64 {
	w := 2 * math.Pi * hz / float64(rate)
	coeff := 2 * math.Cos(w)
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)/32768+coeff*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - coeff*s1*s2
	n := float64(len(pcm))
	if n == 0 || power <= 0 {
		return -120
	}
	return max(-120, 10*math.Log10(2*power/(n*n)))
}

// Heard is Goertzel for sound that may have come by a jitter buffer. Where that left a piece out, to catch up, the phase of a tone jumps,
// and what is before and after it can cancel out; so it takes the mean power of tenths of a second.
func Heard(pcm []int16, hz float64, rate int) float64 {
	block := rate / 10
	if len(pcm) < 2*block {
		return Goertzel(pcm, hz, rate)
	}
	power, n := 0.0, 0
	for ; len(pcm) >= block; pcm = pcm[block:] {
		power += math.Pow(10, Goertzel(pcm[:block], hz, rate)/10)
		n++
	}
	return max(-120, 10*math.Log10(power/float64(n)))
}
