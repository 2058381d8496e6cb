package scribeleg

import (
	"math/rand/v2"
	"testing"
	"time"

	"jigasi/internal/rtpx"
)

// TestOrder: whatever the network does to packets, each is heard once and in its order; what is missing is waited for,
// but not for long; numbers wrap.
func TestOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1000, 0)
	var o order
	var list, sent []packet
	last, heard := int64(-1), map[string]int{}
	for n := range 5000 {
		now = now.Add(20 * time.Millisecond)
		sent = append(sent, packet{number: int64(n), at: int64(n) * 960})
		if n%97 == 3 { // lost
			sent = sent[:len(sent)-1]
		}
		if n%10 == 0 && len(sent) > 3 { // a burst out of order, some twice
			rnd.Shuffle(len(sent[len(sent)-3:]), func(i, j int) { k := len(sent) - 3; sent[k+i], sent[k+j] = sent[k+j], sent[k+i] })
		}
		if n%3 != 0 {
			continue
		}
		for _, p := range append(sent, sent[:min(1, len(sent))]...) {
			h := &rtpx.Header{Seq: uint16(65000 + p.number), Timestamp: uint32(1<<32 - 48000 + p.at), HasLevel: true, Level: 30}
			o.put(h, []byte{byte(p.number >> 8), byte(p.number)}, now)
		}
		sent = nil
		list = o.take(list[:0], now)
		for _, p := range list {
			heard[string(p.data)]++
			if p.number <= last || !p.loud {
				t.Fatalf("%d after %d", p.number, last)
			}
			last = p.number
		}
		o.giveBack(list)
	}
	for range 10 {
		now = now.Add(patience)
		for _, p := range o.take(nil, now) {
			heard[string(p.data)]++
		}
	}
	if n := 5000 - 5000/97 - 1; len(heard) < n-2 || len(heard) > n || len(o.free) > 30 {
		t.Errorf("%d heard of %d, %d dropped, %d free", len(heard), n, o.dropped, len(o.free))
	}
	for data, n := range heard {
		if n != 1 {
			t.Errorf("%x is heard %d times", data, n)
		}
	}
}

// TestOrderIsBounded: of who is silent little is kept, of who has no owner some seconds, and a sender that begins anew is heard.
func TestOrderIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	var o order
	say := func(from, n int, level uint8) {
		for i := range n {
			o.put(&rtpx.Header{Seq: uint16(from + i), Timestamp: uint32(960 * (from + i)), HasLevel: true, Level: level}, []byte{1, 2, 3}, now)
		}
	}
	say(0, 100, 90)
	if o.calm() || len(o.list) != preroll {
		t.Errorf("%d packets of silence are kept", len(o.list))
	}
	say(100, 1, 20)
	if !o.calm() || len(o.list) != preroll+1 {
		t.Errorf("%d packets when somebody speaks", len(o.list))
	}
	say(101, 1000, 20)
	if len(o.list) != maxHeld {
		t.Errorf("%d packets are held", len(o.list))
	}
	if got := o.take(nil, now); len(got) != maxHeld || got[maxHeld-1].number-got[0].number != maxHeld-1 {
		t.Errorf("%d packets, from %d", len(got), got[0].number)
	}
	say(40000, 10, 20)
	if got := o.take(nil, now); len(got) != 10 {
		t.Errorf("%d packets of who began anew", len(got))
	}
	var h rtpx.Header
	o = order{}
	payload := make([]byte, 100)
	var list []packet
	if n := testing.AllocsPerRun(1000, func() {
		h.Seq, h.Timestamp = h.Seq+1, h.Timestamp+960
		o.put(&h, payload, now)
		list = o.take(list[:0], now)
		o.giveBack(list)
	}); n > 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}

// TestPacketsCostNothing: the bridge's goroutine allocates nothing for a packet.
func TestPacketsCostNothing(t *testing.T) {
	e := &ears{counts: &Counts{}, streams: map[uint32]*stream{}, wake: make(chan struct{}, 1)}
	h, payload, list := rtpx.Header{SSRC: 1, HasLevel: true}, make([]byte, 120), []packet(nil)
	if n := testing.AllocsPerRun(1000, func() {
		h.Seq, h.Timestamp = h.Seq+1, h.Timestamp+960
		e.rtp(&h, payload)
		o := &e.streams[1].order
		list = o.take(list[:0], time.Now())
		o.giveBack(list)
	}); n > 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}
