//go:build lab

package peers

import (
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/phone"
	"jigasi/internal/stanza"
)

// TestProsodyVisitors: the focus sends a phone to a visitor node of a real Prosody, from where it hears the meeting unseen;
// a moderator lets it in, and makes it a visitor again. It is one call all the time.
func TestProsodyVisitors(t *testing.T) {
	m := meet(t, "", "parts.cfg.lua")
	g := gatewayAt(t, m, func(c *config.Config) {
		c.Visitors.Enabled, c.Visitors.Domain = true, lab.Domain
		c.Visitors.Servers = map[string]string{"v1": m.c2s()}
	})
	a, b := m.join(t, "alpha", 620), m.join(t, "alpha", 880)
	must(t, "both people are in", func() bool { return len(a.Others()) == 1 && len(b.Others()) == 1 })
	m.focus.SendVisitors("v1", lab.Node, true)
	p := phoneIn(t, g, "alpha", 440)
	at := func(domain string) string {
		t.Helper()
		nick := ""
		must(t, "the phone sits at "+domain, func() bool {
			all := g.Calls()
			if len(all) != 1 || all[0].Occupant.Domain != "conference."+domain {
				return false
			}
			nick = all[0].Occupant.Resource
			return true
		})
		return nick
	}
	nick := at(lab.Node)
	listens(t, p, a)
	p.SendDigit('*', 100*time.Millisecond)
	p.SendDigit('6', 100*time.Millisecond)
	must(t, "the phone is told that its hand is up", spoken(p))

	m.focus.SendVisitors("v1", lab.Node, false)
	say(t, a, stanza.New("jitsi:visitors", "promotion-response", "allow", "true", "jid", "alpha@conference."+lab.Node+"/"+nick, "nick", "promoted"))
	nick = at(lab.Domain)
	must(t, "the room sees the phone", func() bool { return len(a.Others()) == 2 })
	must(t, "the phone hears the meeting", func() bool { return p.Tone(620) > -36 && p.Tone(880) > -36 })
	p.SendDigit('*', 100*time.Millisecond)
	p.SendDigit('6', 100*time.Millisecond)
	must(t, "the phone is heard", hears(a.Bot, 440))

	say(t, a, stanza.New("jitsi:visitors", "demote-request", "id", nick))
	at(lab.Node)
	listens(t, p, a)
	hangup(t, p)
	gone(t, g, p)
}

// say has a moderator say something to the visitors component.
func say(t *testing.T, who *person, what *stanza.Elem) {
	t.Helper()
	if err := who.conn.Send(stanza.New("jabber:client", "message", "to", "visitors.meet.test").Add(stanza.New("jitsi:visitors", "visitors").Add(what))); err != nil {
		t.Fatal(err)
	}
}

// listens wants a phone that hears the two people, be it behind a voice, and is neither heard nor seen.
func listens(t *testing.T, p *phone.Phone, a *person) {
	t.Helper()
	must(t, "the phone hears the meeting, unheard and unseen", func() bool {
		return p.Tone(620) > -36 && p.Tone(880) > -36 && !hears(a.Bot, 440)() && len(a.Others()) == 1
	})
}
