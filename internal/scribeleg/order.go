package scribeleg

import (
	"slices"
	"time"

	"jigasi/internal/rtpx"
)

const (
	maxHeld    = 256                   // packets of one source: 5 s of sound whose owner is not known yet
	preroll    = 15                    // packets kept of who is silent: 300 ms
	patience   = 60 * time.Millisecond // with a packet that is missing
	maxBehind  = 12                    // packets that may wait for it
	loudEnough = 60                    // -dBov; what is softer does not begin a voice
)

// A packet waits to be heard.
type packet struct {
	number  int64 // sequence number and timestamp that do not wrap
	at      int64
	arrived time.Time
	loud    bool
	data    []byte
}

// An order puts the packets of one source into their order. Its memory is used again and again.
type order struct {
	list    []packet // by number
	free    []packet
	started bool
	number  int64 // newest, and its timestamp
	at      int64
	next    int64 // number that is taken next
	dropped int64 // unheard, since somebody looked
	late    int64 // likewise: after their turn
}

// put takes a packet of the network, and copies it.
func (o *order) put(h *rtpx.Header, payload []byte, now time.Time) {
	number, at := int64(h.Seq)+1<<20, int64(h.Timestamp)+1<<34
	if o.started {
		number = o.number + int64(int16(h.Seq-uint16(o.number)))
		at = o.at + int64(int32(h.Timestamp-uint32(o.at)))
	}
	if !o.started || number > o.number {
		o.number, o.at = number, at
	}
	if !o.started {
		o.started, o.next = true, number
	}
	if number < o.next && o.next-number < maxHeld {
		o.late++
		return
	}
	if number < o.next { // the far end has begun anew
		o.next = number
	}
	i, twice := slices.BinarySearchFunc(o.list, number, func(p packet, n int64) int { return int(p.number - n) })
	if twice {
		return
	}
	if len(o.list) >= maxHeld {
		o.dropped++
		o.drop(1)
		i = max(0, i-1)
	}
	p := packet{}
	if n := len(o.free); n > 0 {
		p, o.free = o.free[n-1], o.free[:n-1]
	}
	p.number, p.at, p.arrived, p.loud, p.data = number, at, now, !h.HasLevel || h.Level < loudEnough, append(p.data[:0], payload...)
	o.list = slices.Insert(o.list, i, p)
}

// drop forgets the oldest packets.
func (o *order) drop(n int) {
	o.next = o.list[n-1].number + 1
	o.giveBack(o.list[:n])
	o.list = slices.Delete(o.list, 0, n)
}

// take appends to dst the packets whose turn it is: one that is missing is waited for, for a while.
func (o *order) take(dst []packet, now time.Time) []packet {
	n := 0
	for n < len(o.list) {
		p := &o.list[n]
		if p.number > o.next && now.Sub(p.arrived) < patience && len(o.list)-n < maxBehind {
			break
		}
		o.next = p.number + 1
		n++
	}
	dst = append(dst, o.list[:n]...)
	o.list = slices.Delete(o.list, 0, n)
	return dst
}

// calm keeps only the last packets of who is silent, and reports whether somebody begins to speak.
func (o *order) calm() bool {
	for i := range o.list {
		if o.list[i].loud {
			return true
		}
	}
	if n := len(o.list) - preroll; n > 0 {
		o.drop(n)
	}
	return false
}

// giveBack returns packets that take gave, for their memory.
func (o *order) giveBack(used []packet) {
	if room := maxHeld - len(o.free); room < len(used) {
		used = used[:max(0, room)]
	}
	o.free = append(o.free, used...)
}

// forget drops what came before a time.
func (o *order) forget(before time.Time) {
	n := 0
	for n < len(o.list) && o.list[n].arrived.Before(before) {
		n++
	}
	if n > 0 {
		o.dropped += int64(n)
		o.drop(n)
	}
}
