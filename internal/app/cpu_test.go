package app

import (
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/exchange"
)

// TestStressLevel: the greater of the calls' share of their threshold, and of the processors' use, which counts where
// overload is looked at; 1 while the clock runs late.
func TestStressLevel(t *testing.T) {
	var b busy
	now := time.Now()
	for i, tt := range []struct {
		after, spent time.Duration
		want         float64
	}{
		{0, 0, 0}, {4 * time.Second, 8 * time.Second, 0}, {5 * time.Second, 5 * time.Second, 0.5}, {8 * time.Second, 5 * time.Second, 0.5},
		{10 * time.Second, 25 * time.Second, 1}, {20 * time.Second, 25 * time.Second, 0},
	} {
		if got := b.now(now.Add(tt.after), tt.spent, 2); got != tt.want {
			t.Errorf("%d: after %v, %v of computing: %v, want %v", i, tt.after, tt.spent, got, tt.want)
		}
	}
	if cpuTime() <= 0 {
		t.Error("this process has not computed")
	}
	a := &App{cfg: config.Default()}
	a.cfg.Limits.Threshold = 10
	a.busy.since, a.busy.share = time.Now(), 0.7
	for _, tt := range []struct {
		conferences int
		overload    float64
		late        bool
		want        float64
	}{{5, 0.05, false, 0.7}, {9, 0.05, false, 0.9}, {5, 0, false, 0.5}, {5, 0.05, true, 1}, {15, 0.05, true, 1.5}} {
		a.cfg.Limits.Overload = tt.overload
		a.strain.text.Store(nil)
		if text := "late"; tt.late {
			a.strain.text.Store(&text)
		}
		if got := a.stress(exchange.Stats{Conferences: tt.conferences}); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	a.cfg.Limits.Threshold = 0 // no threshold: only what the machine says
	if got := a.stress(exchange.Stats{Conferences: 5}); got != 1 {
		t.Errorf("without a threshold, late: %v", got)
	}
}
