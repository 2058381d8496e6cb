package meetleg

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/bridge"
	"jigasi/internal/codec"
	"jigasi/internal/conference"
	"jigasi/internal/jingle"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// The gate: below gateLevel for gateAfter nothing is encoded but one packet in
// gateEvery, so that the far end's playout stays primed. Encoding is two thirds of a call's cost.
const (
	gateLevel = 60 // -dBov
	gateAfter = 300 * time.Millisecond
	gateEvery = 400 * time.Millisecond
)

// A writer takes packets; *bridge.Conn is one.
type writer interface {
	WriteRTP(h *rtpx.Header, payload []byte)
	Stats() bridge.Stats
}

// voice is what the phone says on its way to the bridge. push runs on one goroutine.
type voice struct {
	opt   codec.OpusOptions
	muted atomic.Bool
	gate  bool

	mu     sync.Mutex
	conn   writer // nil: nothing is sent
	h      rtpx.Header
	enc    *codec.OpusEncoder
	guard  codec.Protection
	rate   int
	buf    [codec.MaxOpus]byte
	began  time.Time // what timestamps count from
	base   uint32
	loud   time.Time // last chunk above the gate
	sentAt time.Time
	resume bool // the next packet begins a talk spurt
	stats  rtpx.Sender
	keys   rtpx.KeyWriter
	event  [4]byte

	splice  rtpx.Splice
	spliced bool // what was sent last was a packet of the phone's, and goes on
}

func newVoice(o codec.OpusOptions, ssrc uint32, gate bool) *voice {
	v := &voice{opt: o, base: rand.Uint32(), gate: gate}
	v.renew(ssrc)
	return v
}

// renew begins another stream.
func (v *voice) renew(ssrc uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.h = rtpx.Header{SSRC: ssrc, PT: v.h.PT, Seq: uint16(rand.Uint32()), HasLevel: true}
	v.stats, v.spliced = rtpx.Sender{SSRC: ssrc, Clock: media.Full}, false
}

// start sends to conn from now on; the stream goes on where it was.
func (v *voice) start(conn writer, pt uint8) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.h.PT, v.resume = pt, true
	if v.began.IsZero() {
		v.began = time.Now()
	}
	v.conn = conn
}

// stop sends nothing until start. When it returns, the old connection is no longer used.
func (v *voice) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.conn = nil
}

func (v *voice) mute(on bool) { v.muted.Store(on) }

// push sends one chunk of the phone: an Opus packet as it is, PCM by encoding it at its own rate.
func (v *voice) push(c *media.Chunk) {
	v.mu.Lock()
	defer v.mu.Unlock()
	conn := v.conn
	if conn == nil || v.muted.Load() || v.keys.Busy() { // a key is sent in place of sound
		v.resume = true
		return
	}
	now := time.Now()
	v.stamp(now)
	v.h.Level = c.Level
	if !c.Measured {
		v.h.Level = audio.Level(c.PCM)
	}
	v.h.Voice = v.h.Level < gateLevel
	if v.gated(now) {
		return
	}
	payload := c.Opus
	if payload == nil {
		n := v.encode(c)
		if n == 0 {
			return
		}
		payload = v.buf[:n]
	}
	v.h.Marker = v.resume
	v.resume = false
	conn.WriteRTP(&v.h, payload)
	v.sent(now, len(payload))
}

// sent counts a packet of our stream.
func (v *voice) sent(now time.Time, octets int) {
	v.h.Seq++
	v.sentAt, v.spliced = now, false
	v.stats.Packets++
	v.stats.Octets += uint32(octets)
	v.stats.Timestamp, v.stats.At = v.h.Timestamp, now
}

// reported takes what the bridge says about our stream: while packets are lost on the way to it, they are
// protected.
func (v *voice) reported(about []rtpx.Block) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, b := range about {
		if b.SSRC != v.h.SSRC {
			continue
		}
		on, loss, changed := v.guard.Reported(b.FractionLost)
		if !changed {
			return
		}
		v.opt.FEC, v.opt.Loss = on, loss // of the next encoder, if the phone changes its rate
		if v.enc != nil {
			_ = v.enc.SetFEC(on, loss) // an encoder that cannot goes on without
		}
	}
}

// stamp moves the timestamp on by 20 ms, or by what really passed where the phone paused.
func (v *voice) stamp(now time.Time) {
	next := v.h.Timestamp + media.Full/50
	real := v.base + units(now.Sub(v.began))
	if d := int32(real - next); v.stats.Packets == 0 || d > media.Full/10 || d < -media.Full/5 {
		next = real
	}
	v.h.Timestamp = next
}

// units is d in units of the RTP clock; a product would overflow after 53 h.
func units(d time.Duration) uint32 {
	return uint32(d/time.Second)*media.Full + uint32(d%time.Second*media.Full/time.Second)
}

// gated reports whether a chunk of silence can be left out.
func (v *voice) gated(now time.Time) bool {
	if v.h.Voice {
		if now.Sub(v.loud) > gateAfter {
			v.resume = true
		}
		v.loud = now
		return false
	}
	return v.gate && now.Sub(v.loud) > gateAfter && now.Sub(v.sentAt) < gateEvery
}

func (v *voice) encode(c *media.Chunk) int {
	if v.enc == nil || v.rate != c.Rate {
		o := v.opt
		o.Rate = c.Rate
		enc, err := codec.NewOpusEncoder(o)
		if err != nil {
			return 0
		}
		v.enc, v.rate = enc, c.Rate
	}
	n, err := v.enc.Encode(v.buf[:], c.PCM)
	if err != nil {
		return 0
	}
	return n
}

// sender is what has been sent so far, for RTCP.
func (v *voice) sender() *rtpx.Sender {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.stats
	return &s
}

// source is our stream in a session: the same for all of one seat. Another seat has another, as the old one may still be
// there with our stream in it, and browsers take no stream again that has once gone.
func (l *Leg) source(o *conference.Offer) jingle.Source {
	if o.Nick != l.nick || o.Seat != l.seat && l.seat > 0 {
		l.ssrc = rand.Uint32() | 1
		l.voice.renew(l.ssrc)
	}
	l.nick, l.seat = o.Nick, o.Seat
	return jingle.Source{
		SSRC: l.ssrc, Name: l.nick + "-a0", MSID: fmt.Sprintf("%s-audio-0-%d %s-track-%d", l.nick, max(1, l.seat), l.nick, max(1, l.seat)-1),
	}
}
