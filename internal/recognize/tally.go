package recognize

import (
	"sync/atomic"
	"time"
)

// A Tally counts what one speech service does for all sessions.
type Tally struct {
	Streams     atomic.Int64 // open now
	Opened      atomic.Int64
	Refused     atomic.Int64 // not opened
	Unusable    atomic.Int64 // not opened, or lost, for want of a credential or of the language
	Lost        atomic.Int64 // ended before their time
	Deaf        atomic.Int64 // of these, because no answer came
	WriteErrors atomic.Int64 // of these, because sound could not be sent
	Reconnects  atomic.Int64 // opened after one was lost
	Writes      atomic.Int64
	SentMS      atomic.Int64 // of sound, said again included
	Interims    atomic.Int64
	Finals      atomic.Int64
	Rests       atomic.Int64 // times that the next service took over
	LastResult  atomic.Int64 // Unix time in milliseconds, 0 for never
	Latency     Spread       // from the end of what was said to its final
}

// Bounds are those of the buckets of a Spread, in seconds.
var Bounds = [...]float64{.05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 10, 20}

// A Spread counts times by how long they are. Its zero value is ready.
type Spread struct {
	buckets [len(Bounds) + 1]atomic.Int64
	micros  atomic.Int64
}

// Add counts one.
func (s *Spread) Add(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(Bounds) && d.Seconds() > Bounds[i] {
		i++
	}
	s.buckets[i].Add(1)
	s.micros.Add(d.Microseconds())
}

// Read gives for each of Bounds how many were not longer, how many there were, and their sum in seconds.
func (s *Spread) Read() (upTo [len(Bounds)]int64, count int64, sum float64) {
	for i := range s.buckets {
		count += s.buckets[i].Load()
		if i < len(upTo) {
			upTo[i] = count
		}
	}
	return upTo, count, float64(s.micros.Load()) / 1e6
}
