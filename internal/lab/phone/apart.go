package phone

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"slices"
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

const (
	wide      = 48000 // the rate of Opus
	wideFrame = wide / 50
	maxVoices = 100
	keepWide  = wide * 5
	maxKept   = 5000 // packets remembered
	comfort   = 13   // payload type of comfort noise (RFC 3551, 6)
)

// A Packet is what is remembered of an RTP packet with Opus in it.
type Packet struct {
	Seq       uint16
	Timestamp uint32
	Sum       uint32 // CRC-32 of the payload
}

// A Voice is what came under one SSRC.
type Voice struct {
	SSRC    uint32
	Packets []Packet // the latest
	Since   time.Duration
	Name    string // CNAME, of RTCP
	Sent    uint32 // packets, as the last sender's report says
	Over    bool   // RTCP BYE came
	pcm     []int16
}

// Tone is the level of a frequency over the last second, in dBov; -120 if it is not there.
func (v Voice) Tone(hz float64) float64 {
	if len(v.pcm) < wide/10 || v.Since > stale {
		return -120
	}
	return audio.Heard(v.pcm[max(0, len(v.pcm)-wide):], hz, wide)
}

// Loud is the level of the last 100 ms, in -dBov; 127 is silence.
func (v Voice) Loud() uint8 {
	if v.Since > stale {
		return 127
	}
	return audio.Level(v.pcm[max(0, len(v.pcm)-wide/10):])
}

// apart is what is heard by Opus, each SSRC by itself.
type apart struct {
	hearing sync.Mutex
	voices  map[uint32]*voice
	said    []Packet
	signs   int
}

type voice struct {
	Voice
	dec  *codec.OpusDecoder
	last time.Time
}

// Voices is what was heard by Opus, by SSRC.
func (a *apart) Voices() []Voice {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	var out []Voice
	for _, v := range a.voices {
		one := v.Voice
		one.Packets, one.pcm, one.Since = slices.Clone(v.Packets), slices.Clone(v.pcm), time.Since(v.last)
		out = append(out, one)
	}
	return out
}

// Said are the packets of Opus that we have sent.
func (a *apart) Said() []Packet {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	return slices.Clone(a.said)
}

// SignsOfLife is how many packets of comfort noise came.
func (a *apart) SignsOfLife() int {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	return a.signs
}

// note remembers a packet, at most so many.
func note(list []Packet, head, payload []byte) []Packet {
	if len(list) >= maxKept {
		list = slices.Delete(list, 0, maxKept/2)
	}
	return append(list, Packet{binary.BigEndian.Uint16(head[2:]), binary.BigEndian.Uint32(head[4:]), crc32.ChecksumIEEE(payload)})
}

// noteSaid remembers a packet of ours.
func (a *apart) noteSaid(b []byte) {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	a.said = note(a.said, b[:12], b[12:])
}

// hearApart takes a packet of Opus.
func (a *apart) hearApart(b []byte, now time.Time) {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	ssrc := binary.BigEndian.Uint32(b[8:])
	v := a.voices[ssrc]
	if v == nil {
		dec, err := codec.NewOpusDecoder(wide)
		if err != nil || len(a.voices) >= maxVoices {
			return
		}
		if a.voices == nil {
			a.voices = map[uint32]*voice{}
		}
		v = &voice{Voice: Voice{SSRC: ssrc}, dec: dec}
		a.voices[ssrc] = v
	}
	pcm := make([]int16, wide*12/100) // the longest packet (RFC 6716, 3.1)
	n, err := v.dec.Decode(pcm, b[12:])
	if err != nil {
		return
	}
	v.last = now
	v.Packets = note(v.Packets, b[:12], b[12:])
	v.pcm = append(v.pcm, pcm[:n]...)
	v.pcm = v.pcm[max(0, len(v.pcm)-keepWide):]
}

// sign counts a packet without sound.
func (a *apart) sign() {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	a.signs++
}

// readReports takes RTCP until the socket is closed.
func (p *Phone) readReports() {
	buf := make([]byte, 2000)
	for {
		n, _, err := p.rtcp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.reported(buf[:n])
		}
	}
}

// reported reads a compound packet (RFC 3550, 6): who sends, under which name, and who is gone.
func (a *apart) reported(b []byte) {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	for len(b) >= 8 && b[0]>>6 == 2 {
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if size < 8 || size > len(b) {
			return
		}
		one := b[:size]
		b = b[size:]
		v := a.voices[binary.BigEndian.Uint32(one[4:])]
		switch kind := one[1]; {
		case kind == 203:
			for i := range min(int(one[0]&31), size/4-1) {
				if v := a.voices[binary.BigEndian.Uint32(one[4+4*i:])]; v != nil {
					v.Over = true
				}
			}
		case v == nil:
		case kind == 200 && size >= 28:
			v.Sent = binary.BigEndian.Uint32(one[20:])
		case kind == 202 && size >= 12 && one[8] == 1 && 10+int(one[9]) <= size:
			v.Name = string(one[10 : 10+one[9]])
		}
	}
}
