package recognize

import (
	"math"

	"jigasi/internal/audio"
)

// A Detector tells voice from silence by loudness over a noise floor that it learns. Its zero value
// is ready.
type Detector struct {
	floor float64
	count int // of voiced frames lately, 0 to full
	begun bool
}

const (
	quietest  = -55.0 // dBov; nothing softer is voice
	overFloor = 8.0   // dB that voice is louder than the noise
	full      = 5
)

// Voice takes 20 ms or so of sound and reports whether somebody speaks. Two voiced frames in a row
// are speech; three silent ones end it.
func (d *Detector) Voice(pcm []int16) bool {
	level := -float64(audio.Level(pcm))
	switch {
	case !d.begun:
		d.floor, d.begun = min(level, -50), true
	case level < d.floor:
		d.floor += 0.2 * (level - d.floor)
	default:
		d.floor += 0.02
	}
	was := d.count
	if level > math.Max(quietest, d.floor+overFloor) {
		d.count = min(full, d.count+3)
		return was > 0
	}
	d.count = max(0, d.count-1)
	return was > 2
}

// A gate lets sound pass while somebody speaks, from 300 ms before to a second after.
type gate struct {
	before []int16 // ring of what may turn out to be the onset
	next   int
	kept   int
	hang   int // samples that still pass
}

const (
	preRoll = 300 * Rate / 1000
	hangFor = Rate // a service needs silence to find the end of an utterance
)

// pass gives the sound before pcm that belongs to it, and whether pcm passes. What it gives is
// valid until the next call.
func (g *gate) pass(pcm []int16, voice bool) (onset []int16, ok bool) {
	if voice {
		opened := g.hang == 0
		g.hang = hangFor
		if opened {
			onset = g.take()
		}
		return onset, true
	}
	if g.hang > 0 {
		g.hang = max(0, g.hang-len(pcm))
		return nil, true
	}
	g.keep(pcm)
	return nil, false
}

func (g *gate) keep(pcm []int16) {
	if g.before == nil {
		g.before = make([]int16, preRoll)
	}
	for _, v := range pcm {
		g.before[g.next] = v
		g.next = (g.next + 1) % preRoll
	}
	g.kept = min(preRoll, g.kept+len(pcm))
}

func (g *gate) take() []int16 {
	if g.kept == 0 {
		return nil
	}
	out := make([]int16, 0, g.kept)
	for i := range g.kept {
		out = append(out, g.before[(g.next-g.kept+i+2*preRoll)%preRoll])
	}
	g.kept = 0
	return out
}
