package app

import (
	"fmt"
	"log/slog"
	"testing"

	"jigasi/internal/config"
	"jigasi/internal/exchange"
	"jigasi/internal/leg"
)

// TestEachMetricOnce: no two samples have the same name and labels, or the page of metrics is not whole and every
// scrape of it is an error in the log; and what two facts of a leg count as one reason is added up.
func TestEachMetricOnce(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Meeting.Domain = "meet.test"
	a, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	d := exchange.Detail{Phone: leg.Report{Facts: []slog.Attr{slog.Int64("dropped", 3), slog.Int64("late", 4), slog.Int64("bad", 2)}}}
	a.measures.take(d)
	seen := map[string]float64{}
	for _, s := range a.metrics() {
		key := fmt.Sprint(s.Name, s.Labels)
		if _, twice := seen[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = s.Value
	}
	for reason, want := range map[string]float64{"late": 7, "damaged": 2, "foreign": 0} {
		if got := seen[fmt.Sprintf("jigasi_rtp_dropped_total[{leg phone} {reason %s}]", reason)]; got != want {
			t.Errorf("%v packets are dropped as %s, want %v", got, reason, want)
		}
	}
}
