package codec_test

import (
	"testing"

	"jigasi/internal/codec"
)

func TestProtectionFollowsTheLoss(t *testing.T) {
	var p codec.Protection
	for i, tt := range []struct {
		lost    uint8 // of 256
		on      bool
		loss    int
		changed bool
	}{
		{0, false, 0, false},
		{4, false, 0, false}, // 1.6 %
		{5, true, 5, true},   // 2 %
		{6, true, 5, false},
		{40, true, 15, true},
		{44, true, 15, false},
		{255, true, 25, true},
		{0, true, 25, false},
		{0, true, 25, false},
		{3, true, 25, false}, // not calm
		{0, true, 25, false},
		{1, true, 25, false},
		{0, false, 0, true}, // three in a row
		{0, false, 0, false},
	} {
		on, loss, changed := p.Reported(tt.lost)
		if on != tt.on || loss != tt.loss || changed != tt.changed {
			t.Errorf("report %d of %d/256: on %v, %d %%, changed %v; want %v, %d, %v", i, tt.lost, on, loss, changed, tt.on, tt.loss, tt.changed)
		}
	}
}
