//go:build lab

package peers

import (
	"fmt"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
)

// inBrewery shows the gateway in the brewery, without an account at a SIP server.
func inBrewery(cfg *config.Config) {
	x := cfg.XMPP
	x.User, x.Password, x.Domain = "jigasi@auth."+lab.Domain, "secret", lab.Domain
	cfg.Breweries = []config.Brewery{{ID: "one", Room: lab.Brewery, XMPP: x}}
}

// dialled has the focus call a sipp that plays a scenario.
func dialled(t *testing.T, g *gateway, s *scene) (run *sippRun, nick string) {
	t.Helper()
	run = s.begin(t, g)
	eventually(t, 20*time.Second, "sipp listens", func() bool { return !allFree(run.port, 1) })
	return run, g.dial(t, fmt.Sprint("sip:phone@127.0.0.1:", run.port))
}

func (r *sippRun) finish(t *testing.T) {
	t.Helper()
	if err := r.Wait(); err != nil {
		t.Errorf("sipp: %v\n%s", err, r.said())
	}
}

// TestSippIsDialled: what comes back to an INVITE of the gateway.
func TestSippIsDialled(t *testing.T) {
	t.Parallel()
	g := start(t, inBrewery)
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	sound := encoded(t, "PCMU", 440)
	t.Run("S8 early media", func(t *testing.T) {
		run, nick := dialled(t, g, newCalled().responds("183 Session Progress", description()).says(sound, 0, "PCMU/8000").pause(4000).
			responds("200 OK", description()).recv(`request="ACK"`).asked("BYE", "200 OK"))
		reads(t, people[0], nick, "Connecting")
		eventually(t, 3*time.Second, "a person hears early media", hears(people[0], 440))
		reads(t, people[0], nick, "Connected")
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
	t.Run("S8 PRACK", func(t *testing.T) {
		run, nick := dialled(t, g, newCalled().responds("180 Ringing", "", "Require: 100rel", "RSeq: 17").asked("PRACK", "200 OK").
			pause(300).responds("200 OK", description()).recv(`request="ACK"`).asked("BYE", "200 OK"))
		reads(t, people[0], nick, "Connected")
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
	t.Run("S18 forked answers", func(t *testing.T) {
		run, nick := dialled(t, g, newCalled().responds("180 Ringing", "").as("two").responds("200 OK", description()).recv(`request="ACK"`).
			as("three").responds("200 OK", description()).recv(`request="ACK"`).asked("BYE", "200 OK").asked("BYE", "200 OK"))
		reads(t, people[0], nick, "Connected")
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
	t.Run("S4 the 200 crosses our CANCEL", func(t *testing.T) {
		run, nick := dialled(t, g, newCalled().responds("180 Ringing", "").asked("CANCEL", "200 OK").responds("200 OK", description()).
			recv(`request="ACK"`).asked("BYE", "200 OK"))
		reads(t, people[0], nick, "Ringing")
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
	t.Run("moved", func(t *testing.T) {
		there := newCalled().responds("200 OK", description()).recv(`request="ACK"`).asked("BYE", "200 OK").begin(t, g)
		here, nick := dialled(t, g, newCalled().responds("302 Moved", "", fmt.Sprintf("Contact: <sip:other@127.0.0.1:%d>", there.port)).recv(`request="ACK"`))
		reads(t, people[0], nick, "Connected")
		here.finish(t)
		g.app.HangupAll()
		there.finish(t)
		ended(t, g)
	})
	t.Run("moved to one of two", func(t *testing.T) {
		busy := newCalled().responds("486 Busy Here", "").recv(`request="ACK"`).begin(t, g)
		there := newCalled().responds("200 OK", description()).recv(`request="ACK"`).asked("BYE", "200 OK").begin(t, g)
		for _, port := range []int{busy.port, there.port} {
			eventually(t, 20*time.Second, "sipp listens", func() bool { return !allFree(port, 1) })
		}
		here, nick := dialled(t, g, newCalled().responds("302 Moved", "",
			fmt.Sprintf("Contact: <sip:b@127.0.0.1:%d>;q=0.2, <sip:a@127.0.0.1:%d>;q=0.8", there.port, busy.port)).recv(`request="ACK"`))
		reads(t, people[0], nick, "Connected")
		here.finish(t)
		busy.finish(t)
		g.app.HangupAll()
		there.finish(t)
		ended(t, g)
	})
	t.Run("busy", func(t *testing.T) {
		run, nick := dialled(t, g, newCalled().responds("486 Busy Here", "").recv(`request="ACK"`))
		reads(t, people[0], nick, "Busy Here")
		run.finish(t)
		ended(t, g)
	})
	t.Run("S5 both hang up at once", func(t *testing.T) {
		run, nick := dialled(t, g, newCalled().responds("200 OK", description()).recv(`request="ACK"`).kept(`request="BYE" rrs="true"`).
			raw("<send><![CDATA[\nBYE [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nFrom: [$To]\nTo: [$From]\n"+
				"Call-ID: [call_id]\nCSeq: 7 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n]]></send>").status(200).as("").responds("200 OK", ""))
		reads(t, people[0], nick, "Connected")
		g.app.HangupAll()
		run.finish(t)
		ended(t, g)
	})
}

// TestT24_BaresipIsDialledWithSRTP: what comes of the gateway's policy and a phone's.
func TestT24_BaresipIsDialledWithSRTP(t *testing.T) {
	for _, c := range []struct{ phone, gateway, want string }{
		{"", "off", "plain"}, {"", "optional", "plain"}, {"", "required", "refused"},
		{"srtp", "off", "plain"}, {"srtp", "optional", "srtp"}, {"srtp", "required", "srtp"},
		{"srtp-mand", "off", "refused"}, {"srtp-mand", "optional", "srtp"}, {"srtp-mand", "required", "srtp"},
	} {
		t.Run("phone "+c.phone+" gateway "+c.gateway, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(cfg *config.Config) {
				inBrewery(cfg)
				cfg.Media.SRTP = c.gateway
			})
			people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
			b := startBaresip(t, softphone{srtp: c.phone, hz: 440})
			nick := g.dial(t, b.uri())
			if c.want == "refused" {
				eventually(t, 20*time.Second, "the call has ended", func() bool { return len(g.app.Calls()) == 0 })
				if _, up := b.saw("CALL_RTPESTAB"); up {
					t.Error("there was sound")
				}
				return
			}
			reads(t, people[0], nick, "Connected")
			bothWays(t, b, people, 620, 880)
			if _, secure := b.saw("CALL_MENC"); secure != (c.want == "srtp") {
				t.Errorf("the phone encrypts: %v", secure)
			}
		})
	}
}
