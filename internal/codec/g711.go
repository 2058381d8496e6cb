package codec

import "math/bits"

// G.711, both laws, by tables computed from the recommendation's segments.

var (
	ulawOut, alawOut [256]int16
	ulawIn, alawIn   [1 << 14]byte // by the upper 14 bits of a sample
)

var _ = fillG711()

func fillG711() bool {
	for i := range 256 {
		ulawOut[i], alawOut[i] = fromULaw(byte(i)), fromALaw(byte(i))
	}
	for i := range ulawIn {
		v := int(int16(i << 2))
		ulawIn[i], alawIn[i] = toULaw(v), toALaw(v)
	}
	return true
}

const ulawBias = 0x84

func toULaw(v int) byte {
	mask := byte(0xff)
	if v < 0 {
		v, mask = -v-1, 0x7f
	}
	v = min(v+ulawBias, 0x7fff)
	seg := bits.Len(uint(v|0xff)) - 8
	return (byte(seg)<<4 | byte(v>>(seg+3))&0xf) ^ mask
}

func fromULaw(b byte) int16 {
	b = ^b
	v := (int(b&0xf)<<3+ulawBias)<<(b>>4&7) - ulawBias
	if b&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

func toALaw(v int) byte {
	mask := byte(0xd5)
	if v < 0 {
		v, mask = -v-1, 0x55
	}
	seg := bits.Len(uint(v|0xff)) - 8
	if seg == 0 {
		return byte(v>>4) ^ mask
	}
	return (byte(seg)<<4 | byte(v>>(seg+3))&0xf) ^ mask
}

func fromALaw(b byte) int16 {
	b ^= 0x55
	v := int(b&0xf)<<4 + 8
	if seg := b >> 4 & 7; seg > 0 {
		v = (v + 0x100) << (seg - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return int16(v)
}

// A G711 is one direction of PCMU or PCMA at 8 kHz. It is encoder and decoder.
type G711 struct {
	in   *[1 << 14]byte
	out  *[256]int16
	hide concealer
}

// NewPCMU makes µ-law, NewPCMA makes A-law.
func NewPCMU() *G711 { return &G711{in: &ulawIn, out: &ulawOut} }

// NewPCMA makes A-law.
func NewPCMA() *G711 { return &G711{in: &alawIn, out: &alawOut} }

// Encode implements Encoder; any length will do.
func (g *G711) Encode(dst []byte, pcm []int16) (int, error) {
	if len(dst) < len(pcm) {
		return 0, ErrShort
	}
	dst = dst[:len(pcm)]
	for i, s := range pcm {
		dst[i] = g.in[uint16(s)>>2]
	}
	return len(pcm), nil
}

// Decode implements Decoder.
func (g *G711) Decode(dst []int16, payload []byte) (int, error) {
	if len(dst) < len(payload) {
		return 0, ErrShort
	}
	dst = dst[:len(payload)]
	for i, b := range payload {
		dst[i] = g.out[b]
	}
	g.hide.heard(dst)
	return len(dst), nil
}

// Conceal implements Decoder: the last pitch periods again, fading to silence in 60 ms.
func (g *G711) Conceal(dst []int16) int { return g.hide.fill(dst) }
