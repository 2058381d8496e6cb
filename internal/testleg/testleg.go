// Package testleg makes legs for tests: a phone and a seat that say a tone,
// remember what they heard, and go through whatever phases the test scripts.
package testleg

import (
	"context"
	"math"
	"sync"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/media"
)

// base is what phone and seat have in common.
type base struct {
	mu     sync.Mutex
	events chan leg.Event
	over   bool
	tone   tone
	heard  []int16

	// Answered counts Answer; Signals are those sent to the leg.
	answered int
	signals  []leg.Signal
	why      cause.Cause
}

func newBase(hz float64) base {
	return base{events: make(chan leg.Event, 64), tone: tone{hz: hz}}
}

// Events implements leg.Leg.
func (b *base) Events() <-chan leg.Event { return b.events }

// Answer implements leg.Leg: it only counts.
func (b *base) Answer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered++
}

// Send implements leg.Leg: it keeps the signal.
func (b *base) Send(s leg.Signal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.signals = append(b.signals, s)
}

// Report implements leg.Leg.
func (b *base) Report() leg.Report { return leg.Report{} }

// Script has the leg tell phases.
func (b *base) Script(phases ...leg.Phase) {
	for _, p := range phases {
		b.Tell(leg.Event{Phase: p})
	}
}

// Tell has the leg tell the call e; Over ends it.
func (b *base) Tell(e leg.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	b.events <- e
	if e.Phase == leg.Over && e.Signal == nil {
		b.over = true
		close(b.events)
	}
}

// Answered is how often the leg was answered.
func (b *base) Answered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answered
}

// Signals are what the other side said so far.
func (b *base) Signals() []leg.Signal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]leg.Signal(nil), b.signals...)
}

// Why is the cause the leg was hung up with.
func (b *base) Why() cause.Cause {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}

// Heard is all the leg has heard, at 16 kHz.
func (b *base) Heard() []int16 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]int16(nil), b.heard...)
}

func (b *base) hangup(why cause.Cause) {
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return
	}
	b.why = why
	b.mu.Unlock()
	b.Tell(leg.Event{Phase: leg.Over, Why: why})
}

// Press has the leg's person press a key.
func (b *base) Press(key rune) {
	b.Tell(leg.Event{Signal: leg.Digit{Key: key, Duration: 200}})
}

func (b *base) pull(c *media.Chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tone.fill(c)
}

func (b *base) push(c *media.Chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, c.PCM...)
}

// A Seat is a scripted leg.Seat that says a tone.
type Seat struct{ base }

// NewSeat makes a seat that says hz.
func NewSeat(hz float64) *Seat { return &Seat{newBase(hz)} }

// Audio implements leg.Seat.
func (s *Seat) Audio() media.Port { return (*seatPort)(s) }

// Hangup implements leg.Leg: the leg is over at once.
func (s *Seat) Hangup(_ context.Context, why cause.Cause) error {
	s.hangup(why)
	return nil
}

type seatPort Seat

func (p *seatPort) Pull(c *media.Chunk) { (*Seat)(p).pull(c) }
func (p *seatPort) Push(c *media.Chunk) { (*Seat)(p).push(c) }

// A Phone is a scripted leg.Phone with a ticker of its own at 16 kHz.
type Phone struct {
	base
	Stubborn bool // does not hang up after a farewell; set before the first use

	port chan media.Port
	stop chan struct{}
	once sync.Once
	gone chan struct{}
}

// NewPhone makes a phone that says hz.
func NewPhone(hz float64) *Phone {
	p := &Phone{base: newBase(hz), port: make(chan media.Port), stop: make(chan struct{}), gone: make(chan struct{})}
	go p.run()
	return p
}

// Connect implements leg.Phone.
func (p *Phone) Connect(port media.Port) {
	select {
	case p.port <- port:
	case <-p.gone:
	}
}

// FarewellLasts is how long a phone takes to be told why, before it hangs up.
const FarewellLasts = 3 * time.Second

// Send implements leg.Leg: it keeps the signal, and hangs up when it has been told why.
func (p *Phone) Send(s leg.Signal) {
	p.base.Send(s)
	if f, ok := s.(leg.Farewell); ok && !p.Stubborn {
		time.AfterFunc(FarewellLasts, func() { _ = p.Hangup(context.Background(), f.Why) })
	}
}

// Hangup implements leg.Leg: it stops the ticker and is over at once.
func (p *Phone) Hangup(_ context.Context, why cause.Cause) error {
	p.once.Do(func() { close(p.stop) })
	<-p.gone
	p.hangup(why)
	return nil
}

func (p *Phone) run() {
	defer close(p.gone)
	tick := time.NewTicker(media.Tick)
	defer tick.Stop()
	var port media.Port
	say, hear := make([]int16, media.Wide/50), make([]int16, media.Wide/50)
	for {
		select {
		case port = <-p.port:
		case <-p.stop:
			return
		case <-tick.C:
			if port == nil {
				continue
			}
			var c media.Chunk
			c.Reset(media.Wide, hear, false)
			port.Pull(&c)
			p.push(&c)
			c.Reset(media.Wide, say, false)
			p.pull(&c)
			port.Push(&c)
		}
	}
}

// tone is a sine at -12 dBov that keeps its phase from chunk to chunk.
type tone struct {
	hz float64
	n  int
}

func (t *tone) fill(c *media.Chunk) {
	for i := range c.PCM {
		c.PCM[i] = int16(8192 * math.Sin(2*math.Pi*t.hz*float64(t.n)/float64(c.Rate)))
		t.n++
	}
	c.Voice = true
}
