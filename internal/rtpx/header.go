// Package rtpx is RTP and RTCP as this program needs them: headers read and
// written in place (RFC 3550, 5.1; RFC 8285 one-byte extensions; RFC 6464
// levels), counters that wrap, reception reports, and telephone events (RFC 4733).
//
// It does no I/O, starts no goroutine and allocates nothing per packet.
package rtpx

import (
	"encoding/binary"
	"errors"
)

// A Header is what matters of an RTP header.
type Header struct {
	SSRC      uint32
	Timestamp uint32
	Seq       uint16
	PT        uint8
	Marker    bool
	// Level is the loudness in -dBov and Voice the sender's opinion (RFC 6464); valid if HasLevel.
	Level    uint8
	Voice    bool
	HasLevel bool
}

// ErrPacket says that a datagram is no RTP packet.
var ErrPacket = errors.New("rtpx: not an RTP packet")

const (
	fixed      = 12
	oneByteExt = 0xbede
)

// IsRTP reports whether b may be RTP or RTCP (RFC 7983), and which of them (RFC 5761, 4).
func IsRTP(b []byte) (rtp, rtcp bool) {
	if len(b) < 8 || b[0]>>6 != 2 {
		return false, false
	}
	if pt := b[1]; pt >= 192 && pt <= 223 {
		return false, true
	}
	return len(b) >= fixed, false
}

// Parse reads the header of b into h and gives the payload, without padding.
// levelID is the id of the audio level extension, 0 if there is none. The payload lies in b.
func (h *Header) Parse(b []byte, levelID uint8) (payload []byte, err error) {
	n, err := h.ParseHeader(b, levelID)
	if err != nil {
		return nil, err
	}
	payload = b[n:]
	if b[0]&0x20 != 0 { // padding: the last byte counts itself
		pad := 0
		if len(payload) > 0 {
			pad = int(payload[len(payload)-1])
		}
		if pad == 0 || pad > len(payload) {
			return nil, ErrPacket
		}
		payload = payload[:len(payload)-pad]
	}
	return payload, nil
}

// ParseHeader reads the header alone, as long as the payload is still encrypted,
// and gives its length in bytes.
func (h *Header) ParseHeader(b []byte, levelID uint8) (int, error) {
	if rtp, _ := IsRTP(b); !rtp {
		return 0, ErrPacket
	}
	*h = Header{
		Marker: b[1]&0x80 != 0, PT: b[1] & 0x7f, Seq: binary.BigEndian.Uint16(b[2:]),
		Timestamp: binary.BigEndian.Uint32(b[4:]), SSRC: binary.BigEndian.Uint32(b[8:]),
	}
	n := fixed + 4*int(b[0]&0xf)
	if b[0]&0x10 == 0 {
		if n > len(b) {
			return 0, ErrPacket
		}
		return n, nil
	}
	if n+4 > len(b) {
		return 0, ErrPacket
	}
	profile, size := binary.BigEndian.Uint16(b[n:]), 4*int(binary.BigEndian.Uint16(b[n+2:]))
	n += 4
	if n+size > len(b) {
		return 0, ErrPacket
	}
	if profile == oneByteExt && levelID != 0 {
		h.level(b[n:n+size], levelID)
	}
	return n + size, nil
}

// level finds the audio level among one-byte extensions.
func (h *Header) level(ext []byte, id uint8) {
	for i := 0; i < len(ext); {
		if ext[i] == 0 { // padding
			i++
			continue
		}
		have, size := ext[i]>>4, int(ext[i]&0xf)+1
		if have == 15 || i+1+size > len(ext) {
			return
		}
		if have == id {
			h.Level, h.Voice, h.HasLevel = ext[i+1]&0x7f, ext[i+1]&0x80 != 0, true
			return
		}
		i += 1 + size
	}
}

// Append writes h to b, with the level extension if levelID is not 0 and h has one.
func (h *Header) Append(b []byte, levelID uint8) []byte {
	first, second := byte(0x80), h.PT&0x7f
	ext := levelID != 0 && h.HasLevel
	if ext {
		first |= 0x10
	}
	if h.Marker {
		second |= 0x80
	}
	b = append(b, first, second)
	b = binary.BigEndian.AppendUint16(b, h.Seq)
	b = binary.BigEndian.AppendUint32(b, h.Timestamp)
	b = binary.BigEndian.AppendUint32(b, h.SSRC)
	if ext {
		v := h.Level & 0x7f
		if h.Voice {
			v |= 0x80
		}
		b = append(b, 0xbe, 0xde, 0, 1, levelID<<4, v, 0, 0)
	}
	return b
}
