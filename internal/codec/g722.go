package codec

// G.722 at 64 kbit/s: two sub-bands of ADPCM, after the block diagrams of the
// ITU-T recommendation, whose names the variables bear. Its RTP clock says 8000
// (RFC 3551, 4.5.2), its PCM is 16 kHz.

var (
	qmf  = [12]int{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}
	q6   = [31]int{0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, 0}
	iln  = [31]int{0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4}
	ilp  = [31]int{0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32}
	wl   = [8]int{-60, -30, 58, 172, 334, 538, 1198, 3042}
	rl42 = [16]int{0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0}
	ilb  = [32]int{2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008}
	qm4  = [16]int{0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0}
	qm2  = [4]int{-7408, -1616, 7408, 1616}
	qm6  = [64]int{
		-136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
		-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
		24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
		4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
	}
	ihn = [3]int{0, 1, 0}
	ihp = [3]int{0, 3, 2}
	wh  = [3]int{0, -214, 798}
	rh2 = [4]int{2, 1, 2, 1}
)

// subband is the adaptive predictor and scale of one band.
type subband struct {
	s, sz, nb, det int
	r, a, p        [3]int
	d, b           [7]int
}

// A G722 is one direction of a G.722 stream at 16 kHz. It is encoder and decoder,
// but each state serves one of the two.
type G722 struct {
	x         [24]int
	low, high subband
	hide      concealer
}

// NewG722 makes a G.722 state.
func NewG722() *G722 { return &G722{low: subband{det: 32}, high: subband{det: 8}} }

// Follow has an encoder go on where another one is.
func (g *G722) Follow(o *G722) { g.x, g.low, g.high = o.x, o.low, o.high }

// Encode implements Encoder for an even number of samples.
func (g *G722) Encode(dst []byte, pcm []int16) (int, error) {
	n := len(pcm) / 2
	if len(dst) < n {
		return 0, ErrShort
	}
	for i := range n {
		xl, xh := g.analyze(int(pcm[2*i]), int(pcm[2*i+1]))
		dst[i] = byte(g.high.encodeHigh(xh)<<6 | g.low.encodeLow(xl))
	}
	return n, nil
}

// Decode implements Decoder.
func (g *G722) Decode(dst []int16, payload []byte) (int, error) {
	if len(dst) < 2*len(payload) {
		return 0, ErrShort
	}
	dst = dst[:2*len(payload)]
	for i, c := range payload {
		rl, rh := g.low.decodeLow(int(c&0x3f)), g.high.decodeHigh(int(c>>6))
		dst[2*i], dst[2*i+1] = g.synthesize(rl, rh)
	}
	g.hide.heard(dst)
	return len(dst), nil
}

// Conceal implements Decoder.
func (g *G722) Conceal(dst []int16) int { return g.hide.fill(dst) }

// analyze is the transmit quadrature mirror filter.
func (g *G722) analyze(a, b int) (low, high int) {
	copy(g.x[:22], g.x[2:])
	g.x[22], g.x[23] = a, b
	odd, even := 0, 0
	for i, c := range qmf {
		odd += g.x[2*i] * c
		even += g.x[2*i+1] * qmf[11-i]
	}
	return (even + odd) >> 14, (even - odd) >> 14
}

// synthesize is the receive quadrature mirror filter.
func (g *G722) synthesize(low, high int) (a, b int16) {
	copy(g.x[:22], g.x[2:])
	g.x[22], g.x[23] = low+high, low-high
	x1, x2 := 0, 0
	for i, c := range qmf {
		x2 += g.x[2*i] * c
		x1 += g.x[2*i+1] * qmf[11-i]
	}
	return int16(sat(x1 >> 11)), int16(sat(x2 >> 11))
}

func (b *subband) encodeLow(x int) int {
	el := sat(x - b.s)
	w := magnitude(el)
	i := 1
	for i < 30 && w >= (q6[i]*b.det)>>12 {
		i++
	}
	il := ilp[i]
	if el < 0 {
		il = iln[i]
	}
	b.adaptLow(il >> 2)
	return il
}

func (b *subband) decodeLow(il int) int {
	r := max(-16384, min(16383, b.s+(b.det*qm6[il])>>15))
	b.adaptLow(il >> 2)
	return r
}

func (b *subband) adaptLow(ril int) {
	d := (b.det * qm4[ril]) >> 15
	b.nb = max(0, min(18432, (b.nb*127)>>7+wl[rl42[ril]]))
	b.det = scale(b.nb, 8)
	b.predict(d)
}

func (b *subband) encodeHigh(x int) int {
	eh := sat(x - b.s)
	i := 1
	if magnitude(eh) >= (564*b.det)>>12 {
		i = 2
	}
	ih := ihp[i]
	if eh < 0 {
		ih = ihn[i]
	}
	b.adaptHigh(ih)
	return ih
}

func (b *subband) decodeHigh(ih int) int {
	r := max(-16384, min(16383, b.s+(b.det*qm2[ih])>>15))
	b.adaptHigh(ih)
	return r
}

func (b *subband) adaptHigh(ih int) {
	d := (b.det * qm2[ih]) >> 15
	b.nb = max(0, min(22528, (b.nb*127)>>7+wh[rh2[ih]]))
	b.det = scale(b.nb, 10)
	b.predict(d)
}

// scale is SCALEL and SCALEH: the quantizer's step from its logarithm.
func scale(nb, shift int) int {
	v := ilb[nb>>6&31]
	if s := shift - nb>>11; s < 0 {
		return v << -s << 2
	} else {
		return v >> s << 2
	}
}

// predict is block 4: it adapts poles and zeros to the difference d and forms
// the next prediction.
func (b *subband) predict(d int) {
	b.d[0] = d
	b.r[0] = sat(b.s + d)
	b.p[0] = sat(b.sz + d)
	b.poles()
	b.zeros(d)
	copy(b.r[1:], b.r[:2])
	copy(b.p[1:], b.p[:2])
	sp := sat((b.a[1]*sat(2*b.r[1]))>>15 + (b.a[2]*sat(2*b.r[2]))>>15)
	sz := 0
	for i := 1; i < 7; i++ {
		sz += (b.b[i] * sat(2*b.d[i])) >> 15
	}
	b.sz = sat(sz)
	b.s = sat(sp + b.sz)
}

func (b *subband) poles() {
	same1, same2 := b.p[0]>>15 == b.p[1]>>15, b.p[0]>>15 == b.p[2]>>15
	w := sat(b.a[1] << 2)
	if same1 {
		w = -w
	}
	a2 := min(w, 32767) >> 7
	if same2 {
		a2 += 128
	} else {
		a2 -= 128
	}
	a2 = max(-12288, min(12288, a2+(b.a[2]*32512)>>15))
	a1 := -192
	if same1 {
		a1 = 192
	}
	a1 = sat(a1 + (b.a[1]*32640)>>15)
	limit := sat(15360 - a2)
	b.a[1], b.a[2] = max(-limit, min(limit, a1)), a2
}

func (b *subband) zeros(d int) {
	step := 128
	if d == 0 {
		step = 0
	}
	for i := 6; i > 0; i-- {
		w := -step
		if b.d[i]>>15 == d>>15 {
			w = step
		}
		b.b[i] = sat(w + (b.b[i]*32640)>>15)
	}
	copy(b.d[1:], b.d[:6])
}

func sat(v int) int { return max(-32768, min(32767, v)) }

// magnitude is the absolute value as the recommendation takes it.
func magnitude(v int) int {
	if v < 0 {
		return -(v + 1)
	}
	return v
}
