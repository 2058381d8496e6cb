package app_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/control"
	"jigasi/internal/lab"
	"jigasi/internal/rtpport"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/stanza"
)

// withBrewery configures a login in the lab's brewery.
func withBrewery(cfg *config.Config) {
	x := cfg.XMPP
	x.User, x.Password = "jigasi@auth."+lab.Domain, "secret"
	x.Domain = lab.Domain
	cfg.Breweries = []config.Brewery{{ID: "one", Room: lab.Brewery, XMPP: x}}
}

// phones answers calls with a status, or picks up where it is 200.
func phones(t *testing.T, h *handsets, status int) (uri string, answered chan *caller, ua *sip.UA) {
	t.Helper()
	answered = make(chan *caller, 10)
	ua = sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Open: true, Incoming: func(d *sip.Dialog) {
		d.Ring()
		if status != 200 {
			time.Sleep(50 * time.Millisecond)
			d.Reject(cause.Cause{Code: cause.FromSIPStatus(status), Status: status})
			return
		}
		c := &caller{d: d, ear: &ear{hz: 440}}
		answer, err := c.take(h)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(c.port.Close)
		d.Answer(answer)
		answered <- c
		for range d.Events() { //nolint:revive // drained: the test looks at the sound
		}
	}})
	if err := ua.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ua.Close(t.Context()) })
	return "sip:phone@" + ua.Local()[0].String(), answered, ua
}

// take answers the offer of the gateway and starts the sound.
func (c *caller) take(h *handsets) ([]byte, error) {
	loop := netip.MustParseAddr("127.0.0.1")
	var err error
	if c.port, err = rtpport.Open(rtpport.Options{Pool: h.pool, Clock: h.clock, LocalIP: loop, OnKey: c.pressed}); err != nil {
		return nil, err
	}
	offer, err := sdp.Parse(c.d.SDP())
	if err != nil {
		return nil, err
	}
	answer, r, err := sdp.Answer(offer, sdp.Local{Addr: netip.AddrPortFrom(loop, c.port.LocalPort()), Codecs: sdp.Codecs("PCMA")})
	if err != nil {
		return nil, err
	}
	c.port.Connect(c.ear)
	return answer, c.port.Start(r)
}

func joined(m *meeting) func() bool {
	return func() bool {
		for _, s := range m.app.Breweries() {
			if s.State != control.Joined {
				return false
			}
		}
		return len(m.Focus.Gateways()) == 1
	}
}

func TestDialOut(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, withBrewery)
	uri, answered, _ := phones(t, m.handsets, 200)
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), uri, "X-Custom", "1")
	if res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	ref := res.Kid("urn:xmpp:rayo:1", "ref").Get("uri")
	occupant := stanza.ParseJID(strings.TrimPrefix(ref, "xmpp:"))
	if occupant.Local != "alpha" || occupant.Resource == "" {
		t.Errorf("ref %q is not the occupant", ref)
	}
	p := <-answered
	if p.d.Header("X-Custom") != "1" || p.d.Header("Jitsi-Conference-Room") != "alpha@"+m.XMPP.MUC() {
		t.Errorf("the INVITE has X-Custom %q and room %q", p.d.Header("X-Custom"), p.d.Header("Jitsi-Conference-Room"))
	}
	eventually(t, 5*time.Second, "they hear each other", func() bool { return hears(b, 440)() && p.tone(620) > -26 })
	eventually(t, time.Second, "the room reads Connected", func() bool {
		pr := b.Sees(occupant.Resource)
		return pr != nil && lab.TextOf(pr, "status") == "Connected"
	})
	shown := map[string]string{}
	for _, h := range b.Sees(occupant.Resource).Kid("http://jitsi.org/protocol/jigasi", "initiator").Kids {
		shown[h.Get("name")] = h.Get("value")
	}
	if len(shown) != 2 || shown["JigasiCallDirection"] != "out" || shown["X-Custom"] != "1" {
		t.Errorf("the room sees as initiator %v", shown)
	}
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 4*time.Second, "the phone leaves the room", func() bool { return len(m.app.Calls()) == 0 && b.Sees(occupant.Resource) == nil })
}

func TestDialOutBusyIsShown(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, withBrewery)
	uri, _, _ := phones(t, m.handsets, 486)
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), uri)
	if res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	nick := stanza.ParseJID(strings.TrimPrefix(res.Kid("urn:xmpp:rayo:1", "ref").Get("uri"), "xmpp:")).Resource
	eventually(t, 3*time.Second, "the room reads why", func() bool {
		pr := b.Sees(nick)
		return pr != nil && strings.Contains(lab.TextOf(pr, "status"), "Busy")
	})
	eventually(t, 7*time.Second, "the call ends after that", func() bool { return len(m.app.Calls()) == 0 })
}

// TestDialOutEarlyMedia: what the other network plays before the answer is heard in the room, and the
// room is not heard there before the answer.
func TestDialOutEarlyMedia(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, withBrewery)
	pickUp, early := make(chan struct{}), make(chan *caller, 1)
	ua := sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Open: true, Incoming: func(d *sip.Dialog) {
		c := &caller{d: d, ear: &ear{hz: 440}}
		answer, err := c.take(m.handsets)
		if err != nil {
			t.Error(err)
			return
		}
		d.Progress(answer)
		early <- c
		<-pickUp
		d.Answer(answer)
		for range d.Events() { //nolint:revive // drained: the test looks at the sound
		}
	}})
	if err := ua.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ua.Close(t.Context()) })
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 10*time.Second, "the focus sees the gateway", joined(m))
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), "sip:x@"+ua.Local()[0].String()); res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	c := <-early
	defer c.port.Close()
	eventually(t, 10*time.Second, "the room hears early media", hears(b, 440))
	if n := c.port.Stats().Received; n != 0 {
		t.Errorf("the phone was sent %d packets before it answered", n)
	}
	close(pickUp)
	eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(b, 440)() && c.tone(620) > -26 })
}

