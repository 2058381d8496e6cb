//go:build lab

package peers

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/lab/phone"
	"jigasi/internal/stanza"
)

const passHeader = "Jitsi-Conference-Room-Pass"

// locks: the password comes in a header, or by SIP INFO when the room asks for it; a wrong one does not help.
func (l *led) locks(t *testing.T) {
	l.do(t, "lab.lock('1234')")
	probe := func() string { return l.refusal(t, "alpha") }
	must(t, "the room is locked", func() bool { return probe() == "not-authorized" })
	p, _ := l.enter(t, 440, [2]string{passHeader, "1234"})
	l.over(t, p)

	p = phoneIn(t, l.g, "alpha", 440, [2]string{passHeader, "0000"})
	l.answered(t, p)
	p.Tell(`{"t":4,"d":{"pwd":"4321"}}`)
	must(t, "the room is asked with the wrong one", func() bool { return len(l.g.Calls()) == 1 })
	p.Tell(`{"t":4,"d":{"pwd":"1234"}}`)
	l.heard(t, p)
	l.over(t, p)

	p = phoneIn(t, l.g, "alpha", 440)
	l.answered(t, p)
	for range 3 {
		p.Tell(`{"t":4,"d":{"pwd":"4321"}}`)
	}
	must(t, "three wrong ones end the call", func() bool { return p.Ended() != "" && len(l.g.Calls()) == 0 })
	if !strings.Contains(p.Ended(), "password") {
		t.Errorf("it ended with %q", p.Ended())
	}
	l.do(t, "lab.lock('')")
	must(t, "the room is open", func() bool { return probe() == "" })
}

func (l *led) answered(t *testing.T, p *phone.Phone) {
	t.Helper()
	select {
	case <-p.Up():
	case <-p.Over():
		t.Fatalf("the call ended: %s", p.Ended())
	case <-time.After(20 * time.Second):
		t.Fatal("the phone is not answered")
	}
}

// heard waits until the phone and the others hear each other.
func (l *led) heard(t *testing.T, p *phone.Phone) {
	t.Helper()
	must(t, "the phone and the others hear each other", func() bool {
		return p.Tone(1000) > -26 && p.Tone(620) > -26 && hears(l.c.Bot, 440)()
	})
}

// keepsLobby: the phone knocks and hears so; it is let in, refused, let in as the lobby is switched off, or by the password.
func (l *led) keepsLobby(t *testing.T) {
	open := func() {
		t.Helper()
		l.do(t, "lab.lobby(true)")
		must(t, "the room has a lobby", func() bool { return l.refusal(t, "alpha") == "registration-required" })
	}
	open()
	p, seat := l.knocks(t)
	l.do(t, "lab.admit(%s, true)", seat)
	told(t, p, 0, `"i":1,"t":6`)
	told(t, p, 0, `"i":2,"t":5`)
	l.heard(t, p)
	l.over(t, p)

	p, seat = l.knocks(t)
	l.do(t, "lab.admit(%s, false)", seat)
	told(t, p, 0, `"t":7`)
	must(t, "the phone is told", spoken(p))
	must(t, "the call ends", func() bool { return p.Ended() != "" && len(l.g.Calls()) == 0 })
	if !strings.Contains(p.Ended(), "did not let the caller in") {
		t.Errorf("it ended with %q", p.Ended())
	}

	l.do(t, "lab.lock('1234')")
	must(t, "the room is locked too", func() bool { return l.has(t, "muc_passwordprotected") })
	p, _ = l.knocks(t)
	p.Tell(`{"t":4,"d":{"pwd":"1234"}}`)
	l.heard(t, p)
	l.over(t, p)
	l.do(t, "lab.lock('')")

	p, _ = l.knocks(t)
	l.do(t, "lab.lobby(false)")
	told(t, p, 0, `"t":6`)
	l.heard(t, p)
	l.over(t, p)
}

// has reports whether the room says so of itself.
func (l *led) has(t *testing.T, feature string) bool {
	t.Helper()
	const disco = "http://jabber.org/protocol/disco#info"
	res, err := l.c.conn.Request(t.Context(), stanza.New("jabber:client", "iq", "type", "get", "to", "alpha@conference.meet.test").Add(stanza.New(disco, "query")))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(res.Kid(disco, "query").All("", "feature"), func(f *stanza.Elem) bool { return f.Get("var") == feature })
}

// knocks has a phone wait in the lobby.
func (l *led) knocks(t *testing.T) (*phone.Phone, string) {
	t.Helper()
	p := phoneIn(t, l.g, "alpha", 440)
	l.answered(t, p)
	seat := ""
	l.wait(t, "the browser sees the phone wait", func(s browserState) bool {
		for id, name := range s.Waiting {
			seat = id
			return name != ""
		}
		return false
	})
	must(t, "the phone is told that it waits", spoken(p))
	told(t, p, 0, `"i":0,"t":3`)
	if hears(l.c.Bot, 440)() || p.Tone(620) > -26 || len(l.b.now().People) != 1 {
		t.Error("who waits is in the room")
	}
	return p, seat
}

// breaksOut: two phones are sent to a breakout room, hear each other there and nobody else, and are sent back.
func (l *led) breaksOut(t *testing.T) {
	p, one := l.enter(t, 440)
	q, two := l.enter(t, 500)
	l.do(t, "lab.breakout('side')")
	side := ""
	l.wait(t, "the browser sees a breakout room", func(s browserState) bool {
		for at, r := range s.Rooms {
			if !r.IsMainRoom && r.Name == "side" {
				side = at
			}
		}
		return side != ""
	})
	for _, seat := range []string{one, two} {
		l.do(t, "lab.send(%s, %s)", "alpha@conference.meet.test/"+seat, side)
	}
	must(t, "the phones hear each other alone", func() bool {
		return p.Tone(500) > -26 && q.Tone(440) > -26 && p.Tone(1000) < -60 && p.Tone(620) < -60 && q.Tone(620) < -60
	})
	l.wait(t, "the browser sees them there", func(s browserState) bool {
		return len(s.People) == 1 && s.Rooms[side].Participants[one].JID != "" && s.Rooms[side].Participants[two].JID != ""
	})
	l.do(t, "lab.send(%s, 'alpha@conference.meet.test')", side+"/"+one)
	must(t, "one is back", func() bool { return p.Tone(1000) > -26 && hears(l.c.Bot, 440)() && !hears(l.c.Bot, 500)() })
	l.do(t, "lab.close(%s)", side)
	must(t, "everybody is back", func() bool {
		return p.Tone(1000) > -26 && p.Tone(500) > -26 && q.Tone(1000) > -26 && q.Tone(440) > -26 && hears(l.c.Bot, 440)() && hears(l.c.Bot, 500)()
	})
	l.wait(t, "the browser hears them again", func(s browserState) bool { return s.People[one].says(440) && s.People[two].says(500) })
	hangup(t, q)
	l.over(t, p)
}

// ends: the meeting is ended for all.
func (l *led) ends(t *testing.T) {
	p, _ := l.enter(t, 440)
	l.do(t, "lab.end()")
	must(t, "the call ends", func() bool { return p.Ended() != "" && len(l.g.Calls()) == 0 })
	if !strings.Contains(p.Ended(), "the meeting was ended") {
		t.Errorf("it ended with %q", p.Ended())
	}
	l.wait(t, "so it does for the browser", func(s browserState) bool { return s.Ended == "The meeting has been terminated" })
}
