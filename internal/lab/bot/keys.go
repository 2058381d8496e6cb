package bot

import (
	"strings"
	"time"

	"github.com/pion/rtp"
)

// eventType is the payload type of telephone-event/8000 in a meeting.
const eventType = 126

// Press sends a key as telephone event (RFC 4733), as the dial pad of a browser does.
func (b *Bot) Press(key rune) {
	if i := strings.IndexRune("0123456789*#ABCD", key); i >= 0 {
		select {
		case b.keys <- byte(i):
		default:
		}
	}
}

// press sends the event of a key that was pressed: 100 ms, and its end three times. It is called in place of a
// turn of talk, and reports whether there was a key.
func (b *Bot) press(h *rtp.Header) bool {
	var event byte
	select {
	case event = <-b.keys:
	default:
		return false
	}
	e := *h
	e.PayloadType, e.Marker, e.Extension, e.Extensions = eventType, true, false, nil
	e.Timestamp += 960
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range 8 {
		units := 160 * min(i+1, 5) // at 8 kHz
		end := byte(0)
		if i >= 5 {
			end = 0x80
		}
		e.SequenceNumber++
		h.SequenceNumber, h.Timestamp = e.SequenceNumber, h.Timestamp+960
		b.mu.Lock()
		m := b.media
		b.mu.Unlock()
		if m != nil {
			m.send(&e, []byte{event, end | 10, byte(units >> 8), byte(units)})
		}
		e.Marker = false
		select {
		case <-b.ctx.Done():
			return true
		case <-tick.C:
		}
	}
	return true
}
