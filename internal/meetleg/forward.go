package meetleg

import (
	"time"

	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// Forward implements media.Forwarder: a packet of a phone whose call does not mix (docs/adr/0031).
func (p *port) Forward(k media.Packet) { p.voice.forward(k) }

// forward sends a packet of the phone as it is, in our stream: its numbers and timestamps are the phone's own but for
// an offset, which changes where the phone begins another stream or was not to be heard for a while.
func (v *voice) forward(k media.Packet) {
	v.mu.Lock()
	defer v.mu.Unlock()
	conn := v.conn
	if conn == nil || v.muted.Load() || v.keys.Busy() {
		v.resume = true
		return
	}
	if !v.spliced {
		v.splice.Begin(v.h.Seq)
		v.spliced = true
	}
	now := time.Now()
	h := rtpx.Header{SSRC: k.SSRC, Seq: k.Seq, Timestamp: k.Timestamp}
	if !v.splice.Next(&h, k.Cut || v.resume, v.due(now)) {
		return
	}
	v.h.Seq, v.h.Timestamp, v.h.Marker = h.Seq, h.Timestamp, k.Marker || v.resume
	v.h.HasLevel, v.h.Level, v.h.Voice = k.Measured, k.Level, k.Level < gateLevel
	v.resume = false
	conn.WriteRTP(&v.h, k.Payload)
	v.sent(now, len(k.Payload))
	v.h.Seq, v.h.HasLevel, v.spliced = v.splice.Newest()+1, true, true
}

// due is the timestamp of a stream that begins now: what really passed, and never what was before.
func (v *voice) due(now time.Time) uint32 {
	real := v.base + units(now.Sub(v.began))
	if next := v.h.Timestamp + media.Full/50; v.stats.Packets > 0 && int32(real-next) < 0 {
		return next
	}
	return real
}
