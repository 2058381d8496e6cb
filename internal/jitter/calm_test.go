package jitter_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"jigasi/internal/jitter"
)

// T48: 200 ms of jitter make the buffer hold more; when the network is calm again, it holds at most 80 ms within 30 s.
func TestT48_CalmAgain(t *testing.T) {
	for _, rough := range []time.Duration{60 * time.Millisecond, 200 * time.Millisecond} {
		b := jitter.New(jitter.Options{})
		r := rand.New(rand.NewPCG(48, 1))
		const minute, calm = 3000, 1500 // packets
		var held, last, came time.Duration
		_, concealed := watched(t, b, minute+calm, func(n int) (time.Duration, bool) {
			if n >= minute {
				return 0, false
			}
			at := time.Duration(n) * 20 * time.Millisecond
			came = max(came, at+time.Duration(r.Int64N(int64(rough)))) // in order, as in a queue
			return came - at, false
		}, func(tick int, now time.Duration) {
			held = max(held, now)
			if tick == minute+calm-1 {
				last = now
			}
		})
		t.Logf("jitter %v: %v held at most, %v after 30 s of calm, %d concealed, %+v", rough, held, last, concealed, b.Stats())
		if late := b.Stats().Late; late > minute/50 {
			t.Errorf("jitter %v: %d of %d packets are too late", rough, late, minute)
		}
		if held > 300*time.Millisecond || last > 80*time.Millisecond {
			t.Errorf("jitter %v: %v are held, and %v after 30 s of calm", rough, held, last)
		}
	}
}
