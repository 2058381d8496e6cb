package rtpport

import (
	"fmt"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
)

// A coder encodes what is pulled: 20 ms at 16 kHz, or at 48 kHz for Opus.
type coder interface {
	media.Coder
	// frame brings what was pulled to the codec's rate, and payload encodes one frame or several.
	frame(dst, pulled []int16)
	payload(dst []byte, frames []int16) (int, error)
}

func newCoder(name string, o codec.OpusOptions) (coder, error) {
	switch name {
	case "PCMU", "PCMA":
		return newNarrow(name == "PCMA"), nil
	case "G722":
		return &wide{g: codec.NewG722()}, nil
	case "opus":
		o.Rate = media.Full
		enc, err := codec.NewOpusEncoder(o)
		if err != nil {
			return nil, err
		}
		return &opus{OpusEncoder: enc, opt: o}, nil
	}
	return nil, fmt.Errorf("rtpport: codec %q is not spoken", name)
}

// narrow is G.711. All it remembers is of the filter that brings 16 kHz to 8.
type narrow struct {
	alaw bool
	half audio.Halver
	g    *codec.G711
	pcm  [media.Narrow / 50]int16
}

func newNarrow(alaw bool) *narrow {
	if alaw {
		return &narrow{alaw: true, g: codec.NewPCMA()}
	}
	return &narrow{g: codec.NewPCMU()}
}

func (c *narrow) frame(dst, pulled []int16) { c.half.Run(dst, pulled) }

func (c *narrow) payload(dst []byte, frames []int16) (int, error) { return c.g.Encode(dst, frames) }

// Encode implements media.Coder.
func (c *narrow) Encode(dst []byte, pcm []int16) (int, error) {
	c.frame(c.pcm[:], pcm)
	return c.payload(dst, c.pcm[:])
}

// Like implements media.Coder.
func (c *narrow) Like(o media.Coder) bool {
	n, ok := o.(*narrow)
	return ok && n.alaw == c.alaw
}

// Another implements media.Coder.
func (c *narrow) Another() (media.Coder, error) { return newNarrow(c.alaw), nil }

// Follow implements media.Coder.
func (c *narrow) Follow(o media.Coder) {
	if n, ok := o.(*narrow); ok {
		c.half.Follow(&n.half)
	}
}

// wide is G.722.
type wide struct{ g *codec.G722 }

func (c *wide) frame(dst, pulled []int16) { copy(dst, pulled) }

func (c *wide) payload(dst []byte, frames []int16) (int, error) { return c.g.Encode(dst, frames) }

// Encode implements media.Coder.
func (c *wide) Encode(dst []byte, pcm []int16) (int, error) { return c.g.Encode(dst, pcm) }

// Like implements media.Coder.
func (c *wide) Like(o media.Coder) bool {
	_, ok := o.(*wide)
	return ok
}

// Another implements media.Coder.
func (c *wide) Another() (media.Coder, error) { return &wide{g: codec.NewG722()}, nil }

// Follow implements media.Coder.
func (c *wide) Follow(o media.Coder) {
	if w, ok := o.(*wide); ok {
		c.g.Follow(w.g)
	}
}

// opus is Opus at 48 kHz.
type opus struct {
	*codec.OpusEncoder
	opt       codec.OpusOptions
	protected bool // by FEC, for this phone alone
}

func (c *opus) frame(dst, pulled []int16) { copy(dst, pulled) }

func (c *opus) payload(dst []byte, frames []int16) (int, error) { return c.Encode(dst, frames) }

// Like implements media.Coder.
func (c *opus) Like(o media.Coder) bool {
	other, ok := o.(*opus)
	return ok && other.opt == c.opt && !c.protected && !other.protected
}

// Another implements media.Coder.
func (c *opus) Another() (media.Coder, error) {
	another, err := newCoder("opus", c.opt)
	return another, err
}

// Follow implements media.Coder. A decoder of Opus bears a change of encoders, as it does where packets are
// passed on and then are not (docs/adr/0008).
func (c *opus) Follow(media.Coder) {}
