package rtpx

import (
	"encoding/binary"
	"strings"
)

// keys are the telephone events that are keys of a phone (RFC 4733, 3.2).
const keys = "0123456789*#ABCD"

// A KeyReader turns telephone events into keys. One key comes in many packets,
// the last of them thrice, any of them may be lost: a timestamp is a key.
type KeyReader struct {
	started bool
	last    uint32
}

// Read takes the payload of a telephone-event packet and reports a key at its
// first packet, with its length so far in units of the clock.
func (r *KeyReader) Read(timestamp uint32, payload []byte) (key rune, duration int, ok bool) {
	if len(payload) < 4 || int(payload[0]) >= len(keys) {
		return 0, 0, false
	}
	if r.started && int32(timestamp-r.last) <= 0 {
		return 0, 0, false
	}
	r.started, r.last = true, timestamp
	return rune(keys[payload[0]]), int(binary.BigEndian.Uint16(payload[2:])), true
}

// A KeyWriter makes the packets of keys, one per tick.
type KeyWriter struct {
	queue   [64]press
	n       int
	elapsed int // units of the current key
	ends    int // final packets still to be sent
	pause   int // ticks of silence after a key
	began   bool
	start   uint32
}

type press struct {
	event    byte
	duration int
}

// minPress is the shortest key in ms that switches reliably take; gap is the pause after one in ticks.
const (
	minPress = 100
	gap      = 4
)

// Press queues a key for ms and reports whether it is one and there was room.
func (w *KeyWriter) Press(key rune, ms int) bool {
	event := strings.IndexRune(keys, key)
	if event < 0 || w.n == len(w.queue) {
		return false
	}
	w.queue[w.n] = press{byte(event), max(minPress, min(ms, 8000))}
	w.n++
	return true
}

// Busy reports whether a key is being sent: voice has to be silent meanwhile.
func (w *KeyWriter) Busy() bool { return w.n > 0 || w.pause > 0 }

// Next gives the payload of this tick in dst, 4 bytes, for a clock in Hz. now is the
// RTP timestamp of this tick; stamp is the one the packet must bear. ok is false while nothing is to be sent.
func (w *KeyWriter) Next(dst []byte, now uint32, clock int) (payload []byte, stamp uint32, marker, ok bool) {
	if w.pause > 0 {
		w.pause--
		return nil, 0, false, false
	}
	if w.n == 0 {
		return nil, 0, false, false
	}
	k := w.queue[0]
	if !w.began {
		w.began, w.start, w.elapsed, marker = true, now, 0, true
	}
	total := k.duration * clock / 1000
	if w.ends == 0 {
		w.elapsed = min(w.elapsed+clock/50, total, 0xffff)
		if w.elapsed >= total || w.elapsed == 0xffff {
			w.ends = 3
		}
	}
	volume := byte(10) // -10 dBm0
	if w.ends > 0 {
		volume |= 0x80
		if w.ends--; w.ends == 0 {
			defer w.shift()
		}
	}
	payload = append(dst[:0], k.event, volume, byte(w.elapsed>>8), byte(w.elapsed))
	return payload, w.start, marker, true
}

func (w *KeyWriter) shift() {
	copy(w.queue[:], w.queue[1:w.n])
	w.n--
	w.began, w.pause = false, gap
}
