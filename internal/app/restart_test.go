package app_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/lab"
	"jigasi/internal/lab/soak"
)

// T21: the XMPP server goes away again and again while a phone talks. Each time the brewery is joined within
// 10 s of its return, and the same call is heard both ways within 15 s.
func TestT21_ServerRestarts(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, withBrewery)
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	p, heard := connected(t, m)
	id := m.app.Calls()[0].ID
	longest := time.Duration(soak.Count(1, 20)) * time.Second
	for i := range soak.Count(3, 100) {
		m.XMPP.Stop()
		<-time.After(rand.N(longest))
		p.deaf()
		if err := m.XMPP.Resume(); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		promised(t, 10*time.Second, "the brewery is joined", joined(m))
		brewery := time.Since(back)
		promised(t, 15*time.Second-brewery, "everybody hears everybody", heard)
		t.Logf("restart %d: brewery after %v, sound after %v", i+1, brewery.Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
		if all := m.app.Calls(); len(all) != 1 || all[0].ID != id || t.Failed() {
			t.Fatalf("restart %d: calls %+v", i+1, all)
		}
	}
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 10*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
}
