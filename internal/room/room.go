// Package room is the sound of meetings as this gateway hears them.
//
// Each leg in a meeting has an Ear: it chooses the loudest speakers before their
// packets are decrypted, keeps a jitter buffer for each, and on the clock's demand
// decodes and mixes them. Ears of one room know one hub (docs/adr/0011), behind
// which one decode and one mix for all of them may come.
//
// Packets come on the bridge's goroutine, Pull on the clock's; nothing else runs here.
package room

import (
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/jitter"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

const (
	loudest     = 3                      // speakers mixed at once
	maxStreams  = 64                     // SSRCs known at once (T11)
	ownerLimit  = 5 * time.Second        // how long the owner of an SSRC may be unknown
	forgetAfter = 60 * time.Second       // a stream without packets
	holdOn      = 400 * time.Millisecond // how long a speaker keeps the place after the last sound
)

// A Hub knows the ears of all rooms. Its methods are safe for concurrent use.
type Hub struct {
	mu    sync.Mutex
	rooms map[string]int
}

// NewHub makes a hub.
func NewHub() *Hub { return &Hub{rooms: map[string]int{}} }

// Rooms is how many rooms have an ear in them.
func (h *Hub) Rooms() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.rooms)
}

// Join gives an ear in a room. OnKey, which may be nil, is told the keys that members press, on the
// bridge's goroutine.
func (h *Hub) Join(room string, onKey func(key rune, ms int)) *Ear {
	h.mu.Lock()
	h.rooms[room]++
	h.mu.Unlock()
	return &Ear{hub: h, room: room, onKey: onKey, streams: map[uint32]*stream{}}
}

// PayloadTypes are those of the offer.
type PayloadTypes struct{ Opus, Event uint8 }

// An Ear hears one room.
type Ear struct {
	hub   *Hub
	room  string
	onKey func(rune, int)
	once  sync.Once
	types atomic.Pointer[PayloadTypes]

	mu      sync.Mutex // the map and who is chosen; held for moments
	streams map[uint32]*stream
	chosen  [loudest]*stream
	keys    map[uint32]*rtpx.KeyReader

	// Of the clock's goroutine.
	pullMu sync.Mutex
	acc    [media.Full / 50]int32
	packet [1500]byte

	stats counters
}

type counters struct{ packets, dropped, decoded, passed atomic.Int64 }

// Stats are what an ear has counted.
type Stats struct {
	Packets, Dropped, Decoded, Passed int64
	Streams                           int
	Late, Lost                        int64
	Delay                             time.Duration // what is held of who is behind the most
}

type stream struct {
	ssrc   uint32
	owner  string // "" as long as it is not known
	since  time.Time
	heard  time.Time // last packet
	loud   time.Time // last packet that was no silence
	level  float64   // smoothed, 0..127, 127 the loudest
	buffer *jitter.Buffer
	recv   rtpx.Receiver
	dec    *codec.OpusDecoder
	rate   int
	// rest is what a packet longer than a tick leaves for the next ones: up to 120 ms, made with dec.
	rest []int16
	have int
}

// SetTypes tells the payload types of the offer.
func (e *Ear) SetTypes(t PayloadTypes) { e.types.Store(&t) }

// Want decides before decryption whether a packet is needed: of the loudest, and
// never silence. It runs on the bridge's goroutine.
func (e *Ear) Want(h *rtpx.Header) bool {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stream(h.SSRC, now)
	if s == nil {
		return false
	}
	s.recv.Packet(h.Seq, h.Timestamp, now)
	s.heard = now
	if !h.HasLevel { // an old sender: treat it as loud
		s.loud, s.level = now, 100
	} else {
		loudness := float64(audio.Silent - h.Level)
		s.level += (loudness - s.level) / 4
		if h.Level == audio.Silent {
			return e.holds(s) && now.Sub(s.loud) < holdOn
		}
		s.loud = now
	}
	if e.holds(s) {
		return true
	}
	return e.promote(s, now)
}

