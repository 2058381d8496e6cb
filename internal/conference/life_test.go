package conference

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

// TestConnectionComesBack: the seat is taken again within 30 s, and given up after them.
func TestConnectionComesBack(t *testing.T) {
	t.Run("back", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			for i := range 20 {
				s.talk(string(rune('A'+i)), annas)
				s.connecting(errDown)
				s.cut(errDown)
				if e := s.event(Suspended); e.Cause.Code != cause.Lost || s.s.Members() != 0 {
					t.Errorf("tells %+v, %d members", e, s.s.Members())
				}
				time.Sleep(25 * time.Second)
				s.connecting(nil)
				s.joins(anna)
			}
		})
	})
	t.Run("not back", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.talk("1", annas)
			s.connecting(errDown)
			s.cut(errDown)
			began := time.Now()
			s.event(Suspended)
			why := s.over(cause.Lost)
			if d := time.Since(began); d < 30*time.Second || d > 37*time.Second || !errors.Is(why, errDown) {
				t.Errorf("after %v: %v", d, why)
			}
		})
	})
	t.Run("login no longer valid", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.connecting(&xmpp.AuthError{Condition: "account-disabled"})
			s.cut(errDown)
			s.event(Suspended)
			s.over(cause.AuthFailed)
		})
	})
	t.Run("lost while joining", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.next()
			s.hears("conference")
			s.hears("join")
			s.cut(errDown)
			s.over(cause.Unavailable)
		})
	})
}

// TestOldSeatIsTaken: the server still believes in our old connection: another seat is as good.
func TestOldSeatIsTaken(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.cut(errDown)
		s.event(Suspended)
		s.next()
		s.hears("conference")
		s.hears("join")
		s.refuses("cancel", "<conflict/>")
		s.next()
		s.hears("conference")
		at := stanza.ParseJID(s.hears("join").Get("to"))
		if at.Resource == "0cb96be6" || len(at.Resource) != 8 || at.Bare().String() != room || !s.s.Occupant().Equal(at) {
			t.Errorf("joins as %v, sits at %v", at, s.s.Occupant())
		}
		s.focusHere()
		s.here("0cb96be6") // our ghost
		s.say("<presence xmlns='jabber:client' from='" + at.String() + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/><status code='110'/></x></presence>")
		s.event(Joined)
		if o := s.talk("2", annas); o.Nick != at.Resource {
			t.Errorf("offered to %q", o.Nick)
		}
	})
}

// steps are the ways of a session up to each state that it can be in; joins: it is in the room there.
var steps = []struct {
	name  string
	do    func(s *stage)
	joins bool
}{
	{"connecting", func(*stage) {}, false},
	{"asking", func(s *stage) { s.answers(silent); s.next(); s.hears("conference") }, false},
	{"joining", func(s *stage) { s.next(); s.hears("conference"); s.hears("join") }, false},
	{"alone", func(s *stage) { s.joins(); s.event(Waiting) }, true},
	{"invited", func(s *stage) { s.joins(anna) }, true},
	{"offered", func(s *stage) {
		s.joins(anna)
		s.say(ask("session-initiate", "1", offer(annas)))
		s.hears("result")
		s.event(Offered)
	}, true},
	{"accepting", func(s *stage) {
		s.joins(anna)
		s.answers(silent)
		s.say(ask("session-initiate", "1", offer(annas)))
		s.hears("result")
		s.s.Accept(s.event(Offered).Offer, ourTransport, ourSource)
		s.hears("session-accept")
	}, true},
	{"talking", func(s *stage) { s.joins(anna); s.talk("1", annas) }, true},
	{"restarting", func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.answers(silent)
		s.s.Restart("connectivity-error")
		s.hears("session-terminate")
	}, true},
	{"lost", func(s *stage) { s.joins(anna); s.connecting(errDown); s.cut(errDown); s.event(Suspended) }, false},
	{"focus gone", func(s *stage) { s.joins(anna); s.answers(silent); s.gone("focus"); s.event(Suspended) }, true},
}

// TestLeaveAtAnyTime: the end comes at once, the room is told if we are in it, nothing is left.
func TestLeaveAtAnyTime(t *testing.T) {
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				tt.do(s)
				synctest.Wait()
				began := time.Now()
				s.s.Leave(cause.Cause{Code: cause.Busy, Text: "first"})
				s.s.Leave(cause.Cause{Code: cause.Normal, Text: "second"})
				if why := s.over(cause.Busy); why.Text != "first" || time.Since(began) > time.Second {
					t.Errorf("%v, after %v", why, time.Since(began))
				}
				if s.fakeLink == nil {
					return
				}
				left := false
				for synctest.Wait(); len(s.sent) > 0; {
					left = kind(<-s.sent) == "leave"
				}
				if left != tt.joins || s.Err() == nil {
					t.Errorf("left the room: %v, connection: %v", left, s.Err())
				}
			})
		})
	}
}

// TestHangupByAModerator: browsers send it to the seat; whoever is no moderator is refused.
func TestHangupByAModerator(t *testing.T) {
	hangup := func(from string) string {
		return "<iq xmlns='jabber:client' type='set' id='h=1' from='" + from + "' to='" + us + "'><hangup xmlns='urn:xmpp:rayo:1'/></iq>"
	}
	for from, ends := range map[string]bool{
		room + "/" + anna: false, room + "/mod": true, room + "/focus": true, room + "/nobody": false, room: false,
		"beta@conference.meet.localhost/mod": false, "mod@meet.localhost/y": false, "": false, room + "/was": false,
	} {
		t.Run(from, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.joins(anna)
				role := func(nick, role string) {
					s.say("<presence xmlns='jabber:client' from='" + room + "/" + nick + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='" + role + "'/></x></presence>")
				}
				role("mod", "participant")
				role("mod", "moderator") // made one later
				role("was", "moderator")
				role("was", "participant")
				s.talk("1", annas)
				if !s.say(hangup(from)) {
					t.Error("not taken")
				}
				if !ends {
					if e := s.hears("error"); xmpp.ErrorOf(e).Condition != "forbidden" {
						t.Errorf("answers %v", e)
					}
					s.quiet(time.Minute)
					return
				}
				if e := s.hears("result"); e.Get("id") != "h=1" || e.Get("to") != from {
					t.Errorf("answers %v", e)
				}
				s.over(cause.Kicked)
				s.hears("leave")
			})
		})
	}
}

// TestAloneIsTold: who is alone in a room for 15 s is told so, once; who comes to others, or is not alone for long, is not. And who
// comes while the phone waits alone is told of too.
func TestAloneIsTold(t *testing.T) {
	news := func(s *stage, within time.Duration) (got []string) {
		limit := time.NewTimer(within)
		defer limit.Stop()
		for {
			select {
			case e := <-s.s.Events():
				if e.Kind == Told {
					got = append(got, e.Item.String())
				}
			case <-limit.C:
				return got
			}
		}
	}
	for name, tt := range map[string]struct {
		others []string
		comes  time.Duration // somebody
		want   string
	}{
		"alone":            {want: "alone"},
		"not alone":        {others: []string{anna}},
		"somebody comes":   {comes: 10 * time.Second, want: "member_joined"},
		"somebody is late": {comes: 20 * time.Second, want: "alone member_joined"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.joins(tt.others...)
				var got []string
				if tt.comes > 0 {
					got = news(s, tt.comes)
					s.here(anna)
				}
				got = append(got, news(s, 20*time.Second)...)
				if have := strings.Join(got, " "); have != tt.want {
					t.Errorf("told %q, want %q", have, tt.want)
				}
			})
		})
	}
}
