package recognize

import (
	"context"
	"errors"
	"time"

	"jigasi/internal/xlog"
)

// A Link is how a speaker stands with the service.
//
//	          sound                 ready                 idle, old or ended
//	Closed ──────────> Opening ──────────────> Open ──────────────────────> Draining
//	  ^  ^                ^  │ refused           │ lost                      │  │
//	  │  │ nothing to say  │  v                   │                     lost  │  │ all said
//	  │  └────────────── Waiting <───────────────┴───────────────────────────┘  │
//	  └──────────────────────────────────────────────────────────────────────────┘
type Link uint8

// The states.
const (
	Closed   Link = iota // nothing to say
	Opening              // sound waits in the ring
	Open                 // sound is sent
	Draining             // no more sound; results still come
	Waiting              // backing off
)

type event uint8

const (
	sound event = iota
	ready
	refused
	lost
	leave
	allSaid
	elapsed
)

// next is the whole life of a link.
func next(l Link, e event, work bool) Link {
	switch {
	case l == Closed && e == sound:
		return Opening
	case l == Opening && e == ready:
		return Open
	case l == Opening && e == refused, l == Open && e == lost, l == Draining && e == lost:
		return Waiting
	case l == Open && e == leave:
		return Draining
	case l == Draining && e == allSaid, l == Open && e == allSaid, l == Waiting && e == elapsed && !work:
		return Closed
	case l == Waiting && e == elapsed:
		return Opening
	}
	return l
}

const (
	openLimit  = 10 * time.Second
	drainLimit = 10 * time.Second // without a word
	soonDelay  = 4 * time.Second
	lastDelay  = 30 * time.Second
	keepAway   = 30 * time.Second // of sound, for a service that is away
	grace      = 20 * time.Second // that an old stream has to finish an utterance
	steady     = 10 * time.Second // after which a stream works though nobody has come to an end
	tornLimit  = 500 * time.Millisecond
)

// A line is the part of a Speaker that its goroutine owns.
type line struct {
	*Speaker
	ctx    context.Context
	opened chan opening
	link   Link
	cancel context.CancelFunc // of the attempt or the stream
	stream *lease
	broken bool      // nothing more is written; results may still come
	why    error     // it is broken
	torn   bool      // by the service: what its stream says of that is the reason
	cut    time.Time // when a torn stream is closed if it has not ended by itself
	again  bool      // the last stream was lost
	base   int64     // position of the stream's first sample
	fresh  time.Time // when the stream was opened
	pace   time.Time // when the next chunk may go
	owed   time.Time // when voice was sent that has had no answer yet
	spoken int64     // position up to which voice was sent
	deaf   int       // streams in a row that gave no answer
	since  time.Time // the state, or the last sound
	until  time.Time // the end of Waiting
	fails  int
	away   time.Time // since when it fails
	buf    []byte
	pieces []piece // of buf, for an OpusStream
	endAt  time.Time

	talking bool // an utterance has begun and has no final
	last    Result
	said    seam
	mend    bool // finals may repeat what was said before the stream was lost
}

func (l *line) run() {
	defer close(l.done)
	defer l.o.Counts.Speakers.Add(-1)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !l.over(time.Now()) {
		l.turn(time.Now())
		var results <-chan Result
		if l.stream != nil {
			results = l.stream.Results()
		}
		if l.write() {
			select { // a service that answers is heard between two writes
			case r, ok := <-results:
				l.heard(r, ok)
			default:
			}
			continue
		}
		timer.Reset(time.Until(l.deadline()))
		select {
		case r, ok := <-results:
			l.heard(r, ok)
		case o := <-l.opened:
			l.begun(o)
		case <-l.wake:
		case <-timer.C:
		case <-l.ctx.Done():
		}
	}
	l.hangUp()
}

