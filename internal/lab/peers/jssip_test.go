//go:build lab

package peers

import (
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// webphone is a telephone in Chromium, which says 1000 Hz.
type webphone struct{ *browser }

// jssip opens one that is JsSIP.
func jssip(t *testing.T, server, uri string) *webphone {
	t.Helper()
	page := serve(t, map[string]string{"/": "testdata/jssip.html", "/ear.js": "testdata/ear.js", "/jssip.js": cache + "/jssip-3.13.8.js"})
	return &webphone{browseAt(t, page, server, uri, 1000, 620, 880, 1000)}
}

// logged reports whether the page has logged some words.
func (w *webphone) logged(words string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.said.String(), words)
}

// sayEachOther waits until the browser and the people hear each other, and the browser not itself.
func (w *webphone) sayEachOther(t *testing.T, people []*bot.Bot) {
	t.Helper()
	for _, p := range people {
		eventually(t, 30*time.Second, "a person hears the browser", hears(p, 1000))
	}
	eventually(t, 30*time.Second, "the browser hears both", func() bool {
		tones := w.now().People["meeting"].Tones
		return tones["620"] > -26 && tones["880"] > -26 && tones["1000"] < -45
	})
}

// holds has the browser hold and resume the only call.
func (w *webphone) holds(t *testing.T, people []*bot.Bot, g *gateway) {
	t.Helper()
	nick := g.app.Calls()[0].Occupant.Resource
	w.run(t, "lab.hold(true)")
	reads(t, people[0], nick, "Remotely On Hold")
	w.run(t, "lab.hold(false)")
	reads(t, people[0], nick, "Connected")
	w.sayEachOther(t, people)
}

// mutes has the browser mute itself by keys.
func (w *webphone) mutes(t *testing.T, p *bot.Bot) {
	t.Helper()
	w.run(t, "lab.keys('*6')")
	eventually(t, 20*time.Second, "*6 mutes the browser", func() bool { return loudest(p, 1000) < -60 })
}

// TestT58_JsSIP: a browser is a telephone: over WebSocket and with DTLS-SRTP to a border controller, by way of a registrar to the
// gateway behind the same border; it calls, holds, sends keys and is called. A browser that calls the gateway itself, which
// has no DTLS-SRTP for phones, is refused with a reason.
func TestT58_JsSIP(t *testing.T) {
	b := startBorder(t, "RTP/SAVP", "")
	g := start(t, func(cfg *config.Config) {
		b.behind("udp", "required")(cfg)
		cfg.SIP.Listen = append(cfg.SIP.Listen, "ws:127.0.0.1:0")
		cfg.SIP.Trunks = []string{"127.0.0.0/8"}
		cfg.Meeting.Mute = true
	})
	registered(t, g)
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	w := jssip(t, "ws://"+addr(b.web), "sip:web@lab.test")
	eventually(t, 60*time.Second, "the browser is registered", func() bool { return w.logged("registered") })
	w.run(t, "lab.call('sip:gw@lab.test')")
	eventually(t, 30*time.Second, "the browser's call is answered", func() bool { return w.now().Joined })
	w.sayEachOther(t, people)
	b.relays(t, g)
	w.holds(t, people, g)
	w.mutes(t, people[0])
	w.run(t, "lab.leave()")
	ended(t, g)

	reads(t, people[0], g.dial(t, "web@lab.test"), "Connected")
	w.sayEachOther(t, people)
	g.app.HangupAll()
	eventually(t, 20*time.Second, "the browser sees the end", func() bool { return w.now().Left })
	ended(t, g)

	direct := jssip(t, "ws://"+g.host("ws"), "sip:web@127.0.0.1")
	eventually(t, 60*time.Second, "the page is there", func() bool { return direct.logged("ready") })
	direct.run(t, "lab.call('sip:room@"+g.host("ws")+"')")
	eventually(t, 30*time.Second, "the browser is refused", func() bool { return strings.Contains(direct.now().Failed, "488") })
}
