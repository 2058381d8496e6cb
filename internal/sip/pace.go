package sip

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// lossEvery is the least time between registrations because of a lost connection, and what is waited where the
	// server is not back at once.
	lossEvery     = 2 * time.Second
	refusedWait   = 5 * time.Minute  // with wrong credentials, so that no server locks the account
	maxRetryAfter = 30 * time.Minute // of what a server asks for
	startStep     = 20 * time.Millisecond
	startSpread   = 10 * time.Second
)

// backoff is how long to wait after a failure (T43): 2 s where the connection has just been lost, else 10 s, doubled,
// at most a minute, and half of that is drawn by lot, so that many accounts and many gateways do not come at once
// (RFC 5626, 4.5). A server that says when it wants to be asked again is not asked earlier.
func (a *account) backoff(failures int, err error) time.Duration {
	wait := lossEvery + rand.N(lossEvery/4)
	if failures > 0 {
		half := min(time.Minute, 10*time.Second<<min(failures-1, 5)) / 2
		wait = half + rand.N(half)
	}
	if refused(err) {
		wait = refusedWait + rand.N(refusedWait/10)
	}
	var s statusError
	if errors.As(err, &s) && s.after > wait {
		wait = s.after + rand.N(s.after/4+time.Second)
	}
	return wait
}

// turn waits until an account may register where many have to at once, at the start and when their connection is
// lost; false means that it is stopped.
func (a *account) turn() bool {
	n := len(a.ua.accounts)
	t := time.NewTimer(time.Duration(slices.Index(a.ua.accounts, a)) * min(startStep, startSpread/time.Duration(n)))
	defer t.Stop()
	select {
	case <-a.quit:
		return false
	case <-t.C:
		return true
	}
}

// rest is how a pause ended.
type rest uint8

const (
	due     rest = iota // its time is over
	cut                 // the connection of the registration is lost
	stopped             // the account is
)

// pause waits for the next registration and keeps the way to the server open meanwhile.
func (a *account) pause(wait time.Duration, registered bool) rest {
	next := time.NewTimer(max(wait, time.Second))
	defer next.Stop()
	var alive <-chan time.Time
	if a.opt.KeepAlive > 0 && registered {
		t := time.NewTicker(a.opt.KeepAlive)
		defer t.Stop()
		alive = t.C
	}
	for {
		select {
		case <-a.quit:
			return stopped
		case <-next.C:
			return due
		case <-a.again:
			return due
		case <-a.gone(registered):
			return cut // the server cannot reach us any more
		case <-alive:
			if !a.keepAlive() {
				return cut
			}
		}
	}
}

// gone is closed when the connection of the registration ends.
func (a *account) gone(registered bool) <-chan struct{} {
	if !registered {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.flow.Gone()
}
