package conference

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/xmpp"
)

// What a real Jicofo and bridge did, each with the number under which it was noted.

// TestReal07_NoBridgeIsAWait: the presence of the focus is the only sign of it.
func TestReal07_NoBridgeIsAWait(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.next()
		s.hears("conference")
		s.hears("join")
		s.focusHere(noBridge)
		s.here(anna)
		s.self()
		s.event(Joined)
		if e := s.event(Waiting); e.Text != "no_bridge" {
			t.Errorf("waits for %q", e.Text)
		}
		s.quiet(time.Minute)
		s.focusHere()
		s.quiet(1700 * time.Millisecond)
		s.talk("1", annas)
		s.quiet(time.Hour)
	})
}

// TestReal16_LeavingBringsNoSourceRemove: who leaves takes the sources along.
func TestReal16_LeavingBringsNoSourceRemove(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna, ben)
		o := s.talk("1", annas+","+bens)
		if len(o.Sources) != 2 {
			t.Errorf("sources %+v", o.Sources)
		}
		s.gone(anna)
		if e := s.event(SourcesChanged); len(e.Added) != 0 || len(e.Removed) != 1 || e.Removed[0].SSRC != 11 {
			t.Errorf("tells %+v", e)
		}
		s.here(anna) // comes back with the same stream
		s.say(ask("source-add", "1", jsonSources(annas)))
		s.hears("result")
		if e := s.event(SourcesChanged); len(e.Added) != 1 || e.Added[0].Owner != anna {
			t.Errorf("tells %+v", e)
		}
		if n := s.s.Members(); n != 2 {
			t.Errorf("%d members", n)
		}
	})
}

// TestReal20_ExpiredWhenAlone: the seat stays, however long, and is offered a session when somebody comes.
func TestReal20_ExpiredWhenAlone(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.gone(anna)
		s.event(SourcesChanged)
		s.quiet(20 * time.Second)
		s.say(ask("session-terminate", "1", "<reason><expired/><text>Idle session timeout</text></reason>"))
		s.hears("result")
		s.event(Suspended)
		if e := s.event(Waiting); e.Text != "alone" {
			t.Errorf("waits for %q", e.Text)
		}
		s.quiet(5 * time.Hour)
		s.here(ben)
		s.quiet(200 * time.Millisecond)
		s.talk("2", bens)
		s.quiet(time.Hour)
	})
}

// TestReal20_ExpiredAndForgotten: somebody comes, but the focus sends no session: join again, do not hang up.
func TestReal20_ExpiredAndForgotten(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.gone(anna)
		s.event(SourcesChanged)
		s.say(ask("session-terminate", "1", "<reason><expired/></reason>"))
		s.hears("result")
		s.event(Suspended)
		s.event(Waiting)
		s.quiet(time.Hour)
		s.here(ben)
		s.hears("leave")
		s.event(Suspended)
		s.joins(ben)
		s.talk("2", bens)
	})
}

// TestReal21_RestartThatWorks: session-terminate with the bridge session's id and restart.
func TestReal21_RestartThatWorks(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.s.Restart("connectivity-error")
		m, err := jingle.Parse(s.hears("session-terminate"))
		if err != nil || m.SID != "1" || m.Reason != "connectivity-error" || m.BridgeSession != "b59f1d1e" || !m.Restart {
			t.Errorf("asks by %+v, %v", m, err)
		}
		s.event(Suspended)
		s.talk("2", annas)
		s.quiet(time.Hour)
	})
}

// TestReal21_RestartLimits: Jicofo takes restarts 5 s apart and 5 a minute; where that is not
// enough, the room is left and joined again.
func TestReal21_RestartLimits(t *testing.T) {
	restart := func(s *stage, again string) {
		s.s.Restart("connectivity-error")
		s.hears("session-terminate")
		s.event(Suspended)
		s.talk(again, annas)
	}
	rejoin := func(s *stage) {
		s.s.Restart("connectivity-error")
		s.hears("leave")
		s.event(Suspended)
		s.event(Suspended)
		s.joins(anna)
		s.talk("again", annas)
	}
	t.Run("5 s apart", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.talk("1", annas)
			restart(s, "2")
			s.quiet(4900 * time.Millisecond)
			rejoin(s)
		})
	})
	t.Run("5 a minute", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.talk("1", annas)
			for _, sid := range strings.Fields("2 3 4 5 6") {
				restart(s, sid)
				s.quiet(5 * time.Second)
			}
			rejoin(s)
		})
	})
	t.Run("enough of both", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.talk("0", annas)
			for i := range 30 {
				restart(s, string(rune('A'+i)))
				s.quiet(12 * time.Second)
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.talk("1", annas)
			s.answers(refusing("session-terminate", &xmpp.Error{Type: "wait", Condition: "resource-constraint", Text: "rate-limited"}))
			s.s.Restart("connectivity-error")
			s.hears("session-terminate")
			s.hears("leave")
			s.event(Suspended)
			s.event(Suspended)
			s.joins(anna)
			s.talk("2", annas)
		})
	})
}

