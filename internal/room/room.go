// Package room is the sound of meetings as this gateway hears them.
//
// Each leg in a meeting has an Ear. The bridge sends a speaker's packets to every leg, and the ears
// of one room share what they have in common (docs/adr/0011, 0023): the first ear that a packet comes
// to has it decrypted, one jitter buffer holds it, it is decoded once, and who hears the same gets the
// same mix. An ear hears only whom its own connection brings, so that nobody hears himself, nor
// anybody whom the bridge keeps from him.
//
// Packets come on the bridge's goroutines, Pull on the clock's; nothing else runs here. Locks are
// taken in the order Ear.pulling, meeting.turning, Ear.mu, meeting.mu; the last two for moments.
package room

import (
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

const (
	loudest     = 3                      // speakers mixed at once
	maxStreams  = 64                     // SSRCs that an ear hears at once (T11)
	maxOwners   = 4096                   // SSRCs whose owner an ear knows (T11)
	ownerLimit  = 5 * time.Second        // how long the owner of an SSRC may be unknown
	forgetAfter = 60 * time.Second       // a stream without packets
	holdOn      = 400 * time.Millisecond // how long a speaker keeps the place after the last sound
	// present is how long an ear goes on hearing whom its own connection brings no packet of, while other ears do.
	present = 2 * time.Second
)

// A Hub knows the ears of all rooms. Its methods are safe for concurrent use.
type Hub struct {
	mu    sync.Mutex
	rooms map[string]*meeting
}

// NewHub makes a hub.
func NewHub() *Hub { return &Hub{rooms: map[string]*meeting{}} }

// Rooms is how many rooms have an ear in them.
func (h *Hub) Rooms() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.rooms)
}

// Join gives an ear in a room: ears share what they hear if their rooms have the same name. OnKey, which may
// be nil, is told the keys that members press, on the bridge's goroutine.
func (h *Hub) Join(room string, onKey func(key rune, ms int)) *Ear {
	e := &Ear{hub: h, room: room, onKey: onKey, views: map[uint32]*view{}, owners: map[uint32]struct{}{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	e.m = h.enter(room)
	return e
}

// enter and leave are called with mu held.
func (h *Hub) enter(room string) *meeting {
	m := h.rooms[room]
	if m == nil {
		m = newMeeting()
		h.rooms[room] = m
	}
	m.come()
	return m
}

func (h *Hub) leave(room string, m *meeting) {
	if m.leave() {
		delete(h.rooms, room)
	}
}

// PayloadTypes are those of the offer.
type PayloadTypes struct{ Opus, Event uint8 }

// An Ear hears one room.
type Ear struct {
	hub    *Hub
	onKey  func(rune, int)
	types  atomic.Pointer[PayloadTypes]
	room   string // guarded by hub.mu
	closed bool   // guarded by hub.mu

	mu     sync.Mutex // held for moments
	m      *meeting
	views  map[uint32]*view
	owners map[uint32]struct{} // SSRCs that signaling told of
	keys   map[uint32]*rtpx.KeyReader

	apart apart

	pulling sync.Mutex // guards what is of the clock's goroutine
	pull    pull

	stats counters
}

// A view is what an ear knows by itself of a stream that its connection brings.
type view struct {
	s     *stream
	since time.Time
	heard time.Time // last packet
	known bool      // whose it is
	recv  rtpx.Receiver

	pass bool // the packet that was judged last goes on as it is
	cut  bool // what came before the next one did not
	sent bool // some did
}

type counters struct{ packets, dropped, decoded, passed atomic.Int64 }

// Stats are what an ear has counted. Packets, Decoded and Passed are its own share of the room's work; what is
// late, lost and held is the room's.
type Stats struct {
	Packets, Dropped, Decoded, Passed int64
	Streams                           int
	Late, Lost                        int64
	Delay                             time.Duration // what is held of who is behind the most
}

// SetTypes tells the payload types of the offer.
func (e *Ear) SetTypes(t PayloadTypes) { e.types.Store(&t) }

// Move has the ear hear another room. It forgets whom it heard.
func (e *Ear) Move(room string) {
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	if e.closed || e.room == room {
		return
	}
	to := e.hub.enter(room)
	from := e.change(to)
	e.hub.leave(e.room, from)
	e.room = room
}

// change forgets all that is known and goes on in another meeting.
func (e *Ear) change(to *meeting) (from *meeting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clear()
	from, e.m = e.m, to
	return from
}

// Want decides before decryption whether a packet is needed: of the loudest, never silence, and
// not if another ear of the room has it. It runs on the bridge's goroutine.
func (e *Ear) Want(h *rtpx.Header) bool {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.view(h.SSRC, now)
	if v == nil {
		return false
	}
	v.recv.Packet(h.Seq, h.Timestamp, now)
	v.heard = now
	if t := e.types.Load(); t != nil && t.Event != 0 && h.PT == t.Event {
		v.cut = true // they have numbers between those of the sound
		return true  // each leg is told the keys
	}
	wanted := e.m.wants(v.s, h, now)
	if e.apart.to == nil {
		return wanted
	}
	return e.apart.wants(e.m, v, h, now) || wanted
}

// view finds or makes the view of an SSRC; nil if there are too many. Called with mu held.
func (e *Ear) view(ssrc uint32, now time.Time) *view {
	if v := e.views[ssrc]; v != nil {
		return v
	}
	if len(e.views) >= maxStreams {
		e.forget(now)
		if len(e.views) >= maxStreams {
			e.stats.dropped.Add(1)
			return nil
		}
	}
	_, known := e.owners[ssrc]
	v := &view{since: now, heard: now, known: known, cut: true, recv: rtpx.Receiver{SSRC: ssrc, Clock: 48000}}
	v.s = e.m.share(ssrc, known)
	e.views[ssrc] = v
	return v
}

// forget drops streams that are silent for long, and those nobody ever claimed.
func (e *Ear) forget(now time.Time) {
	for ssrc, v := range e.views {
		if now.Sub(v.heard) > forgetAfter || !v.known && now.Sub(v.since) > ownerLimit {
			e.drop(ssrc, v)
		}
	}
}

func (e *Ear) drop(ssrc uint32, v *view) {
	e.apart.drop(v.s)
	delete(e.views, ssrc)
	delete(e.keys, ssrc)
	e.m.unshare(v.s, v.known)
}

// RTP takes a decrypted packet, on the bridge's goroutine.
func (e *Ear) RTP(h *rtpx.Header, payload []byte) {
	e.stats.packets.Add(1)
	t := e.types.Load()
	if t == nil || len(payload) == 0 {
		return
	}
	if t.Event != 0 && h.PT == t.Event {
		e.key(h, payload)
		return
	}
	if h.PT != t.Opus {
		e.stats.dropped.Add(1)
		return
	}
	now := time.Now()
	e.mu.Lock()
	v := e.views[h.SSRC]
	to, cut := e.apart.take(v)
	fresh := v != nil && (to == nil || e.m.placed(v.s)) && e.m.fresh(v.s, h.Seq, now)
	e.mu.Unlock()
	if fresh {
		v.s.buffer.Push(h.Seq, h.Timestamp, payload, now)
	}
	if to != nil {
		e.stats.passed.Add(1)
		to.Forward(media.Packet{
			SSRC: h.SSRC, Timestamp: h.Timestamp, Seq: h.Seq, Marker: h.Marker, Cut: cut, Measured: h.HasLevel, Level: h.Level, Payload: payload,
		})
	}
}

func (e *Ear) key(h *rtpx.Header, payload []byte) {
	if e.onKey == nil {
		return
	}
	e.mu.Lock()
	if e.keys == nil {
		e.keys = map[uint32]*rtpx.KeyReader{}
	}
	r := e.keys[h.SSRC]
	if r == nil {
		r = &rtpx.KeyReader{}
		e.keys[h.SSRC] = r
	}
	key, units, ok := r.Read(h.Timestamp, payload)
	e.mu.Unlock()
	if ok {
		e.onKey(key, max(100, units/8))
	}
}

// SetOwner says whose an SSRC is; before that its sound is held, not heard.
func (e *Ear) SetOwner(ssrc uint32, endpoint string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.owners) >= maxOwners || endpoint == "" {
		e.stats.dropped.Add(1)
		return
	}
	e.owners[ssrc] = struct{}{}
	if v := e.views[ssrc]; v != nil && !v.known {
		v.known = true
		e.m.claim(v.s)
	}
}

// Remove forgets an SSRC.
func (e *Ear) Remove(ssrc uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.owners, ssrc)
	if v := e.views[ssrc]; v != nil {
		if v.sent && e.apart.to != nil {
			e.apart.to.Gone(ssrc)
		}
		e.drop(ssrc, v)
	}
}

