package app_test

import (
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/lab"
	"jigasi/internal/lab/sfu"
)

// TestDialectsOfTheFocus: a call with an old and with a new Jicofo hears and is heard, also when another person comes, one
// goes, the bridge moves by each of its ways, and the gateway asks for a new session.
func TestDialectsOfTheFocus(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]lab.Options{"new": {}, "old": {Old: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, o, nil)
			p, heard := connected(t, m)
			id := m.app.Calls()[0].ID
			c := m.Join("alpha", 1240)
			eventually(t, 10*time.Second, "who comes later is heard, and hears", func() bool { return hears(c, 440)() && p.tone(1240) > -26 })
			c.Leave()
			eventually(t, 10*time.Second, "who has left is not", func() bool { return p.tone(1240) < -60 })
			b, err := sfu.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Kill)
			m.Focus.Move("alpha", b)
			p.deaf()
			eventually(t, 20*time.Second, "everybody hears everybody on another bridge", heard)
			m.Focus.ReplaceTransport("alpha", m.nick(t), m.Bridge)
			m.Focus.Move("alpha", m.Bridge)
			p.deaf()
			eventually(t, 20*time.Second, "everybody hears everybody on the first one", heard)
			nick := m.nick(t)
			asked := m.Focus.Restarts(nick)
			var silent atomic.Bool // the bridge answers no checks
			silent.Store(true)
			m.Bridge.Lose(func(endpoint string, b []byte) bool {
				return endpoint == nick && len(b) > 0 && b[0] < 4 && silent.Load()
			})
			eventually(t, 30*time.Second, "the gateway asks for a new session", func() bool { return m.Focus.Restarts(nick) > asked })
			silent.Store(false)
			p.deaf()
			eventually(t, 20*time.Second, "everybody hears everybody in a new session", heard)
			if all := m.app.Calls(); len(all) != 1 || all[0].ID != id {
				t.Errorf("calls %+v, want the same one", all)
			}
		})
	}
}
