package recognize

import (
	"sync"
	"time"
)

// A Meter is how much sound a room or a tenant has sent, of what it may. It is safe for concurrent use.
type Meter struct {
	limit  time.Duration
	period time.Duration

	mu    sync.Mutex
	used  time.Duration
	since time.Time
}

// NewMeter makes a Meter of a limit in each period; a period of 0 never ends.
func NewMeter(limit, period time.Duration) *Meter { return &Meter{limit: limit, period: period} }

// turn begins a new period where the old one is over. The lock is held.
func (m *Meter) turn(now time.Time) {
	if m.since.IsZero() || m.period > 0 && now.Sub(m.since) >= m.period {
		m.since, m.used = now, 0
	}
}

// Spend counts sound.
func (m *Meter) Spend(d time.Duration, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	m.used += d
}

// Used is how much there was in this period, and Spent whether that is all there may be.
func (m *Meter) Used(now time.Time) (used time.Duration, spent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	return m.used, m.used >= m.limit
}

// State is how much there was in this period, and when that began; zero where nothing was counted.
func (m *Meter) State(now time.Time) (used time.Duration, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() || m.period > 0 && now.Sub(m.since) >= m.period {
		return 0, time.Time{}
	}
	return m.used, m.since
}

// Restore goes on with what State has given, in another process.
func (m *Meter) Restore(used time.Duration, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used, m.since = used, since
}

// A Budget is every Meter that a session is bound to; nil is none.
type Budget []*Meter

// Spent reports whether one is used up.
func (b Budget) Spent(now time.Time) bool {
	for _, m := range b {
		if _, spent := m.Used(now); spent {
			return true
		}
	}
	return false
}

// Spend counts sound.
func (b Budget) Spend(d time.Duration, now time.Time) {
	for _, m := range b {
		m.Spend(d, now)
	}
}
