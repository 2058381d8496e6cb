//go:build lab

package peers

import (
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// behind makes the gateway a user of Kamailio, and no trunk, and shows it in the brewery.
func behind(k *kamailio, a *authority, transport string) func(*config.Config) {
	return func(cfg *config.Config) {
		inAlpha(cfg)
		cfg.SIP.Trunks = nil
		cfg.SIP.Accounts = []config.SIPAccount{k.account(transport)}
		cfg.SIP.TLS.Trust.CAFile = a.file
		x := cfg.XMPP
		x.User, x.Password, x.Domain = "jigasi@auth."+lab.Domain, "secret", lab.Domain
		cfg.Breweries = []config.Brewery{{ID: "one", Room: lab.Brewery, XMPP: x}}
	}
}

// dial has the focus call a number into the room alpha, and gives the nick of the phone there.
func (g *gateway) dial(t *testing.T, to string) string {
	t.Helper()
	eventually(t, 20*time.Second, "the focus sees the gateway", func() bool { return len(g.Focus.Gateways()) == 1 })
	res := g.Focus.Dial("alpha@"+g.XMPP.MUC(), to)
	if res == nil || res.Get("type") != "result" {
		t.Fatalf("the dial is answered with %v", res)
	}
	return stanza.ParseJID(strings.TrimPrefix(res.Kid("urn:xmpp:rayo:1", "ref").Get("uri"), "xmpp:")).Resource
}

// reads waits until the room reads a status of the phone that holds some words.
func reads(t *testing.T, b *bot.Bot, nick, words string) {
	t.Helper()
	last := ""
	eventually(t, 20*time.Second, "the room reads "+words, func() bool {
		if pr := b.Sees(nick); pr != nil && pr.Kid("", "status") != nil {
			last = lab.TextOf(pr, "status")
		}
		return strings.Contains(last, words)
	})
	if t.Failed() {
		t.Logf("the room reads %q", last)
	}
}

func ended(t *testing.T, g *gateway) {
	t.Helper()
	eventually(t, 20*time.Second, "nothing is left of the call", func() bool { return len(g.app.Calls()) == 0 && g.app.PortsInUse() == 0 })
}

// TestT58_CallsThroughKamailio: the gateway registers with a password, is called through the registrar,
// and calls through it, over each transport; either side hangs up.
func TestT58_CallsThroughKamailio(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			k := startKamailio(t, a, registrar{})
			g := start(t, behind(k, a, transport))
			registered(t, g)
			people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
			b := k.phone(t, softphone{user: "phone", hz: 440, ca: a.file, transport: transport, manual: true})

			b.do("dial", "sip:gw@lab.test")
			b.await("CALL_ESTABLISHED")
			bothWays(t, b, people, 620, 880)
			b.do("hangup", "")
			ended(t, g)

			b.forget()
			nick := g.dial(t, "phone@lab.test")
			b.await("CALL_INCOMING")
			reads(t, people[0], nick, "Ringing")
			b.do("accept", "")
			reads(t, people[0], nick, "Connected")
			people[0].Forget()
			bothWays(t, b, people, 620, 880)
			b.do("hangup", "")
			ended(t, g)

			b.forget()
			nick = g.dial(t, "phone@lab.test")
			b.await("CALL_INCOMING")
			b.do("accept", "")
			reads(t, people[0], nick, "Connected")
			g.XMPP.Room("alpha").Kick(nick, "enough", false)
			b.await("CALL_CLOSED")
			ended(t, g)
		})
	}
}