// over reports whether there is nothing more to do.
func (l *line) over(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended && l.endAt.IsZero() {
		l.endAt = now.Add(l.o.EndLimit)
	}
	return l.ctx.Err() != nil || l.ended && (l.link == Closed && l.acked == l.ring.end || !now.Before(l.endAt))
}

// hangUp ends what there is, and counts what was not heard to the end.
func (l *line) hangUp() {
	if l.link == Opening {
		l.cancel()
		if o := <-l.opened; o.stream != nil {
			l.stream = o.stream
			l.o.Counts.Streams.Add(1)
		}
	}
	if l.stream != nil {
		l.stream.Close()
		for r := range l.stream.Results() {
			l.result(r)
		}
		l.part()
	}
	l.promote()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.o.Counts.DroppedMS.Add(length(l.ring.end - l.acked).Milliseconds())
	l.ended, l.ring.buf, l.packets = true, nil, packets{} // who is still known need not be remembered
}

// part lets a stream go that has said its last word.
func (l *line) part() {
	l.stream.over()
	l.cancel()
	l.stream, l.broken, l.why, l.torn = nil, false, nil, false
	l.o.Counts.Streams.Add(-1)
}

func (l *line) become(e event) {
	l.mu.Lock()
	work := l.ring.end > l.acked
	l.mu.Unlock()
	l.link = next(l.link, e, work)
	l.since = time.Now()
}

// turn does what is due.
func (l *line) turn(now time.Time) {
	l.mu.Lock()
	work, unsent, ended := l.ring.end > l.acked, l.ring.end-l.sent, l.ended
	busy := l.spoken > l.acked+samples(300*time.Millisecond) // somebody speaks who has no final yet
	if o := samples(l.needs.Overlap); o > 0 {
		busy = l.spoken > l.acked+o // where the last final came
	}
	l.mu.Unlock()
	if l.torn && !now.Before(l.cut) {
		l.stream.Close()
	}
	switch l.link {
	case Closed:
		if work {
			l.become(sound)
			l.dial()
		}
	case Waiting:
		if !now.Before(l.until) || ended && !work {
			if l.become(elapsed); l.link == Opening {
				l.dial()
			}
		}
	case Opening:
		if now.Sub(l.since) >= openLimit {
			l.cancel()
		}
	case Open:
		l.openTurn(now, unsent, ended, busy)
	case Draining:
		if now.Sub(l.since) >= drainLimit {
			l.breakOff(context.DeadlineExceeded)
		}
	}
}

// openTurn ends a stream that is old, idle, or at its end. What an old one leaves unsent is for
// the next.
func (l *line) openTurn(now time.Time, unsent int64, ended, busy bool) {
	old := false
	if since, ok := l.late(now); ok {
		age := now.Sub(since)
		old = age >= grace || age >= 0 && !l.talking && !busy
	}
	quiet := unsent < samples(l.needs.Chunk) && (ended || now.Sub(l.since) >= l.needs.Idle)
	if l.broken || !old && !quiet {
		if !l.owed.IsZero() && now.Sub(l.owed) >= l.patience() {
			l.deaf++
			l.breakOff(errDeaf)
		}
		return
	}
	if !old && unsent > 0 && !l.send(unsent) {
		return
	}
	if err := l.stream.CloseSend(); err != nil {
		l.tear(err)
		return
	}
	l.become(leave)
}

// late is since when the stream should end: by its age, or because another service is to be used.
func (l *line) late(now time.Time) (since time.Time, ok bool) {
	since, ok = l.stream.retiring(now)
	if l.needs.MaxAge > 0 && (!ok || l.fresh.Add(l.needs.MaxAge).Before(since)) {
		return l.fresh.Add(l.needs.MaxAge), true
	}
	return since, ok
}

// patience is how long a service may say nothing while somebody speaks: longer each time, as it may
// be noise.
func (l *line) patience() time.Duration { return l.needs.Patience << min(l.deaf, 4) }

var errDeaf = errors.New("no answer while somebody speaks")