// TestDialOutUnansweredIsShown: the room reads that nobody answered, as it reads that somebody is busy.
func TestDialOutUnansweredIsShown(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		withBrewery(cfg)
		cfg.Limits.Ring = time.Second
	})
	ua := sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Open: true, Incoming: func(d *sip.Dialog) {
		d.Ring()
		for range d.Events() { //nolint:revive // until the CANCEL
		}
	}})
	if err := ua.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ua.Close(t.Context()) })
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), "sip:x@"+ua.Local()[0].String()); res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	nick := m.nick(t)
	eventually(t, 6*time.Second, "the room reads why", func() bool {
		pr := b.Sees(nick)
		return pr != nil && strings.Contains(lab.TextOf(pr, "status"), "did not answer")
	})
	eventually(t, 8*time.Second, "the call ends after that", func() bool { return len(m.app.Calls()) == 0 })
}

// TestDialHangupWhileRinging: kicked while ringing is a CANCEL.
func TestDialHangupWhileRinging(t *testing.T) {
	m := start(t, lab.Options{}, withBrewery)
	ended := make(chan cause.Code, 1)
	ua := sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Open: true, Incoming: func(d *sip.Dialog) {
		d.Ring()
		for e := range d.Events() {
			if e.Kind == sip.Ended {
				ended <- e.Cause.Code
			}
		}
	}})
	if err := ua.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ua.Close(t.Context()) })
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), "sip:x@"+ua.Local()[0].String()); res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	nick := m.nick(t)
	eventually(t, 3*time.Second, "the room reads Ringing", func() bool {
		pr := b.Sees(nick)
		return pr != nil && lab.TextOf(pr, "status") == "Ringing"
	})
	m.XMPP.Room("alpha").Kick(nick, "enough", false)
	select {
	case c := <-ended:
		if c != cause.Cancelled {
			t.Errorf("the phone's call ended with %v", c)
		}
	case <-time.After(patience):
		t.Error("the phone rings on")
	}
}

// TestT01_OnlyTheFocusDials: the same request from somebody else is refused, and nobody is called.
func TestT01_OnlyTheFocusDials(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, withBrewery)
	uri, answered, _ := phones(t, m.handsets, 200)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	gateway := m.Focus.Gateways()[0]
	real := ""
	for _, s := range m.app.Breweries() {
		real = s.JID.String()
	}
	dial := func() *stanza.Elem {
		return stanza.New("urn:xmpp:rayo:1", "dial", "to", uri).Add(stanza.New("", "header", "name", "JvbRoomName", "value", "alpha@"+m.XMPP.MUC()))
	}
	// Guests: outside of the brewery, and in it under another nick.
	m.XMPP.Attach("guest@"+lab.Domain+"/x", func(*stanza.Elem) {})
	m.XMPP.Attach("focus@auth."+lab.Domain+"/other", func(*stanza.Elem) {})
	m.XMPP.Send("guest@"+lab.Domain+"/x", stanza.New("jabber:client", "presence", "to", lab.Brewery+"/guest").Add(stanza.New("http://jabber.org/protocol/muc", "x")))
	for _, to := range []string{real, gateway.Get("from")} {
		for _, from := range []string{"guest@" + lab.Domain + "/x", "focus@auth." + lab.Domain + "/other"} {
			m.XMPP.Send(from, stanza.New("jabber:client", "iq", "type", "set", "id", m.XMPP.ID(), "to", to).Add(dial()))
			m.XMPP.Send(from, stanza.New("jabber:client", "message", "to", to).Add(dial()))
			m.XMPP.Send(from, stanza.New("jabber:client", "iq", "type", "result", "id", m.XMPP.ID(), "to", to).Add(dial()))
		}
	}
	select {
	case <-answered:
		t.Fatal("a stranger made the gateway dial")
	case <-time.After(500 * time.Millisecond):
	}
	if n := m.app.Exchange().Stats().Outgoing; n != 0 {
		t.Errorf("%d calls were tried", n)
	}
}

// TestDialPlan: a number that the rules deny, or do not know, is not called; the focus is told at once.
func TestDialPlan(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		withBrewery(c)
		c.DialOut.Rules = []config.DialRule{{Match: "+49900*", Deny: true}, {Match: "sip:phone@*"}, {Match: "phone@*"}}
	})
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	uri, answered, _ := phones(t, m.handsets, 200)
	m.Join("alpha", 620)
	for _, to := range []string{"+49 900-123", "tel:+49900123", "+4989123"} {
		res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), to)
		if res == nil || res.Get("type") != "error" || res.Kid("", "error").Kid("", "forbidden") == nil {
			t.Errorf("%s: %v", to, res)
		}
	}
	if n := len(m.app.Calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), uri); res == nil || res.Get("type") != "result" {
		t.Fatalf("%v", res)
	}
	c := <-answered
	eventually(t, 20*time.Second, "the phone hears the meeting", func() bool { return c.tone(620) > -26 })
	c.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 20*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
}
