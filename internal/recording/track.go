package recording

import (
	"sync/atomic"
	"time"
)

// slots are how many frames a track holds while the disk is slow: five seconds.
const slots = 256

const (
	together = Rate * 60 / 1000 // what is nearer than that to the last frame follows it
	tooLate  = Rate / 2
)

// A Track is one speaker. Push and Leave are called by one goroutine at a time.
type Track struct {
	counts *Counts
	start  time.Time
	number int
	id     string
	name   string
	joined time.Time
	left   atomic.Bool

	head atomic.Uint64 // written by Push
	tail atomic.Uint64 // written by drain
	ring [slots]frame

	// Owned by the recorder.
	file *file // nil: only in the mix
	next int64 // where the next frame is expected
}

type frame struct {
	pos int64
	n   int
	pcm [Frame]int16
}

// Push takes sound at Rate that began at a time. It never blocks, and does not keep pcm.
func (t *Track) Push(pcm []int16, at time.Time) {
	pos := position(at.Sub(t.start))
	for len(pcm) > 0 {
		head := t.head.Load()
		if head-t.tail.Load() >= slots {
			t.counts.Dropped.Add(1)
			return
		}
		f := &t.ring[head%slots]
		f.n = copy(f.pcm[:], pcm)
		f.pos, pos, pcm = pos, pos+int64(f.n), pcm[f.n:]
		t.head.Store(head + 1)
	}
}

// Leave ends the track; what was pushed is still written.
func (t *Track) Leave() { t.left.Store(true) }

// drain gives all that was pushed, where it belongs.
func (t *Track) drain(put func(pos int64, pcm []int16)) {
	for tail := t.tail.Load(); tail < t.head.Load(); tail++ {
		f := &t.ring[tail%slots]
		switch d := f.pos - t.next; {
		case d > together:
			t.next = f.pos
		case d < -tooLate, f.pos < 0:
			t.counts.Dropped.Add(1)
			t.tail.Store(tail + 1)
			continue
		}
		put(t.next, f.pcm[:f.n])
		t.next += int64(f.n)
		t.tail.Store(tail + 1)
	}
}

// A mixer adds up what is said at the same time.
type mixer struct {
	out  *file
	sum  []int32 // a ring from base
	base int64   // position of the first sample that is not written
	end  int64   // behind the last that was added
	pcm  [Frame]int16
}

// mixRoom is how much the mixer holds: what is later than mixDelay was written, what is earlier than the clock waits.
const mixRoom = 4 * mixDelay

func newMixer(out *file) *mixer { return &mixer{out: out, sum: make([]int32, mixRoom)} }

// add puts sound where it belongs; what is written already, or too far ahead of the clock, is left out.
func (m *mixer) add(pos int64, pcm []int16) {
	for i, v := range pcm {
		if p := pos + int64(i); p >= m.base && p < m.base+mixRoom {
			m.sum[p%mixRoom] += int32(v)
			m.end = max(m.end, p+1)
		}
	}
}

// run writes what lies before until, a frame at a time, and leaves out what is silent.
func (m *mixer) run(until int64, put func(pos int64, pcm []int16)) {
	for m.base < until {
		n := min(int64(Frame), until-m.base)
		silent := true
		for i := range n {
			s := &m.sum[(m.base+i)%mixRoom]
			silent = silent && *s == 0
			m.pcm[i], *s = int16(max(-32768, min(32767, *s))), 0
		}
		if !silent {
			put(m.base, m.pcm[:n])
		}
		m.base += n
	}
}
