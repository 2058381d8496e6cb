package control

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/stanza"
)

func TestOptionsAreChecked(t *testing.T) {
	good := (&stage{}).options()
	for name, spoil := range map[string]func(*Options){
		"room":      func(o *Options) { o.Room = stanza.JID{Domain: "x"} },
		"stats":     func(o *Options) { o.Stats = nil },
		"dial":      func(o *Options) { o.Dial = nil },
		"anonymous": func(o *Options) { o.Account.Anonymous = true },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBreweries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := &stage{t: t, links: make(chan *fakeLink, 10), stats: Stats{SIP: true}}
		var l Breweries
		for _, id := range []string{"b", "a"} {
			if err := l.Add(ctx, id, s.options()); err != nil {
				t.Fatal(err)
			}
			s.next()
			s.join()
		}
		if fmt.Sprint(l.List()) != "[a b]" || l.Status()["a"].State != Joined {
			t.Errorf("%v %v", l.List(), l.Status())
		}
		old := s.fakeLink
		if err := l.Add(ctx, "a", Options{}); err == nil || old.Err() != nil {
			t.Error("a bad account replaces a good one")
		}
		if err := l.Add(ctx, "a", s.options()); err != nil || old.Err() == nil {
			t.Errorf("not replaced: %v", err)
		}
		s.next()
		s.join()
		time.Sleep(publishEvery)
		s.mu.Lock()
		s.stats.Participants = 7
		s.mu.Unlock()
		l.Changed()
		s.hear()
		if !l.Remove(ctx, "b") || l.Remove(ctx, "b") || len(l.List()) != 1 {
			t.Error(l.List())
		}
		if err := l.Close(ctx); err != nil || len(l.List()) != 0 {
			t.Error(err)
		}
		if err := l.Add(ctx, "c", s.options()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}
