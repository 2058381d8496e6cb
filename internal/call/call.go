// Package call is two legs joined, from the first event to the last.
//
// A Call owns a phone and a seat, and one goroutine with one select, through
// which everything passes that can happen to a call: events of either leg, a
// hang-up, the end of its context, its deadline. What follows from an event is
// the pure function next (state.go). The call knows no SIP, no XMPP and
// no packet.
package call

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/xlog"
)

// Options says how a call behaves. The zero value is usable.
type Options struct {
	ID string // unique in the process; names the call in logs and REST

	JoinLimit   time.Duration // until the meeting answers at all; 0 means 30 s
	WaitLimit   time.Duration // lobby, alone in the room; 0 means 1 h; never longer than RingLimit before a phone is dialled
	AnswerAfter time.Duration // answer a phone that has been waiting for so long; 0 means 15 s, negative never
	AnswerLimit time.Duration // from ready to both up, incoming; 0 means 20 s
	RingLimit   time.Duration // the same for an outgoing phone; 0 means 120 s
	MoveLimit   time.Duration // seat lost to seat back; 0 means 60 s
	Farewell    time.Duration // how long the room reads why the phone is gone; 0 means 5 s
	TellLimit   time.Duration // for the phone to be answered and told why the meeting is over; 0 means 30 s
	Longest     time.Duration // of the whole call; 0 means no limit
	EndLimit    time.Duration // for both legs to say goodbye; 0 means 5 s

	Outgoing bool // the phone is dialled by us
	TellFull bool // a caller to a full meeting is answered to be told so, instead of hearing busy

	OnState func(State) // called on the call's goroutine after each transition
	Log     *slog.Logger
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.JoinLimit, 30*time.Second)
	set(&o.WaitLimit, time.Hour)
	set(&o.AnswerAfter, 15*time.Second)
	set(&o.AnswerLimit, 20*time.Second)
	set(&o.RingLimit, 2*time.Minute)
	set(&o.MoveLimit, time.Minute)
	set(&o.Farewell, 5*time.Second)
	set(&o.TellLimit, 30*time.Second)
	set(&o.EndLimit, 5*time.Second)
	o.Log = xlog.Or(o.Log)
	return o
}

// A Call is two legs joined. Its methods are safe for concurrent use.
type Call struct {
	opt   Options
	phone leg.Phone
	seat  leg.Seat

	hangup chan cause.Cause
	done   chan struct{}
	state  atomic.Uint32
	began  time.Time

	mu    sync.Mutex
	cause cause.Cause           // final once done is closed
	spent [states]time.Duration // time in each state
	enter time.Time             // when the current state began
}

// Start joins phone and seat and takes them over: the call hangs both up at its
// end. It ends when a leg ends, Hangup is called or ctx is done.
func Start(ctx context.Context, phone leg.Phone, seat leg.Seat, opt Options) *Call {
	c := &Call{
		opt: opt.withDefaults(), phone: phone, seat: seat,
		hangup: make(chan cause.Cause, 1), done: make(chan struct{}), began: time.Now(),
	}
	c.enter = c.began
	go c.run(ctx)
	return c
}

// ID is the call's name.
func (c *Call) ID() string { return c.opt.ID }

// Began is when the call was started.
func (c *Call) Began() time.Time { return c.began }

// State is where the call stands.
func (c *Call) State() State { return State(c.state.Load()) }

// Done is closed when the call has ended and nothing of it is left.
func (c *Call) Done() <-chan struct{} { return c.done }

// Hangup asks for the end and returns at once; the first reason counts.
func (c *Call) Hangup(why cause.Cause) {
	select {
	case c.hangup <- why:
	default:
	}
}

// Cause is why the call ended; before Done it is the cause known so far.
func (c *Call) Cause() cause.Cause {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Spent is how long the call has been in state s so far.
func (c *Call) Spent(s State) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s == c.State() && s != Ended {
		return c.spent[s] + time.Since(c.enter)
	}
	return c.spent[s]
}

// life is what the call's goroutine alone knows.
type life struct {
	state State
	view  view
	timer *time.Timer
	held  cause.Cause    // what the seat waits for
	ends  sync.WaitGroup // hang-ups under way

	answered bool // the phone was told to go up
	expelled bool // the seat was given up because of a deadline
}

func (c *Call) run(ctx context.Context) {
	l := &life{timer: time.NewTimer(c.opt.JoinLimit)}
	defer close(c.done)
	defer l.ends.Wait()
	defer l.timer.Stop()
	defer cause.Recover(func(why cause.Cause, stack []byte) { c.broke(l, why, stack) })
	phone, seat, over := c.phone.Events(), c.seat.Events(), ctx.Done()
	for l.state != Ended {
		select {
		case e, ok := <-phone:
			if !ok {
				phone, e = nil, c.gone(l.view.phone)
			}
			c.heard(l, e, &l.view.phone, c.seat)
		case e, ok := <-seat:
			if !ok {
				seat, e = nil, c.gone(l.view.seat)
			}
			c.heard(l, e, &l.view.seat, c.phone)
		case why := <-c.hangup:
			c.settle(why)
			l.view.ended = true
		case <-over:
			over = nil
			c.settle(cause.Of(context.Cause(ctx)))
			l.view.ended = true
		case <-l.timer.C:
			c.deadline(l)
		}
		c.step(l)
	}
	c.drain(phone, seat)
}

