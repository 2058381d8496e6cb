//go:build lab

package peers

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/config"
	"jigasi/internal/control"
	"jigasi/internal/lab"
	"jigasi/internal/lab/client"
	"jigasi/internal/lab/phone"
	"jigasi/internal/stanza"
)

// brewing gives the gateway its login in the brewery, with the account of the control side.
func brewing(c *config.Config) {
	x := c.XMPP
	x.User, x.Password, x.Domain = "jigasi@auth.meet.test", "secret", ""
	c.Breweries = []config.Brewery{{ID: "one", Room: lab.Brewery, XMPP: x}}
}

// brewed waits until the focus sees the gateway, and gives the gateway's presence and how it stands.
func brewed(t *testing.T, m *meeting, g *app.App) (*stanza.Elem, control.Status) {
	t.Helper()
	eventually(t, 20*time.Second, "the focus sees the gateway in the brewery", func() bool {
		return len(m.focus.Gateways()) == 1 && g.Breweries()["one"].State == control.Joined
	})
	if t.Failed() {
		t.FailNow()
	}
	return m.focus.Gateways()[0], g.Breweries()["one"]
}

// line is a phone that can be called.
func line(t *testing.T, o phone.Options) *phone.Line {
	t.Helper()
	l, err := phone.Listen(phone.Taking{}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(t.Context()) })
	return l
}

// stats reads the colibri stats of a brewery presence.
func stats(p *stanza.Elem) map[string]string {
	out := map[string]string{}
	for _, s := range p.Kid("http://jitsi.org/protocol/colibri", "stats").All("", "stat") {
		out[s.Get("name")] = s.Get("value")
	}
	return out
}

// TestProsodyDialOut: the focus finds the gateway by its stats, has it call, and sound flows.
func TestProsodyDialOut(t *testing.T) {
	m := meet(t, "")
	g := gatewayAt(t, m, brewing)
	l := line(t, phone.Options{Tone: 440, Log: logger()})
	a, b := m.join(t, "alpha", 620), m.join(t, "alpha", 880)
	shown, _ := brewed(t, m, g)
	for name, want := range map[string]string{
		"supports_sip": "true", "supports_transcription": "false", "graceful_shutdown": "false", "participants": "0", "conferences": "0",
	} {
		if got := stats(shown)[name]; got != want {
			t.Errorf("the brewery reads %s=%q, want %q", name, got, want)
		}
	}
	res := m.focus.Dial("alpha@conference.meet.test", l.URI(), "X-Custom", "1")
	if res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	at := stanza.ParseJID(strings.TrimPrefix(res.Kid("urn:xmpp:rayo:1", "ref").Get("uri"), "xmpp:"))
	if at.Bare().String() != "alpha@conference.meet.test" || at.Resource == "" {
		t.Errorf("ref is %q, no occupant of the room", at)
	}
	p := <-l.Calls()
	if p.Invite("X-Custom") != "1" {
		t.Errorf("X-Custom is %q in the INVITE", p.Invite("X-Custom"))
	}
	all(t, 20*time.Second, a, b, p)
	eventually(t, 10*time.Second, "the room reads Connected", func() bool {
		seen := a.Sees(at.Resource)
		return seen != nil && lab.TextOf(seen, "status") == "Connected"
	})
	eventually(t, 15*time.Second, "the brewery counts the call", func() bool {
		all := m.focus.Gateways()
		return len(all) == 1 && stats(all[0])["conferences"] == "1"
	})
	hangup(t, p)
	eventually(t, 10*time.Second, "the phone leaves the room", func() bool { return a.Sees(at.Resource) == nil && len(g.Calls()) == 0 })
}

// TestProsodyBreweryByEachTransport: the control side too comes by every way.
func TestProsodyBreweryByEachTransport(t *testing.T) {
	m := meet(t, "")
	l := line(t, phone.Options{Tone: 440, Log: logger()})
	a, b := m.join(t, "alpha", 620), m.join(t, "alpha", 880)
	for name, change := range m.transports() {
		t.Run(name, func(t *testing.T) {
			g := gatewayAt(t, m, func(c *config.Config) {
				change(c)
				brewing(c)
			})
			brewed(t, m, g)
			if res := m.focus.Dial("alpha@conference.meet.test", l.URI()); res == nil || res.Get("type") != "result" {
				t.Fatalf("dial: %v", res)
			}
			p := <-l.Calls()
			all(t, 20*time.Second, a, b, p)
			hangup(t, p)
			gone(t, g, p)
		})
		eventually(t, 10*time.Second, "the gateway has left the brewery", func() bool { return len(m.focus.Gateways()) == 0 })
	}
}

