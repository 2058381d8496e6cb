package probe_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/probe"
	"jigasi/internal/testleg"
)

// called answers test calls by a script, and counts them.
type called struct {
	calls    atomic.Int32
	play     func(p *testleg.Phone)
	err      error
	silent   bool        // who answers says nothing
	recovers atomic.Bool // answers from now on
}

// silent is a phone that is picked up, and nothing is heard of it.
type silent struct{ *testleg.Phone }

func (silent) Connect(media.Port)  {}
func (silent) SessionInfo() string { return "node 7" }

func (c *called) dial(context.Context) (leg.Phone, error) {
	c.calls.Add(1)
	if c.err != nil {
		return nil, c.err
	}
	p := testleg.NewPhone(700)
	if c.recovers.Load() {
		answers(p)
	} else {
		c.play(p)
	}
	if c.silent {
		return silent{p}, nil
	}
	return p, nil
}

func answers(p *testleg.Phone) { p.Script(leg.Ringing, leg.Up) }

func TestGoodCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &called{play: answers}
		var ready atomic.Bool
		p := probe.Start(probe.Options{Dial: c.dial, Ready: ready.Load, Interval: 5 * time.Minute})
		defer p.Close()
		time.Sleep(time.Minute)
		if c.calls.Load() != 0 || p.Err() == nil {
			t.Errorf("%d calls before it is ready, %v", c.calls.Load(), p.Err())
		}
		ready.Store(true)
		time.Sleep(2 * time.Second)
		if c.calls.Load() != 1 || p.Err() != nil {
			t.Errorf("%d calls, %v", c.calls.Load(), p.Err())
		}
		time.Sleep(16 * time.Minute)
		if c.calls.Load() != 4 || p.Err() != nil {
			t.Errorf("%d calls in 16 min, %v", c.calls.Load(), p.Err())
		}
	})
}

func TestBadCalls(t *testing.T) {
	for name, tt := range map[string]struct {
		c    *called
		want string
	}{
		"busy": {&called{play: func(p *testleg.Phone) {
			p.Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Busy, Text: "Busy Here"}})
		}}, "Busy Here"},
		"no answer":   {&called{play: func(*testleg.Phone) {}}, "no media"},
		"no sound":    {&called{play: answers, silent: true}, "Health check call failed with no media! Session info:node 7"},
		"not placed":  {&called{err: errors.New("no ports")}, "no ports"},
		"it recovers": {&called{play: func(*testleg.Phone) {}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tt.c
				p := probe.Start(probe.Options{Dial: c.dial})
				defer p.Close()
				time.Sleep(11 * time.Second)
				if err := p.Err(); tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%v, want %q", err, tt.want)
				}
				c.recovers.Store(name == "it recovers")
				time.Sleep(61 * time.Second) // one retry
				if c.calls.Load() != 2 {
					t.Errorf("%d calls within 72 s, want a retry", c.calls.Load())
				}
				if name == "it recovers" && p.Err() != nil {
					t.Errorf("still %v", p.Err())
				}
				time.Sleep(4 * time.Minute)
				if c.calls.Load() != 2 {
					t.Errorf("%d calls: it does not calm down", c.calls.Load())
				}
			})
		})
	}
}

// TestStale: a result that nothing follows is no result.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &called{play: answers}
		var ready atomic.Bool
		ready.Store(true)
		p := probe.Start(probe.Options{Dial: c.dial, Ready: ready.Load, Interval: time.Minute, Stale: 10 * time.Minute})
		defer p.Close()
		time.Sleep(30 * time.Second)
		ready.Store(false)
		time.Sleep(9 * time.Minute)
		if err := p.Err(); err != nil {
			t.Errorf("after 9 min: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if p.Err() == nil {
			t.Error("good after 11 min without a call")
		}
	})
}

// TestCloseEndsACall: nothing is left of one that runs.
func TestCloseEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &called{play: func(*testleg.Phone) {}}
		p := probe.Start(probe.Options{Dial: c.dial})
		time.Sleep(time.Second)
		p.Close()
	})
}
