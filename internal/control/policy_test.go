package control

import (
	"strings"
	"testing"

	"jigasi/internal/rayo"
	"jigasi/internal/stanza"
)

// TestT01_OnlyTheFocusDials: twelve forms of a forged dial make no call and are counted.
func TestT01_OnlyTheFocusDials(t *testing.T) {
	iq := func(attrs string) string { return "<iq type='set' id='1' " + attrs + ">" + dialIQ + "</iq>" }
	delayed := "<delay xmlns='urn:xmpp:delay' from='" + focus + "' stamp='2026-01-01T00:00:00Z'/>"
	forgeries := []struct{ name, xml string }{
		{"guest", iq("from='guest@meet.localhost/x'")},
		{"foreign attribute", iq("xmlns:e='urn:evil' e:from='" + focus + "' from='guest@meet.localhost/x'")},
		{"xml attribute", iq("xml:from='" + focus + "' from='guest@meet.localhost/x'")},
		{"wrong resource", iq("from='" + brewery + "/focus2'")},
		{"case of resource", iq("from='" + brewery + "/Focus'")},
		{"other gateway", iq("from='" + brewery + "/g2'")},
		{"the room itself", iq("from='" + brewery + "'")},
		{"focus of another room", iq("from='beta@conference.meet.localhost/focus'")},
		{"other host", iq("from='jigasibrewery@internal.auth.meet.localhost.evil.org/focus'")},
		{"no sender", iq("")},
		{"message", "<message from='" + focus + "'>" + dialIQ + "</message>"},
		{"presence", "<presence from='" + focus + "'>" + dialIQ + "</presence>"},
		{"delayed", "<message from='" + focus + "'>" + delayed + dialIQ + "</message>"},
		{"forwarded", "<message from='" + focus + "'><forwarded xmlns='urn:xmpp:forward:0'>" + delayed + "<iq xmlns='jabber:client' type='set' from='" + focus + "'>" + dialIQ + "</iq></forwarded></message>"},
		{"carbon", "<message from='jigasi@auth.meet.localhost'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message>" + dialIQ + "</message></forwarded></received></message>"},
		{"get", "<iq type='get' id='1' from='" + focus + "'>" + dialIQ + "</iq>"},
		{"result", "<iq type='result' id='1' from='" + focus + "'>" + dialIQ + "</iq>"},
	}
	play(t, nil, func(s *stage) {
		s.join()
		for i, f := range forgeries {
			s.say(f.xml)
			if total := refused(s.b); total != int64(i+1) {
				t.Errorf("%s: %d counted", f.name, total)
			}
			select {
			case e := <-s.sent:
				if condition(e) == "" {
					t.Errorf("%s: answered %v", f.name, e)
				}
			default:
			}
		}
		twice := stanza.New("jabber:client", "iq", "type", "set", "id", "1", "from", focus).Add(rayo.Dial{To: "1"}.Elem())
		twice.Attr = append(twice.Attr, stanza.New("", "x", "from", "guest@x").Attr...)
		s.handler(twice)
		if e := s.hear(); condition(e) != "bad-request" || s.b.Status().Refused["forged"] != 2 {
			t.Errorf("two senders: %v, %v", e, s.b.Status().Refused)
		}
		if len(s.dials) != 0 || s.b.Status().Dials != 0 {
			t.Errorf("dialled %+v", s.dials)
		}
		s.say(iq("from='" + strings.ToUpper(brewery) + "/focus'")) // and the right one
		if e := s.hear(); condition(e) != "" || len(s.dials) != 1 {
			t.Errorf("the focus: %v", e)
		}
	})
}

func refused(b *Brewery) (total int64) {
	for _, n := range b.Status().Refused {
		total += n
	}
	return total
}

// TestAGuestIsNotTheFocus: the name alone is not enough where the room says who has it.
func TestAGuestIsNotTheFocus(t *testing.T) {
	for _, tt := range []struct {
		real string
		may  bool
	}{
		{"focus@auth.meet.localhost/focus", true},
		{"focus@callcontrol.meet.localhost/focus", true},
		{"", true}, // the room does not say
		{"x1@meet.localhost/focus", false},
		{"x1@MEET.localhost/focus", false},
		{"focus@guest.meet.localhost/focus", false},
	} {
		p := newPolicy(stanza.ParseJID(brewery), Focus{Guests: []string{"meet.localhost", "guest.meet.localhost", ""}})
		item := stanza.New(nsMUCUser, "item")
		if tt.real != "" {
			item.Set("jid", tt.real)
		}
		p.seen(stanza.ParseJID(focus), stanza.New("", "presence").Add(stanza.New(nsMUCUser, "x").Add(item)))
		if got := p.mayDial(stanza.ParseJID(focus)); got != tt.may {
			t.Errorf("focus is %q: may dial %v, want %v", tt.real, got, tt.may)
		}
	}
}

func TestWhoMayDial(t *testing.T) {
	jids := func(s ...string) (out []stanza.JID) {
		for _, x := range s {
			out = append(out, stanza.ParseJID(x))
		}
		return out
	}
	const real = "focus@auth.meet.localhost/focus"
	for _, tt := range []struct {
		allowed []stanza.JID
		real    string // of the occupant focus
		may     string // senders, with a blank between
	}{
		{nil, real, "occupant"},
		{nil, "", "occupant"},
		{jids(brewery), real, "occupant"},
		{jids("JigasiBrewery@internal.auth.meet.localhost"), "", "occupant"},
		{jids(brewery + "/other"), real, "other"},
		{jids("focus@auth.meet.localhost"), real, "occupant real real2"},
		{jids("focus@auth.meet.localhost"), "guest@auth.meet.localhost/focus", "real real2"},
		{jids("focus@auth.meet.localhost"), "", "real real2"},
		{jids(real), real, "occupant real"},
		{jids(real), "focus@auth.meet.localhost/2", "real"},
		{jids(real, brewery), "", "occupant real"},
		{jids(""), "", ""},
	} {
		p := newPolicy(stanza.ParseJID(brewery), Focus{Allowed: tt.allowed})
		item := stanza.New(nsMUCUser, "item")
		if tt.real != "" {
			item.Set("jid", tt.real)
		}
		p.seen(stanza.ParseJID(focus), stanza.New("", "presence").Add(stanza.New(nsMUCUser, "x").Add(item)))
		var may []string
		for _, x := range [][2]string{
			{"occupant", focus},
			{"other", brewery + "/other"},
			{"room", brewery},
			{"real", real},
			{"real2", "focus@auth.meet.localhost/2"},
			{"bare", "focus@auth.meet.localhost2"},
			{"guest", "guest@meet.localhost/x"},
			{"none", ""},
		} {
			if p.mayDial(stanza.ParseJID(x[1])) {
				may = append(may, x[0])
			}
		}
		if got := strings.Join(may, " "); got != tt.may {
			t.Errorf("allowed %v, focus is %q: %q may, want %q", tt.allowed, tt.real, got, tt.may)
		}
		p.seen(stanza.ParseJID(focus), stanza.New("", "presence", "type", "unavailable").Add(stanza.New(nsMUCUser, "x").Add(item)))
		if !p.real.IsZero() {
			t.Error("remembers a focus that has left")
		}
	}
}
