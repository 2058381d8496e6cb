//go:build lab

package peers

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
)

// border is a session border controller: Kamailio, with rtpengine for the sound. It stands in front of the gateway, and
// of browsers; behind it is a registrar.
type border struct {
	*kamailio        // the registrar, where phones are
	at, web   int    // where the gateway is told that the registrar is, and browsers
	low, high uint16 // of the sound
}

// startBorder starts one; gateway is the profile of the sound on the gateway's side, topology more of the configuration.
func startBorder(t *testing.T, gateway, topology string) *border {
	t.Helper()
	b := &border{kamailio: startKamailio(t, newAuthority(t), registrar{})}
	b.at = freePorts(t, 3)
	b.web = b.at + 1
	ng := b.at + 2
	b.low = uint16(freePorts(t, 20))
	b.high = b.low + 19
	dir := t.TempDir()
	own := filepath.Join(dir, "rtpengine.conf") // not that of the system
	if err := os.WriteFile(own, []byte("[rtpengine]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	child(t, "rtpengine", "--config-file="+own, "--foreground", "--log-stderr", "--log-level=5", "--table=-1", "--interface=127.0.0.1",
		"--listen-ng="+addr(ng), fmt.Sprint("--port-min=", b.low), fmt.Sprint("--port-max=", b.high), "--num-threads=2")
	eventually(t, 20*time.Second, "rtpengine answers", func() bool { return pinged(addr(ng)) })
	runKamailio(t, fill(t, dir, "sbc.cfg", map[string]string{
		"PORT": fmt.Sprint(b.at), "WEB": fmt.Sprint(b.web), "NG": fmt.Sprint(ng), "REGISTRAR": fmt.Sprint(b.port), "GATEWAY": gateway, "TOPOLOGY": topology,
	}), b.at)
	return b
}

// pinged reports whether rtpengine answers at its control port.
func pinged(at string) bool {
	c, err := net.Dial("udp", at)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("1 d7:command4:pinge")); err != nil {
		return false
	}
	n, err := c.Read(make([]byte, 1500))
	return err == nil && n > 0
}

// behind makes the gateway a user of the registrar, by way of the border.
func (b *border) behind(transport, srtp string) func(*config.Config) {
	return func(cfg *config.Config) {
		inAlpha(cfg)
		inBrewery(cfg)
		cfg.SIP.Trunks = nil
		acc := b.account(transport)
		acc.Registrar = addr(b.at)
		cfg.SIP.Accounts = []config.SIPAccount{acc}
		cfg.Media.SRTP = srtp
	}
}

// relays checks that the gateway's sound of the only call goes to the border.
func (b *border) relays(t *testing.T, g *gateway) {
	t.Helper()
	d, ok := g.app.Exchange().Detail(g.app.Calls()[0].ID)
	for _, f := range d.Phone.Facts {
		if f.Key == "remote" {
			at, err := netip.ParseAddrPort(f.Value.String())
			ok = ok && err == nil && at.Port() >= b.low && at.Port() <= b.high
			if !ok {
				t.Errorf("the gateway's sound goes to %s, and the border has %d to %d", f.Value, b.low, b.high)
			}
			return
		}
	}
	t.Error("the gateway does not tell where its sound goes")
}

// TestT58_BehindABorderController: dial-in and dial-out by way of an SBC which relays the sound, over UDP and TCP, plain and
// encrypted on the gateway's side, and with hidden topology; either side hangs up.
func TestT58_BehindABorderController(t *testing.T) {
	hidden := "loadmodule \"topoh.so\"\nmodparam(\"topoh\", \"mask_key\", \"lab\")\nmodparam(\"topoh\", \"mask_ip\", \"127.0.0.8\")\n"
	for name, c := range map[string]struct{ transport, profile, srtp, topology string }{
		"plain over UDP":            {"udp", "RTP/AVP", "off", ""},
		"encrypted over TCP":        {"tcp", "RTP/SAVP", "required", ""},
		"hidden topology, over UDP": {"udp", "RTP/AVP", "off", hidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBorder(t, c.profile, c.topology)
			g := start(t, b.behind(c.transport, c.srtp))
			registered(t, g)
			people := []*bot.Bot{g.Join("alpha", 620), g.Join("alpha", 880)}
			p := b.phone(t, softphone{user: "phone", hz: 440, manual: true})

			p.do("dial", "sip:gw@lab.test")
			p.await("CALL_ESTABLISHED")
			bothWays(t, p, people, 620, 880)
			b.relays(t, g)
			p.do("hangup", "")
			ended(t, g)

			p.forget()
			nick := g.dial(t, "phone@lab.test")
			p.await("CALL_INCOMING")
			reads(t, people[0], nick, "Ringing")
			p.do("accept", "")
			reads(t, people[0], nick, "Connected")
			people[0].Forget()
			bothWays(t, p, people, 620, 880)
			b.relays(t, g)
			g.XMPP.Room("alpha").Kick(nick, "enough", false)
			p.await("CALL_CLOSED")
			ended(t, g)
		})
	}
}
