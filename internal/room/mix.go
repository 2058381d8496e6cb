package room

import (
	"math/bits"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
)

const (
	maxCoders = 4 // as there are codecs
	// warm is how many turns in a row an ear hears what all hear before it is given what is encoded for all: by
	// then an encoder of its own, which was told the same, remembers the same.
	warm = 10
)

// A coder encodes what all hear.
type coder struct {
	media.Coder
	turn int64 // encoded last
}

// coded is what a coder made of a turn.
type coded struct {
	made bool
	size int
	data []byte
}

// Pull implements media.Source: the mix of the chosen speakers at c.Rate, 16 or 48 kHz. Where
// exactly one speaks and the puller can forward Opus, it is that packet, untouched (docs/adr/0008). A puller that takes
// the speakers apart gets their packets, and no mix (docs/adr/0031).
func (e *Ear) Pull(c *media.Chunk) {
	e.pulling.Lock()
	defer e.pulling.Unlock()
	e.mu.Lock()
	m := e.m
	if e.apart.to != c.Apart {
		e.listen(c.Apart)
	}
	e.mu.Unlock()
	if c.Apart != nil {
		e.keepUp(m, c)
		return
	}
	m.turning.Lock()
	defer m.turning.Unlock()
	t := m.turn(&e.pull)
	of := t.common
	if t.shared {
		of = e.hears(t, time.Now())
	}
	if e.pull.same++; of != t.common || c.Coder == nil {
		e.pull.same = 0
	}
	if of == 0 {
		clear(c.PCM)
		c.Level, c.Measured = audio.Silent, true
		return
	}
	c.Voice = true
	if c.AcceptOpus && of&(of-1) == 0 {
		if p := &t.parts[bits.TrailingZeros8(of)]; p.whole {
			c.Opus = append(e.pull.packet[:0], p.data[:p.sizes[0]]...)
			e.stats.passed.Add(1)
			return
		}
	}
	rate := rateOf(c.Rate)
	if !t.shared {
		m.blend(c.PCM, t, of, rate, e.decoded)
		return
	}
	x := m.mixed(t, of, rate, e.decoded)
	if x == nil {
		m.blend(c.PCM, t, of, rate, e.decoded)
		return
	}
	copy(c.PCM, x.pcm)
	c.Level, c.Measured = x.level, true
	if e.pull.same > warm {
		m.encode(c, t, e.pull.packet[:0])
	}
}

func (e *Ear) decoded() { e.stats.decoded.Add(1) }

// hears is the places of those whom an ear hears in a turn: the first three whom its own connection
// brings, and of whom it knows who they are.
func (e *Ear) hears(t *turn, now time.Time) (of uint8) {
	e.mu.Lock()
	defer e.mu.Unlock()
	count := 0
	for i := range t.parts {
		s := t.parts[i].s
		if s == nil || count == loudest {
			continue
		}
		if v := e.views[s.ssrc]; v != nil && v.s == s && v.known && now.Sub(v.heard) < present {
			of |= 1 << i
			count++
		}
	}
	return of
}

// encode gives c what was encoded of its sound for all that hear it, into buf. The first one that asks has it made.
func (m *meeting) encode(c *media.Chunk, t *turn, buf []byte) {
	k := 0
	for k < len(m.coders) && !m.coders[k].Like(c.Coder) {
		k++
	}
	if k == len(m.coders) {
		if k == maxCoders {
			return
		}
		another, err := c.Coder.Another()
		if err != nil {
			return
		}
		m.coders = append(m.coders, coder{Coder: another})
	}
	for len(t.coded) <= k {
		t.coded = append(t.coded, coded{})
	}
	g, x := &m.coders[k], &t.coded[k]
	if !x.made {
		if g.turn >= t.n {
			return // an ear that is late, and alone with this turn
		}
		if g.turn != t.n-1 {
			g.Follow(c.Coder)
		}
		if x.data == nil {
			x.data = make([]byte, codec.MaxOpus)
		}
		n, err := g.Encode(x.data, c.PCM)
		if err != nil {
			return
		}
		x.made, x.size, g.turn = true, n, t.n
	}
	c.Coder.Follow(g.Coder)
	c.Coded = append(buf, x.data[:x.size]...)
}
