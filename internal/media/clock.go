package media

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// catchUp is how many missed ticks are made up for; after a longer stall the clock
// starts afresh, since late sound is worse than lost sound.
const catchUp = 5

// A Clock calls each registered function once per Tick. The functions are spread
// over a few slots, one per processor, so that packets do not bunch; each slot is one
// goroutine with one wake-up per Tick, because a wake-up costs more than the sound of a call.
type Clock struct {
	slots   []slot
	stop    chan struct{}
	done    sync.WaitGroup
	onPanic func(value any, stack []byte)

	ticks, late, missed, lost atomic.Int64
}

type slot struct {
	mu    sync.Mutex // held while the functions run: remove waits on it
	funcs []*ticker
	count int
}

type ticker struct {
	call func()
	gone bool
}

// NewClock starts a clock. onPanic, which may be nil, is told when a function panics:
// that function is removed, and the others go on.
func NewClock(onPanic func(value any, stack []byte)) *Clock {
	c := &Clock{slots: make([]slot, max(2, runtime.GOMAXPROCS(0))), stop: make(chan struct{}), onPanic: onPanic}
	for i := range c.slots {
		c.done.Go(func() { c.run(&c.slots[i], Tick*time.Duration(i)/time.Duration(len(c.slots))) })
	}
	return c
}

// Add registers f to be called once per Tick from now on. f must not block.
// remove returns when f is not running and never will again; it must not be called from f.
func (c *Clock) Add(f func()) (remove func()) {
	s := &c.slots[0]
	for i := range c.slots {
		if c.slots[i].size() < s.size() {
			s = &c.slots[i]
		}
	}
	t := &ticker{call: f}
	s.mu.Lock()
	s.funcs = append(s.funcs, t)
	s.count++
	s.mu.Unlock()
	return func() { s.remove(t) }
}

func (s *slot) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func (s *slot) remove(t *ticker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.gone = true
	for i, have := range s.funcs {
		if have == t {
			last := len(s.funcs) - 1
			s.funcs[i], s.funcs[last] = s.funcs[last], nil
			s.funcs = s.funcs[:last]
			s.count--
			return
		}
	}
}

// Stats are what a Clock has counted.
type Stats struct {
	Ticks int64 // turns of one slot
	Late  int64 // turns that began more than 5 ms late
	// Missed are turns that began a whole Tick late or more, and were made up for.
	Missed int64
	Lost   int64 // turns that were given up after a stall
}

// Stats gives the counters.
func (c *Clock) Stats() Stats {
	return Stats{Ticks: c.ticks.Load(), Late: c.late.Load(), Missed: c.missed.Load(), Lost: c.lost.Load()}
}

// Close stops the clock and waits for the functions that run.
func (c *Clock) Close() {
	close(c.stop)
	c.done.Wait()
}

// run turns one slot; offset sets it apart from the others.
func (c *Clock) run(s *slot, offset time.Duration) {
	wait := time.NewTimer(offset)
	defer wait.Stop()
	select {
	case <-c.stop:
		return
	case <-wait.C:
	}
	t := time.NewTicker(Tick)
	defer t.Stop()
	due := time.Now().Add(Tick)
	for {
		select {
		case <-c.stop:
			return
		case <-t.C:
		}
		now := time.Now()
		if behind := now.Sub(due); behind > catchUp*Tick {
			c.lost.Add(int64(behind / Tick))
			due = now
		} else if behind > 5*time.Millisecond {
			c.late.Add(1)
			c.missed.Add(int64(behind / Tick))
		}
		for ; !due.After(now); due = due.Add(Tick) {
			c.turn(s)
		}
	}
}

func (c *Clock) turn(s *slot) {
	c.ticks.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(s.funcs); i++ {
		if !c.guarded(s.funcs[i]) {
			last := len(s.funcs) - 1
			s.funcs[i], s.funcs[last] = s.funcs[last], nil
			s.funcs = s.funcs[:last]
			s.count--
			i--
		}
	}
}

// guarded calls t and reports whether it lives on.
func (c *Clock) guarded(t *ticker) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			ok = false
			if c.onPanic != nil {
				c.onPanic(r, debug.Stack())
			}
		}
	}()
	t.call()
	return true
}
