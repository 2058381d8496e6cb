//go:build lab

package peers

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// startJanus runs Janus with its SIP plugin until the end of the test, and gives the port of its WebSocket.
func startJanus(t *testing.T) int {
	t.Helper()
	modules, err := filepath.Glob("/usr/lib/*/janus")
	if err != nil || len(modules) != 1 {
		t.Fatal("janus is missing: run make lab-install")
	}
	web, media, rtp := freePorts(t, 1), freePorts(t, 20), freePorts(t, 20)
	dir := t.TempDir()
	values := map[string]string{
		"DIR": dir, "MODULES": modules[0], "WEB": fmt.Sprint(web),
		"LOW": fmt.Sprint(media), "HIGH": fmt.Sprint(media + 19), "SIPLOW": fmt.Sprint(rtp), "SIPHIGH": fmt.Sprint(rtp + 19),
	}
	fill(t, dir, "janus.plugin.sip.jcfg", values)
	fill(t, dir, "janus.transport.websockets.jcfg", values)
	child(t, "janus", "--disable-colors", "-C", fill(t, dir, "janus.jcfg", values), "-F", dir)
	eventually(t, 20*time.Second, "Janus listens", func() bool {
		c, err := net.Dial("tcp", addr(web))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return web
}

// TestT58_Janus: Janus's SIP plugin (sofia-sip) with a browser behind it calls by way of Kamailio, with SDES-SRTP, holds, sends
// keys by INFO, and is called.
func TestT58_Janus(t *testing.T) {
	a := newAuthority(t)
	k := startKamailio(t, a, registrar{})
	g := start(t, func(cfg *config.Config) {
		behind(k, a, "udp")(cfg)
		cfg.Media.SRTP = "optional"
		cfg.Meeting.Mute = true
	})
	registered(t, g)
	people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
	page := serve(t, map[string]string{"/": "testdata/janus.html", "/ear.js": "testdata/ear.js"})
	w := &webphone{browseAt(t, page, "ws://"+addr(startJanus(t)), k.at("udp"), 1000, 620, 880, 1000)}
	eventually(t, 60*time.Second, "Janus is registered", func() bool { return w.logged("registered") })
	w.run(t, "lab.call('sip:gw@lab.test', 'sdes_mandatory')")
	eventually(t, 30*time.Second, "its call is answered", func() bool { return w.now().Joined })
	w.sayEachOther(t, people)
	w.holds(t, people, g)
	w.mutes(t, people[0])
	w.run(t, "lab.leave()")
	ended(t, g)

	reads(t, people[0], g.dial(t, "janus@lab.test"), "Connected")
	w.sayEachOther(t, people)
	g.app.HangupAll()
	eventually(t, 20*time.Second, "Janus sees the end", func() bool { return w.now().Left })
	ended(t, g)
}
