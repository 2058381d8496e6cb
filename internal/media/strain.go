package media

// A Strain judges whether a clock keeps time, from its counters once a second, so that no more calls are
// taken than the machine can serve (T54). The zero value with a Limit is ready.
type Strain struct {
	Limit float64 // share of turns missed, over the last window; 0 never judges

	seen [window + 1]Stats // the newest first
	have int
	over bool
}

const (
	window = 5 // seconds
	// few is how many calls are no load: a clock that is late with them is late because of others, and to
	// refuse calls would help nobody.
	few = 10
)

// Judge takes the counters of this second and how many calls there are, and reports whether there should be
// no more. Once it says so, it does until less than half the limit is missed.
func (s *Strain) Judge(now Stats, calls int) bool {
	copy(s.seen[1:], s.seen[:window])
	s.seen[0] = now
	if s.have < len(s.seen) {
		s.have++
	}
	limit := s.Limit
	if s.over {
		limit /= 2
	}
	s.over = s.Limit > 0 && calls >= few && s.Missed() > limit
	return s.over
}

// Missed is the share of turns that was missed over the window.
func (s *Strain) Missed() float64 {
	if s.have < 2 {
		return 0
	}
	now, then := s.seen[0], s.seen[s.have-1]
	lost := now.Lost - then.Lost
	turns := now.Ticks - then.Ticks + lost
	if turns <= 0 {
		return 0
	}
	return float64(now.Missed-then.Missed+lost) / float64(turns)
}