// TestT01_OnlyTheFocusDials: guests and others ask in every way there is; nobody is called.
func TestT01_OnlyTheFocusDials(t *testing.T) {
	m := meet(t, "")
	g := gatewayAt(t, m, brewing)
	l := line(t, phone.Options{Log: logger()})
	m.join(t, "alpha", 620)
	m.join(t, "alpha", 880)
	shown, st := brewed(t, m, g)
	var refused atomic.Int64
	count := func(e *stanza.Elem) {
		if e.Get("type") == "error" && e.Name.Local == "iq" {
			refused.Add(1)
		}
	}
	guest := m.guest(t, client.Options{Handler: count})
	for _, nick := range []string{"guest", "Focus", "f\u043ecus"} { // the last two are who they seem not to be
		c := m.guest(t, client.Options{Handler: count})
		if err := c.Send(stanza.New("jabber:client", "presence", "to", lab.Brewery+"/"+nick).Add(stanza.New("http://jabber.org/protocol/muc", "x"))); err != nil {
			t.Fatal(err)
		}
		ask(t, c, shown.Get("from"), l.URI())
		ask(t, c, st.JID.String(), l.URI())
	}
	ask(t, guest, st.JID.String(), l.URI())
	ask(t, m.guest(t, client.Options{Domain: "plain.meet.test", User: "jigasi", Password: "secret", Handler: count}), st.JID.String(), l.URI())
	ask(t, m.guest(t, client.Options{Domain: "auth.meet.test", User: "focus", Password: "focuspw", Resource: "other", Handler: count}), st.JID.String(), l.URI())
	// A stream with two senders in one tag is no XML: the guest's stream ends.
	double := m.guest(t, client.Options{})
	_ = double.Raw(fmt.Sprintf(`<iq type='set' id='x' to='%s' from='%s' from='%s'>%s</iq>`, st.JID, double.JID(), focusJID, dialXML(l.URI())))
	eventually(t, 10*time.Second, "Prosody ends that stream", func() bool {
		select {
		case <-double.Done():
			return true
		default:
			return false
		}
	})
	// Six askers reach the gateway with three requests each; those in the brewery by two ways.
	eventually(t, 20*time.Second, "each request is refused", func() bool { return refused.Load() >= 20 })
	eventually(t, 20*time.Second, "the gateway has counted them", func() bool {
		n := g.Breweries()["one"].Refused
		return n["forbidden"] >= 20 && n["not_request"] >= 20
	})
	select {
	case <-l.Calls():
		t.Error("a stranger made the gateway call")
	default:
	}
	if n := g.Exchange().Stats().Outgoing; n != 0 {
		t.Errorf("%d calls were tried", n)
	}
	t.Logf("%v", g.Breweries()["one"].Refused)
	if res := m.focus.Dial("alpha@conference.meet.test", l.URI()); res == nil || res.Get("type") != "result" {
		t.Errorf("and now the focus may not either: %v", res)
	}
	select {
	case <-l.Calls():
	case <-time.After(20 * time.Second):
		t.Error("the focus' own dial calls nobody")
	}
}

// TestT01_AGuestTakesTheFocusName: while the focus is away anybody may be called focus in an open
// brewery, and even own it; still he does not dial.
func TestT01_AGuestTakesTheFocusName(t *testing.T) {
	m := meet(t, "")
	g := gatewayAt(t, m, brewing)
	l := line(t, phone.Options{Log: logger()})
	_, st := brewed(t, m, g)
	m.abdicate()
	here := make(chan bool, 10)
	guest := m.guest(t, client.Options{Handler: func(e *stanza.Elem) {
		if e.Name.Local == "presence" && e.Get("type") == "" && stanza.ParseJID(e.Get("from")).Resource == "focus" {
			here <- true
		}
	}})
	if err := guest.Send(stanza.New("jabber:client", "presence", "to", lab.Brewery+"/focus").Add(stanza.New("http://jabber.org/protocol/muc", "x"))); err != nil {
		t.Fatal(err)
	}
	select {
	case <-here:
	case <-time.After(20 * time.Second):
		t.Fatal("the guest does not get in")
	}
	for _, to := range []string{st.Room.String(), st.JID.String()} {
		e := stanza.New("jabber:client", "iq", "type", "set", "to", to).Add(
			stanza.New("urn:xmpp:rayo:1", "dial", "to", l.URI()).Add(stanza.New("", "header", "name", "JvbRoomName", "value", "alpha@conference.meet.test")))
		res, err := guest.Request(t.Context(), e)
		if err != nil || res.Get("type") != "error" || res.Kid("", "error").Kid("", "forbidden") == nil {
			t.Errorf("%s answers %v %v", to, res, err)
		}
	}
	if n := g.Exchange().Stats().Outgoing; n != 0 {
		t.Errorf("%d calls were tried", n)
	}
}

func dialXML(to string) string {
	return "<dial xmlns='urn:xmpp:rayo:1' to='" + to + "' from='x'><header name='JvbRoomName' value='alpha@conference.meet.test'/></dial>"
}

// ask tries everything at an address of the gateway.
func ask(t *testing.T, c *client.Client, to, phone string) {
	t.Helper()
	d := dialXML(phone)
	for i, form := range []string{
		`<iq type='set' id='a%[1]d' to='%[2]s'>%[3]s</iq>`,
		`<iq type='get' id='b%[1]d' to='%[2]s'>%[3]s</iq>`,
		`<iq type='set' id='c%[1]d' to='%[2]s' xmlns:e='urn:evil' e:from='` + focusJID + `' e:type='set'>%[3]s</iq>`,
		`<iq type='set' id='d%[1]d' to='%[2]s' xmlns:e='urn:evil' e:from='` + lab.Brewery + `/focus'>%[3]s</iq>`,
		`<iq type='result' id='e%[1]d' to='%[2]s'>%[3]s</iq>`,
		`<iq type='error' id='f%[1]d' to='%[2]s'>%[3]s</iq>`,
		`<message id='g%[1]d' to='%[2]s'>%[3]s</message>`,
		`<message type='chat' to='%[2]s'>%[3]s<delay xmlns='urn:xmpp:delay' from='` + lab.Brewery + `' stamp='2026-01-01T00:00:00Z'/></message>`,
		`<message to='%[2]s'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' id='h' from='` + lab.Brewery + `/focus'>%[3]s</iq></forwarded></message>`,
		`<message to='%[2]s'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' id='i' from='` + lab.Brewery + `/focus'>%[3]s</iq></forwarded></received></message>`,
		`<presence to='%[2]s'>%[3]s</presence>`,
	} {
		if err := c.Raw(fmt.Sprintf(form, i, to, d)); err != nil {
			t.Fatalf("form %d: %v", i, err)
		}
	}
}
