package bench

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	all := []float64{5, 1, 4, 2, 3}
	for _, tt := range []struct{ q, want float64 }{{0, 1}, {0.2, 1}, {0.5, 3}, {0.95, 5}, {1, 5}} {
		if got := percentile(all, tt.q); got != tt.want {
			t.Errorf("percentile %v = %v, want %v", tt.q, got, tt.want)
		}
	}
	if all[0] != 5 {
		t.Error("the values were sorted in place")
	}
	if percentile(nil, 0.5) != 0 {
		t.Error("nothing has a percentile")
	}
}

func TestMedian(t *testing.T) {
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median of four = %v", m)
	}
	if m := median([]float64{9, 1, 3}); m != 3 {
		t.Errorf("median of three = %v", m)
	}
}

func TestLine(t *testing.T) {
	s, o := line([]float64{1, 2, 3, 4}, []float64{3.5, 5.5, 7.5, 9.5})
	if math.Abs(s-2) > 1e-9 || math.Abs(o-1.5) > 1e-9 {
		t.Errorf("line = %v x + %v, want 2 x + 1.5", s, o)
	}
	if s, o := line([]float64{2, 2}, []float64{1, 3}); s != 0 || o != 2 {
		t.Errorf("line of one x = %v x + %v", s, o)
	}
}

func TestRatioSlopeAndIdleTax(t *testing.T) {
	floor := cost{up: 70 * time.Microsecond, down: 30 * time.Microsecond}
	var all []phase
	for _, calls := range []int{20, 40, 60} {
		n := calls * 50 * 10 // ten seconds
		bare := time.Duration(n) * floor.both()
		all = append(all, phase{calls: calls, length: 10 * time.Second, up: n, down: n, floor: floor, cpu: bare*3/2 + 400*time.Millisecond})
	}
	if r := all[2].ratio(); math.Abs(r-(1.5+0.4/3)) > 1e-6 {
		t.Errorf("ratio = %v", r)
	}
	ratio, idle := slope(all)
	if math.Abs(ratio-1.5) > 1e-6 || math.Abs(idle-0.04) > 1e-6 {
		t.Errorf("slope %v, idle tax %v; want 1.5 and 4 %% of a core", ratio, idle)
	}
	if (phase{cpu: time.Second}).ratio() != 0 {
		t.Error("a phase without packets has a ratio")
	}
}

func TestBetweenRefusesADriftOfAQuarter(t *testing.T) {
	us := func(n int) cost {
		return cost{up: time.Duration(n) * time.Microsecond, down: time.Duration(n) * time.Microsecond}
	}
	if c, ok := between(us(40), us(50)); !ok || c.up != 45*time.Microsecond || c.down != 45*time.Microsecond {
		t.Errorf("between = %v, %v", c, ok)
	}
	for _, pair := range [][2]int{{40, 51}, {51, 40}, {0, 40}} {
		if _, ok := between(us(pair[0]), us(pair[1])); ok {
			t.Errorf("floors of %v us agree", pair)
		}
	}
}

func TestScheduleIsItsOwnMirror(t *testing.T) {
	got := schedule([]int{1, 2, 3})
	if !slices.Equal(got, []int{1, 2, 3, 3, 2, 1}) {
		t.Errorf("schedule = %v", got)
	}
}

func TestLoadsFillTheCore(t *testing.T) {
	got := loads(cost{up: 70 * time.Microsecond, down: 30 * time.Microsecond}, 1.25)
	if !slices.Equal(got, []int{40, 80, 120}) {
		t.Errorf("loads = %v, want 40, 80, 120", got)
	}
	if got := loads(cost{up: time.Second}, 1); got[0] < 2 {
		t.Errorf("loads = %v", got)
	}
}
