package app_test

import (
	"testing"
	"time"

	"jigasi/internal/lab"
	"jigasi/internal/lab/sfu"
)

// TestDialectsOfTheFocus: a call with an old and with a new Jicofo hears and is heard, also when another person comes, one
// goes, and the bridge moves by each of its ways.
func TestDialectsOfTheFocus(t *testing.T) {
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
			if all := m.app.Calls(); len(all) != 1 || all[0].ID != id {
				t.Errorf("calls %+v, want the same one", all)
			}
		})
	}
}
