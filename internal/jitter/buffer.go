// Package jitter is the playout buffer of one RTP stream: packets go in as the
// network brings them, and come out one per tick, in order.
//
// The clock that pulls decides; the buffer only says what it has: a packet, a
// hole to conceal, or silence. It holds little when the network is quiet and
// more when it is not, never gives back what is older than what it gave, and
// drops rather than grows. Nothing allocates after the first packet, but for the first large one.
// Push and Pull may be called from different goroutines.
package jitter

import (
	"sync"
	"time"
)

// A Verdict is what Pull found.
type Verdict uint8

const (
	Silence Verdict = iota // nothing is expected: play silence
	Packet                 // a payload
	Conceal                // a packet is missing: make something up
)

const (
	slots = 32  // packets held at most: 640 ms of 20 ms
	bytes = 800 // largest payload kept: Opus at 320 kbit/s
	usual = 256 // what there is room for until a larger payload comes: Opus at 100 kbit/s
	// targetMin and targetMax bound the delay, in ticks of the stream's packet time.
	targetMin, targetMax = 1, 15
	maxConceal           = 10 // ticks of concealment in a row, then silence
)

// Options makes a buffer.
type Options struct {
	Clock int // Hz of the RTP clock; 0 means 48000
}

// A Buffer is one stream's playout buffer.
type Buffer struct {
	mu      sync.Mutex
	clock   int
	ring    [slots]entry
	data    []byte // their payloads, room bytes each; made for the first packet: many streams never bring one
	room    int
	started bool
	playing bool
	next    int64 // unwrapped sequence number to play next
	highest int64 // newest seen
	lastTS  uint32
	step    uint32 // timestamp units of one packet
	dry     int    // ticks without a packet in a row
	held    int    // ticks to wait before playing again
	target  int    // packets to hold before playing
	calm    int    // packets since the last late one
	base    time.Time
	baseTS  uint32
	late    [buckets]float32 // shares of packets that came so late, slowly forgetting
	low     int              // the least that was left after a tick of this window
	window  int              // ticks of it

	stats Stats
}

type entry struct {
	seq  int64
	ts   uint32
	size int
	full bool
}

// Stats are what a buffer has counted.
type Stats struct {
	Received, Played, Late, Lost, Duplicate, Dropped int64
	Delay                                            time.Duration // held now
}

// New makes a buffer.
func New(o Options) *Buffer {
	if o.Clock == 0 {
		o.Clock = 48000
	}
	return &Buffer{clock: o.Clock, target: 2, step: uint32(o.Clock / 50)}
}

// Push takes a packet that arrived at now. It copies payload.
func (b *Buffer) Push(seq uint16, ts uint32, payload []byte, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Received++
	if len(payload) > bytes || len(payload) == 0 {
		b.stats.Dropped++
		return
	}
	if len(payload) > b.room {
		b.widen(len(payload))
	}
	n := b.unwrap(seq)
	switch {
	case !b.started || n-b.highest > 10*slots || b.highest-n > 10*slots: // first, or the far end started afresh
		b.restart(n, ts, now)
	case n < b.next && b.playing:
		b.stats.Late++
		b.target, b.calm = min(b.target+1, targetMax), 0
		return
	case n < b.next && b.highest-n >= slots: // there is no room so far back
		b.stats.Late++
		return
	case n < b.next:
		b.next = n // came out of order before playing began
	}
	if n > b.highest && b.highest < b.next {
		b.ranDry(n, ts)
	}
	for n-b.next >= slots { // full: the oldest goes
		b.drop()
	}
	e := &b.ring[n&(slots-1)]
	if e.full && e.seq == n {
		b.stats.Duplicate++
		return
	}
	e.seq, e.ts, e.size, e.full = n, ts, copy(b.payload(n), payload), true
	b.measure(n, ts, now)
}

// payload is where the packet n has its payload.
func (b *Buffer) payload(n int64) []byte {
	at := int(n&(slots-1)) * b.room
	return b.data[at : at+b.room]
}

// widen makes room for a payload of size bytes, and keeps what is held.
func (b *Buffer) widen(size int) {
	was, old := b.room, b.data
	b.room = usual
	if size > usual {
		b.room = bytes
	}
	b.data = make([]byte, slots*b.room)
	for i := range len(old) / max(was, 1) {
		copy(b.data[i*b.room:], old[i*was:(i+1)*was])
	}
}

// unwrap makes a sequence number that does not wrap, near the newest one.
func (b *Buffer) unwrap(seq uint16) int64 {
	if !b.started {
		return int64(seq) + 1<<20
	}
	return b.highest + int64(int16(seq-uint16(b.highest)))
}

func (b *Buffer) restart(n int64, ts uint32, now time.Time) {
	b.empty()
	b.started, b.playing = true, false
	b.next, b.highest, b.held, b.dry, b.low, b.window = n, n, 0, 0, slots, 0
	b.late = [buckets]float32{1}
	b.base, b.baseTS, b.lastTS = now, ts, ts
}

