package bench

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A generator is all phones and all speakers. It is one goroutine with one clock: each millisecond a
// twentieth of the calls sends, and takes what has come for it since the last time.
type generator struct {
	asked chan func()
	quit  chan struct{}
	over  chan struct{}

	// Of its goroutine.
	calls []*call
	on    bool      // they speak
	crowd *crowd    // whom all hear; nil: each its own speaker
	late  []float64 // ms, of each slot since the last look
	buf   [2048]byte
	plain [2048]byte
}

const slots = 20

func startGenerator() *generator {
	g := &generator{asked: make(chan func(), 64), quit: make(chan struct{}), over: make(chan struct{}), late: make([]float64, 0, 100_000)}
	go g.run()
	return g
}

// do runs f on the generator's goroutine and waits for it.
func (g *generator) do(f func()) {
	done := make(chan struct{})
	select {
	case g.asked <- func() { f(); close(done) }:
	case <-g.over:
		return
	}
	select {
	case <-done:
	case <-g.over:
	}
}

// stop ends the generator and closes its calls.
func (g *generator) stop() {
	close(g.quit)
	<-g.over
	for _, c := range g.calls {
		c.close()
	}
}

func (g *generator) run() {
	defer close(g.over)
	runtime.LockOSThread()
	start := time.Now()
	for slot := 0; ; slot++ {
		due := start.Add(time.Duration(slot) * time.Millisecond)
		now := time.Now()
		if wait := due.Sub(now); wait > 0 {
			t := unix.NsecToTimespec(int64(wait))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil) // too short a sleep is seen at once
			now = time.Now()
		}
		if len(g.late) < cap(g.late) {
			g.late = append(g.late, now.Sub(due).Seconds()*1000)
		}
		g.turn(slot%slots, now)
		if !g.serve() {
			return
		}
	}
}

// serve does what was asked for.
func (g *generator) serve() bool {
	for {
		select {
		case f := <-g.asked:
			f()
		case <-g.quit:
			return false
		default:
			return true
		}
	}
}

func (g *generator) turn(slot int, now time.Time) {
	if g.crowd != nil {
		g.crowd.turn(slot, now, g.calls)
	}
	for i, c := range g.calls {
		fresh := c.fresh()
		if i*7%slots == slot {
			c.sayPhone(now, g.on)
			c.hearPhone(g.buf[:], now)
		} else if fresh {
			c.hearPhone(g.buf[:], now)
		}
		if (i*7+10)%slots == slot {
			c.saySpeaker(now, g.on)
			c.hearBridge(g.buf[:], g.plain[:], now, g.calls)
		} else if fresh {
			c.hearBridge(g.buf[:], g.plain[:], now, g.calls)
		}
	}
}

// talk has all speak, or be silent.
func (g *generator) talk(on bool) { g.do(func() { g.on = on }) }

// sums are what went over the wire so far.
type sums struct {
	phone, speaker     int // sent by them
	toPhone, toBridge  int // sent by the gateway
	holesUp, holesDown int
}

func (g *generator) sums() (s sums) {
	g.do(func() {
		for _, c := range g.calls {
			s.phone, s.speaker = s.phone+c.phone.sent, s.speaker+c.speaker.sent
			s.toPhone, s.toBridge = s.toPhone+c.toPhone.got, s.toBridge+c.toBridge.got
			s.holesDown, s.holesUp = s.holesDown+c.toPhone.holes, s.holesUp+c.toBridge.holes
		}
	})
	return s
}

// lateness gives how late the slots were since the last call, in ms.
func (g *generator) lateness() (late []float64) {
	g.do(func() {
		late = append(late, g.late...)
		g.late = g.late[:0]
	})
	return late
}

// wait sleeps unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
