package recognize

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// heard takes one result, or the end of the stream.
func (l *line) heard(r Result, ok bool) {
	if ok {
		l.result(r)
		return
	}
	err := l.stream.Err()
	if l.broken && (!l.torn || err == nil || errors.Is(err, context.Canceled)) {
		err = l.why
	}
	whole := l.link == Draining && err == nil
	if !whole {
		l.mu.Lock()
		idle := l.ring.end == l.acked
		l.mu.Unlock()
		if !idle {
			l.stream.lost(err)
		}
	}
	l.part()
	if whole {
		l.promote()
		l.mu.Lock()
		l.acked = l.sent
		l.mu.Unlock()
		l.fails = 0
		l.become(allSaid)
		poke(l.room)
		return
	}
	l.o.Counts.Lost.Add(1)
	l.mu.Lock()
	l.sent = l.acked
	idle := l.ring.end == l.acked
	l.mu.Unlock()
	l.mend = l.needs.Overlap > 0
	if idle { // nothing is outstanding: the service has only hung up
		l.become(allSaid)
		return
	}
	l.again = true
	l.backOff("a speech stream was lost", err)
	l.become(lost)
}

// MaxText is how long a text may be, in bytes.
const MaxText = 32 << 10

// bounded cuts off what is too long, between two characters.
func bounded(s string) string {
	if len(s) <= MaxText {
		return s
	}
	end := MaxText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// result passes on what was heard.
func (l *line) result(r Result) {
	if l.link == Draining {
		l.since = time.Now() // it is still at work
	}
	l.mu.Lock()
	l.heardN++
	l.mu.Unlock()
	proven := r.Final || time.Since(l.fresh) >= steady // what comes to no end, and is lost soon, will be said again and again
	if l.stream != nil {                               // an interim that became a final by itself is nobody's
		l.stream.heard(r.Final, proven)
	}
	if proven && l.fails > 0 {
		l.o.Trouble(nil, 0)
	}
	if proven {
		l.fails = 0
	}
	l.deaf, l.owed = 0, time.Time{}
	r.Text = bounded(strings.TrimSpace(r.Text))
	if l.mend && r.Text != "" {
		whole := r.Text
		if r.Text = l.said.cut(whole); r.Final && r.Text == whole {
			l.mend = false
		}
	}
	if !r.Final && (r.Text == "" || l.talking && r.Text == l.last.Text && r.Stability == l.last.Stability) {
		return
	}
	l.mu.Lock()
	s := Said{Result: r, First: !l.talking, Downstream: time.Now()}
	from, to := l.acked, l.sent
	if r.End >= 0 {
		to = min(max(l.base+samples(r.End), l.acked), l.sent)
	}
	if r.Start >= 0 {
		from = min(max(l.base+samples(r.Start), l.acked), to)
	} else {
		from = min(l.ring.onset(from), to)
	}
	s.Began, s.Until = l.ring.clock(from), l.ring.clock(to)
	if r.Final && r.Text != "" && l.stream != nil {
		l.stream.member.Tally.Latency.Add(s.Downstream.Sub(l.ring.clock(min(to, l.voiced))))
	}
	if r.Final {
		if r.End < 0 {
			to = max(l.acked, l.sent-samples(l.needs.Overlap))
		}
		l.acked = to
	}
	l.mu.Unlock()
	l.talking, l.last = !r.Final, r
	l.emit(s)
}

func (l *line) emit(s Said) {
	switch {
	case s.Final && s.Text != "":
		l.o.Counts.Finals.Add(1)
		if l.needs.Overlap > 0 {
			l.said.grow(s.Text)
		}
	case s.Final:
		poke(l.room)
		if s.First {
			return // silence
		}
	default:
		l.o.Counts.Interims.Add(1)
	}
	l.o.Emit(s)
	poke(l.room)
}

// promote makes a final of an interim that the service has left without one.
func (l *line) promote() {
	if l.talking {
		l.mend = false
		r := l.last
		r.Final, r.Start, r.End = true, Unknown, Unknown
		l.result(r)
	}
}