// ranDry is called with the packet that comes when nothing is left: one that goes on where the last one
// ended was late, and more has to be held; else the talk paused, and what was passed over meanwhile
// never comes.
func (b *Buffer) ranDry(n int64, ts uint32) {
	switch {
	case n == b.highest+1 && ts-b.lastTS == b.step:
		if b.dry > 0 {
			b.target, b.calm = min(b.target+1, targetMax), 0
		}
	case b.dry > 0 || !b.playing:
		b.next = n
	}
}

// measure follows the spread of arrivals and sets the target to it.
func (b *Buffer) measure(n int64, ts uint32, now time.Time) {
	if n == b.highest+1 {
		if d := ts - b.lastTS; d >= uint32(b.clock/400) && d <= uint32(b.clock*3/25) {
			b.step = d
		}
	}
	if n >= b.highest {
		b.highest, b.lastTS = n, ts
	}
	due := b.base.Add(time.Duration(int32(ts-b.baseTS)) * time.Second / time.Duration(b.clock))
	late := now.Sub(due)
	if late < 0 || late > time.Second { // earlier than ever, or a gap in the talk: the new measure
		b.base, b.baseTS, late = now, ts, 0
	}
	if want := 1 + int(float64(b.mostly(late))/float64(b.packetTime())+0.8); want > b.target {
		b.target = min(want, targetMax)
	} else if b.calm++; b.calm > 50 && want < b.target {
		b.target, b.calm = max(b.target-1, targetMin), 0
	}
	// The clock of the far end drifts: let the base creep after it.
	b.base = b.base.Add(10 * time.Microsecond)
}

// Lateness is counted in buckets. The delay covers what is usual and not the worst: after one stall of the
// network in a while, it goes back at once.
const (
	buckets = 32
	bucket  = 10 * time.Millisecond
	forget  = 1.0 / 256 // of each packet
	covered = 0.97
)

// mostly notes how late a packet came, and gives how late all but a few come.
func (b *Buffer) mostly(late time.Duration) time.Duration {
	for i := range b.late {
		b.late[i] -= b.late[i] * forget
	}
	b.late[min(late/bucket, buckets-1)] += forget
	sum := float32(0)
	for i, share := range b.late {
		switch sum += share; {
		case sum < covered:
		case i == 0:
			return 0
		default:
			return time.Duration(i+1) * bucket
		}
	}
	return buckets * bucket
}

func (b *Buffer) packetTime() time.Duration {
	return time.Duration(b.step) * time.Second / time.Duration(b.clock)
}

// Pull gives what is to be played now: with Packet, the payload is copied to dst.
// Each call plays one packet; samples is its length in units of the RTP clock as
// far as it is known.
func (b *Buffer) Pull(dst []byte) (payload []byte, v Verdict, samples uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.started {
		return nil, Silence, b.step
	}
	held := int(b.highest - b.next + 1)
	if !b.playing {
		if !b.ready(held) {
			return nil, Silence, b.step
		}
		b.playing, b.dry, b.low, b.window = true, 0, slots, 0
	}
	held = b.shed(held)
	e := &b.ring[b.next&(slots-1)]
	switch {
	case held <= 0:
		return nil, b.starve(), b.step
	case (!e.full || e.seq != b.next) && held+b.dry < b.target: // it may still come, and more has to be held anyway
		b.dry++
		return nil, Conceal, b.step
	case !e.full || e.seq != b.next:
		b.next++
		b.stats.Lost++
		b.dry++
		return nil, Conceal, b.step
	}
	e.full, b.dry = false, 0
	b.next++
	b.stats.Played++
	return append(dst[:0], b.payload(b.next - 1)[:e.size]...), Packet, b.step
}

// ready reports whether enough is held to begin to play, or the little there is has waited long enough.
func (b *Buffer) ready(held int) bool {
	if held <= 0 {
		return false
	}
	if b.held++; held >= b.target || b.held >= b.target {
		b.held = 0
		return true
	}
	return false
}

// starve is called when nothing is left to play.
func (b *Buffer) starve() Verdict {
	b.dry++
	if b.dry > maxConceal/2 {
		b.playing, b.held = false, 0 // end of talk: prime again
		return Silence
	}
	return Conceal
}

// look is how many ticks in a row have to leave too much before a packet is dropped.
const look = 25

// shed drops a packet when for half a second more was held than is good, and gives what is held then.
// What is left in the worst tick waits for nothing.
func (b *Buffer) shed(held int) int {
	b.low = min(b.low, held-1)
	if b.window++; b.window < look && held < targetMax+5 {
		return held
	}
	low := b.low
	b.low, b.window = slots, 0
	if low <= max(1, b.target-1) {
		return held
	}
	b.drop()
	return held - 1
}

func (b *Buffer) drop() {
	if e := &b.ring[b.next&(slots-1)]; e.full && e.seq == b.next {
		e.full = false
		b.stats.Dropped++
	}
	b.next++
}

// Reset forgets the stream, as when it stopped for good.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started, b.playing, b.target = false, false, 2
	b.empty()
}

func (b *Buffer) empty() {
	for i := range b.ring {
		b.ring[i].full = false
	}
}

// Playing reports whether the next Pull can be anything but silence.
func (b *Buffer) Playing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.started && (b.playing || b.highest >= b.next)
}

// Stats gives the counters.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	if b.playing {
		s.Delay = time.Duration(b.highest-b.next+1) * b.packetTime()
	}
	return s
}