// broke ends a call whose own goroutine met a defect of ours.
func (c *Call) broke(l *life, why cause.Cause, stack []byte) {
	c.opt.Log.Error("panic in a call", xlog.Err, why.Err, "stack", string(stack))
	c.settle(why)
	c.state.Store(uint32(Ended))
	c.end(l, c.phone)
	c.end(l, c.seat)
	c.drain(c.phone.Events(), c.seat.Events())
}

// drain waits until both legs have closed their events: then nothing of them is left.
func (c *Call) drain(phone, seat <-chan leg.Event) {
	limit := time.NewTimer(c.opt.EndLimit)
	defer limit.Stop()
	for phone != nil || seat != nil {
		select {
		case _, ok := <-phone:
			if !ok {
				phone = nil
			}
		case _, ok := <-seat:
			if !ok {
				seat = nil
			}
		case <-limit.C:
			return // said by deadline already
		}
	}
}

// gone is the event that a closed channel stands for.
func (c *Call) gone(was leg.Phase) leg.Event {
	if was == leg.Over {
		return leg.Event{Phase: leg.Over, Why: c.Cause()}
	}
	return leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Unknown, Text: "the leg ended without saying why"}}
}

// heard applies an event of one leg; other is the leg on the other side.
func (c *Call) heard(l *life, e leg.Event, phase *leg.Phase, other leg.Leg) {
	if e.Signal != nil {
		other.Send(e.Signal)
		return
	}
	*phase = e.Phase
	if phase == &l.view.seat && e.Phase == leg.Waiting {
		l.held = e.Why
		l.view.early = e.Why.Code == cause.LobbyWait || e.Why.Code == cause.NotLive || e.Why.Code == cause.PasswordNeeded
	}
	if e.Phase == leg.Over {
		c.settle(e.Why)
		l.view.farewell = c.Cause().Text != "" && c.Cause().Code != cause.Normal
		l.view.tell = l.view.farewell && c.canTell(l)
	}
}

// canTell reports whether the phone hears what it is told, or may be answered for that.
func (c *Call) canTell(l *life) bool {
	if l.view.phone == leg.Up || c.opt.Outgoing {
		return l.view.phone == leg.Up
	}
	return l.answered || c.opt.TellFull && c.Cause().Code == cause.Full
}

// settle keeps the first cause: what follows it are echoes.
func (c *Call) settle(why cause.Cause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == (cause.Cause{}) {
		c.cause = why
	}
}

// step runs next until nothing changes and does what it asks for.
func (c *Call) step(l *life) {
	was := l.state
	s, acts := next(l.state, l.view)
	l.state = s
	if s != was {
		c.entered(l, was)
	}
	for _, a := range acts {
		c.do(l, a)
	}
}

func (c *Call) entered(l *life, was State) {
	now := time.Now()
	c.mu.Lock()
	c.spent[was] += now.Sub(c.enter)
	c.enter = now
	c.mu.Unlock()
	c.state.Store(uint32(l.state))
	c.opt.Log.Debug("call state", xlog.From, was.String(), xlog.To, l.state.String())
	l.timer.Reset(c.limit(l))
	if c.opt.OnState != nil {
		c.opt.OnState(l.state)
	}
}

func (c *Call) do(l *life, a action) {
	switch a {
	case answerPhone:
		l.answered = true
		c.phone.Answer()
	case answerSeat:
		c.seat.Answer()
	case overhear, connect: // a phone is sent nothing before it is picked up: its leg sees to that
		c.phone.Connect(c.seat.Audio())
	case disconnect:
		c.phone.Connect(nil)
	case showCause:
		c.seat.Send(leg.Status{Text: c.Cause().String()})
	case tellPhone:
		c.phone.Send(leg.Farewell{Why: c.Cause()})
	case hangupBoth:
		c.end(l, c.phone)
		c.end(l, c.seat)
	case finish: // run leaves its loop
	}
}

// end hangs one leg up beside the call's goroutine, which must go on hearing
// what both legs say. The end of the call does not cut off the goodbye.
func (c *Call) end(l *life, one leg.Leg) {
	why := c.Cause()
	l.ends.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.opt.EndLimit)
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				c.opt.Log.Error("panic while hanging up", "panic", r, "stack", string(debug.Stack()))
			}
		}()
		if err := one.Hangup(ctx, why); err != nil {
			c.opt.Log.Warn("a leg did not hang up in time", xlog.Err, err)
		}
	})
}
