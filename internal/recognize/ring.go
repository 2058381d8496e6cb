package recognize

import (
	"encoding/binary"
	"slices"
	"time"
)

// A ring holds the last seconds of a speaker's sound. A position counts samples from the first;
// marks say when they were spoken.
type ring struct {
	buf   []int16
	end   int64
	marks []mark
}

// A mark ties a position to the clock: where sound begins, after a gap, and at the onset of speech.
type mark struct {
	at    int64
	clock time.Time
	onset bool
}

// gap is a difference between sound and clock that is more than jitter.
const gap = 100 * time.Millisecond

func samples(d time.Duration) int64 { return int64(d) * Rate / int64(time.Second) }

func length(n int64) time.Duration { return time.Duration(n) * time.Second / Rate }

// start is the oldest position that is still there.
func (r *ring) start() int64 { return max(0, r.end-int64(len(r.buf))) }

// write adds sound that began at clock. It allocates for a mark at most.
func (r *ring) write(pcm []int16, clock time.Time, onset bool) {
	if d := clock.Sub(r.clock(r.end)); onset || len(r.marks) == 0 || d > gap || d < -gap {
		r.marks = append(r.marks, mark{r.end, clock, onset})
	}
	for len(pcm) > 0 {
		n := copy(r.buf[r.end%int64(len(r.buf)):], pcm)
		r.end += int64(n)
		pcm = pcm[n:]
	}
	if old := r.start(); len(r.marks) > 1 && r.marks[1].at <= old {
		i, _ := slices.BinarySearchFunc(r.marks, old+1, func(m mark, at int64) int { return int(m.at - at) })
		r.marks = append(r.marks[:0], r.marks[i-1:]...)
	}
}

// grow makes room for n samples, and loses none.
func (r *ring) grow(n int64) {
	if n <= int64(len(r.buf)) {
		return
	}
	buf := make([]int16, n)
	for at := r.start(); at < r.end; at++ {
		buf[at%n] = r.buf[at%int64(len(r.buf))]
	}
	r.buf = buf
}

// read appends at most n samples from a position on to dst, little-endian. The position must lie
// between start and end.
func (r *ring) read(dst []byte, at int64, n int64) []byte {
	for end := min(r.end, at+n); at < end; at++ {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(r.buf[at%int64(len(r.buf))]))
	}
	return dst
}

// clock is when a position was spoken.
func (r *ring) clock(at int64) time.Time {
	for _, m := range slices.Backward(r.marks) {
		if m.at <= at {
			return m.clock.Add(length(at - m.at))
		}
	}
	if len(r.marks) > 0 {
		return r.marks[0].clock
	}
	return time.Time{}
}

// onset is where speech begins at or after a position: the position itself where it is not known.
func (r *ring) onset(at int64) int64 {
	for _, m := range r.marks {
		if m.onset && m.at >= at {
			return m.at
		}
	}
	return at
}
