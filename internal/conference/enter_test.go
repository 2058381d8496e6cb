package conference

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

// TestEnter: the conference is asked for first, then the room is entered with all that the phone shows.
func TestEnter(t *testing.T) {
	t.Run("now", func(t *testing.T) { enter(t, "urn:xmpp:extdisco:2", 2) })
	t.Run("old server", func(t *testing.T) { enter(t, "urn:xmpp:extdisco:1", 3) })
}

// enter plays a join on a server that tells its TURN servers under that namespace, after so many requests.
func enter(t *testing.T, services string, requests int) {
	set := func(o *Options) { o.Relays, o.Password = true, "s3cret" }
	play(t, set, func(s *stage) {
		s.answers(func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
			switch {
			case kind(iq) != "services":
				return ready(ctx, iq)
			case iq.Kids[0].Name.Space != services:
				return nil, &xmpp.Error{Type: "cancel", Condition: "service-unavailable"}
			}
			return stanza.Parse([]byte(`<iq type='result'><services xmlns='`+services+`'><service type='turns' host='turn.meet.localhost' port='5349' transport='tcp' username='u' password='p'/></services></iq>`), stanza.Limits{})
		})
		s.next()
		asked := map[string]*stanza.Elem{} // one beside the other
		for range requests {
			e := s.hear()
			asked[kind(e)] = e
		}
		if e := asked["services"]; e.Get("to") != "meet.localhost" {
			t.Errorf("asks %v", e)
		}
		if e := asked["conference"]; e.Get("to") != "focus.meet.localhost" || e.Kid(meetxml.NSFocus, "conference").Get("room") != room {
			t.Errorf("asks %v", e)
		}
		e := s.hears("join")
		if e.Get("to") != me || e.Kid(meetxml.NSMUC, "x").Kid("", "password").Text != "s3cret" {
			t.Errorf("joins by %v", e)
		}
		shows(t, e, "Initializing Call", false)
		if c := s.opt.Caps(); e.Kid("", "c").Get("ver") != c.Ver() || e.Kid("", "c").Get("node") != c.Node {
			t.Errorf("caps %v, %v", e.Kid("", "c"), c.Ver())
		}
		s.focusHere()
		s.here(anna)
		s.self()
		s.event(Joined)
		o := s.talk("1", "")
		if len(o.Relays) != 1 || o.Relays[0] != (meetxml.Relay{URL: "turns:turn.meet.localhost:5349?transport=tcp", User: "u", Password: "p"}) {
			t.Errorf("relays %+v", o.Relays)
		}
	})
}

// shows checks that a presence is whole.
func shows(t *testing.T, e *stanza.Elem, status string, muted bool) {
	t.Helper()
	want := map[string]string{
		"nick": "+49301234xx", "stats-id": "jigasi", "status": status, "audiomuted": fmt.Sprint(muted), "videomuted": "true",
		"SourceInfo": fmt.Sprintf(`{"0cb96be6-a0":{"muted":%v}}`, muted),
	}
	for name, text := range want {
		if k := e.Kid("", name); k == nil || k.Text != text {
			t.Errorf("%s is %v, want %q", name, k, text)
		}
	}
	for _, name := range []string{"features", "initiator", "c", "stat"} {
		if e.Kid("", name) == nil {
			t.Errorf("no %s in %v", name, e)
		}
	}
}

// TestPresenceIsCumulative: each change repeats all of it, but the request to enter.
func TestPresenceIsCumulative(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.s.SetStatus("Connecting") // before there is a room to tell
		s.joins(anna)
		s.s.SetStatus("Connecting")
		s.s.SetStatus("Connected")
		s.s.SetMuted(true)
		s.s.SetMuted(true)
		s.s.SetMuted(false)
		for _, muted := range []bool{false, true, false} {
			e := s.hears("presence")
			shows(t, e, "Connected", muted)
			if e.Get("to") != me || e.Kid(meetxml.NSMUC, "x") != nil {
				t.Errorf("says %v", e)
			}
		}
		for _, on := range []bool{true, true, false} {
			s.muted(Event{On: on, OK: true, Known: true})
		}
		s.quiet(time.Second)
	})
}

// TestFocusNotReady: it is asked again and again, and the room is entered when it is.
func TestFocusNotReady(t *testing.T) {
	play(t, nil, func(s *stage) {
		n := 0
		s.answers(func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
			res, err := ready(ctx, iq)
			if c := res.Kid(meetxml.NSFocus, "conference"); c != nil {
				if n++; n < 4 {
					c.Set("ready", "false")
				}
			}
			return res, err
		})
		s.next()
		began := time.Now()
		for range 4 {
			s.hears("conference")
		}
		s.hears("join")
		if d := time.Since(began); d != 7*time.Second {
			t.Errorf("took %v, want 1 + 2 + 4 s", d)
		}
	})
}