// Keep forgets all but these, as when another session is offered. Who is in both goes on with what is held of him, and
// known of his network.
func (e *Ear) Keep(ssrcs map[uint32]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ssrc := range e.owners {
		if !ssrcs[ssrc] {
			delete(e.owners, ssrc)
		}
	}
	for ssrc, v := range e.views {
		if !ssrcs[ssrc] {
			e.drop(ssrc, v)
			continue
		}
		v.recv = rtpx.Receiver{SSRC: ssrc, Clock: v.recv.Clock} // what was missed between them is no loss of the new one
	}
}

func (e *Ear) clear() {
	clear(e.owners)
	for ssrc, v := range e.views {
		e.drop(ssrc, v)
	}
}

// Reports gives the receivers of all streams that brought packets lately, for RTCP.
func (e *Ear) Reports(dst []rtpx.Receiver) []rtpx.Receiver {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for _, v := range e.views {
		if now.Sub(v.heard) < 10*time.Second && v.recv.Received() > 0 && len(dst) < rtpx.MaxBlocks {
			dst = append(dst, v.recv)
		}
	}
	return dst
}

// Stats gives the counters.
func (e *Ear) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Stats{
		Packets: e.stats.packets.Load(), Dropped: e.stats.dropped.Load(), Decoded: e.stats.decoded.Load(),
		Passed: e.stats.passed.Load(), Streams: len(e.views),
	}
	for _, v := range e.views {
		b := v.s.buffer.Stats()
		s.Late, s.Lost, s.Delay = s.Late+b.Late, s.Lost+b.Lost, max(s.Delay, b.Delay)
	}
	return s
}

// Close leaves the hub. Nothing may be called afterwards but Pull, which gives silence.
func (e *Ear) Close() {
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	if e.closed {
		return
	}
	e.closed = true
	e.hub.leave(e.room, e.change(newMeeting()))
}
