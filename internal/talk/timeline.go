package talk

import "time"

// A timeline ties the timestamps of one source to the clock. Sound comes late by nothing, by the network or, when a
// socket has just been opened, by 300 ms; it never comes before it was said. So what came least late counts.
type timeline struct {
	origin time.Time // when timestamp 0 was
	best   time.Time // the earliest origin that this window allows
	since  time.Time // when the window began
}

const (
	window = 10 * time.Second
	jitter = 50 * time.Millisecond // no reason to correct anything
)

// rate is that of timestamps.
const rate = 48000

func lasting(n int64) time.Duration { return time.Duration(n) * (time.Second / 16000) / (rate / 16000) }

// hear notes when a timestamp came.
func (l *timeline) hear(at int64, arrived time.Time) {
	o := arrived.Add(-lasting(at))
	switch {
	case l.since.IsZero():
		l.origin, l.best, l.since = o, o, arrived
	case o.Before(l.best):
		l.best = o
		if l.origin.Sub(o) > 10*jitter || arrived.Sub(l.since) < window/100 {
			l.origin = o
		}
	}
	if arrived.Sub(l.since) >= window {
		if d := l.origin.Sub(l.best); d > jitter || d < -jitter {
			l.origin = l.best
		}
		l.best, l.since = o, arrived
	}
}

// clock is when a timestamp was.
func (l *timeline) clock(at int64) time.Time { return l.origin.Add(lasting(at)) }
