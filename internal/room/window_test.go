package room

import (
	"testing"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/media"
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
	loud := func() *part { return &part{s: s, conceal: true, pcm: [rates][]int16{{1, 1, 1}}} }
	for name, d := range map[string]decoder{"broke": {dec: dec, turn: 6, busy: true}, "is further on": {dec: dec, turn: 8}} {
		s.dec[wide] = d
		for _, v := range loud().sound(7, wide, func() {}) {
			if v != 0 || s.dec[wide].turn != d.turn {
				t.Errorf("one that %s is asked again", name)
			}
		}
	}
}

// TestWhatIsLeftOfLongAgo is not heard by who was away.
func TestWhatIsLeftOfLongAgo(t *testing.T) {
	dec, err := codec.NewOpusDecoder(16000)
	if err != nil {
		t.Fatal(err)
	}
	for turn, want := range map[int64]int16{6: 1, 5: 0} { // 7 is heard
		d := decoder{dec: dec, turn: turn, rest: []int16{1, 1, 1}, have: 3}
		dst := make([]int16, 320)
		if d.decode(dst, &part{}, 7, wide, func() {}); dst[0] != want || d.have != 0 {
			t.Errorf("after turn %d there is %d, and %d left", turn, dst[0], d.have)
		}
	}
}

// TestATurnThatNobodyElseWanted is encoded by the port itself: the shared encoder does not go back.
func TestATurnThatNobodyElseWanted(t *testing.T) {
	m := newMeeting()
	m.coders = []coder{{Coder: still{}, turn: 9}}
	c := &media.Chunk{Coder: still{}, PCM: make([]int16, 320)}
	if m.encode(c, &turn{n: 8}, make([]byte, 0, 10)); c.Coded != nil {
		t.Error("the encoder goes back")
	}
	if m.encode(c, &turn{n: 10}, make([]byte, 0, 10)); len(c.Coded) != 3 {
		t.Error("the encoder does not go on")
	}
}

type still struct{}

func (still) Encode([]byte, []int16) (int, error) { return 3, nil }
func (still) Like(media.Coder) bool               { return true }
func (still) Another() (media.Coder, error)       { return still{}, nil }
func (still) Follow(media.Coder)                  {}
