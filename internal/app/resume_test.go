package app_test

import (
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/xlog"
)

// TestSessionIsResumed: a connection to the XMPP server that is lost comes back to the same session: nobody in the meeting
// notices, no media is set up anew, and what was said meanwhile arrives.
func TestSessionIsResumed(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{Hold: time.Minute}, func(c *config.Config) {
		c.XMPP.User, c.XMPP.Password, c.XMPP.Resume = "jigasi@auth."+lab.Domain, xlog.Secret("secret"), true
	})
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	p := m.call(t, "alpha", 440, "PCMU")
	heard := func() bool { return hears(a, 440)() && p.tone(620) > -26 && p.tone(880) > -26 }
	eventually(t, 10*time.Second, "everybody hears everybody", heard)
	nick, opened, seen := m.nick(t), m.Bridge.Opened(), a.Sees(m.nick(t))
	m.XMPP.DropAll()
	if !m.Focus.Mute("alpha", nick) { // the phone's answer comes by the next connection
		t.Error("the phone cannot be muted")
	}
	eventually(t, 10*time.Second, "the phone is not heard", func() bool { return !hears(a, 440)() })
	eventually(t, 10*time.Second, "the room sees it", func() bool { return lab.TextOf(a.Sees(nick), "audiomuted") == "true" })
	m.XMPP.DropAll()
	p.port.SendKey('*', 100)
	p.port.SendKey('6', 100)
	eventually(t, 10*time.Second, "the phone is heard again", hears(a, 440))
	eventually(t, 10*time.Second, "the room sees that", func() bool { return lab.TextOf(a.Sees(nick), "audiomuted") == "false" })
	eventually(t, 10*time.Second, "everybody hears everybody still", heard)
	if got := m.nick(t); got != nick || m.Bridge.Opened() != opened || m.Focus.Restarts(nick) != 0 || seen == nil {
		t.Errorf("%s has become %s, with %d new endpoints", nick, got, m.Bridge.Opened()-opened)
	}
	if n := len(a.Others()); n != 2 {
		t.Errorf("%d others are in the room", n)
	}
}

// TestSessionIsNotResumed: where the server has given the session up, the phone comes back as it always did.
func TestSessionIsNotResumed(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{Hold: time.Millisecond}, func(c *config.Config) {
		c.XMPP.User, c.XMPP.Password, c.XMPP.Resume = "jigasi@auth."+lab.Domain, xlog.Secret("secret"), true
	})
	p, heard := connected(t, m)
	opened := m.Bridge.Opened()
	m.XMPP.Stop()
	eventually(t, 10*time.Second, "the server has given it up", func() bool { return m.XMPP.Clients() == 0 })
	if err := m.XMPP.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the phone is invited anew", func() bool { return m.Bridge.Opened() > opened })
	p.deaf()
	eventually(t, 30*time.Second, "everybody hears everybody again", heard)
}
