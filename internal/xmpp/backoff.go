package xmpp

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait before the next of many tries: Min, doubled each
// time up to Max, each spread over half to one and a half of it so that many
// gateways do not come back in one moment. It never gives up. For one goroutine.
type Backoff struct {
	Min, Max time.Duration // 0 means 0.5 s and 30 s
	tries    int
}

// Next is the wait before the next try.
func (b *Backoff) Next() time.Duration {
	lo, hi := b.Min, b.Max
	if lo <= 0 {
		lo = 500 * time.Millisecond
	}
	if hi <= 0 {
		hi = 30 * time.Second
	}
	d := lo
	for i := 0; i < b.tries && d < hi; i++ {
		d *= 2
	}
	if d = min(d, hi); d < hi {
		b.tries++
	}
	return d/2 + rand.N(d)
}

// Reset starts over, after a success.
func (b *Backoff) Reset() { b.tries = 0 }
