package bench

import (
	"encoding/binary"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/rtpx"

	"github.com/pion/rtp"
)

const (
	keepPackets = 75   // of each direction of a call, to hear afterwards
	keepBytes   = 400  // of a payload
	keepProbe   = 1800 // packets of a probe: more than a phase has
)

// A heard packet is a payload as it came.
type heard struct {
	at      time.Time // only of a probe: when the kernel had it
	seq     uint16
	size    int
	payload [keepBytes]byte
}

// A stream is one direction of a call as it came out of the gateway.
type stream struct {
	got    int // packets so far
	holes  int // sequence numbers that did not come
	next   uint16
	recent []heard // a ring
	first  time.Time
}

func (s *stream) take(seq uint16, payload []byte, at time.Time) {
	if s.got > 0 {
		if d := int16(seq - s.next); d > 0 {
			s.holes += int(d)
		} else if d < 0 {
			return // late or twice
		}
	}
	s.next = seq + 1
	h := &s.recent[s.got%len(s.recent)]
	h.at, h.seq, h.size = at, seq, copy(h.payload[:], payload)
	s.got++
}

// last are the newest packets in order, n at most.
func (s *stream) last(n int) []heard {
	n = min(n, s.got, len(s.recent))
	out := make([]heard, 0, n)
	for i := s.got - n; i < s.got; i++ {
		out = append(out, s.recent[i%len(s.recent)])
	}
	return out
}

// A talker is one direction of a call on its way into the gateway.
type talker struct {
	loop packets
	at   int // position in it
	head rtpx.Header
	step uint32
	sent int
	when []time.Time // only of a probe: when each packet was sent, a ring like loop
}

// next is the packet to send now.
func (t *talker) next(now time.Time) []byte {
	p := t.loop[t.at]
	if t.when != nil {
		t.when[t.at] = now
	}
	t.at = (t.at + 1) % len(t.loop)
	t.sent++
	return p
}

// pause moves the clock of the stream on where nothing is sent.
func (t *talker) pause() { t.head.Timestamp += t.step }

// A call is a phone on one side of the gateway and an endpoint on the other. All of it belongs to the
// generator's goroutine.
type call struct {
	index    int
	voice    int
	probe    bool
	room     string
	seated   bool // the focus has given its endpoint to a seat
	crowd    bool // it is silent and hears a crowd, if anybody
	sip      *socket
	end      *endpoint
	answered bool // the phone may speak
	began    time.Time
	answer   time.Duration // from INVITE to 200
	phone    talker        // says it to the gateway
	speaker  talker
	toPhone  stream // what the gateway says
	toBridge stream

	packet, cipher [1600]byte
	outHead        rtp.Header
}

func newCall(index int, probe bool, s *sounds) *call {
	c := &call{index: index, voice: index % len(s.phone), probe: probe}
	c.phone = talker{loop: s.phone[c.voice], step: 160, head: rtpx.Header{SSRC: uint32(index) + 1}}
	c.speaker = talker{loop: s.speaker[c.voice], step: 960, head: rtpx.Header{SSRC: speakerID, PT: opusType, HasLevel: true, Voice: true, Level: 25}}
	keep := keepPackets
	if probe {
		c.phone.loop, c.speaker.loop, c.speaker.head.Level = s.phoneProbe, s.speakerProbe, 45
		c.phone.when, c.speaker.when = make([]time.Time, len(c.phone.loop)), make([]time.Time, len(c.speaker.loop))
		keep = keepProbe
	}
	// Voices begin where they like, so that not all calls have the same syllable at once.
	c.phone.at, c.speaker.at = index*37%len(c.phone.loop), index*53%len(c.speaker.loop)
	c.toPhone.recent, c.toBridge.recent = make([]heard, keep), make([]heard, keep)
	return c
}

// fresh reports whether sound has still to come.
func (c *call) fresh() bool {
	if c.crowd {
		return c.toPhone.got == 0 || c.toBridge.got == 0
	}
	return c.toPhone.first.IsZero() || c.toBridge.first.IsZero()
}

// sayPhone sends the phone's packet of this tick.
func (c *call) sayPhone(now time.Time, on bool) {
	if !c.answered {
		return
	}
	t := &c.phone
	if on {
		b := append(t.head.Append(c.packet[:0], 0), t.next(now)...)
		c.sip.write(b)
		t.head.Seq++
	}
	t.pause()
}

// saySpeaker sends the speaker's packet of this tick.
func (c *call) saySpeaker(now time.Time, on bool) {
	if !c.end.ready.Load() || c.crowd {
		return
	}
	t := &c.speaker
	if on {
		c.send(&t.head, t.next(now))
		t.head.Seq++
	}
	t.pause()
}

// send has the endpoint send a packet to the gateway.
func (c *call) send(h *rtpx.Header, payload []byte) {
	if !c.end.ready.Load() {
		return
	}
	b := append(h.Append(c.packet[:0], levelID), payload...)
	if enc, err := c.end.out.EncryptRTP(c.cipher[:0], b, &c.outHead); err == nil {
		c.end.sock.write(enc)
	}
}

// hearPhone takes what has come for the phone.
func (c *call) hearPhone(buf []byte, now time.Time) {
	for {
		n, at := c.read(c.sip, buf, now)
		if n == 0 {
			return
		}
		if n <= 12 || buf[0]>>6 != 2 || buf[1]&0x7f != 0 { // RTP of PCMU
			continue
		}
		c.toPhone.take(binary.BigEndian.Uint16(buf[2:]), buf[12:n], at)
		if c.toPhone.first.IsZero() && loudPCMU(buf[12:n]) {
			c.toPhone.first = at
		}
	}
}

// read reads from a connected socket, with the kernel's time for a probe.
func (c *call) read(s *socket, buf []byte, now time.Time) (int, time.Time) {
	if c.probe {
		return s.readStamped(buf)
	}
	return s.read(buf), now
}

// hearBridge takes what has come for the endpoint, and gives others what the phone says.
func (c *call) hearBridge(buf, plain []byte, now time.Time, others []*call) {
	e := c.end
	for !e.ready.Load() { // anybody may write
		n, from := e.sock.readFrom(buf)
		if n == 0 {
			e.check(now)
			return
		}
		e.other(buf[:n], from)
	}
	for {
		n, at := c.read(e.sock, buf, now)
		if n == 0 {
			return
		}
		if rtp, _ := rtpx.IsRTP(buf[:n]); !rtp || buf[0]>>6 != 2 {
			e.other(buf[:n], e.peer)
			continue
		}
		dec, err := e.in.DecryptRTP(plain[:0], buf[:n], &c.outHead)
		if err != nil {
			continue
		}
		var h rtpx.Header
		payload, err := h.Parse(dec, levelID)
		if err != nil || h.PT != opusType {
			continue
		}
		c.toBridge.take(h.Seq, payload, at)
		if c.crowd {
			for _, o := range others {
				if o != c && o.room == c.room {
					o.send(&h, payload)
				}
			}
		}
		if c.toBridge.first.IsZero() && h.Level < 60 {
			c.toBridge.first = at
		}
	}
}

// loudPCMU reports whether a packet is more than silence.
func loudPCMU(b []byte) bool {
	pcm := make([]int16, len(b))
	return decodePCMU(pcm, b) && audio.Level(pcm) < 60
}

func (c *call) close() {
	c.sip.close()
	c.end.close()
}
