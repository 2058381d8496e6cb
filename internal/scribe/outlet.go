package scribe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/transcript"
	"jigasi/internal/xlog"
)

const (
	// MaxQueue is how many entries wait for a slow outlet before it is broken.
	MaxQueue = 1000
	// interims are dropped long before that.
	fewInterims  = 100
	publishLimit = 10 * time.Second
	retryJournal = 2 * time.Second
)

// A queue is bounded, and ordered.
type queue struct {
	max   int
	waits *atomic.Int64 // how many, of all queues of this sort
	wake  chan struct{}
	mu    sync.Mutex
	list  []transcript.Entry
	ended bool
}

func newQueue(max int, waits *atomic.Int64) *queue {
	return &queue{max: max, waits: waits, wake: make(chan struct{}, 1)}
}

// put appends an entry, and drops the oldest where there are too many.
func (q *queue) put(e transcript.Entry) (dropped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if dropped = len(q.list) >= q.max; dropped {
		q.list = q.list[1:]
	} else {
		q.waits.Add(1)
	}
	q.list = append(q.list, e)
	q.poke()
	return dropped
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// end says that no more follows.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.poke()
}

// drop forgets what nobody takes any more.
func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waits.Add(-int64(len(q.list)))
	q.list = nil
}

// take waits for an entry; without one, the queue has ended or ctx is done.
func (q *queue) take(ctx context.Context) (transcript.Entry, bool) {
	for {
		q.mu.Lock()
		if len(q.list) > 0 && ctx.Err() == nil {
			e := q.list[0]
			q.list = q.list[1:]
			q.waits.Add(-1)
			q.mu.Unlock()
			return e, true
		}
		ended := q.ended
		q.mu.Unlock()
		if ended || ctx.Err() != nil {
			return transcript.Entry{}, false
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// An outlet is a publisher, or the journal, with its queue.
type outlet struct {
	s      *Scribe
	name   string
	queue  *queue
	keep   func(transcript.Entry) bool // which entries it wants
	broken atomic.Bool
	done   chan struct{}
	err    error // once done
}

func newOutlet(s *Scribe, p Publisher) *outlet {
	_, tells := p.(Noticer)
	o := &outlet{s: s, name: p.Name(), queue: newQueue(MaxQueue, &s.o.Counts.Unpublished), keep: func(e transcript.Entry) bool { return tells || e.Kind != notice }, done: make(chan struct{})}
	go o.publish(p)
	return o
}

// put never blocks. An interim replaces one of the same utterance that still waits, and a final
// makes it needless.
func (o *outlet) put(e transcript.Entry) {
	if !o.keep(e) {
		return
	}
	q := o.queue
	if e.Kind == transcript.Speech {
		q.mu.Lock()
		before := len(q.list)
		q.list = slices.DeleteFunc(q.list, func(old transcript.Entry) bool { return old.Interim && old.ID == e.ID })
		drop := e.Interim && len(q.list) >= fewInterims
		o.s.o.Counts.InterimsDropped.Add(int64(before - len(q.list)))
		q.waits.Add(int64(len(q.list) - before))
		q.mu.Unlock()
		if drop {
			o.s.o.Counts.InterimsDropped.Add(1)
			return
		}
	}
	if q.put(e) {
		o.s.o.Counts.FinalsDropped.Add(1)
		if !o.broken.Swap(true) {
			o.s.log.Error("a publisher is too slow and loses entries", "publisher", o.name)
		}
	}
}

func (o *outlet) publish(p Publisher) {
	defer close(o.done)
	var sometimes xlog.Sometimes
	failed := 0
	for {
		e, ok := o.queue.take(context.Background()) // until Close ends the queue
		if !ok {
			break
		}
		if o.s.ctx.Err() != nil { // cut short
			failed++
			continue
		}
		ctx, cancel := context.WithTimeout(o.s.ctx, publishLimit)
		var err error
		if n, ok := p.(Noticer); ok && e.Kind == notice {
			err = n.Notice(ctx, e.Text)
		} else {
			err = p.Publish(ctx, e)
		}
		cancel()
		if err != nil {
			failed++
			o.s.o.Counts.PublishErrors.Add(1)
			sometimes.Do(time.Now(), func(more int64) {
				o.s.log.Warn("an entry was not published", "publisher", o.name, "kind", e.Kind, "more", more, xlog.Err, err)
			})
		}
	}
	if failed > 0 || o.broken.Load() {
		o.err = fmt.Errorf("%s: %d entries were not published", o.name, failed)
	}
}

// newJournalist is the outlet that writes the journal.
func newJournalist(s *Scribe, j *transcript.Journal) *outlet {
	o := &outlet{s: s, name: "journal", queue: newQueue(MaxQueue, &s.o.Counts.Unpublished), keep: func(e transcript.Entry) bool { return !e.Interim && e.Kind != notice }, done: make(chan struct{})}
	go o.keepJournal(j)
	return o
}

// keepJournal writes, and while the disk takes nothing tries again every two seconds.
func (o *outlet) keepJournal(j *transcript.Journal) {
	defer close(o.done)
	var sometimes xlog.Sometimes
	fault := func(err error) {
		if err == nil {
			return
		}
		if errors.Is(err, transcript.ErrLost) {
			o.broken.Store(true)
			o.s.o.Counts.FinalsDropped.Add(1)
		}
		sometimes.Do(time.Now(), func(int64) {
			o.s.log.Error("the transcript cannot be stored", "path", j.Path(), "waiting", j.Pending(), xlog.Err, err)
		})
	}
	for {
		ctx, cancel := context.Background(), context.CancelFunc(func() {}) // a disk is quick: it is not cut short
		if j.Pending() > 0 {
			ctx, cancel = context.WithTimeout(ctx, retryJournal)
		}
		e, ok := o.queue.take(ctx)
		retry := !ok && ctx.Err() != nil
		cancel()
		switch {
		case ok:
			fault(j.Append(e))
		case retry:
			fault(j.Flush())
		default:
			if err := j.Close(); err != nil || o.broken.Load() {
				o.err = errors.Join(fmt.Errorf("the transcript is not stored whole: %d entries wait for the disk", j.Pending()), err)
			}
			return
		}
	}
}
