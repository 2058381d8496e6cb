//go:build lab

package peers

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"jigasi/internal/app"
	"jigasi/internal/lab/client"
	"jigasi/internal/lab/phone"
	"jigasi/internal/stanza"
)

// occupant is where the gateway's only call sits.
func occupant(t *testing.T, g *app.App) stanza.JID {
	t.Helper()
	all := g.Calls()
	if len(all) != 1 {
		t.Fatalf("%d calls", len(all))
	}
	return all[0].Occupant
}

// TestProsodyModeratorEndsTheCall: kicked, banned, and the room destroyed, by the room's owner.
func TestProsodyModeratorEndsTheCall(t *testing.T) {
	m := meet(t, "")
	const admin, owner = "http://jabber.org/protocol/muc#admin", "http://jabber.org/protocol/muc#owner"
	for name, query := range map[string]func(g *app.App, a *person) *stanza.Elem{
		"kick": func(g *app.App, _ *person) *stanza.Elem {
			return stanza.New(admin, "query").Add(stanza.New("", "item", "nick", g.Calls()[0].Occupant.Resource, "role", "none"))
		},
		"ban": func(g *app.App, a *person) *stanza.Elem {
			real := a.Sees(g.Calls()[0].Occupant.Resource).Kid("http://jabber.org/protocol/muc#user", "x").Kid("", "item").Get("jid")
			return stanza.New(admin, "query").Add(stanza.New("", "item", "jid", stanza.ParseJID(real).Bare().String(), "affiliation", "outcast"))
		},
		"destroy": func(*app.App, *person) *stanza.Elem {
			return stanza.New(owner, "query").Add(stanza.New("", "destroy").Add(stanza.New("", "reason").WithText("the end")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := m.join(t, name, 620), m.join(t, name, 880)
			g := gatewayAt(t, m, nil)
			p := phoneIn(t, g, name, 440)
			all(t, 20*time.Second, a, b, p)
			res, err := a.conn.Request(t.Context(), stanza.New("jabber:client", "iq", "type", "set", "to", name+"@conference.meet.test").Add(query(g, a)))
			if err != nil || res.Get("type") != "result" {
				t.Fatalf("the moderator may not: %v %v", res, err)
			}
			gone(t, g, p)
			if want := map[string]string{"kick": "removed the phone", "ban": "banned the phone", "destroy": "the meeting was ended"}[name]; !strings.Contains(p.Ended(), want) {
				t.Errorf("the phone's call ended with %q, which does not say that a moderator %s", p.Ended(), want)
			}
		})
	}
}

// configure sets a field of a room's configuration, as its owner.
func configure(t *testing.T, owner *person, room, field, value string) {
	t.Helper()
	const form = "jabber:x:data"
	entry := func(name, value string) *stanza.Elem {
		return stanza.New("", "field", "var", name).Add(stanza.New("", "value").WithText(value))
	}
	res, err := owner.conn.Request(t.Context(), stanza.New("jabber:client", "iq", "type", "set", "to", room+"@conference.meet.test").Add(
		stanza.New("http://jabber.org/protocol/muc#owner", "query").Add(stanza.New(form, "x", "type", "submit").Add(
			entry("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"), entry(field, value)))))
	if err != nil || res.Get("type") != "result" {
		t.Fatalf("the room's configuration: %v %v", res, err)
	}
}

// TestProsodyRoomKeepsOut: a password, given, wrong and none; and members only.
func TestProsodyRoomKeepsOut(t *testing.T) {
	m := meet(t, "")
	g := gatewayAt(t, m, nil)
	a, b := m.join(t, "alpha", 620), m.join(t, "alpha", 880)
	inside := phoneIn(t, g, "alpha", 440)
	all(t, 20*time.Second, a, b, inside)
	refused := func(status int, more ...[2]string) {
		t.Helper()
		p := phoneIn(t, g, "alpha", 500, more...)
		select {
		case <-p.Over():
		case <-time.After(20 * time.Second):
			t.Fatal("the call goes on")
		}
		if p.Status() != status {
			t.Errorf("the phone gets %d (%s), want %d", p.Status(), p.Ended(), status)
		}
	}
	configure(t, a, "alpha", "muc#roomconfig_roomsecret", "1234")
	refused(403)
	refused(403, [2]string{"Jitsi-Conference-Room-Pass", "4321"})
	second := phoneIn(t, g, "alpha", 500, [2]string{"Jitsi-Conference-Room-Pass", "1234"})
	eventually(t, 20*time.Second, "who knows the password is heard, also by the other phone", func() bool {
		return hears(a.Bot, 500)() && inside.Tone(500) > -26 && second.Tone(440) > -26 && second.Tone(620) > -26
	})
	hangup(t, second)
	configure(t, a, "alpha", "muc#roomconfig_membersonly", "1")
	refused(603, [2]string{"Jitsi-Conference-Room-Pass", "1234"})
	gone(t, g, inside) // stock Prosody puts out who is no member
}

// TestT02_OddNicks: whatever Prosody takes as a nick or a resource, the gateway keeps its connection and the sound.
func TestT02_OddNicks(t *testing.T) {
	m := meet(t, "")
	a, b := m.join(t, "alpha", 620), m.join(t, "alpha", 880)
	g := gatewayAt(t, m, nil)
	p := phoneIn(t, g, "alpha", 440)
	all(t, 20*time.Second, a, b, p)
	seat := occupant(t, g)
	left := make(chan string, 100)
	answers := make(chan bool, 1)
	var nick string
	guest := m.guest(t, client.Options{Handler: func(e *stanza.Elem) {
		from := stanza.ParseJID(e.Get("from"))
		self := false
		for _, s := range e.Kid("http://jabber.org/protocol/muc#user", "x").All("", "status") {
			self = self || s.Get("code") == "110"
		}
		switch {
		case e.Name.Local != "presence":
		case from.Equal(seat) && e.Get("type") == "unavailable":
			left <- e.String()
		case e.Get("type") == "error":
			answers <- false
		case self && e.Get("type") == "":
			answers <- true
		}
	}})
	taken := 0
	try := func(s string) {
		nick = s
		err := guest.Send(stanza.New("jabber:client", "presence", "to", "alpha@conference.meet.test/"+nick).Add(
			stanza.New("http://jabber.org/protocol/muc", "x"), stanza.New("http://jabber.org/protocol/nick", "nick").WithText(nick)))
		if err != nil {
			t.Fatalf("%+q: %v", s, err)
		}
		select {
		case ok := <-answers:
			if ok {
				taken++
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no answer to nick %+q", s)
		}
	}
	for _, s := range oddNicks {
		try(s)
	}
	step := rune(127)
	if os.Getenv("JIGASI_SOAK") != "" {
		step = 1
	}
	tried := 0
	for r := rune(0x21); r < 0x20000; r += step {
		if utf8.ValidRune(r) && r != 0xFFFE && r != 0xFFFF {
			tried++
			try("n" + string(r))
		}
	}
	t.Logf("%d of %d nicks were taken by Prosody", taken, tried+len(oddNicks))
	if taken < tried/4 {
		t.Errorf("only %d nicks were taken", taken)
	}
	oddResources(t, m, a.Sees(seat.Resource).Kid("http://jabber.org/protocol/muc#user", "x").Kid("", "item").Get("jid"), seat)
	same(t, g, p, a, b, seat, left)
}

// oddNicks Prosody takes and a stricter reader of addresses would choke on.
var oddNicks = []string{
	"a\u00b7b", "Tanaka\u30fbTaro", "\u3131", "\u1100", "\u0640", "\u0661\u06f1", "\u0375a", "<&'\">", "/", "a/b@c", "@", " x", "\U0001F9D1\u200d\U0001F680",
	"e\u0301", "\u0130", "\u00df", "\u202eolleh", strings.Repeat("\u00e9", 500),
}

// oddResources has guests with such names for a resource speak to the gateway's own address.
func oddResources(t *testing.T, m *meeting, real string, seat stanza.JID) {
	t.Helper()
	for _, s := range oddNicks[:8] {
		c, err := client.Dial(client.Options{Addr: m.c2s(), CAs: m.cas, Domain: "meet.test", Resource: s})
		if err != nil {
			continue // Prosody does not take it
		}
		for _, to := range []string{real, seat.String()} {
			_ = c.Send(stanza.New("jabber:client", "message", "to", to, "type", "chat").Add(stanza.New("", "body").WithText(s)))
			_ = c.Send(stanza.New("jabber:client", "presence", "to", to))
		}
		res, err := c.Request(t.Context(), stanza.New("jabber:client", "iq", "type", "get", "to", real).Add(stanza.New("urn:xmpp:ping", "ping")))
		if err != nil || res.Get("type") != "result" {
			t.Errorf("the gateway does not answer %+q: %v %v", s, res, err)
		}
		c.Close()
	}
}

// same checks that the call has gone on without leaving its seat.
func same(t *testing.T, g *app.App, p *phone.Phone, a, b *person, seat stanza.JID, left chan string) {
	t.Helper()
	select {
	case e := <-left:
		t.Errorf("the gateway left the room: %s", e)
	default:
	}
	if at := occupant(t, g); !at.Equal(seat) {
		t.Errorf("the seat is now %v", at)
	}
	all(t, 20*time.Second, a, b, p)
	if n := p.Traffic(); n.Gap > 2*time.Second {
		t.Errorf("the phone heard nothing for %v", n.Gap)
	}
}