// TestFocusRefuses: what joining cannot mend ends the call, all else does not keep from joining.
func TestFocusRefuses(t *testing.T) {
	for _, tt := range []struct {
		condition string
		want      cause.Code
		text      string
	}{
		{"not-authorized", cause.Forbidden, "wait for its host"},
		{"bad-request", cause.NotFound, "room name"},
		{"internal-server-error", cause.Unknown, ""},
		{"not-acceptable", cause.Unknown, ""},
		{"resource-constraint", cause.Unknown, ""},
	} {
		t.Run(tt.condition, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.answers(refusing("conference", &xmpp.Error{Type: "cancel", Condition: tt.condition}))
				s.next()
				s.hears("conference")
				if tt.want == cause.Unknown {
					s.hears("join")
					return
				}
				if why := s.over(tt.want); !strings.Contains(why.Text, tt.text) {
					t.Errorf("says %q", why.Text)
				}
			})
		})
	}
}

// TestFocusThatIsNotThereIsTold: an absent focus is told apart from one that refuses, with what to look at.
func TestFocusThatIsNotThereIsTold(t *testing.T) {
	for condition, want := range map[string]string{
		"service-unavailable": "the focus is not there", "remote-server-not-found": "the focus is not there", "not-allowed": "the focus refused",
	} {
		var logs strings.Builder
		s := &Session{log: slog.New(slog.NewTextHandler(&logs, nil)), opt: Options{Focus: stanza.JID{Domain: "focus.meet.test"}}}
		for range 3 {
			s.refusedRequest(&xmpp.Error{Condition: condition})
		}
		if got := logs.String(); strings.Count(got, want) != 2 || !strings.Contains(got, condition) { // the first and the second time
			t.Errorf("%s: %s", condition, got)
		}
	}
}

// TestFocusWithoutProxy: where nobody passes requests on, the focus is asked itself.
func TestFocusWithoutProxy(t *testing.T) {
	for _, condition := range []string{"service-unavailable", "remote-server-not-found", "item-not-found"} {
		t.Run(condition, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.answers(func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
					if iq.Get("to") == "focus.meet.localhost" {
						return nil, &xmpp.Error{Type: "cancel", Condition: condition}
					}
					return ready(ctx, iq)
				})
				s.next()
				s.hears("conference")
				if e := s.hears("conference"); e.Get("to") != focusI {
					t.Errorf("asks %s", e.Get("to"))
				}
				s.hears("join")
				s.focusHere()
				s.here(anna)
				s.self()
				s.event(Joined)
				s.talk("1", annas)
			})
		})
	}
	t.Run("nobody", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.answers(refusing("conference", &xmpp.Error{Type: "cancel", Condition: "service-unavailable"}))
			s.next()
			s.hears("conference")
			s.hears("conference")
			s.hears("join") // the room may have a focus already
		})
	})
}

func TestMeetingIsNotLive(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.answers(func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
			res, err := ready(ctx, iq)
			res.Kid(meetxml.NSFocus, "conference").Set("ready", "false").Add(stanza.New("", "property", "name", "live", "value", "false"))
			return res, err
		})
		s.next()
		s.over(cause.NotLive)
	})
}

// TestFocusIsSilent: a request that gets lost is sent again; nobody at all is an end in time.
func TestFocusIsSilent(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.answers(silent)
		s.next()
		began := time.Now()
		s.hears("conference")
		s.hears("conference")
		if d := time.Since(began); d != askLimit {
			t.Errorf("asks again after %v", d)
		}
		if s.over(cause.Timeout); time.Since(began) > enterLimit {
			t.Errorf("gives up after %v", time.Since(began))
		}
	})
}

