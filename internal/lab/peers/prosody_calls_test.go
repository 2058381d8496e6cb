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
	"jigasi/internal/lab/phone"
)

// all waits until two people and a phone hear each other.
func all(t *testing.T, limit time.Duration, a, b *person, p *phone.Phone) {
	t.Helper()
	eventually(t, limit, "two people and the phone hear each other", func() bool {
		return hears(a.Bot, 440)() && hears(b.Bot, 440)() && p.Tone(620) > -26 && p.Tone(880) > -26
	})
	eventually(t, 10*time.Second, "the phone does not hear itself", func() bool { return p.Tone(440) < -45 })
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

// transports are the ways to the server.
func (p *prosody) transports() map[string]func(*config.Config) {
	return map[string]func(*config.Config){
		"STARTTLS":   func(*config.Config) {},
		"direct TLS": func(c *config.Config) { c.XMPP.Server, c.XMPP.DirectTLS = addr(p.ports["TLS"]), true },
		"WebSocket": func(c *config.Config) {
			c.XMPP.URL = "wss://" + addr(p.ports["HTTPS"]) + "/xmpp-websocket?room={roomName}"
		},
		"BOSH": func(c *config.Config) {
			c.XMPP.URL = "https://" + addr(p.ports["HTTPS"]) + "/http-bind?room={roomName}"
		},
	}
}

// TestProsodyCarriesACall: sound both ways over each transport and by each mechanism.
func TestProsodyCarriesACall(t *testing.T) {
	m := meet(t, "")
	login := func(host string) func(*config.Config) {
		return func(c *config.Config) { c.XMPP.User, c.XMPP.Password = "jigasi@"+host+".meet.test", "secret" }
	}
	ways := m.transports()
	ways["pin"] = func(c *config.Config) { c.XMPP.TLS = config.TLSTrust{PinSHA256: []string{m.pin()}} }
	ways["PLAIN"], ways["SCRAM-SHA-1"], ways["SCRAM-SHA-256"] = login("plain"), login("sha1"), login("sha256")
	for name, change := range ways {
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
			if seen == nil || lab.TextOf(seen, "status") != "Connected" || seen.Kid("http://jabber.org/protocol/nick", "nick") == nil {
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
	ways := m.transports()
	ways["wrong pin"] = func(c *config.Config) {
		c.XMPP.TLS.PinSHA256 = []string{"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}
	}
	for name, change := range ways {
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
