package recognize

import "testing"

// TestNext: every state and event that leads elsewhere; all others stay.
func TestNext(t *testing.T) {
	type from struct {
		l    Link
		e    event
		work bool
	}
	moves := map[from]Link{}
	for _, work := range []bool{false, true} {
		moves[from{Closed, sound, work}] = Opening
		moves[from{Opening, ready, work}] = Open
		moves[from{Opening, refused, work}] = Waiting
		moves[from{Open, lost, work}] = Waiting
		moves[from{Open, leave, work}] = Draining
		moves[from{Open, allSaid, work}] = Closed
		moves[from{Draining, lost, work}] = Waiting
		moves[from{Draining, allSaid, work}] = Closed
	}
	moves[from{Waiting, elapsed, true}] = Opening
	moves[from{Waiting, elapsed, false}] = Closed
	for l := Closed; l <= Waiting; l++ {
		for e := sound; e <= elapsed; e++ {
			for _, work := range []bool{false, true} {
				want, ok := moves[from{l, e, work}]
				if !ok {
					want = l
				}
				if got := next(l, e, work); got != want {
					t.Errorf("state %d, event %d, work %v: %d, want %d", l, e, work, got, want)
				}
			}
		}
	}
}

func TestSeam(t *testing.T) {
	var s seam
	s.grow("Good morning everybody, let us start.")
	for in, want := range map[string]string{
		"let us start. With the numbers": "With the numbers",
		"rybody Let us start with":       "with",
		"everybody let us":               "",
		"with the numbers":               "with the numbers",
		"start":                          "",
		"":                               "",
	} {
		if got := s.cut(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
