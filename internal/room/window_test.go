package room

import (
	"testing"
	"time"

	"jigasi/internal/codec"
)

// TestWindow: what comes to several ears is taken once, in whatever order, and over all wraps.
func TestWindow(t *testing.T) {
	now := time.Unix(1000, 0)
	var w window
	taken := 0
	for n := range 200_000 {
		for _, seq := range []int{n, n - 3, n, n - 40, n - 70} {
			if seq < 0 {
				continue
			}
			if seen := w.has(uint16(seq), now); seen == w.mark(uint16(seq), now) {
				t.Fatalf("packet %d: has and mark disagree", n)
			} else if !seen {
				taken++
			}
		}
		now = now.Add(20 * time.Millisecond)
	}
	if taken != 200_000 {
		t.Errorf("%d packets are taken of 200000", taken)
	}
}

// TestWindowOfWhoPauses: numbers come round while nobody listens, and a sender may begin anew.
func TestWindowOfWhoPauses(t *testing.T) {
	now := time.Unix(1000, 0)
	var w window
	w.mark(1000, now)
	w.mark(900, now) // far too late
	for _, seq := range []uint16{1000, 990, 500, 40000} {
		late := now.Add(2 * time.Second)
		x := w
		if x.has(seq, late) || !x.mark(seq, late) || x.mark(seq, late) {
			t.Errorf("%d is not taken once after a pause", seq)
		}
	}
	if !w.has(900, now) || !w.has(700, now) || w.has(999, now) {
		t.Error("within a second what is old is known and what is missing is not")
	}
}

// TestADecoderThatBrokeIsLeft: a panic costs the call that met it, and no second one.
func TestADecoderThatBrokeIsLeft(t *testing.T) {
	dec, err := codec.NewOpusDecoder(16000)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{}
	p := &part{s: s, conceal: true}
	s.dec[wide] = decoder{dec: dec, turn: 6, busy: true}
	for _, v := range p.sound(7, wide, func() {}) {
		if v != 0 {
			t.Fatal("it is asked again")
		}
	}
}
