package phone

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

const (
	rate  = 8000
	frame = rate / 50 // 20 ms
	keep  = rate * 3600
	stale = 300 * time.Millisecond // after so long without a packet we hear nothing
)

// sound is what is said and heard.
type sound struct {
	lock    sync.Mutex
	flow    flow
	keys    []key
	pcm     []int16
	first   time.Time
	latest  time.Time
	frozen  time.Time // when the call ended
	gap     time.Duration
	packets int
	base    uint32 // extended sequence number of the first packet
	top     uint32 // of the newest
	stamp   uint32
	ssrc    uint32
	gone    int // lost before the stream restarted
	digits  string
	lastKey uint32
	anyKey  bool
}

type key struct {
	event byte
	units int
}

// send says where our sound goes.
func (s *sound) send(f flow) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.flow = f
}

func (s *sound) freeze(at time.Time) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.frozen = at
}

// Codec is PCMU, PCMA or opus as agreed, "" before that.
func (s *sound) Codec() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.flow.to.IsValid() {
		return ""
	}
	return nameOf(s.flow.pt)
}

const keypad = "0123456789*#ABCD"

// SendDigit presses a key for so long (RFC 4733, 2.5), after those before it. It reports
// whether the other end understands keys, and this one is one.
func (s *sound) SendDigit(digit rune, long time.Duration) bool {
	event := strings.IndexRune(keypad, digit)
	s.lock.Lock()
	defer s.lock.Unlock()
	if event < 0 || s.flow.event == 0 || len(s.keys) >= 64 {
		return false
	}
	s.keys = append(s.keys, key{byte(event), int(min(max(long, 40*time.Millisecond), 8*time.Second) / (time.Second / rate))})
	return true
}

// Digits are the keys the other end pressed.
func (s *sound) Digits() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.digits
}

// mouth makes our packets.
type mouth struct {
	tone  *audio.Tone
	laws  map[uint8]*codec.G711
	opus  *codec.OpusEncoder
	full  *audio.Tone // for Opus
	pcm   []int16
	buf   []byte
	seq   uint16
	stamp uint32
	step  int // of the latest
	spoke bool

	key     key
	pressed bool
	began   uint32
	units   int
	ends    int
	pause   int
}

// talk sends 50 packets a second. It keeps the average: what the machine delays is made up for.
func (p *Phone) talk() {
	m := &mouth{
		laws: map[uint8]*codec.G711{ptPCMU: codec.NewPCMU(), ptPCMA: codec.NewPCMA()},
		pcm:  make([]int16, wideFrame), buf: make([]byte, 12+codec.MaxOpus), seq: uint16(rand.Uint32()), stamp: rand.Uint32(),
	}
	if p.opt.Tone > 0 {
		m.tone, m.full = audio.NewTone(p.opt.Tone, rate, p.opt.DBov), audio.NewTone(p.opt.Tone, wide, p.opt.DBov)
	}
	m.buf[0] = 0x80
	binary.BigEndian.PutUint32(m.buf[8:], rand.Uint32())
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	start, sent := time.Now(), 0
	for {
		select {
		case <-p.quit:
			return
		case <-p.over:
			return
		case <-tick.C:
		}
		due := int(time.Since(start) / (20 * time.Millisecond))
		if late := due - sent - 5; late > 0 { // forgiven: the timestamp says that something is missing
			sent += late
			m.stamp += uint32(late * m.step)
		}
		for ; sent < due; sent++ {
			p.say(m)
		}
	}
}

func (p *Phone) say(m *mouth) {
	p.lock.Lock()
	f := p.flow
	if !m.pressed && m.pause == 0 && len(p.keys) > 0 {
		m.key, m.pressed, m.began, m.units, m.ends = p.keys[0], true, m.stamp, 0, 3
		p.keys = p.keys[1:]
	}
	p.lock.Unlock()
	var n int
	if m.pressed {
		n = m.press(f)
	} else {
		m.pause = max(0, m.pause-1)
		n = m.speak(f)
	}
	m.step = f.step()
	m.stamp += uint32(m.step)
	if n > 0 && f.to.IsValid() && !f.mute {
		m.seq++
		binary.BigEndian.PutUint16(m.buf[2:], m.seq)
		if m.buf[1]&0x7f >= minDynamic && m.buf[1]&0x7f == f.pt {
			p.noteSaid(m.buf[:n])
		}
		_, _ = p.rtp.WriteToUDPAddrPort(m.buf[:n], f.to) // the next one comes in 20 ms
	}
}

// step is how many units of its clock a packet has.
func (f flow) step() int {
	if f.pt >= minDynamic {
		return wideFrame
	}
	return frame
}

func (m *mouth) speak(f flow) int {
	pcm, tone := m.pcm[:f.step()], m.tone
	if f.pt >= minDynamic {
		tone = m.full
	}
	clear(pcm)
	if tone != nil {
		tone.Fill(pcm)
	}
	m.buf[1] = f.pt
	if !m.spoke && f.to.IsValid() {
		m.buf[1] |= 0x80 // marker: a talkspurt begins
		m.spoke = true
	}
	binary.BigEndian.PutUint32(m.buf[4:], m.stamp)
	n, err := m.encode(f, pcm)
	if err != nil {
		return 0
	}
	return 12 + n
}

func (m *mouth) encode(f flow, pcm []int16) (n int, err error) {
	if f.pt < minDynamic {
		return m.laws[f.pt].Encode(m.buf[12:], pcm)
	}
	if m.opus == nil {
		if m.opus, err = codec.NewOpusEncoder(codec.OpusOptions{Rate: wide, Bitrate: 32000, Complexity: 1}); err != nil {
			return 0, err
		}
	}
	return m.opus.Encode(m.buf[12:], pcm)
}

