package control

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"jigasi/internal/xmpp"
)

func TestPublish(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.join()
		s.change(func(x *Stats) { x.Participants = 1 })
		s.change(func(x *Stats) { x.Participants = 2 })
		s.quiet(publishEvery - time.Second)
		s.change(func(x *Stats) { x.Participants = 3 })
		e := s.hear()
		if v := e.Kid(nsStats, "stats").Kids[1].Get("value"); v != "3" || e.Kid(nsMUC, "x") != nil || e.Get("to") != s.b.Status().Room.String() {
			t.Errorf("tells %v", e)
		}
		s.change(func(*Stats) {})
		s.quiet(time.Hour) // nothing has changed
		began := time.Now()
		for i := range 100 { // at most every 5 s
			s.change(func(x *Stats) { x.Participants = 10 + i })
			time.Sleep(500 * time.Millisecond)
		}
		n := len(s.sent)
		if took := time.Since(began); n < 9 || n > int(took/publishEvery)+1 {
			t.Errorf("%d presences in %v", n, took)
		}
		time.Sleep(2 * publishEvery)
		for len(s.sent) > 0 {
			<-s.sent
		}
		s.change(func(x *Stats) { x.Draining = true }) // does not wait
		if e := <-s.sent; e.Kid(nsStats, "stats").Kids[2].Get("value") != "true" {
			t.Errorf("tells %v", e)
		}
	})
}

// refusal is what the room says to those whom it does not let in.
func refusal(condition string) string {
	return "<presence type='error' from='" + self + "'><error type='cancel'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
}

func TestComesBack(t *testing.T) {
	gone := func(inner string) string {
		return "<presence type='unavailable' from='" + self + "'><x xmlns='" + nsMUCUser + "'><item role='none'/>" + inner + "<status code='110'/></x></presence>"
	}
	notIn := &xmpp.Error{Type: "cancel", Condition: "not-acceptable"}
	for _, tt := range []struct {
		name   string
		happen func(s *stage)
		within time.Duration
		why    string
	}{
		{"kicked", func(s *stage) { s.join(); s.say(gone("<status code='307'/>")) }, time.Second, "kicked"},
		{"destroyed", func(s *stage) { s.join(); s.say(gone("<destroy/>")) }, time.Second, "destroyed"},
		{"service stops", func(s *stage) { s.join(); s.say(gone("<status code='332'/>")) }, time.Second, "stops"},
		{"refused", func(s *stage) { s.hear(); s.say(refusal("not-allowed")) }, time.Second, "not-allowed"},
		{"silent room", func(s *stage) { s.hear() }, 16 * time.Second, "did not let us in"},
		{"forgotten", func(s *stage) { s.join(); s.answerPings(notIn) }, checkEvery + time.Second, "not-acceptable"},
		{"room hangs", func(s *stage) { s.join(); s.answerPings(context.DeadlineExceeded) }, 2*checkEvery + time.Second, "does not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				tt.happen(s)
				began := time.Now()
				e := s.hear()
				st := s.b.Status()
				if st.State != Joining || st.Err == nil || !strings.Contains(st.Err.Error(), tt.why) || !st.Room.IsZero() {
					t.Errorf("%+v", st)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("after %v", took)
				}
				s.answerPings(nil)
				s.sent <- e
				s.join()
				if st := s.b.Status(); st.State != Joined || st.Err != nil || st.Restarts != 1 {
					t.Errorf("%+v", st)
				}
				s.quiet(time.Hour)
				if n := s.pings(); n < 100 {
					t.Errorf("asked the room %d times in an hour", n)
				}
			})
		})
	}
}

func TestOddRooms(t *testing.T) {
	t.Run("conflict", func(t *testing.T) {
		play(t, func(o *Options) { o.Nick = "" }, func(s *stage) {
			nick := s.hear().Get("to")
			s.say(strings.Replace(refusal("conflict"), self, nick, 1))
			if e := s.join(); e.Get("to") == nick || !strings.HasPrefix(e.Get("to"), nick) || s.b.Status().Room.String() != e.Get("to") {
				t.Errorf("as %s after %s, %+v", e.Get("to"), nick, s.b.Status())
			}
		})
	})
	t.Run("no self-ping there", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.join()
			s.answerPings(&xmpp.Error{Condition: "service-unavailable"})
			s.quiet(time.Hour)
		})
	})
}

// TestT21_ReconnectQuickly: 100 outages of 1 to 60 s, each over within 10 s of the server's return.
func TestT21_ReconnectQuickly(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.join()
		for range 100 {
			s.mu.Lock()
			s.down = errDown
			s.mu.Unlock()
			s.cut(errors.New("stream lost"))
			time.Sleep(time.Second + rand.N(59*time.Second))
			if st := s.b.Status(); st.State != Offline || !errors.Is(st.Err, errDown) && st.Err.Error() != "stream lost" {
				t.Fatalf("%+v", st)
			}
			s.mu.Lock()
			s.down = nil
			s.mu.Unlock()
			back := time.Now()
			s.next()
			s.join()
			if took := time.Since(back); took > 10*time.Second || s.b.Status().State != Joined {
				t.Fatalf("back after %v: %+v", took, s.b.Status())
			}
		}
	})
}

func TestRefusedLoginIsTriedSlowly(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.mu.Lock()
		s.down = &xmpp.AuthError{Condition: "not-authorized"}
		s.mu.Unlock()
		s.cut(errors.New("stream lost"))
		time.Sleep(time.Hour)
		if n := s.b.Status().Restarts; n < 50 || n > 61 {
			t.Errorf("%d tries in an hour", n)
		}
	})
}

func TestCloseLeaves(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.join()
		_ = s.b.Close(context.Background())
		if e := <-s.sent; e.Get("type") != "unavailable" || e.Get("to") != s.b.o.Room.String()+"/g1" {
			t.Errorf("leaves by %v", e)
		}
		if st := s.b.Status(); st.State != Closed || !errors.Is(s.Err(), xmpp.ErrClosed) {
			t.Errorf("%+v", st)
		}
	})
}
