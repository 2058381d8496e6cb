package room

import (
	"math/bits"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/jitter"
	"jigasi/internal/media"
)

// The rates at which speakers are decoded.
const (
	wide = iota
	full
	rates
)

func rateOf(hz int) int {
	if hz == media.Full {
		return full
	}
	return wide
}

const (
	tick     = media.Full / 50 // samples at 48 kHz
	partSize = 1600            // bytes: what a tick of any Opus has, twice
	maxParts = 8               // packets of 2.5 ms
	maxMixes = 8               // different ones of a turn
	look     = 25              // turns in a row that an ear is behind before it is brought up
)

// A turn is 20 ms of a meeting. The ear that asks first makes it, and each ear is given it once, so
// that ears which are asked at different times, or late, miss nothing.
type turn struct {
	n      int64
	shared bool  // there are several ears
	common uint8 // places of those whom who hears all hears
	parts  [loudest + 1]part
	mixes  []mix
	coded  []coded // by coder
}

// A part is what one speaker says in a turn: packets, decoded when somebody wants them.
type part struct {
	s       *stream // nil: nothing
	conceal bool
	whole   bool // exactly one packet
	made    uint8
	packets uint8
	sizes   [maxParts]uint16
	data    []byte
	pcm     [rates][]int16
}

// pull is where an ear is.
type pull struct {
	m      *meeting
	next   int64 // the turn it wants
	low    int64 // the least it was behind in this window
	window int
	same   int // turns in a row it has heard what all hear
	packet [codec.MaxOpus]byte
}

// turn gives an ear its next turn. Called with turning held.
func (m *meeting) turn(p *pull) *turn {
	kept := int64(len(m.ring))
	if p.m != m || m.count-p.next >= kept { // new, or it has not asked for long
		p.m, p.next, p.low, p.window, p.same = m, m.count, kept, 0, 0
		if !m.ring[m.count%kept].shared { // what there is was made for another alone
			p.next++
		}
	}
	behind := m.count - p.next
	p.low = min(p.low, behind)
	if p.window++; p.window >= look {
		if p.low > 0 { // the clock has left out turns of this ear and not of others
			p.next += p.low
			behind -= p.low
		}
		p.low, p.window = kept, 0
	}
	if behind < 0 {
		m.advance()
		p.next = m.count
	}
	t := &m.ring[p.next%kept]
	p.next++
	return t
}

// advance makes the next turn.
func (m *meeting) advance() {
	m.count++
	t := &m.ring[m.count%int64(len(m.ring))]
	t.n, t.common, t.mixes = m.count, 0, t.mixes[:0]
	for i := range t.coded {
		t.coded[i].made = false
	}
	m.mu.Lock()
	places := m.places
	for i, s := range places {
		if s != nil && s.known == 0 {
			places[i] = nil // held until its owner is known
		}
	}
	t.shared = m.ears > 1
	m.mu.Unlock()
	heard := 0
	for i, s := range places {
		p := &t.parts[i]
		p.take(s)
		if p.s != nil && heard < loudest {
			heard++
			t.common |= 1 << i
		}
	}
}

// take gets what s says from its buffer: as many packets as fill a tick.
func (p *part) take(s *stream) {
	if s == nil || s.left == 0 && !s.buffer.Playing() {
		p.s = nil
		return
	}
	p.s, p.packets, p.made, p.conceal, p.whole = s, 0, 0, false, false
	fresh, used := s.left == 0, 0
	if p.data == nil {
		p.data = make([]byte, partSize)
	}
	for s.left < tick && p.packets < maxParts && used <= partSize/2 {
		payload, verdict, _ := s.buffer.Pull(p.data[used:used])
		if verdict == jitter.Conceal && s.left == 0 {
			p.conceal, s.left = true, tick
		}
		samples, _, ok := codec.OpusInspect(payload)
		if verdict != jitter.Packet || !ok {
			break
		}
		p.sizes[p.packets] = uint16(len(payload))
		p.packets++
		used += len(payload)
		s.left += samples
	}
	p.whole = fresh && p.packets == 1 && s.left == tick
	if s.left == 0 {
		p.s = nil
	}
	s.left -= min(s.left, tick)
}

