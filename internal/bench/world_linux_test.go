package bench

import (
	"context"
	"runtime"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/config"
)

// TestTheWorldCarriesCalls: the stand-ins and the gateway understand each other, and the judge hears
// what it should. Nothing is measured here.
func TestTheWorldCarriesCalls(t *testing.T) {
	t.Parallel()
	s, err := newSounds(1)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(s, loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	cfg := config.Default()
	cfg.Meeting.Domain, cfg.XMPP.Server, cfg.XMPP.Plaintext = domain, w.xmpp.Addr(), true
	cfg.SIP.Listen, cfg.SIP.Trunks, cfg.SIP.SessionTimer = []string{"udp:127.0.0.1:0"}, []string{"127.0.0.1/32"}, 0
	cfg.Media.MinPort, cfg.Media.MaxPort, cfg.Admin.Port = 42000, 42999, 0
	a, err := app.New(cfg, app.Options{Version: "test", Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = a.Close(ctx)
	})
	w.next = 6 // the second one is a probe
	w.gen.talk(true)
	if err := w.grow(t.Context(), a.SIPAddrs()[0], 2); err != nil {
		t.Fatal(err)
	}
	r := &run{world: w}
	for i, phone := range []bool{true, false} {
		loop := s.phoneProbe
		if !phone {
			loop = s.speakerProbe
		}
		if r.offsets[i], err = codecDelay(loop, phone); err != nil {
			t.Fatal(err)
		}
	}
	// A loaded machine loses packets: what is right once is right.
	why, p := "nothing was heard", phase{length: 2 * time.Second}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && why != ""; {
		if err := wait(t.Context(), time.Second/4); err != nil {
			t.Fatal(err)
		}
		calls := w.gen.copies()
		if why = calls[0].judge(); why == "" {
			why = r.probes(&p, calls[1])
		}
	}
	if why != "" {
		t.Error(why)
	}
	if len(p.delays[0]) == 0 || len(p.delays[1]) == 0 {
		t.Errorf("delays %v", p.delays)
	}
	if sums := w.gen.sums(); sums.toPhone == 0 || sums.toBridge == 0 || sums.phone == 0 || sums.speaker == 0 {
		t.Errorf("on the wire: %+v", sums)
	}
	if err := w.shrink(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := w.failed(); err != nil {
		t.Error(err)
	}
}

// TestTheFloorIsMeasured: each part of the bare work is done and takes its time.
func TestTheFloorIsMeasured(t *testing.T) {
	s, err := newSounds(1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFloor(s, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	runtime.LockOSThread() // whose time it is
	defer runtime.UnlockOSThread()
	c, err := f.rounds(t.Context(), time.Millisecond)
	if err != nil || c.up <= 0 || c.down <= 0 {
		t.Errorf("floor %v, %v", c, err)
	}
}
