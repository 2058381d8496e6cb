package meetleg

import "jigasi/internal/leg"

// count counts what a new phase says of the call.
func (l *Leg) count(p leg.Phase) {
	switch {
	case p == leg.Moving && l.was.up && !l.was.moving:
		l.was.moving = true
		l.opt.Counts.Waited.Add(1)
	case p == leg.Up && l.was.moving && !l.was.back:
		l.was.back = true
		l.opt.Counts.Returned.Add(1)
	}
	l.was.up = l.was.up || p == leg.Up
}

// sum counts what is known at the end.
func (l *Leg) sum() {
	l.opt.Counts.People.Add(l.session.Met())
	if l.session.LoginsFailed() > 0 {
		l.opt.Counts.LoginFailed.Add(1)
	}
}
