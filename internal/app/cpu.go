package app

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// busy measures which share of the processors this process uses. It is safe for concurrent use.
type busy struct {
	mu    sync.Mutex
	since time.Time
	spent time.Duration
	share float64
}

// over is how long is looked at.
const over = 5 * time.Second

// now takes the time and what was computed until then, and gives the share of the last whole span.
func (b *busy) now(at time.Time, spent time.Duration, processors int) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		b.since, b.spent = at, spent
	}
	if d := at.Sub(b.since); d >= over {
		b.share = min(1, max(0, float64(spent-b.spent)/float64(d)/float64(processors)))
		b.since, b.spent = at, spent
	}
	return b.share
}

// cpu is the share of the processors that is in use, from 0 to 1.
func (a *App) cpu() float64 { return a.busy.now(time.Now(), cpuTime(), runtime.GOMAXPROCS(0)) }

// cpuTime is how long this process has computed.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