// deadline is when something is due though nothing happens.
func (l *line) deadline() time.Time {
	at := time.Now().Add(time.Hour)
	switch l.link {
	case Waiting:
		at = l.until
	case Opening:
		at = l.since.Add(openLimit)
	case Open:
		at = l.since.Add(l.needs.Idle)
		if late, ok := l.late(time.Now()); ok {
			if late.After(time.Now()) {
				at = earlier(at, late)
			}
			at = earlier(at, late.Add(grace))
		} else if len(l.stream.passed) > 0 {
			at = earlier(at, time.Now().Add(leaseTime))
		}
	case Draining:
		at = l.since.Add(drainLimit)
	case Closed:
	}
	if l.link == Open && !l.owed.IsZero() {
		at = earlier(at, l.owed.Add(l.patience()))
	}
	if l.needs.Pace && l.link == Open && l.pace.After(time.Now()) {
		at = earlier(at, l.pace)
	}
	if l.broken {
		at = time.Now().Add(time.Hour)
	}
	if l.torn && l.cut.After(time.Now()) {
		at = l.cut
	}
	if !l.endAt.IsZero() {
		at = earlier(at, l.endAt)
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// write sends one chunk if there is one.
func (l *line) write() bool {
	if l.link != Open || l.broken {
		return false
	}
	l.mu.Lock()
	full := l.ring.end-l.sent >= samples(l.needs.Chunk)
	l.mu.Unlock()
	now := time.Now()
	if !full || l.needs.Pace && now.Before(l.pace) {
		return false
	}
	l.pace = now.Add(l.needs.Chunk / 2) // twice as fast as speech, after a gap
	return l.send(samples(l.needs.Chunk))
}

// send sends n samples, or fewer where there are no more.
func (l *line) send(n int64) bool {
	l.mu.Lock()
	if gone := l.ring.start() - l.sent; gone > 0 { // the service is too slow
		l.base, l.sent = l.base+gone, l.sent+gone
		l.o.Counts.DroppedMS.Add(length(gone).Milliseconds())
		l.acked = max(l.acked, l.ring.start())
	}
	l.buf = l.ring.read(l.buf[:0], l.sent, n)
	if l.pieces = l.pieces[:0]; l.needs.Opus {
		l.pieces = l.packets.pieces(l.pieces, l.sent, l.buf)
	}
	voiced := l.voiced > l.sent
	l.sent += int64(len(l.buf) / 2)
	l.spoken = min(l.voiced, l.sent)
	l.mu.Unlock()
	if voiced && l.owed.IsZero() {
		l.owed = time.Now()
	}
	poke(l.room)
	d := length(int64(len(l.buf) / 2))
	l.o.Counts.SentMS.Add(d.Milliseconds())
	l.stream.sent(d)
	l.since = time.Now()
	if err := l.deliver(); err != nil {
		l.stream.member.Tally.WriteErrors.Add(1)
		l.tear(err)
		return false
	}
	return true
}

// deliver writes what send has read.
func (l *line) deliver() error {
	st, ok := l.stream.Stream.(OpusStream)
	if !ok || len(l.pieces) == 0 {
		return l.stream.Write(l.buf)
	}
	for _, p := range l.pieces {
		var err error
		if p.opus != nil {
			err = st.WriteOpus(p.opus)
		} else {
			err = st.Write(p.pcm)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tear notes that a stream takes no more sound. It will say why when it ends, which is very soon.
func (l *line) tear(err error) {
	if l.broken {
		return
	}
	l.broken, l.torn, l.why, l.cut = true, true, err, time.Now().Add(tornLimit)
}

// breakOff closes a stream that works no longer; what it has said still counts.
func (l *line) breakOff(err error) {
	if l.broken {
		return
	}
	l.broken, l.why = true, err
	l.stream.Close()
	l.o.Log.Debug("a speech stream is broken off", xlog.Endpoint, l.o.Who.ID, xlog.Err, err)
}
