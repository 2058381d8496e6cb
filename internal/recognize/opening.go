package recognize

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"jigasi/internal/xlog"
)

type opening struct {
	stream *lease
	err    error
}

// dial opens a stream, one at a time.
func (l *line) dial() {
	ctx, cancel := context.WithCancel(l.ctx)
	l.cancel = cancel
	go func() {
		stream, err := l.chain.open(ctx, l.o.Who)
		l.opened <- opening{stream, err}
	}()
}

func (l *line) begun(o opening) {
	if o.err != nil {
		l.cancel()
		l.o.Counts.Refused.Add(1)
		l.backOff("a speech stream cannot be opened", o.err)
		l.become(refused)
		return
	}
	l.o.Counts.Opened.Add(1)
	l.o.Counts.Streams.Add(1)
	if l.again {
		o.stream.member.Tally.Reconnects.Add(1)
	}
	if o.stream.place < 0 {
		l.o.Trouble(ErrSpare, 1)
	}
	l.stream, l.broken, l.fresh, l.owed, l.again = o.stream, false, time.Now(), time.Time{}, false
	l.become(ready)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.needs = tidy(o.stream.member.Service.Needs())
	l.ring.grow(samples(l.needs.Keep))
	if l.opus = l.needs.Opus; !l.opus {
		l.packets = packets{}
	}
	l.skip()
	l.sent = l.acked
	l.base = l.sent
}

// skip gives up what the ring no longer has.
func (l *line) skip() {
	if gone := l.ring.start() - l.acked; gone > 0 {
		l.o.Counts.DroppedMS.Add(length(gone).Milliseconds())
		l.acked += gone
	}
}

// backOff sets how long to wait: from FirstDelay to four seconds, so that what is said meanwhile is still there, and
// longer once the service is away for long, to half a minute. For that time more sound is kept than usual.
func (l *line) backOff(what string, err error) {
	if l.fails == 0 {
		l.away = time.Now()
	}
	wait := min(lastDelay, max(soonDelay, time.Since(l.away)/4), l.o.FirstDelay<<min(l.fails, 10))
	wait += rand.N(wait / 4)
	if later := (*Later)(nil); errors.As(err, &later) {
		wait = min(lastDelay, max(wait, later.After))
	}
	if Permanent(err) {
		wait = lastDelay
	}
	l.mu.Lock()
	l.ring.grow(samples(keepAway))
	l.mu.Unlock()
	l.fails++
	l.until = time.Now().Add(wait)
	l.o.Trouble(err, l.fails)
	level := slog.LevelWarn
	if Permanent(err) || l.fails > 1 { // Trouble says it, for the room; the chain, of a service that does not work
		level = slog.LevelDebug
	}
	l.o.Log.Log(l.ctx, level, what, xlog.Endpoint, l.o.Who.ID, "attempt", l.fails, "wait", wait.Round(time.Millisecond), xlog.Err, err)
}
