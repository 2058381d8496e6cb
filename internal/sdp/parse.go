// Package sdp is the description of an audio call on the phone's side: a
// tolerant parser (RFC 8866), offer and answer for one audio line (RFC 3264), and
// SDES keys (RFC 4568).
//
// Telephones send what the grammar forbids: lines out of order, no t=, spaces
// in o=, a last line without an end. What is understood is kept, the rest is
// passed over; only what makes a call impossible is an error, and it carries a cause.
package sdp

import (
	"net/netip"
	"strconv"
	"strings"

	"jigasi/internal/cause"
)

// Limits of what is read.
const (
	maxSize  = 64 << 10
	maxMedia = 32
	maxLines = 1000
)

// A Session is a description as it was read.
type Session struct {
	Origin    string // the whole o= value
	Conn      string // address of the session-level c=, "" if none
	Direction Direction
	Media     []Media
}

// A Media is one m= line with its attributes.
type Media struct {
	Kind      string // audio, video, image, application
	Port      int
	Proto     string
	Formats   []string // as written
	Conn      string   // own c=, "" if none
	Direction Direction
	HasDir    bool
	Ptime     int // ms, 0 if not given
	MaxPtime  int
	RTCPPort  int // of a=rtcp, 0 if not given
	RTCPMux   bool
	RTPMap    map[int]RTPMap
	FMTP      map[int]string
	Crypto    []Crypto
	LevelID   uint8 // id of the ssrc-audio-level extension, 0 if not offered
}

// An RTPMap is one a=rtpmap.
type RTPMap struct {
	Name     string
	Clock    int
	Channels int
}

// Direction is who sends, from the point of view of who wrote the description.
type Direction uint8

// Directions; the zero value is sendrecv.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

var directions = [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}

// String is the attribute's name.
func (d Direction) String() string { return directions[d&3] }

// Reverse is the direction as the other side sees it.
func (d Direction) Reverse() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	}
	return d
}

func bad(text string) error { return cause.Cause{Code: cause.BadRequest, Text: "SDP: " + text} }

// Parse reads a description.
func Parse(b []byte) (*Session, error) {
	if len(b) == 0 {
		return nil, bad("no session description")
	}
	if len(b) > maxSize {
		return nil, bad("larger than 64 KiB")
	}
	s := &Session{}
	lines := strings.FieldsFunc(string(b), func(r rune) bool { return r == '\r' || r == '\n' })
	if len(lines) > maxLines {
		return nil, bad("more than 1000 lines")
	}
	seenV := false
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(line) < 2 || line[1] != '=' {
			continue
		}
		value := strings.TrimSpace(line[2:])
		seenV = seenV || line[0] == 'v'
		if err := s.line(line[0], value); err != nil {
			return nil, err
		}
	}
	if !seenV && len(s.Media) == 0 {
		return nil, bad("not a session description")
	}
	return s, nil
}

func (s *Session) line(kind byte, value string) error {
	var m *Media
	if n := len(s.Media); n > 0 {
		m = &s.Media[n-1]
	}
	switch kind {
	case 'o':
		s.Origin = value
	case 'c':
		if m != nil {
			m.Conn = address(value)
		} else {
			s.Conn = address(value)
		}
	case 'm':
		if len(s.Media) == maxMedia {
			return bad("more than 32 media lines")
		}
		return s.media(value)
	case 'a':
		name, v, _ := strings.Cut(value, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		v = strings.TrimSpace(v)
		for i, d := range directions {
			if name == d {
				if m != nil {
					m.Direction, m.HasDir = Direction(i), true
				} else {
					s.Direction = Direction(i)
				}
			}
		}
		if m != nil {
			m.attribute(name, v)
		}
	}
	return nil
}

// address takes the address out of "IN IP4 192.0.2.1/127".
func address(v string) string {
	f := strings.Fields(v)
	if len(f) == 0 {
		return ""
	}
	addr, _, _ := strings.Cut(f[len(f)-1], "/")
	return strings.Trim(addr, "[]")
}

func (s *Session) media(v string) error {
	f := strings.Fields(v)
	if len(f) < 3 {
		return bad("a media line is too short")
	}
	port, _, _ := strings.Cut(f[1], "/")
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return bad("a media line has no port")
	}
	s.Media = append(s.Media, Media{
		Kind: strings.ToLower(f[0]), Port: n, Proto: strings.ToUpper(f[2]), Formats: f[3:],
		RTPMap: map[int]RTPMap{}, FMTP: map[int]string{},
	})
	return nil
}

func (m *Media) attribute(name, v string) {
	switch name {
	case "ptime":
		m.Ptime = number(v)
	case "maxptime":
		m.MaxPtime = number(v)
	case "rtcp":
		m.RTCPPort = number(v)
	case "rtcp-mux":
		m.RTCPMux = true
	case "rtpmap":
		if pt, rest, ok := payloadType(v); ok {
			m.RTPMap[pt] = rtpMap(rest)
		}
	case "fmtp":
		if pt, rest, ok := payloadType(v); ok {
			m.FMTP[pt] = rest
		}
	case "crypto":
		if c, ok := parseCrypto(v); ok && len(m.Crypto) < 16 {
			m.Crypto = append(m.Crypto, c)
		}
	case "extmap":
		id, uri, _ := strings.Cut(v, " ")
		if n := number(id); strings.HasPrefix(strings.TrimSpace(uri), levelURI) && n > 0 && n < 15 {
			m.LevelID = uint8(n)
		}
	}
}

const levelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

// number reads the decimal number v begins with; anything else is 0.
func number(v string) int {
	i := 0
	for i < len(v) && i < 6 && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	n, _ := strconv.Atoi(v[:i])
	return n
}

func payloadType(v string) (pt int, rest string, ok bool) {
	head, rest, _ := strings.Cut(v, " ")
	pt, err := strconv.Atoi(head)
	return pt, strings.TrimSpace(rest), err == nil && pt >= 0 && pt < 128
}

func rtpMap(v string) RTPMap {
	f := strings.Split(v, "/")
	m := RTPMap{Name: strings.TrimSpace(f[0]), Channels: 1}
	if len(f) > 1 {
		m.Clock = number(strings.TrimSpace(f[1]))
	}
	if len(f) > 2 {
		m.Channels = max(1, number(f[2]))
	}
	return m
}

// remote is where m wants its RTP. A host name, 0.0.0.0 or nonsense gives an invalid address.
func (s *Session) remote(m *Media) netip.AddrPort {
	conn := m.Conn
	if conn == "" {
		conn = s.Conn
	}
	ip, err := netip.ParseAddr(conn)
	if err != nil || ip.IsUnspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(m.Port))
}

// direction is m's direction; an address of zeros means hold in old phones (RFC 2543).
func (s *Session) direction(m *Media) Direction {
	d := s.Direction
	if m.HasDir {
		d = m.Direction
	}
	conn := m.Conn
	if conn == "" {
		conn = s.Conn
	}
	if ip, err := netip.ParseAddr(conn); err == nil && ip.IsUnspecified() {
		if d == SendRecv || d == SendOnly {
			return SendOnly
		}
		return Inactive
	}
	return d
}

type profile uint8

const (
	unknown profile = iota
	plain
	secure
)

func (m *Media) profile() profile {
	switch m.Proto {
	case "RTP/AVP", "RTP/AVPF":
		return plain
	case "RTP/SAVP", "RTP/SAVPF":
		return secure
	}
	return unknown
}
