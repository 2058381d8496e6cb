package conference

import (
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/xlog"
)

const lobby = "alpha@lobby.meet.localhost"

// refused plays the room refusing to let us in.
func (s *stage) refusedBy(condition, more string) {
	s.say("<presence xmlns='jabber:client' type='error' from='" + me + "'><error type='auth'><" + condition +
		" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" + more + "</error></presence>")
}

// knocks comes as far as the lobby.
func (s *stage) knocks() {
	s.t.Helper()
	s.next()
	s.hears("conference")
	s.hears("join")
	s.refusedBy("registration-required", "<lobbyroom xmlns='http://jitsi.org/jitmeet'>"+lobby+"</lobbyroom>")
	p := s.hears("join")
	if p.Get("to") != lobby+"/0cb96be6" || p.Kid(meetxml.NSNick, "nick").Text != "+49301234xx" {
		s.t.Errorf("enters the lobby by %v", p)
	}
	s.say("<presence xmlns='jabber:client' from='" + lobby + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/><status code='110'/></x></presence>")
	s.event(Joined)
	if e := s.event(Waiting); e.Text != InLobby {
		s.t.Errorf("waits for %q", e.Text)
	}
	s.told(news.LobbyEntered)
	if got := s.s.Occupant().String(); got != lobby+"/0cb96be6" {
		s.t.Errorf("sits at %s", got)
	}
}

func (s *stage) told(want news.Item) {
	s.t.Helper()
	if e := s.event(Told); e.Item != want {
		s.t.Errorf("tells %s, want %s", e.Item, want)
	}
}

// outOfLobby is our leaving of the lobby as the lobby tells it.
func (s *stage) outOfLobby(in string) {
	s.say("<presence xmlns='jabber:client' type='unavailable' from='" + lobby + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/>" + in + "<status code='110'/></x></presence>")
}

func (s *stage) enters(password string) {
	s.t.Helper()
	p := s.hears("join")
	if p.Get("to") != me {
		s.t.Errorf("joins %s", p.Get("to"))
	}
	pw := p.Kid(meetxml.NSMUC, "x").Kid("", "password")
	if password == "" && pw != nil || password != "" && (pw == nil || pw.Text != password) {
		s.t.Errorf("gives the password %v, want %q", pw, password)
	}
	s.focusHere()
	s.here(anna)
	s.self()
	s.event(Joined)
	s.talk("1", annas)
	if got := s.s.Occupant().String(); got != me {
		s.t.Errorf("sits at %s", got)
	}
}

func invitation(from, in string) string {
	return "<message xmlns='jabber:client' from='" + from + "' to='" + us + "'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='" + room + "/" + anna + "'/>" + in + "</x></message>"
}

func TestLobbyLetsIn(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.knocks()
		s.quiet(9 * time.Minute)
		s.say(invitation(room+"/"+anna, "")) // a person is not the room
		s.say(invitation("beta@conference.meet.localhost", ""))
		s.quiet(30 * time.Second)
		s.say(invitation(room, "<password>open sesame</password>"))
		s.told(news.LobbyGranted)
		if e := s.hears("leave"); e.Get("to") != lobby+"/0cb96be6" {
			t.Errorf("leaves %s", e.Get("to"))
		}
		s.enters("open sesame")
		s.quiet(time.Hour)
	})
}

func TestLobbyIsSwitchedOff(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.knocks()
		s.outOfLobby("<destroy jid='" + room + "'/>")
		s.told(news.LobbyGranted)
		s.enters("")
	})
}

func TestLobbyDenies(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want cause.Code
	}{
		"put out":   {"<status code='307'/>", cause.LobbyDenied},
		"the end":   {"<destroy><reason>over</reason></destroy>", cause.Destroyed},
		"elsewhere": {"<destroy jid='beta@conference.meet.localhost'/>", cause.Destroyed},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.knocks()
				s.outOfLobby(tt.in)
				s.over(tt.want)
			})
		})
	}
}