// press is the next packet of a key: the last one comes thrice (RFC 4733, 2.5.1.4).
func (m *mouth) press(f flow) int {
	m.buf[1] = f.event
	if m.units == 0 {
		m.buf[1] |= 0x80
	}
	m.units = min(m.units+frame, m.key.units)
	volume := byte(10)
	if m.units == m.key.units {
		volume |= 0x80
		m.ends--
	}
	binary.BigEndian.PutUint32(m.buf[4:], m.began)
	copy(m.buf[12:], []byte{m.key.event, volume, byte(m.units >> 8), byte(m.units)})
	if m.ends == 0 {
		m.pressed, m.pause = false, 4
	}
	return 16
}

// listen takes RTP until the socket is closed.
func (p *Phone) listen() {
	laws := map[uint8]*codec.G711{ptPCMU: codec.NewPCMU(), ptPCMA: codec.NewPCMA()}
	buf, pcm := make([]byte, 2000), make([]int16, 2000)
	for {
		n, _, err := p.rtp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n <= 12 || buf[0] != 0x80 {
			continue
		}
		switch pt := buf[1] & 0x7f; {
		case pt == comfort:
			p.sign()
			continue
		case p.isOpus(pt):
			p.hearApart(buf[:n], time.Now())
			continue
		}
		if law := laws[buf[1]&0x7f]; law != nil {
			if m, err := law.Decode(pcm, buf[12:n]); err == nil && p.hear(buf[:12], pcm[:m], time.Now()) {
				p.opt.On("first sound heard by the phone", time.Now())
			}
		} else if n >= 16 {
			p.pressed(buf[:n])
		}
	}
}

// isOpus reports whether that is what was agreed on under a payload type.
func (s *sound) isOpus(pt uint8) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return pt >= minDynamic && pt == s.flow.pt
}

// hear takes a packet's sound. first: it is the first that is not silence.
func (s *sound) hear(head []byte, pcm []int16, now time.Time) (first bool) {
	seq, stamp, ssrc := binary.BigEndian.Uint16(head[2:]), binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.frozen.IsZero() {
		return false
	}
	step := int16(seq - uint16(s.top))
	switch {
	case s.packets == 0:
		s.base, s.top = uint32(seq)+1<<16, uint32(seq)+1<<16
	case ssrc != s.ssrc || step > 3000 || step < -3000: // another stream
		s.gone = s.lostNow()
		s.base, s.top = uint32(seq)+1<<16-uint32(s.packets), uint32(seq)+1<<16
	case step <= 0: // late or twice: too late to be heard
		return false
	default:
		s.top += uint32(step)
		if missing := int32(stamp - s.stamp); missing > 0 && missing < rate {
			s.pcm = append(s.pcm, make([]int16, missing)...)
		}
	}
	if s.packets > 0 {
		s.gap = max(s.gap, now.Sub(s.latest))
	}
	s.ssrc, s.stamp, s.latest = ssrc, stamp+uint32(len(pcm)), now
	s.packets++
	if len(s.pcm) < keep {
		s.pcm = append(s.pcm, pcm...)
	}
	if s.first.IsZero() && audio.Level(pcm) < 60 {
		s.first = now
		return true
	}
	return false
}

func (s *sound) pressed(b []byte) {
	stamp, event := binary.BigEndian.Uint32(b[4:]), int(b[12])
	s.lock.Lock()
	defer s.lock.Unlock()
	if pt := b[1] & 0x7f; pt != eventPT && pt != s.flow.event {
		return
	}
	if event >= len(keypad) || s.anyKey && stamp == s.lastKey { // one key has one timestamp
		return
	}
	s.anyKey, s.lastKey = true, stamp
	if len(s.digits) < 1000 {
		s.digits += keypad[event : event+1]
	}
}

// lostNow is called with lock held.
func (s *sound) lostNow() int {
	if s.packets == 0 {
		return 0
	}
	return s.gone + max(0, int(s.top-s.base)+1-s.packets)
}

// Heard is all that was heard, at 8 kHz, with silence where packets were lost.
func (s *sound) Heard() []int16 {
	s.lock.Lock()
	defer s.lock.Unlock()
	return append([]int16(nil), s.pcm...)
}

// Traffic is what came as RTP.
type Traffic struct {
	Packets int
	Lost    int           // never came, or too late
	Gap     time.Duration // longest time between two packets
	First   time.Time     // of the first sound; zero if there was none
}

// Traffic tells what came so far.
func (s *sound) Traffic() Traffic {
	s.lock.Lock()
	defer s.lock.Unlock()
	return Traffic{Packets: s.packets, Lost: s.lostNow(), Gap: s.gap, First: s.first}
}

// now is what is heard now, or was at the end of the call; called with lock held.
func (s *sound) now(samples int) []int16 {
	at := s.frozen
	if at.IsZero() {
		at = time.Now()
	}
	if at.Sub(s.latest) > stale {
		return nil
	}
	return s.pcm[max(0, len(s.pcm)-samples):]
}

// Level is the loudness of the last 100 ms, in -dBov; 127 is silence.
func (s *sound) Level() uint8 {
	s.lock.Lock()
	defer s.lock.Unlock()
	return audio.Level(s.now(rate / 10))
}

// Tone is the level of a frequency over the last second, in dBov; -120 if it is not there.
func (s *sound) Tone(hz float64) float64 {
	s.lock.Lock()
	defer s.lock.Unlock()
	pcm := s.now(rate)
	if len(pcm) < rate/10 {
		return -120
	}
	return audio.Heard(pcm, hz, rate)
}
