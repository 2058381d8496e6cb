package meetleg

import (
	"time"

	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// press sends a key of the phone to the bridge, in place of sound. Keys of a phone that is not heard (not connected yet,
// a visitor, muted) are not sent later either.
func (l *Leg) press(d leg.Digit) {
	switch {
	case l.media.Offer() == nil || l.phase != leg.Up:
	case l.media.Offer().EventPT == 0:
		if !l.was.unpressed {
			l.was.unpressed = true
			l.log.Info("keys of the phone are not sent: the focus offers no telephone-event")
		}
	case l.voice.press(d.Key, d.Duration) && l.pressing == nil:
		l.pressing = time.NewTicker(media.Tick)
		l.keys() // at once: the phone is silent while its key is down
	}
}

// keys sends the packet of this turn.
func (l *Leg) keys() {
	if o := l.media.Offer(); o == nil || !l.voice.key(o.EventPT, o.EventClock) {
		l.pressing.Stop()
		l.pressing = nil
	}
}

// turn is the clock of keys, while there are any.
func (l *Leg) turn() <-chan time.Time {
	if l.pressing == nil {
		return nil
	}
	return l.pressing.C
}

// press queues a key and reports whether it will be sent.
func (v *voice) press(key rune, ms int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.conn != nil && !v.muted.Load() && v.keys.Press(key, ms)
}

// key sends the packet of a key that is due (RFC 4733), and reports whether there are more. It belongs to our stream: its
// number follows the last packet's, its timestamp is where the sound was when the key went down, and only its length is
// counted by the clock of events.
func (v *voice) key(pt uint8, clock int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn == nil || v.muted.Load() {
		v.keys = rtpx.KeyWriter{}
	}
	if !v.keys.Busy() {
		return false
	}
	now, before := time.Now(), v.h.Timestamp
	v.stamp(now)
	v.resume = true
	payload, at, marker, ok := v.keys.Next(v.event[:], v.h.Timestamp, clock)
	if ok {
		h := rtpx.Header{SSRC: v.h.SSRC, PT: pt, Seq: v.h.Seq, Timestamp: at, Marker: marker}
		v.conn.WriteRTP(&h, payload)
		v.sent(now, len(payload))
	}
	if !v.keys.Busy() {
		v.h.Timestamp = before // this turn is for sound again
		return false
	}
	return true
}
