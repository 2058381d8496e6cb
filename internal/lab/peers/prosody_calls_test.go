//go:build lab

package peers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/call"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/focus"
	"jigasi/internal/lab/phone"
)

// all waits until two people and a phone hear each other.
func all(t *testing.T, limit time.Duration, a, b *person, p *phone.Phone) {
	t.Helper()
	eventually(t, limit, "two people and the phone hear each other", func() bool {
		return hears(a.Bot, 440)() && hears(b.Bot, 440)() && p.Tone(620) > -26 && p.Tone(880) > -26
	})
	if own := p.Tone(440); own > -45 {
		t.Errorf("the phone hears itself at %.1f dBov", own)
	}
}

// gone waits until the gateway has no call, and the phone knows it.
func gone(t *testing.T, a *app.App, p *phone.Phone) {
	t.Helper()
	eventually(t, 10*time.Second, "the call is over at both ends", func() bool {
		return len(a.Calls()) == 0 && p.Ended() != ""
	})
}

func hangup(t *testing.T, p *phone.Phone) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.Hangup(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
}

// TestProsodyCarriesACall: sound both ways over each transport and by each mechanism.
func TestProsodyCarriesACall(t *testing.T) {
	m := meet(t, "")
	login := func(host string) func(*config.Config) {
		return func(c *config.Config) { c.XMPP.User, c.XMPP.Password = "jigasi@"+host+".meet.test", "secret" }
	}
	for name, change := range map[string]func(*config.Config){
		"STARTTLS": nil,
		"direct TLS": func(c *config.Config) {
			c.XMPP.Server, c.XMPP.DirectTLS = addr(m.ports["TLS"]), true
		},
		"WebSocket": func(c *config.Config) {
			c.XMPP.URL = "wss://" + addr(m.ports["HTTPS"]) + "/xmpp-websocket?room={roomName}"
		},
		"BOSH": func(c *config.Config) {
			c.XMPP.URL = "https://" + addr(m.ports["HTTPS"]) + "/http-bind?room={roomName}"
		},
		"pin": func(c *config.Config) {
			c.XMPP.TLS = config.TLSTrust{PinSHA256: []string{m.pin()}}
		},
		"PLAIN": login("plain"), "SCRAM-SHA-1": login("sha1"), "SCRAM-SHA-256": login("sha256"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := fmt.Sprintf("r%x", name)
			a, b := m.join(t, room, 620), m.join(t, room, 880)
			g := gatewayAt(t, m, change)
			p := phoneIn(t, g, room, 440)
			all(t, 20*time.Second, a, b, p)
			if c := g.Calls(); len(c) != 1 || c[0].State != call.Active {
				t.Fatalf("calls %+v", c)
			}
			seen := a.Sees(g.Calls()[0].Occupant.Resource)
			if seen == nil || seen.Kid("", "status").Text != "Connected" || seen.Kid("http://jabber.org/protocol/nick", "nick") == nil {
				t.Errorf("the room sees %v", seen)
			}
			hangup(t, p)
			eventually(t, 10*time.Second, "the phone leaves the room", func() bool { return len(a.Others()) == 1 && len(g.Calls()) == 0 })
		})
	}
}

// TestT04_CertificateOfAnotherAuthority: no login where the server's certificate is not vouched for.
func TestT04_CertificateOfAnotherAuthority(t *testing.T) {
	m := meet(t, "")
	other := filepath.Join(t.TempDir(), "other.crt")
	xmppAuthority(t, other)
	for name, change := range map[string]func(*config.Config){
		"STARTTLS":   func(*config.Config) {},
		"direct TLS": func(c *config.Config) { c.XMPP.Server, c.XMPP.DirectTLS = addr(m.ports["TLS"]), true },
		"WebSocket":  func(c *config.Config) { c.XMPP.URL = "wss://" + addr(m.ports["HTTPS"]) + "/xmpp-websocket" },
		"BOSH":       func(c *config.Config) { c.XMPP.URL = "https://" + addr(m.ports["HTTPS"]) + "/http-bind" },
		"wrong pin": func(c *config.Config) {
			c.XMPP.TLS.PinSHA256 = []string{"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := fmt.Sprintf("r%x", name)
			a := m.join(t, room, 620)
			g := gatewayAt(t, m, func(c *config.Config) {
				c.XMPP.User, c.XMPP.Password, c.XMPP.TLS.CAFile = "jigasi@auth.meet.test", "secret", other
				change(c)
			})
			p := phoneIn(t, g, room, 440)
			select {
			case <-p.Over():
			case <-time.After(20 * time.Second):
				t.Fatal("the call goes on")
			}
			if p.Status() != 503 {
				t.Errorf("the phone gets %d", p.Status())
			}
			if n := len(a.Others()); n != 0 {
				t.Errorf("%d more are in the room", n)
			}
			if log := m.log(t); strings.Contains(log, "Authenticated as jigasi@") {
				t.Errorf("the gateway logged in:\n%s", log)
			}
		})
	}
}

// TestT21_ProsodyRestartsDuringACall: the phone stays up, and hears and is heard again.
func TestT21_ProsodyRestartsDuringACall(t *testing.T) {
	m := meet(t, "")
	a, b := m.join(t, "alpha", 620), m.join(t, "alpha", 880)
	g := gatewayAt(t, m, func(c *config.Config) {
		x := c.XMPP
		x.User, x.Password = "jigasi@auth.meet.test", "secret"
		c.Breweries = []config.Brewery{{ID: "one", Room: lab.Brewery, XMPP: x}}
	})
	p := phoneIn(t, g, "alpha", 440)
	all(t, 20*time.Second, a, b, p)
	id := g.Calls()[0].ID
	m.stop()
	m.abdicate()
	a.Leave()
	b.Leave()
	eventually(t, 10*time.Second, "the gateway knows that it is cut off", func() bool { return g.Calls()[0].State != call.Active })
	m.start(t)
	m.lead(t, focus.Options{})
	back := time.Now()
	a, b = m.join(t, "alpha", 620), m.join(t, "alpha", 880)
	all(t, 25*time.Second, a, b, p)
	if c := g.Calls(); len(c) != 1 || c[0].ID != id || p.Ended() != "" {
		t.Errorf("calls %+v, phone %q; want the same call", c, p.Ended())
	}
	eventually(t, 20*time.Second, "the brewery has the gateway again", func() bool { return len(m.focus.Gateways()) == 1 })
	t.Logf("heard again %v after Prosody was back", time.Since(back).Round(100*time.Millisecond))
	hangup(t, p)
	gone(t, g, p)
}
