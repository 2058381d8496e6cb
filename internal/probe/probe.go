// Package probe calls a number from time to time, to see that calls work: somebody answers, and a sound comes back.
package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/xlog"
)

// Options makes a Prober. Dial is required.
type Options struct {
	Dial     func(ctx context.Context) (leg.Phone, error) // a phone that calls when it is answered
	Ready    func() bool                                  // whether a call makes sense yet; nil means always
	Interval time.Duration                                // between calls; 0 means 5 min
	Retry    time.Duration                                // after a call that failed, once; 0 means 60 s
	Limit    time.Duration                                // from the start of a call to its first sound; 0 means 10 s
	Stale    time.Duration                                // a result that is older counts as a failure; 0 means 10 min
	Log      *slog.Logger
}

// look is how often Ready is asked before the first call.
const look = time.Second

// A Prober calls until Close. Its methods are safe for concurrent use.
type Prober struct {
	opt    Options
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}

	mu  sync.Mutex
	at  time.Time // of the latest result
	err error
}

// Start begins to call.
func Start(o Options) *Prober {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Interval, 5*time.Minute)
	set(&o.Retry, time.Minute)
	set(&o.Limit, 10*time.Second)
	set(&o.Stale, 10*time.Minute)
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Prober{opt: o, log: xlog.Or(o.Log), cancel: cancel, done: make(chan struct{}), err: errors.New("no test call has been made yet")}
	go p.run(ctx)
	return p
}

// Close ends a running call and waits.
func (p *Prober) Close() {
	p.cancel()
	<-p.done
}

// Err is nil if the latest test call was good and is not too old.
func (p *Prober) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && time.Since(p.at) > p.opt.Stale {
		return fmt.Errorf("no test call for %v", time.Since(p.at).Round(time.Second))
	}
	return p.err
}

func (p *Prober) run(ctx context.Context) {
	defer close(p.done)
	wait, again := time.Duration(0), true
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if !p.opt.Ready() {
			wait = look
			continue
		}
		err := p.try(ctx)
		if ctx.Err() != nil {
			return
		}
		wait = p.opt.Interval
		switch {
		case err == nil:
			again = true
		case again: // one retry: a single lost call is no illness
			wait, again = p.opt.Retry, false
		}
		p.mu.Lock()
		if (err == nil) != (p.err == nil) {
			p.log.Info("test call", "good", err == nil, xlog.Err, err)
		}
		p.at, p.err = time.Now(), err
		p.mu.Unlock()
	}
}

// try makes one call.
func (p *Prober) try(ctx context.Context) (err error) {
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		p.log.Error("panic in a test call", xlog.Err, why.Err, "stack", string(stack))
		err = why
	})
	ctx, cancel := context.WithTimeout(ctx, p.opt.Limit)
	defer cancel()
	phone, err := p.opt.Dial(ctx)
	if err != nil {
		return fmt.Errorf("the test call was not placed: %w", err)
	}
	defer hangup(phone)
	phone.Answer()
	e := newEar()
	for {
		select {
		case <-e.heard:
			return nil
		case <-ctx.Done():
			return noMedia(phone)
		case ev, ok := <-phone.Events():
			switch {
			case !ok || ev.Signal == nil && ev.Phase == leg.Over:
				return fmt.Errorf("the test call ended: %w", ev.Why)
			case ev.Signal == nil && ev.Phase == leg.Up:
				phone.Connect(e)
			}
		}
	}
}

// noMedia is what Jigasi says of a call without sound, as monitoring looks for it: with what the far end says of the
// session in X-session-info of its answer.
func noMedia(phone leg.Phone) error {
	text := "Health check call failed with no media!"
	if p, ok := phone.(interface{ SessionInfo() string }); ok && p.SessionInfo() != "" {
		text += " Session info:" + p.SessionInfo()
	}
	return errors.New(text)
}

func hangup(phone leg.Phone) {
	phone.Connect(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for range phone.Events() { //nolint:revive // until it is over
		}
	}()
	if phone.Hangup(ctx, cause.Cause{Code: cause.Normal}) == nil {
		<-drained
	}
}

// ear says a soft tone and notes the first sound that comes.
type ear struct {
	heard chan struct{}
	once  atomic.Bool
	tones map[int]*audio.Tone
}

func newEar() *ear {
	return &ear{heard: make(chan struct{}), tones: map[int]*audio.Tone{
		media.Narrow: audio.NewTone(440, media.Narrow, -30), media.Wide: audio.NewTone(440, media.Wide, -30), media.Full: audio.NewTone(440, media.Full, -30),
	}}
}

// Push implements media.Sink.
func (e *ear) Push(*media.Chunk) {
	if e.once.CompareAndSwap(false, true) {
		close(e.heard)
	}
}

// Pull implements media.Source.
func (e *ear) Pull(c *media.Chunk) {
	e.tones[c.Rate].Fill(c.PCM)
	c.Voice = true
}
