//go:build lab

package peers

import (
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// webphone opens a telephone in Chromium: JsSIP, which says hz.
func webphone(t *testing.T, server, uri string, hz float64, tones ...float64) *browser {
	t.Helper()
	return browseAt(t, serve(t, map[string]string{"/": "testdata/jssip.html", "/jssip.js": cache + "/jssip-3.13.8.js"}), server, uri, hz, tones...)
}

// said reports whether the page has logged some words.
func (b *browser) logged(words string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.said.String(), words)
}

// TestJsSIP: a browser is a telephone: over WebSocket and with DTLS-SRTP to a border controller, by way of a registrar to the
// gateway behind the same border; it calls, holds, sends keys and is called. A browser that calls the gateway itself, which
// has no DTLS-SRTP for phones, is refused with a reason.
func TestJsSIP(t *testing.T) {
	b := startBorder(t, "RTP/SAVP", "")
	g := start(t, func(cfg *config.Config) {
		b.behind("udp", "required")(cfg)
		cfg.SIP.Listen = append(cfg.SIP.Listen, "ws:127.0.0.1:0")
		cfg.SIP.Trunks = []string{"127.0.0.0/8"}
		cfg.Meeting.Mute = true
	})
	registered(t, g)
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	w := webphone(t, "ws://"+addr(b.web), "sip:web@lab.test", 1000, 620, 880, 1000)
	hear := func() {
		t.Helper()
		for _, p := range people {
			eventually(t, 30*time.Second, "a person hears the browser", hears(p, 1000))
		}
		eventually(t, 30*time.Second, "the browser hears both", func() bool {
			tones := w.now().People["meeting"].Tones
			return tones["620"] > -26 && tones["880"] > -26 && tones["1000"] < -45
		})
	}
	eventually(t, 60*time.Second, "the browser is registered", func() bool { return w.logged("registered") })
	w.run(t, "lab.call('sip:gw@lab.test')")
	eventually(t, 30*time.Second, "the browser's call is answered", func() bool { return w.now().Joined })
	hear()
	b.relays(t, g)
	nick := g.app.Calls()[0].Occupant.Resource
	w.run(t, "lab.hold(true)")
	reads(t, people[0], nick, "Remotely On Hold")
	w.run(t, "lab.hold(false)")
	reads(t, people[0], nick, "Connected")
	hear()
	w.run(t, "lab.keys('*6')")
	eventually(t, 20*time.Second, "*6 mutes the browser", func() bool { return loudest(people[0], 1000) < -60 })
	w.run(t, "lab.leave()")
	ended(t, g)

	reads(t, people[0], g.dial(t, "web@lab.test"), "Connected")
	hear()
	g.app.HangupAll()
	eventually(t, 20*time.Second, "the browser sees the end", func() bool { return w.now().Left })
	ended(t, g)

	direct := webphone(t, "ws://"+g.host("ws"), "sip:web@127.0.0.1", 1000, 620)
	eventually(t, 60*time.Second, "the page is there", func() bool { return direct.logged("ready") })
	direct.run(t, "lab.call('sip:room@"+g.host("ws")+"')")
	eventually(t, 30*time.Second, "the browser is refused", func() bool { return strings.Contains(direct.now().Failed, "488") })
}