// TestRefusedJoins: each error of the room with its cause, and what the operator reads.
func TestRefusedJoins(t *testing.T) {
	for _, tt := range []struct {
		error string
		tries int // more of them
		want  cause.Code
		text  string
	}{
		{"auth/<not-authorized/>", 0, cause.PasswordNeeded, "password"},
		{"auth/<registration-required/>", 0, cause.LobbyDenied, "lobby"},
		{"modify/<not-acceptable/><displayname-required xmlns='http://jitsi.org/jitmeet' lobby='true'/>", 0, cause.LobbyDenied, "lobby"},
		{"cancel/<service-unavailable/>", 0, cause.Full, "participants"},
		{"wait/<resource-constraint/>", 0, cause.Full, "participants"},
		{"auth/<forbidden/>", 0, cause.Banned, "banned"},
		{"cancel/<not-allowed/><authentication-required xmlns='http://jitsi.org/jitmeet'/>", 0, cause.Forbidden, "login"},
		{"cancel/<not-allowed/><text>Room and token mismatched</text>", 0, cause.Forbidden, "Room and token mismatched"},
		{"cancel/<not-allowed/><text>Invalid resource</text>", 0, cause.Forbidden, "Invalid resource"},
		{"cancel/<not-allowed/><no-main-participants xmlns='jitsi:visitors'/>", 0, cause.Forbidden, "refuses"},
		{"cancel/<not-allowed/><text>Room creation is restricted</text>", 3, cause.Unavailable, "Jicofo"},
		{"cancel/<not-allowed/><room-does-not-exist xmlns='http://jitsi.org/jitmeet'/>", 3, cause.Unavailable, "Jicofo"},
		{"cancel/<not-allowed/>", 3, cause.Unavailable, "Jicofo"},
		{"cancel/<conflict/>", 3, cause.Unavailable, "seat"},
		{"cancel/<undefined-condition/>", 0, cause.Forbidden, "refuses"},
		{"", 0, cause.Forbidden, "refuses"},
	} {
		t.Run(tt.error, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				typ, in, _ := strings.Cut(tt.error, "/")
				for i := range 1 + tt.tries {
					s.next()
					s.hears("conference")
					s.hears("join")
					began := time.Now()
					s.refuses(typ, in)
					if synctest.Wait(); i < tt.tries {
						for len(s.links) == 0 && time.Since(began) < time.Minute {
							time.Sleep(100 * time.Millisecond)
						}
						if d := time.Since(began); d < 500*time.Millisecond || d > 5*time.Second {
							s.t.Fatalf("tries again after %v", d)
						}
					}
				}
				if why := s.over(tt.want); !strings.Contains(why.Text, tt.text) {
					t.Errorf("says %q, want something of %q", why.Text, tt.text)
				}
			})
		})
	}
}

var condition = regexp.MustCompile(`<([a-z-]+)(/?)>`)

// refuses plays the room refusing the join.
func (s *stage) refuses(typ, in string) {
	in = condition.ReplaceAllString(in, "<$1 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'$2>")
	s.say("<presence xmlns='jabber:client' type='error' from='" + me + "'><error type='" + typ + "'>" + in + "</error></presence>")
}

// TestRoomIsThereAtLast: a room that the focus had left already is asked for again.
func TestRoomIsThereAtLast(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.next()
		s.hears("conference")
		s.hears("join")
		s.refuses("cancel", "<not-allowed/><text>Room creation is restricted</text>")
		s.joins(anna)
		s.talk("1", annas)
	})
}

// TestRoomOfOurOwn: a room that is created by our coming has no focus in it: it is asked for again. Who
// has asked in vain stays there: whoever comes next brings the focus along.
func TestRoomOfOurOwn(t *testing.T) {
	const created = "<presence xmlns='jabber:client' from='" + me + "'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='" + us + "'/><status code='201'/><status code='110'/></x></presence>"
	play(t, nil, func(s *stage) {
		for range maxTries {
			s.next()
			s.hears("conference")
			s.hears("join")
			s.say(created)
			s.hears("leave")
		}
		s.next()
		s.hears("conference")
		s.hears("join")
		s.say(created)
		s.event(Joined)
		s.event(Waiting)
		s.quiet(time.Minute)
		s.focusHere()
		s.here(anna)
		s.talk("1", annas)
	})
	play(t, nil, func(s *stage) { // and one that the focus created, while we came
		s.next()
		s.hears("conference")
		s.hears("join")
		s.focusHere()
		s.say(created)
		s.event(Joined)
	})
}

// TestNoAnswerOfTheRoom: a filter that drops the join says nothing.
func TestNoAnswerOfTheRoom(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.next()
		began := time.Now()
		s.hears("conference")
		s.hears("join")
		if s.over(cause.Timeout); time.Since(began) != joinLimit {
			t.Errorf("gives up after %v", time.Since(began))
		}
	})
}

func TestNoConnection(t *testing.T) {
	for err, want := range map[error]cause.Code{
		errDown: cause.Unavailable,
		fmt.Errorf("dial: %w", &xmpp.AuthError{Condition: "not-authorized"}): cause.AuthFailed,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := Join(Options{Room: stanza.ParseJID(room), Nick: "a", Dial: func(context.Context, xmpp.Options) (Link, error) { return nil, err }})
			e := <-s.Events()
			<-s.Done()
			if e.Kind != Over || e.Cause.Code != want || !errors.Is(e.Cause, err) {
				t.Errorf("%v: %+v", err, e)
			}
		})
	}
	for transcriber, want := range map[bool]string{false: "below xmpp in", true: "below transcription, else xmpp, in"} { // where the operator looks
		s := &Session{opt: Options{Transcriber: transcriber}}
		if text := s.connectCause(&xmpp.AuthError{Condition: "not-authorized"}).Error(); !strings.Contains(text, want) {
			t.Error(text)
		}
	}
}