// TestReal22_Stranded: session-terminate and nothing follows: leave and join again with the same nick.
func TestReal22_Stranded(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		began := time.Now()
		s.say(ask("session-terminate", "1", "<reason><success/><text>moving</text></reason>"))
		s.hears("result")
		s.event(Suspended)
		for range maxRejoins {
			if e := s.hears("leave"); e.Get("to") != me {
				t.Errorf("leaves by %v", e)
			}
			if d := time.Since(began); d < 15*time.Second || d > 20*time.Second {
				t.Errorf("leaves after %v", d)
			}
			s.event(Suspended)
			s.joins(anna)
			began = time.Now()
		}
		s.over(cause.NoInvite)
	})
}

func TestReal22_JoiningAgainHelps(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		for i := range 10 { // not a limit for the whole life of a call
			s.talk(string(rune('A'+i)), annas)
			s.say(ask("session-terminate", string(rune('A'+i)), "<reason><success/><text>moving</text></reason>"))
			s.hears("result")
			s.event(Suspended)
			s.hears("leave")
			s.event(Suspended)
			old := s.fakeLink
			s.next()
			s.hears("conference")
			if e := s.hears("join"); e.Get("to") != me {
				t.Errorf("joins as %s", e.Get("to"))
			}
			s.focusHere()
			s.here(anna)
			s.self()
			s.event(Joined)
			<-old.Done()
		}
		s.talk("Z", annas)
		s.quiet(time.Hour)
	})
}

// TestReal23_BridgeDies: terminate, no bridge, however long, a bridge again, and the session by itself.
func TestReal23_BridgeDies(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		for _, sid := range []string{"2", "3"} {
			s.focusHere("<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='bridge-count' value='0'/></conference-properties>")
			s.say(ask("session-terminate", map[string]string{"2": "1", "3": "2"}[sid], "<reason><success/><text>moving</text></reason>"))
			s.hears("result")
			s.event(Suspended)
			s.focusHere(noBridge)
			if e := s.event(Waiting); e.Text != "no_bridge" {
				t.Errorf("waits for %q", e.Text)
			}
			s.focusHere(noBridge) // said again with each change of anything
			s.quiet(time.Minute)
			s.focusHere()
			s.quiet(1700 * time.Millisecond)
			s.talk(sid, "")
			s.say(ask("source-add", sid, jsonSources(annas)))
			s.hears("result")
			s.event(SourcesChanged)
		}
		s.quiet(time.Hour)
	})
}

// TestBridgeThatFailedOnce: a bridge that let one request of Jicofo time out is not used for a minute,
// and then by newcomers only; who was there before is never invited again. So the seat comes anew, as
// often as it takes, and its owner keeps waiting.
func TestBridgeThatFailedOnce(t *testing.T) {
	for name, before := range map[string]func(s *stage){
		"before the first session": func(s *stage) {
			s.joins(anna)
			s.focusHere(noBridge)
		},
		"after one": func(s *stage) {
			s.joins(anna)
			s.talk("1", annas)
			s.say(ask("session-terminate", "1", "<reason><success/><text>moving</text></reason>"))
			s.hears("result")
			s.event(Suspended)
			s.focusHere(noBridge)
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				before(s)
				for range 5 {
					s.event(Waiting)
					s.quiet(time.Minute)
					s.hears("leave")
					s.next()
					s.hears("conference")
					s.hears("join")
					s.focusHere(noBridge)
					s.here(anna)
					s.self()
					s.event(Joined)
				}
				s.event(Waiting)
				s.talk("2", annas) // its presence may say for ever that there is no bridge
			})
		})
	}
}

// TestReal23_AllDieTogether: the outage lasts long before the rest of the server goes too: that
// gets its own time to come back.
func TestReal23_AllDieTogether(t *testing.T) {
	outage := func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.say(ask("session-terminate", "1", "<reason><success/></reason>"))
		s.hears("result")
		s.event(Suspended)
		s.focusHere(noBridge)
		s.event(Waiting)
		s.quiet(time.Minute)
	}
	t.Run("connection", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			outage(s)
			s.connecting(errDown)
			s.cut(errDown)
			s.event(Suspended)
			time.Sleep(20 * time.Second)
			s.connecting(nil)
			s.joins(anna)
			s.talk("2", annas)
		})
	})
	t.Run("focus", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			outage(s)
			s.gone("focus")
			s.event(Suspended)
			time.Sleep(20 * time.Second)
			s.focusHere()
			for synctest.Wait(); len(s.sent) > 0; {
				s.hears("conference")
			}
			s.talk("2", annas)
		})
	})
}
