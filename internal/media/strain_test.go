package media_test

import (
	"testing"

	"jigasi/internal/media"
)

// T54: a clock that misses more than its limit takes no more calls, and takes them again within five
// seconds of calm.
func TestT54_StrainIsJudged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limit  float64
		calls  int
		missed []int64 // of 100 turns, by the second
		want   string  // x: no more calls
	}{
		{"calm", 0.05, 50, []int64{0, 0, 1, 0, 2, 0, 0}, "......."},
		{"overloaded, and calm again", 0.05, 50, []int64{0, 10, 10, 10, 0, 0, 0, 0, 0, 0, 0}, ".xxxxxx...."},
		{"a short stall is forgiven", 0.05, 50, []int64{0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0}, "..........."},
		{"between the limits it stays as it is", 0.05, 50, []int64{0, 4, 4, 4, 4, 4, 30, 4, 4, 4, 4, 4, 4, 4}, "......xxxxxxxx"},
		{"few calls are not the reason", 0.05, 9, []int64{0, 50, 50, 50}, "...."},
		{"switched off", 0, 50, []int64{0, 50, 50, 50}, "...."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := media.Strain{Limit: tt.limit}
			var now media.Stats
			got := ""
			for i, n := range tt.missed {
				now.Ticks += 100
				if i%2 == 0 {
					now.Missed += n
				} else { // given up instead
					now.Lost, now.Ticks = now.Lost+n, now.Ticks-n
				}
				if s.Judge(now, tt.calls) {
					got += "x"
				} else {
					got += "."
				}
			}
			if got != tt.want {
				t.Errorf("judged %s, want %s", got, tt.want)
			}
		})
	}
}
