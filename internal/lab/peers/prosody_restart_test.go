//go:build lab

package peers

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/call"
	"jigasi/internal/lab/focus"
	"jigasi/internal/lab/phone"
)

// seated is a room with two people and a phone in it.
type seated struct {
	g    *app.App
	p    *phone.Phone
	a, b *person
	id   string
}

func seat(t *testing.T, m *meeting, g *app.App, room string) *seated {
	t.Helper()
	s := &seated{g: g}
	s.sit(t, m, room)
	s.p = phoneIn(t, g, room, 440)
	all(t, 20*time.Second, s.a, s.b, s.p)
	s.id = g.Calls()[0].ID
	return s
}

// sit has the two people come, for the first time or again.
func (s *seated) sit(t *testing.T, m *meeting, room string) {
	t.Helper()
	s.a, s.b = m.join(t, room, 620), m.join(t, room, 880)
}

// still checks that everybody hears everybody, in the call that it was.
func (s *seated) still(t *testing.T) {
	t.Helper()
	all(t, 30*time.Second, s.a, s.b, s.p)
	if c := s.g.Calls(); len(c) != 1 || c[0].ID != s.id || s.p.Ended() != "" {
		t.Errorf("calls %+v, phone %q; want the same call", c, s.p.Ended())
	}
}

// TestT21_ProsodyRestartsDuringCalls: by whatever transport, the phone stays up and hears and is heard
// again; the brewery has the gateway back. Once Prosody is stopped, once it dies; a hundred times and
// for up to 15 s in the long count.
func TestT21_ProsodyRestartsDuringCalls(t *testing.T) {
	m := meet(t, "")
	rooms := map[string]*seated{}
	for name, change := range m.transports() {
		room := name[:4]
		rooms[room] = seat(t, m, gatewayAt(t, m, change), room)
	}
	control := gatewayAt(t, m, brewing)
	brewed(t, m, control)
	rounds, away := 2, time.Duration(0)
	if os.Getenv("JIGASI_SOAK") != "" {
		rounds, away = 100, 15*time.Second
	}
	for i := range rounds {
		how := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[i%2]
		m.signal(how)
		m.abdicate()
		for _, s := range rooms {
			s.a.Leave()
			s.b.Leave()
			eventually(t, 10*time.Second, "the gateway knows that it is cut off", func() bool {
				c := s.g.Calls()
				return len(c) == 1 && c[0].State != call.Active
			})
		}
		time.Sleep(time.Duration(rand.Float64() * float64(away)))
		m.start(t)
		m.lead(t, focus.Options{})
		back := time.Now()
		for room, s := range rooms {
			s.sit(t, m, room)
		}
		for _, s := range rooms {
			s.still(t)
		}
		t.Logf("%v: heard again %v after Prosody was back", how, time.Since(back).Round(100*time.Millisecond))
		brewed(t, m, control)
	}
	for _, s := range rooms {
		hangup(t, s.p)
		gone(t, s.g, s.p)
	}
}

// TestProsodyFocusRestarts: the focus goes and another comes, as when Jicofo is restarted; the people
// and the phone stay in the room.
func TestProsodyFocusRestarts(t *testing.T) {
	m := meet(t, "")
	s := seat(t, m, gatewayAt(t, m, nil), "alpha")
	m.abdicate()
	eventually(t, 10*time.Second, "the call waits", func() bool { return s.g.Calls()[0].State != call.Active })
	m.lead(t, focus.Options{})
	s.still(t) // nobody but the gateway asks for the focus here
}

// TestProsodyWithoutFocus: nobody leads, so there is no room, and the phone hears of it soon.
func TestProsodyWithoutFocus(t *testing.T) {
	m := meet(t, "")
	m.abdicate()
	g := gatewayAt(t, m, nil)
	p := phoneIn(t, g, "alpha", 440)
	select {
	case <-p.Over():
	case <-time.After(40 * time.Second):
		t.Fatal("the call goes on")
	}
	if p.Status() != 503 {
		t.Errorf("the phone gets %d (%s)", p.Status(), p.Ended())
	}
	t.Log(p.Ended())
	m.lead(t, focus.Options{})
	seat(t, m, g, "beta")
}
