//go:build lab

package peers

import (
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/config"
	"jigasi/internal/lab"
)

// TestProsodyResumesASession: the connection is lost, by either transport, whether the server knows it or not; the phone keeps its
// seat and its sound, and the room goes on to read of it.
func TestProsodyResumesASession(t *testing.T) {
	m := meet(t, "")
	for name, change := range map[string]func(c *config.Config, server string){
		"tcp": func(c *config.Config, server string) { c.XMPP.Server = server },
		"ws": func(c *config.Config, server string) {
			c.XMPP.URL = "wss://" + server + "/xmpp-websocket?room={roomName}"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := m.c2s()
			if name == "ws" {
				server = addr(m.ports["HTTPS"])
			}
			d := newDetour(t, server)
			s := seat(t, m, gatewayAt(t, m, func(c *config.Config) {
				c.XMPP.User, c.XMPP.Password, c.XMPP.Resume = "jigasi@plain.meet.test", "secret", true
				c.XMPP.TLS.ServerName = "meet.test"
				change(c, d.lis.Addr().String())
			}), name+"room")
			nick := s.g.Calls()[0].Occupant.Resource
			for range 2 {
				opened := m.bridge.Opened()
				d.lose()
				for _, want := range []string{"true", "false"} {
					s.p.SendDigit('*', 100*time.Millisecond)
					s.p.SendDigit('6', 100*time.Millisecond)
					eventually(t, 20*time.Second, "the room reads audiomuted "+want, func() bool { return lab.TextOf(s.a.Sees(nick), "audiomuted") == want })
				}
				if c := s.g.Calls(); len(c) != 1 || c[0].State != call.Active || c[0].Occupant.Resource != nick || m.bridge.Opened() != opened {
					t.Errorf("calls %+v, %d new endpoints", c, m.bridge.Opened()-opened)
				}
			}
			s.still(t)
			hangup(t, s.p)
			gone(t, s.g, s.p)
		})
	}
}
