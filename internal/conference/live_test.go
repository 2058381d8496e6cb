package conference

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
)

// notLiveUntil answers conference requests by "not live", and by node v1 once it is.
func notLiveUntil(live *atomic.Bool) func(context.Context, *stanza.Elem) (*stanza.Elem, error) {
	return func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
		res, err := ready(ctx, iq)
		if c := res.Kid(meetxml.NSFocus, "conference"); c != nil && !live.Load() {
			c.Set("ready", "false").Add(stanza.New("", "property", "name", "live", "value", "false"))
		} else if c != nil && wantsVisit(iq) {
			c.Set("vnode", "v1").Set("focusjid", nodeFocus)
		}
		return res, err
	}
}

// TestMeetingBecomesLive: the phone waits without a connection, is told, and comes as a visitor when the service says so.
func TestMeetingBecomesLive(t *testing.T) {
	var live atomic.Bool
	var begin chan time.Duration
	queue := func(o *Options) {
		canVisit(o)
		begin = make(chan time.Duration, 1)
		o.Live = func(ctx context.Context, at stanza.JID) (time.Duration, error) {
			if at.String() != room {
				t.Errorf("waits for %s", at)
			}
			select {
			case d := <-begin:
				return d, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	play(t, queue, func(s *stage) {
		s.answers(notLiveUntil(&live))
		s.next()
		s.hears("conference")
		s.event(Joined)
		s.told(news.NotLive)
		if e := s.event(Waiting); e.Text != NotLiveYet {
			t.Errorf("waits for %q", e.Text)
		}
		if got := s.s.Occupant().String(); got != "0cb96be6@meet.localhost" {
			t.Errorf("sits at %s", got)
		}
		s.quiet(50 * time.Minute)
		begin <- 5 * time.Second
		time.Sleep(time.Millisecond)
		live.Store(true)
		s.next()
		if !wantsVisit(s.hears("conference")) {
			t.Error("does not come as a visitor")
		}
		s.next()
		s.nodeIn()
		s.told(news.Live)
		s.told(news.Visiting)
		s.muted(Event{On: true, OK: true, ByRoom: true})
	})
}

// TestQueueServiceFails: the focus is asked again; who is told "live" too early waits on; and not for ever.
func TestQueueServiceFails(t *testing.T) {
	var live atomic.Bool
	var asked atomic.Int32
	queue := func(o *Options) {
		canVisit(o)
		o.Live = func(context.Context, stanza.JID) (time.Duration, error) {
			if asked.Add(1)%2 == 0 {
				return 0, nil // it is not, says the focus then
			}
			return 0, errors.New("refused")
		}
	}
	play(t, queue, func(s *stage) {
		s.answers(notLiveUntil(&live))
		s.next()
		s.hears("conference")
		s.event(Joined)
		s.told(news.NotLive)
		for range 6 {
			s.event(Waiting)
			s.next()
			s.hears("conference")
		}
		live.Store(true)
		for s.next(); s.opt.Domain != "v1.meet.jitsi"; s.next() { //nolint:revive // it goes on asking
		}
		s.hears("join")
		s.say("<presence xmlns='jabber:client' from='" + nodeRoom + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='visitor'/><status code='110'/></x></presence>")
		for e := range s.s.Events() {
			if e.Kind == Over {
				t.Fatalf("ends because of %v", e.Cause)
			}
			if e.Kind == Told && e.Item == news.Live {
				break
			}
		}
	})
	live.Store(false)
	play(t, queue, func(s *stage) {
		s.answers(notLiveUntil(&live))
		for {
			e := <-s.s.Events()
			if e.Kind == Over {
				s.ended = true
				if e.Cause.Code != cause.NotLive {
					t.Errorf("ends because of %v", e.Cause)
				}
				return
			}
		}
	})
}
