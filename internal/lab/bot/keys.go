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

// A Pressed is a key of somebody else (RFC 4733): the packets of one event have one timestamp.
type Pressed struct {
	Key     byte
	Stamp   uint32
	Marked  bool // its first packet had the marker
	Units   int  // its length at last, at 8 kHz
	Packets int
	Ends    int  // packets that say that it is over
	Odd     bool // its length shrank, another key had its timestamp, or it went on when it was over
}

// pressed is a packet of an event; called with mu held.
func (b *Bot) pressed(h *rtp.Header, payload []byte) {
	if len(payload) < 4 || payload[0] > 15 || len(b.presses) > 100 {
		return
	}
	key, end, units := "0123456789*#ABCD"[payload[0]], payload[1]&0x80 != 0, int(payload[2])<<8|int(payload[3])
	all := b.presses[h.SSRC]
	if n := len(all); n == 0 || all[n-1].Stamp != h.Timestamp {
		all = append(all, Pressed{Key: key, Stamp: h.Timestamp, Marked: h.Marker})
	}
	p := &all[len(all)-1]
	p.Odd = p.Odd || p.Key != key || units < p.Units || p.Ends > 0 && (!end || units != p.Units) || p.Packets > 0 && h.Marker
	p.Packets++
	p.Units = units
	if end {
		p.Ends++
	}
	b.presses[h.SSRC] = all
}

// Keys are those that an endpoint has pressed.
func (b *Bot) Keys(endpoint string) (all []Pressed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ssrc, list := range b.presses {
		if b.owners[ssrc] == endpoint {
			all = append(all, list...)
		}
	}
	return all
}

// Digits are the same as a string.
func (b *Bot) Digits(endpoint string) string {
	var s strings.Builder
	for _, p := range b.Keys(endpoint) {
		s.WriteByte(p.Key)
	}
	return s.String()
}
