package audio

import "math"

// half is a 31-tap half-band low pass for a factor of two, Q16 with its center 1/2:
// flat to 3.4 kHz at 16 kHz, -40 dB from 4.6 kHz on. Every second tap is zero.
var half = [8]int32{-62, 168, -383, 764, -1417, 2636, -5659, 20669}

// A Halver brings 16 kHz down to 8 kHz.
type Halver struct{ buf [30 + 960]int16 }

// Run filters in (at most 960 samples, an even number) into dst of half its length.
func (h *Halver) Run(dst, in []int16) {
	copy(h.buf[30:], in)
	for o := range len(in) / 2 {
		x := (*[31]int16)(h.buf[2*o:])
		s := int32(x[15]) << 15
		for k, c := range half {
			s += c * (int32(x[2*k]) + int32(x[30-2*k]))
		}
		dst[o] = clip(s >> 16)
	}
	copy(h.buf[:30], h.buf[len(in):])
}

// Follow goes on where o is.
func (h *Halver) Follow(o *Halver) { copy(h.buf[:30], o.buf[:30]) }

// A Doubler brings 8 kHz up to 16 kHz.
type Doubler struct{ buf [15 + 480]int16 }

// Run filters in (at most 480 samples) into dst of twice its length.
func (d *Doubler) Run(dst, in []int16) {
	copy(d.buf[15:], in)
	for i := range in {
		x := (*[16]int16)(d.buf[i:])
		var s int32
		for k, c := range half {
			s += c * (int32(x[k]) + int32(x[15-k]))
		}
		dst[2*i] = clip(s >> 15)
		dst[2*i+1] = x[8]
	}
	copy(d.buf[:15], d.buf[len(in):])
}

// A Tripler brings 16 kHz up to 48 kHz, and a Third brings 48 kHz down to 16 kHz, by
// the same windowed sinc.
type Tripler struct {
	buf [taps3 + 320]float32
}

const taps3 = 24 // taps of each phase

// lowpass3 is a 72-tap Kaiser-windowed sinc with its edge at 7.4 of 24 kHz.
var lowpass3 = kaiserSinc(3*taps3, 7400.0/24000, 8)

// Run filters in (at most 320 samples) into dst of three times its length.
func (t *Tripler) Run(dst, in []int16) {
	for i, v := range in {
		t.buf[taps3+i] = float32(v)
	}
	for i := range in {
		x := t.buf[i+1 : i+1+taps3]
		for p := range 3 {
			var s float32
			for k, v := range x {
				s += v * lowpass3[(taps3-1-k)*3+p]
			}
			dst[3*i+p] = clip(int32(3 * s))
		}
	}
	copy(t.buf[:taps3], t.buf[len(in):len(in)+taps3])
}

// A Third brings 48 kHz down to 16 kHz.
type Third struct {
	buf [3*taps3 + 960]float32
}

// Run filters in (at most 960 samples, a multiple of three) into dst of a third of its length.
func (t *Third) Run(dst, in []int16) {
	for i, v := range in {
		t.buf[3*taps3+i] = float32(v)
	}
	for o := range len(in) / 3 {
		x := t.buf[3*o+3 : 3*o+3+3*taps3]
		var s float32
		for k, v := range x {
			s += v * lowpass3[3*taps3-1-k]
		}
		dst[o] = clip(int32(s))
	}
	copy(t.buf[:3*taps3], t.buf[len(in):len(in)+3*taps3])
}

// kaiserSinc is a low pass of n taps with unit gain; edge is a share of half the rate.
func kaiserSinc(n int, edge, beta float64) []float32 {
	h, sum := make([]float64, n), 0.0
	for i := range h {
		x := float64(i) - float64(n-1)/2
		r := 2*float64(i)/float64(n-1) - 1
		h[i] = edge * sinc(edge*x) * bessel0(beta*math.Sqrt(1-r*r)) / bessel0(beta)
		sum += h[i]
	}
	out := make([]float32, n)
	for i := range h {
		out[i] = float32(h[i] / sum)
	}
	return out
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel0 is the modified Bessel function of order 0.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= (x / 2 / k) * (x / 2 / k)
		sum += term
	}
	return sum
}
