package relay

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Faults are what a network does to what is sent. Zero is a perfect one.
type Faults struct {
	Loss      float64       // share of packets that are lost
	Burst     float64       // how many are lost in a row, on average (Gilbert and Elliott); up to 1: each for itself
	Duplicate float64       // share of packets that come twice
	Corrupt   float64       // share of packets of which one bit is turned
	Reorder   float64       // share of packets that are overtaken by those of the next Behind
	Behind    time.Duration // how long such a packet is held back; 0 means 30 ms
	Delay     time.Duration // of every packet
	Jitter    time.Duration // up to so much more, and the order is kept, as in a queue
	Rate      int           // bytes in a second; 0 means any
	Queue     time.Duration // what waits longer for Rate is lost; 0 means 200 ms

	// Drop, if there is one, loses packets by what is in them.
	Drop func(b []byte) bool
}

// Counts are what a line has done.
type Counts struct{ Packets, Lost, Duplicated, Corrupted, Reordered int }

// A Line is one direction of a bad network, without a clock: the same seed and the same packets at the same
// times have the same fate. It is not safe for concurrent use.
type Line struct {
	Faults Faults // may be changed between packets
	rng    *rand.Rand
	losing bool          // a burst is under way
	last   time.Duration // when the latest packet arrives that keeps the order
	free   time.Duration // when what was sent so far has gone through Rate
	counts Counts
}

// NewLine makes a line.
func NewLine(seed uint64, f Faults) *Line {
	return &Line{Faults: f, rng: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
}

// An Arrival is a packet and when it comes.
type Arrival struct {
	At   time.Duration
	Data []byte
}

// Send gives what arrives of a packet that is sent at now: nothing, the packet, or it twice. b is not kept.
func (l *Line) Send(now time.Duration, b []byte) []Arrival {
	f := &l.Faults
	l.counts.Packets++
	if l.lost() || f.Drop != nil && f.Drop(b) {
		l.counts.Lost++
		return nil
	}
	at := now
	if f.Rate > 0 {
		queue := f.Queue
		if queue == 0 {
			queue = 200 * time.Millisecond
		}
		l.free = max(l.free, now)
		if l.free-now > queue {
			l.counts.Lost++
			return nil
		}
		l.free += time.Duration(len(b)) * time.Second / time.Duration(f.Rate)
		at = l.free
	}
	at += f.Delay
	if f.Jitter > 0 {
		at += time.Duration(l.rng.Int64N(int64(f.Jitter)))
	}
	at = max(at, l.last)
	if l.happens(f.Reorder) { // who comes next does not wait for it
		l.counts.Reordered++
		if at += f.Behind; f.Behind == 0 {
			at += 30 * time.Millisecond
		}
	} else {
		l.last = at
	}
	data := slices.Clone(b)
	if len(data) > 0 && l.happens(f.Corrupt) {
		l.counts.Corrupted++
		data[l.rng.IntN(len(data))] ^= 1 << l.rng.IntN(8)
	}
	out := []Arrival{{at, data}}
	if l.happens(f.Duplicate) {
		l.counts.Duplicated++
		out = append(out, Arrival{at + time.Duration(l.rng.Int64N(int64(10*time.Millisecond))), data})
	}
	return out
}

// lost decides about one packet.
func (l *Line) lost() bool {
	f := &l.Faults
	if f.Burst <= 1 || f.Loss <= 0 || f.Loss >= 1 {
		return l.happens(f.Loss)
	}
	if l.losing {
		l.losing = !l.happens(1 / f.Burst)
	} else {
		l.losing = l.happens(f.Loss / (f.Burst * (1 - f.Loss)))
	}
	return l.losing
}

func (l *Line) happens(share float64) bool { return share > 0 && l.rng.Float64() < share }

// Counts gives what the line has done.
func (l *Line) Counts() Counts { return l.counts }
