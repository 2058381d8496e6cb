// Package twin reads packets by the clock instead of as they come: waking a thread costs as much as
// decoding a packet, and packets of many calls that are read together wake it once (docs/adr/0021).
//
// A Twin is a second socket at the address of a UDP socket, connected to one peer. The system gives
// it what that peer sends, and all else to the first one, whose owner goes on judging strangers. The
// runtime's poller does not know it: a Loop asks it every few milliseconds. Writing to it is
// cheaper too, as the way is known. Where there are no twins, Open fails and the first socket does
// all as before.
//
// A Loop has a goroutine for each processor. Close waits for them.
package twin

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Every is how often twins are read: what a packet waits at most on an idle machine.
const Every = 5 * time.Millisecond

// ErrNone says that there are no twins here.
var ErrNone = errors.New("twin: not on this system")

// A Loop reads twins. Its methods are safe for concurrent use.
type Loop struct {
	workers []*worker
	stop    chan struct{}
	done    sync.WaitGroup
	onPanic func(value any, stack []byte)
}

// worker reads some of the twins.
type worker struct {
	mu    sync.Mutex // held while it reads: Twin.Close waits on it
	twins []*Twin
	wake  chan struct{} // there is a first one
	batch batch
}

// NewLoop starts a loop. onPanic, which may be nil, is told when a taker panics: that twin is read no
// more, and the others are.
func NewLoop(onPanic func(value any, stack []byte)) *Loop {
	l := &Loop{stop: make(chan struct{}), onPanic: onPanic}
	for range runtime.GOMAXPROCS(0) {
		w := &worker{wake: make(chan struct{}, 1)}
		w.batch.init()
		l.workers = append(l.workers, w)
		l.done.Go(func() { l.run(w) })
	}
	return l
}

// Close ends the loop. Twins that are open can be written to, and are read no more.
func (l *Loop) Close() {
	close(l.stop)
	l.done.Wait()
}

func (l *Loop) run(w *worker) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		if w.count() == 0 {
			tick.Stop()
			select {
			case <-l.stop:
				return
			case <-w.wake:
			}
			tick.Reset(Every)
		}
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.turn(w)
		}
	}
}

func (w *worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.twins)
}

// turn reads each twin of a worker.
func (l *Loop) turn(w *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i < len(w.twins); i++ {
		if !l.guarded(w, w.twins[i]) {
			w.drop(i)
			i--
		}
	}
}

func (l *Loop) guarded(w *worker, t *Twin) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			ok = false
			if l.onPanic != nil {
				l.onPanic(r, debug.Stack())
			}
		}
	}()
	w.batch.read(t)
	return true
}

// add gives a twin to the worker that has the fewest.
func (l *Loop) add(t *Twin) {
	best, least := l.workers[0], -1
	for _, w := range l.workers {
		if n := w.count(); least < 0 || n < least {
			best, least = w, n
		}
	}
	t.worker = best
	best.mu.Lock()
	best.twins = append(best.twins, t)
	best.mu.Unlock()
	select {
	case best.wake <- struct{}{}:
	default:
	}
}

// drop is called with mu held.
func (w *worker) drop(i int) {
	last := len(w.twins) - 1
	w.twins[i], w.twins[last] = w.twins[last], nil
	w.twins = w.twins[:last]
}

func (w *worker) remove(t *Twin) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, have := range w.twins {
		if have == t {
			w.drop(i)
			return
		}
	}
}

// A Twin is one of two sockets at an address. Its methods are safe for concurrent use.
type Twin struct {
	worker *worker
	take   func(b []byte)

	mu sync.Mutex // guards fd: a number that is closed may be another's
	fd int        // -1 when closed
}

// Close ends the twin. When it returns, the taker does not run and never will again; so the taker must
// not call it, nor wait for who does.
func (t *Twin) Close() {
	t.worker.remove(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.close()
}