// sound is the part at a rate, decoded the first time. Called with turning held.
func (p *part) sound(n int64, rate int, decoded func()) []int16 {
	if p.made&(1<<rate) == 0 {
		p.made |= 1 << rate
		if p.pcm[rate] == nil {
			p.pcm[rate] = make([]int16, hertz(rate)/50)
		}
		d := &p.s.dec[rate]
		d.decode(p.pcm[rate], p, n, rate, decoded)
	}
	return p.pcm[rate]
}

func hertz(rate int) int {
	if rate == full {
		return media.Full
	}
	return media.Wide
}

// decode fills dst with p's sound of turn n.
func (d *decoder) decode(dst []int16, p *part, n int64, rate int, decoded func()) {
	k := 0
	if !d.busy && d.turn < n { // decoders do not go back
		k = d.try(dst, p, n, rate, decoded)
	}
	if k < len(dst) {
		clear(dst[k:])
	}
}

// try gives how many samples there are.
func (d *decoder) try(dst []int16, p *part, n int64, rate int, decoded func()) int {
	if d.dec == nil {
		dec, err := codec.NewOpusDecoder(hertz(rate))
		if err != nil {
			return 0
		}
		d.dec = dec
	}
	if d.turn != n-1 {
		d.have = 0
	}
	d.turn, d.busy = n, true
	k := d.fill(dst, p, rate, decoded)
	d.busy = false
	return k
}

func (d *decoder) fill(dst []int16, p *part, rate int, decoded func()) int {
	if d.have == 0 && p.whole {
		k, err := d.dec.Decode(dst, p.data[:p.sizes[0]])
		if err != nil {
			return 0
		}
		decoded()
		return k
	}
	if d.have == 0 && p.conceal {
		return d.dec.Conceal(dst)
	}
	if d.rest == nil {
		d.rest = make([]int16, hertz(rate)*14/100) // the longest packet, and less than a tick before it
	}
	at := 0
	for _, size := range p.sizes[:p.packets] {
		if k, err := d.dec.Decode(d.rest[d.have:], p.data[at:at+int(size)]); err == nil {
			d.have += k
			decoded()
		}
		at += int(size)
	}
	k := copy(dst, d.rest[:d.have])
	copy(d.rest, d.rest[k:d.have])
	d.have -= k
	return k
}

// mix is what some of the speakers sound like together.
type mix struct {
	of    uint8 // places
	rate  int
	level uint8
	pcm   []int16 // room for 20 ms at any rate
}

// blend adds up the speakers at some places.
func (m *meeting) blend(dst []int16, t *turn, of uint8, rate int, decoded func()) {
	if of&(of-1) == 0 { // one alone
		p := &t.parts[bits.TrailingZeros8(of)]
		if t.shared {
			copy(dst, p.sound(t.n, rate, decoded))
		} else { // and for one alone
			p.s.dec[rate].decode(dst, p, t.n, rate, decoded)
		}
		return
	}
	if len(m.acc) < len(dst) {
		m.acc = make([]int32, len(dst))
	}
	acc := m.acc[:len(dst)]
	for i := range t.parts {
		if of>>i&1 != 0 {
			audio.Accumulate(acc, t.parts[i].sound(t.n, rate, decoded))
		}
	}
	audio.Settle(dst, acc)
}

// mixed is blend done once for all that want it; nil if there are too many different mixes.
func (m *meeting) mixed(t *turn, of uint8, rate int, decoded func()) *mix {
	for i := range t.mixes {
		if x := &t.mixes[i]; x.of == of && x.rate == rate {
			return x
		}
	}
	if t.mixes == nil {
		t.mixes = make([]mix, 0, maxMixes)
	}
	if len(t.mixes) == maxMixes {
		return nil
	}
	t.mixes = t.mixes[:len(t.mixes)+1]
	x := &t.mixes[len(t.mixes)-1]
	x.of, x.rate = of, rate
	if len(x.pcm) < hertz(rate)/50 {
		x.pcm = make([]int16, hertz(rate)/50)
	}
	m.blend(x.pcm[:hertz(rate)/50], t, of, rate, decoded)
	x.level = audio.Level(x.pcm[:hertz(rate)/50])
	return x
}