// TestDialOutThatFails: the room reads why, and nothing is left.
func TestDialOutThatFails(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	k := startKamailio(t, a, registrar{})
	g := start(t, func(cfg *config.Config) {
		behind(k, a, "udp")(cfg)
		cfg.Limits.Ring = 3 * time.Second
	})
	registered(t, g)
	person := g.Join("alpha", 620)
	g.Join("alpha", 880)
	b := k.phone(t, softphone{user: "phone", hz: 440, manual: true})
	t.Run("nobody there", func(t *testing.T) {
		reads(t, person, g.dial(t, "nobody@lab.test"), "Not Found")
		ended(t, g)
	})
	t.Run("busy", func(t *testing.T) {
		nick := g.dial(t, "phone@lab.test")
		b.await("CALL_INCOMING")
		reads(t, person, nick, "Ringing")
		b.do("hangup", "")                 // baresip refuses with 486
		reads(t, person, nick, "Rejected") // its words
		ended(t, g)
	})
	t.Run("no answer", func(t *testing.T) {
		b.forget()
		nick := g.dial(t, "phone@lab.test")
		b.await("CALL_INCOMING")
		b.await("CALL_CLOSED") // by our CANCEL
		reads(t, person, nick, "did not answer")
		ended(t, g)
	})
	t.Run("given up while it rings", func(t *testing.T) {
		b.forget()
		nick := g.dial(t, "phone@lab.test")
		b.await("CALL_INCOMING")
		reads(t, person, nick, "Ringing")
		g.XMPP.Room("alpha").Kick(nick, "enough", false)
		b.await("CALL_CLOSED")
		ended(t, g)
	})
}

// TestTheRegistrarRestarts: one that loses its TLS connections, and all it knew, is registered at anew before the
// registration would have been refreshed, and calls reach the gateway again.
func TestTheRegistrarRestarts(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	k := startKamailio(t, a, registrar{})
	g := start(t, func(cfg *config.Config) {
		behind(k, a, "tls")(cfg)
		cfg.SIP.Accounts[0].Expires, cfg.SIP.Accounts[0].KeepAlive = config.Duration(time.Hour), "none"
	})
	registered(t, g)
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	k.restart(t)
	b := k.phone(t, softphone{user: "phone", hz: 440, ca: a.file, transport: "tls", manual: true})
	eventually(t, 20*time.Second, "the registrar finds the gateway again", func() bool {
		b.forget()
		b.do("dial", "sip:gw@lab.test")
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if _, ok := b.saw("CALL_ESTABLISHED"); ok {
				return true
			}
			if _, ok := b.saw("CALL_CLOSED"); ok {
				return false
			}
		}
		b.do("hangup", "")
		return false
	})
	bothWays(t, b, people, 620, 880)
	b.do("hangup", "")
	ended(t, g)
}

// TestRegistration: what a registrar can ask for, and what is not to be trusted.
func TestRegistration(t *testing.T) {
	for name, c := range map[string]struct {
		r         registrar
		transport string
		password  xlog.Secret
		wrong     string // what the account's status says; "" means that it registers
	}{
		"SHA-256":            {r: registrar{digest: "SHA-256"}, transport: "udp", password: "secret"},
		"wrong password":     {transport: "udp", password: "guess", wrong: "401"},
		"certificate":        {transport: "tls", password: "secret"},
		"another's name":     {r: registrar{names: []string{"other.example"}}, transport: "tls", password: "secret", wrong: "certificate"},
		"short-lived nonces": {r: registrar{nonce: 1}, transport: "udp", password: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			k := startKamailio(t, a, c.r)
			g := start(t, func(cfg *config.Config) {
				behind(k, a, c.transport)(cfg)
				cfg.SIP.Accounts[0].Password = c.password
			})
			if c.wrong != "" {
				eventually(t, 20*time.Second, "the account says "+c.wrong, func() bool {
					r := g.app.Registrations()[0]
					return !r.Registered && strings.Contains(r.Status, c.wrong)
				})
				return
			}
			registered(t, g)
			if c.r.nonce == 0 {
				return
			}
			// The nonce of the registration is stale by now: the call is challenged anew.
			time.Sleep(time.Duration(c.r.nonce+1) * time.Second)
			b := k.phone(t, softphone{user: "phone", hz: 440})
			person := g.Join("alpha", 620)
			g.Join("alpha", 880)
			reads(t, person, g.dial(t, "phone@lab.test"), "Connected")
			b.await("CALL_ESTABLISHED")
		})
	}
}