// stream finds or makes the stream of an SSRC; nil if there are too many. Called with mu held.
func (e *Ear) stream(ssrc uint32, now time.Time) *stream {
	if s := e.streams[ssrc]; s != nil {
		return s
	}
	if len(e.streams) >= maxStreams {
		e.forget(now)
		if len(e.streams) >= maxStreams {
			e.stats.dropped.Add(1)
			return nil
		}
	}
	s := &stream{ssrc: ssrc, since: now, buffer: jitter.New(jitter.Options{Clock: 48000}), recv: rtpx.Receiver{SSRC: ssrc, Clock: 48000}}
	e.streams[ssrc] = s
	return s
}

// forget drops streams that are silent for long, and those nobody ever claimed.
func (e *Ear) forget(now time.Time) {
	for ssrc, s := range e.streams {
		if now.Sub(s.heard) > forgetAfter || s.owner == "" && now.Sub(s.since) > ownerLimit {
			e.drop(ssrc, s)
		}
	}
}

func (e *Ear) drop(ssrc uint32, s *stream) {
	delete(e.streams, ssrc)
	delete(e.keys, ssrc)
	for i, c := range e.chosen {
		if c == s {
			e.chosen[i] = nil
		}
	}
}

func (e *Ear) holds(s *stream) bool {
	for _, c := range e.chosen {
		if c == s {
			return true
		}
	}
	return false
}

// promote gives s a place: a free one, that of who fell silent, or that of who is clearly less loud.
func (e *Ear) promote(s *stream, now time.Time) bool {
	worst := -1
	for i, c := range e.chosen {
		if c == nil || now.Sub(c.loud) > holdOn {
			worst = i
			break
		}
		if worst < 0 || c.level < e.chosen[worst].level {
			worst = i
		}
	}
	if c := e.chosen[worst]; c != nil && now.Sub(c.loud) <= holdOn && s.level < c.level+10 {
		return false
	}
	if c := e.chosen[worst]; c != nil {
		c.buffer.Reset()
	}
	e.chosen[worst] = s
	return true
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
	e.mu.Lock()
	s := e.streams[h.SSRC]
	e.mu.Unlock()
	if s != nil {
		s.buffer.Push(h.Seq, h.Timestamp, payload, time.Now())
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
	if s := e.stream(ssrc, time.Now()); s != nil {
		s.owner, s.heard = endpoint, time.Now()
	}
}

// Remove forgets an SSRC.
func (e *Ear) Remove(ssrc uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.streams[ssrc]; s != nil {
		e.drop(ssrc, s)
	}
}

// Clear forgets all, as when the bridge changes.
func (e *Ear) Clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ssrc, s := range e.streams {
		e.drop(ssrc, s)
	}
}

// Reports gives the receivers of all streams that brought packets lately, for RTCP.
func (e *Ear) Reports(dst []rtpx.Receiver) []rtpx.Receiver {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for _, s := range e.streams {
		if now.Sub(s.heard) < 10*time.Second && s.recv.Received() > 0 && len(dst) < rtpx.MaxBlocks {
			dst = append(dst, s.recv)
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
		Passed: e.stats.passed.Load(), Streams: len(e.streams),
	}
	for _, st := range e.streams {
		b := st.buffer.Stats()
		s.Late, s.Lost, s.Delay = s.Late+b.Late, s.Lost+b.Lost, max(s.Delay, b.Delay)
	}
	return s
}

// Close leaves the hub. Nothing may be called afterwards but Pull, which gives silence.
func (e *Ear) Close() {
	e.once.Do(func() {
		e.Clear()
		e.hub.mu.Lock()
		defer e.hub.mu.Unlock()
		if e.hub.rooms[e.room]--; e.hub.rooms[e.room] == 0 {
			delete(e.hub.rooms, e.room)
		}
	})
}