// TestLobbyHasATimerOfItsOwn: longer than that of the invitation, and bounded.
func TestLobbyHasATimerOfItsOwn(t *testing.T) {
	play(t, func(o *Options) { o.LobbyTimeout = 2 * time.Minute }, func(s *stage) {
		s.knocks()
		s.quiet(119 * time.Second)
		s.over(cause.LobbyDenied)
		if e := s.hears("leave"); e.Get("to") != lobby+"/0cb96be6" {
			t.Errorf("leaves %s", e.Get("to"))
		}
	})
}

func TestLobbySurvivesADrop(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.knocks()
		s.cut(errDown)
		s.event(Suspended)
		s.knocks()
		s.say(invitation(room, ""))
		s.told(news.LobbyGranted)
		s.hears("leave")
		s.enters("")
	})
}

func TestLobbyWithoutAddress(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.next()
		s.hears("conference")
		s.hears("join")
		s.refusedBy("registration-required", "")
		s.over(cause.LobbyDenied)
	})
}

// TestPasswordOfTheCaller: given in the lobby it opens the room; a wrong one leads back to it.
func TestPasswordOfTheCaller(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.knocks()
		s.s.GivePassword("wrong")
		s.hears("leave")
		s.hears("join")
		s.refusedBy("registration-required", "<lobbyroom xmlns='http://jitsi.org/jitmeet'>"+lobby+"</lobbyroom>")
		s.hears("join")
		s.say("<presence xmlns='jabber:client' from='" + lobby + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/><status code='110'/></x></presence>")
		s.event(Joined)
		s.event(Waiting)
		s.told(news.LobbyEntered)
		s.s.GivePassword("right")
		s.hears("leave")
		s.enters("right")
		s.s.GivePassword("late")
		s.quiet(time.Minute)
	})
}

func TestPasswordIsAskedFor(t *testing.T) {
	play(t, func(o *Options) { o.PasswordTimeout = time.Minute }, func(s *stage) {
		s.next()
		s.hears("conference")
		s.hears("join")
		for i := range maxPasswords {
			s.refusedBy("not-authorized", "")
			if e := s.event(Waiting); e.Text != NeedsPassword {
				t.Errorf("waits for %q", e.Text)
			}
			s.quiet(59 * time.Second)
			s.s.GivePassword("guess")
			if pw := s.hears("join").Kid(meetxml.NSMUC, "x").Kid("", "password"); pw == nil || pw.Text != "guess" {
				t.Errorf("try %d: %v", i, pw)
			}
		}
		s.refusedBy("not-authorized", "")
		s.over(cause.PasswordNeeded)
	})
}

// TestPasswordsGivenEarly: what the phone says while another one is tried is tried next.
func TestPasswordsGivenEarly(t *testing.T) {
	play(t, func(o *Options) { o.PasswordTimeout = time.Minute }, func(s *stage) {
		s.next()
		s.hears("conference")
		s.hears("join")
		for _, pw := range []string{"one", "two", "right", "over"} {
			s.s.GivePassword(xlog.Secret(pw))
		}
		for _, pw := range []string{"one", "two"} {
			s.refusedBy("not-authorized", "")
			if got := s.hears("join").Kid(meetxml.NSMUC, "x").Kid("", "password"); got == nil || got.Text != pw {
				t.Errorf("tries %v, want %s", got, pw)
			}
		}
		s.refusedBy("not-authorized", "")
		s.enters("right")
		s.quiet(time.Minute)
	})
}

func TestPasswordIsNotGiven(t *testing.T) {
	for limit, waits := range map[time.Duration]bool{0: false, time.Minute: true} {
		play(t, func(o *Options) { o.PasswordTimeout = limit }, func(s *stage) {
			s.next()
			s.hears("conference")
			s.hears("join")
			s.refusedBy("not-authorized", "")
			if waits {
				s.event(Waiting)
			}
			s.over(cause.PasswordNeeded)
		})
	}
}
