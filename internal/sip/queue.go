package sip

import "sync"

// queue has functions run one after the other. What our own timers and
// transactions post is bounded by their number and never lost; what a peer can
// send without end is offered, and refused when too much waits.
type queue struct {
	mu     sync.Mutex
	waits  []func()
	wake   chan struct{}
	closed bool
}

// maxOffered is how many functions may wait before offers are refused.
const maxOffered = 64

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// post adds f; false means that nobody will run it any more.
func (q *queue) post(f func()) bool { return q.add(f, false) }

// offer adds f unless too much waits.
func (q *queue) offer(f func()) bool { return q.add(f, true) }

func (q *queue) add(f func(), bounded bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || bounded && len(q.waits) >= maxOffered {
		return false
	}
	q.waits = append(q.waits, f)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// take waits for functions and gives all of them.
func (q *queue) take() []func() {
	<-q.wake
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waits
	q.waits = nil
	return all
}

// close refuses all that comes later.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waits = true, nil
}
