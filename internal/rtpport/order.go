package rtpport

import (
	"time"

	"jigasi/internal/rtpx"
)

// ahead are packets that came before one that should have come first (T48). They wait for it until a later
// one comes: what is out of order has mostly been overtaken by one packet, or by a few that came together.
// Nothing waits where nothing is missing.
type ahead struct {
	count int
	since time.Time
	kept  [3]kept // by their numbers
}

type kept struct {
	head rtpx.Header
	size int
	data [640]byte // 80 ms of G.711; larger packets do not wait
}

// together is how far apart packets come that have been held up as one.
const together = 10 * time.Millisecond

// stale is what is not worth hearing any more when the next packet comes.
const stale = 200 * time.Millisecond

// ordered reports whether it is the packet's turn. What is late is counted, what is ahead may be kept, and
// what is missing and will not come any more is made up for.
func (in *inbound) ordered(p *Port, c *config, h *rtpx.Header, payload []byte, now time.Time) bool {
	a := &in.ahead
	d := int16(h.Seq - in.next)
	if d < 0 && d > -50 || a.has(h.Seq) {
		p.counters.late.Add(1) // a duplicate, or too late: the far end has gone on
		return false
	}
	waited := now.Sub(a.since)
	switch {
	case a.count == 0:
	case waited > stale:
		a.count = 0
	case waited > together, a.count == len(a.kept), d > gapLimit: // what is missing was lost
		for a.count > 0 && int16(h.Seq-a.kept[0].head.Seq) > 0 {
			in.release(p, c)
		}
		d = int16(h.Seq - in.next)
	}
	if d <= 0 || d > gapLimit || int(h.PT) != c.RecvPT {
		return true
	}
	if a.keep(h, payload, now) {
		return false
	}
	in.conceal(p, c, int(d))
	return true
}

func (a *ahead) has(seq uint16) bool {
	for i := range a.count {
		if a.kept[i].head.Seq == seq {
			return true
		}
	}
	return false
}

// keep reports whether there was room.
func (a *ahead) keep(h *rtpx.Header, payload []byte, now time.Time) bool {
	if a.count == len(a.kept) || len(payload) > len(a.kept[0].data) {
		return false
	}
	if a.count == 0 {
		a.since = now
	}
	i := a.count
	for ; i > 0 && int16(a.kept[i-1].head.Seq-h.Seq) > 0; i-- {
		a.kept[i] = a.kept[i-1]
	}
	k := &a.kept[i]
	k.head, k.size = *h, copy(k.data[:], payload)
	a.count++
	return true
}

// release hands on the first that is kept, after what is missing before it.
func (in *inbound) release(p *Port, c *config) {
	a := &in.ahead
	k := &a.kept[0]
	if d := int16(k.head.Seq - in.next); d > 0 && d <= gapLimit {
		in.conceal(p, c, int(d))
	}
	in.play(p, c, &k.head, k.data[:k.size])
	a.count--
	copy(a.kept[:a.count], a.kept[1:])
}
