//go:build lab

package peers

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/config"
)

// detour is a TCP proxy that can lose connections as a router does: one end sees them closed,
// the server's end nothing at all.
type detour struct {
	lis net.Listener

	mu      sync.Mutex
	clients []net.Conn
	servers []net.Conn
}

func newDetour(t *testing.T, server string) *detour {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &detour{lis: l}
	t.Cleanup(func() {
		_ = l.Close()
		d.lose()
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, c := range d.servers {
			_ = c.Close()
		}
	})
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			d.mu.Lock()
			d.clients, d.servers = append(d.clients, in), append(d.servers, out)
			d.mu.Unlock()
			go func() { _, _ = io.Copy(out, in) }() // its end is not passed on
			go func() {
				if _, err := io.Copy(in, out); err != nil {
					_, _ = io.Copy(io.Discard, out) // nobody is there any more, but the server does not learn it
				}
				_ = in.Close()
			}()
		}
	}()
	return d
}

// lose cuts the clients' ends.
func (d *detour) lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.clients {
		_ = c.Close()
	}
	d.clients = nil
}

// TestProsodyHoldsOnToALostSeat: the connection is lost, the server does not know it, and the
// old seat stays in the room. The phone comes back beside it.
func TestProsodyHoldsOnToALostSeat(t *testing.T) {
	m := meet(t, "")
	for name, user := range map[string]string{"anonymous": "", "account": "jigasi@plain.meet.test"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDetour(t, m.c2s())
			s := seat(t, m, gatewayAt(t, m, func(c *config.Config) {
				c.XMPP.Server, c.XMPP.User = d.lis.Addr().String(), user
				if user != "" {
					c.XMPP.Password = "secret"
				}
			}), name)
			d.lose()
			began := time.Now()
			eventually(t, 10*time.Second, "the gateway knows that it is cut off", func() bool {
				c := s.g.Calls()
				return len(c) == 1 && c[0].State != call.Active
			})
			eventually(t, 25*time.Second, "the call is active again", func() bool { return s.g.Calls()[0].State == call.Active })
			s.a.Forget()
			s.b.Forget()
			time.Sleep(1100 * time.Millisecond) // the phone's ear remembers a second
			s.still(t)
			t.Logf("heard again after %v", time.Since(began).Round(100*time.Millisecond))
			hangup(t, s.p)
			gone(t, s.g, s.p)
		})
	}
}
