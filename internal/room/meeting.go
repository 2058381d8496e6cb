package room

import (
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/jitter"
	"jigasi/internal/rtpx"
)

// A meeting is what the ears of one room share.
type meeting struct {
	mu      sync.Mutex // held for moments
	streams map[uint32]*stream
	// places are of the loudest. Where there are several ears the last one is for who is not among them, but is
	// heard in place of himself by a phone that is.
	places [loudest + 1]*stream
	ears   int

	turning sync.Mutex // guards the decoders of all streams, and what follows
	count   int64      // turns so far
	ring    []turn
	acc     []int32
	coders  []coder
}

const (
	spare = loudest // the place
	depth = 8       // turns that are kept for ears that come later: more than the clock makes up for
)

func newMeeting() *meeting { return &meeting{streams: map[uint32]*stream{}, ring: make([]turn, 1)} }

// come is one more ear.
func (m *meeting) come() {
	m.turning.Lock()
	defer m.turning.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ears++; m.ears == 2 && len(m.ring) == 1 {
		ring := make([]turn, depth)
		ring[m.count%depth] = m.ring[0]
		m.ring = ring
	}
}

// leave is one less, and reports whether it was the last.
func (m *meeting) leave() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ears--; m.ears == 1 && m.places[spare] != nil {
		m.places[spare].buffer.Reset()
		m.places[spare] = nil
	}
	return m.ears == 0
}

// A stream is one speaker. What stands above buffer is guarded by meeting.mu, what below dec, by turning.
type stream struct {
	ssrc   uint32
	views  int       // ears that hear it
	known  int       // of them, those that know whose it is
	loud   time.Time // last packet that was no silence
	level  float64   // smoothed, 0..127, 127 the loudest
	look   uint16    // number of the packet judged last
	looked time.Time // when; zero: never
	seen   window

	buffer *jitter.Buffer

	left int // of what was taken from the buffer, in samples at 48 kHz
	dec  [rates]decoder
}

// share finds or makes the stream of an SSRC, for one more ear.
func (m *meeting) share(ssrc uint32, known bool) *stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[ssrc]
	if s == nil {
		s = &stream{ssrc: ssrc, buffer: jitter.New(jitter.Options{Clock: 48000})}
		m.streams[ssrc] = s
	}
	s.views++
	if known {
		s.known++
	}
	return s
}

// claim is one more ear that knows whose s is.
func (m *meeting) claim(s *stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.known++
}

// unshare is one ear less.
func (m *meeting) unshare(s *stream, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known {
		s.known--
	}
	if s.views--; s.views > 0 {
		return
	}
	delete(m.streams, s.ssrc)
	for i, p := range m.places {
		if p == s {
			m.places[i] = nil
		}
	}
}

// wants reports whether a packet is needed, by its header alone.
func (m *meeting) wants(s *stream, h *rtpx.Header, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.seen.has(h.Seq, now) {
		return false
	}
	place := m.placeOf(s)
	quiet := h.HasLevel && h.Level == audio.Silent
	if d := int16(h.Seq - s.look); d > 0 || d <= -span || now.Sub(s.looked) > time.Second { // else it was judged when it came to another ear
		s.look, s.looked = h.Seq, now
		loudness := 100.0 // of an old sender, who does not say
		if h.HasLevel {
			loudness = float64(audio.Silent - h.Level)
		}
		s.level += (loudness - s.level) / 4
		if !quiet {
			s.loud = now
			if place < 0 || place == spare {
				return m.promote(s, place, now)
			}
		}
	}
	return place >= 0 && (!quiet || now.Sub(s.loud) < holdOn)
}

// fresh notes an authentic packet, and reports whether it is the first of its number.
func (m *meeting) fresh(s *stream, seq uint16, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return s.seen.mark(seq, now)
}

func (m *meeting) placeOf(s *stream) int {
	for i, p := range m.places {
		if p == s {
			return i
		}
	}
	return -1
}

// promote gives s a place: a free one, that of who fell silent, or that of who is clearly less
// loud. place is where it is now, -1 for nowhere.
func (m *meeting) promote(s *stream, place int, now time.Time) bool {
	worst := weakest(m.places[:loudest], now)
	if c := m.places[worst]; yields(c, s, now) {
		m.places[worst] = s
		if place >= 0 {
			m.places[place] = nil
		}
		m.retire(c, now)
		return true
	}
	if place >= 0 {
		return true
	}
	if c := m.places[spare]; m.ears > 1 && yields(c, s, now) {
		m.places[spare] = s
		if c != nil {
			c.buffer.Reset()
		}
		return true
	}
	return false
}

// retire gives who has lost a place the spare one, if it is of use there.
func (m *meeting) retire(c *stream, now time.Time) {
	if c == nil {
		return
	}
	if m.ears > 1 && !idle(c, now) && (idle(m.places[spare], now) || m.places[spare].level < c.level) {
		c, m.places[spare] = m.places[spare], c
	}
	if c != nil {
		c.buffer.Reset()
	}
}

// weakest is the place to give away, if any: one that is free or whose stream fell silent, else that of the least loud.
func weakest(places []*stream, now time.Time) int {
	worst := 0
	for i, c := range places {
		if idle(c, now) {
			return i
		}
		if c.level < places[worst].level {
			worst = i
		}
	}
	return worst
}

func idle(c *stream, now time.Time) bool { return c == nil || now.Sub(c.loud) > holdOn }

// yields reports whether c's place may be taken by s.
func yields(c, s *stream, now time.Time) bool { return idle(c, now) || s.level >= c.level+10 }

// span is how many sequence numbers a window knows.
const span = 64

// A window knows which of the latest packets have come, so that what comes to several ears is taken once.
type window struct {
	top  uint16
	bits uint64 // of top and those before it
	at   time.Time
}

// has reports whether a packet has come. After a second without one nothing is known: numbers come round, and a
// sender may begin anew.
func (w *window) has(seq uint16, now time.Time) bool {
	d := int16(seq - w.top)
	switch {
	case w.bits == 0 || d > 0 || now.Sub(w.at) > time.Second:
		return false
	case d > -span:
		return w.bits>>uint(-d)&1 != 0
	}
	return true // too late for anything
}

// mark notes a packet and reports whether it had not come before.
func (w *window) mark(seq uint16, now time.Time) bool {
	if w.has(seq, now) {
		return false
	}
	switch d := int(int16(seq - w.top)); {
	case w.bits == 0 || d >= span || now.Sub(w.at) > time.Second:
		w.top, w.bits = seq, 1
	case d > 0:
		w.top, w.bits = seq, w.bits<<uint(d)|1
	default:
		w.bits |= 1 << uint(-d)
	}
	w.at = now
	return true
}

// A decoder is a stream's sound at one rate.
type decoder struct {
	dec  *codec.OpusDecoder
	turn int64 // decoded last
	busy bool  // it is at work; left behind by a panic, of which one call is enough
	rest []int16
	have int // samples in rest
}
