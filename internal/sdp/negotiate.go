package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"jigasi/internal/cause"
)

// A Policy says whether the phone's sound is encrypted by SDES.
type Policy uint8

// The policies; the zero value speaks plain RTP only.
const (
	Off Policy = iota
	Optional
	Required
)

// A Codec is one that this side speaks. Channels is as in SDP: 2 for Opus, always.
type Codec struct {
	Name     string
	Clock    int
	Channels int
	PT       int    // static type, or the dynamic one to offer
	Fmtp     string // to offer and answer
}

// Known codecs, by name, for a list of preferences.
var known = []Codec{
	{"opus", 48000, 2, 96, "minptime=10;useinbandfec=1"},
	{"G722", 8000, 1, 9, ""},
	{"PCMU", 8000, 1, 0, ""},
	{"PCMA", 8000, 1, 8, ""},
}

// Codecs gives the known codecs of these names in this order; without names, all.
func Codecs(names ...string) []Codec {
	if len(names) == 0 {
		return slices.Clone(known)
	}
	var list []Codec
	for _, n := range names {
		for _, k := range known {
			if strings.EqualFold(k.Name, n) {
				list = append(list, k)
			}
		}
	}
	return list
}

// A Local is what this side brings to a negotiation.
type Local struct {
	Addr      netip.AddrPort // what the far end is told to send to
	RTCPMux   bool           // offer it; an answer follows the offer
	Codecs    []Codec        // by preference; nil means all
	SRTP      Policy
	Suites    []string  // of SRTP, by preference; nil means all
	Ptime     int       // ms to ask for; 0 asks for nothing
	Direction Direction // what we want; sendrecv by default
	SessionID uint64
	Version   uint64
	Keys      []Crypto // keys already in use in this call; nil makes fresh ones
}

// A Result is what both sides agreed on.
type Result struct {
	Remote    netip.AddrPort // invalid while the far end takes nothing, and where a host name or nothing says where it is: its packets tell
	RTCP      netip.AddrPort
	RTCPMux   bool
	Codec     Codec // with the payload type that both use
	RecvPT    int   // payload type the far end sends
	DTMF      int   // payload type of telephone-event at the codec's clock; -1 if there is none
	DTMFClock int
	CN        int // payload type of comfort noise; -1 if there is none
	Ptime     int // ms to send; 20 by default
	Send      bool
	Recv      bool
	Held      bool // the far end put us on hold
	LevelID   uint8
	SRTP      *Keys
	OfferKeys []Crypto // keys offered by this side, for Accept and re-offers
}

// Keys are the SDES keys of both directions.
type Keys struct {
	Suite       string
	Tag         int
	Local, Peer []byte // key and salt in one
}

func noCodec(format string, a ...any) error {
	return cause.Cause{Code: cause.NoCodec, Text: "SDP: " + fmt.Sprintf(format, a...)}
}

// Answer answers an offer (RFC 3264, 6).
func Answer(offer *Session, l Local) ([]byte, Result, error) {
	m := offer.choose(l.SRTP)
	if m == nil {
		return nil, Result{}, offer.whyNone(l.SRTP)
	}
	r, err := offer.settle(m, l)
	if err != nil {
		return nil, Result{}, err
	}
	var crypto []Crypto
	if m.profile() == secure || l.SRTP != Off && m.keyed() {
		theirs, ok := l.bestCrypto(m.Crypto)
		switch {
		case !ok && m.profile() == plain && l.SRTP == Optional:
			return Answer(offer, l.unsecured())
		case !ok:
			return nil, Result{}, noCodec("no SRTP suite in common: one of %s is expected", strings.Join(l.suites(), ", "))
		}
		own := newCrypto(theirs.Tag, theirs.Suite)
		for _, k := range l.Keys {
			if k.Suite == theirs.Suite {
				own.Key = k.Key
			}
		}
		crypto = []Crypto{own}
		r.SRTP = &Keys{Suite: own.Suite, Tag: own.Tag, Local: own.Key, Peer: theirs.Key}
		r.OfferKeys = crypto
	}
	var b strings.Builder
	l.head(&b)
	for i := range offer.Media {
		if o := &offer.Media[i]; o == m {
			l.audio(&b, m.Proto, r.formats(m), crypto, r.RTCPMux, narrow(r))
		} else {
			fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", o.Kind, o.Proto, strings.Join(orZero(o.Formats), " "))
		}
	}
	return []byte(b.String()), r, nil
}

// choose finds the audio line to take, by policy: a secure one before a plain one with a key before
// a plain one.
func (s *Session) choose(p Policy) *Media {
	var found *Media
	for i := range s.Media {
		m := &s.Media[i]
		if m.Kind != "audio" || m.Port == 0 {
			continue
		}
		switch m.profile() {
		case secure:
			if p != Off {
				return m
			}
		case plain:
			if p != Required && found == nil || p != Off && m.keyed() && (found == nil || !found.keyed()) {
				found = m
			}
		}
	}
	return found
}

// keyed reports a plain line with a key that can be used: phones that are set to encrypt where the other
// side can offer that, though RFC 4568 knows keys on secure lines alone.
func (m *Media) keyed() bool {
	return len(m.Crypto) > 0 && m.profile() == plain // what is not spoken here was left out in parsing
}

func (s *Session) whyNone(p Policy) error {
	for i := range s.Media {
		if m := &s.Media[i]; m.Kind == "audio" && m.Port != 0 {
			switch {
			case m.profile() == plain && p == Required:
				return noCodec("the phone offers no encryption and SRTP is required")
			case m.profile() == secure && p == Off:
				return noCodec("the phone demands SRTP and it is switched off")
			}
			return noCodec("the phone offers %s, which is not spoken here", m.Proto)
		}
	}
	return noCodec("no audio is offered")
}

// unsecured is l without encryption.
func (l Local) unsecured() Local {
	l.SRTP = Off
	return l
}

// suites are the names of those that l speaks, the best first.
func (l Local) suites() []string {
	var out []string
	for _, name := range l.Suites {
		if suiteSize(name) > 0 {
			out = append(out, name)
		}
	}
	if l.Suites == nil {
		for _, s := range suites {
			out = append(out, s.name)
		}
	}
	return out
}

func (l Local) bestCrypto(list []Crypto) (Crypto, bool) {
	for _, name := range l.suites() {
		for _, c := range list {
			if c.Suite == name {
				return c, true
			}
		}
	}
	return Crypto{}, false
}

// settle agrees on all but the keys with the audio line m of the far end's description.
func (s *Session) settle(m *Media, l Local) (Result, error) {
	r := Result{DTMF: -1, CN: -1, Remote: s.remote(m), RTCPMux: m.RTCPMux, LevelID: m.LevelID}
	codecs := l.Codecs
	if codecs == nil {
		codecs = known
	}
	found := false
	for _, f := range m.Formats { // the offerer's order is kept (RFC 3264, 6.1)
		pt, err := strconv.Atoi(f)
		if err != nil {
			continue
		}
		if c, ok := m.match(pt, codecs); ok && !found {
			r.Codec, r.RecvPT, found = c, pt, true
		}
	}
	if !found {
		return Result{}, noCodec("no codec in common: the phone speaks %s", m.names())
	}
	r.findEvents(m)
	r.Ptime = ptime(m)
	theirs := s.direction(m)
	ours := theirs.Reverse()
	r.Send = (ours == SendRecv || ours == SendOnly) && (l.Direction == SendRecv || l.Direction == SendOnly)
	r.Recv = (ours == SendRecv || ours == RecvOnly) && (l.Direction == SendRecv || l.Direction == RecvOnly)
	r.Held = theirs == SendOnly || theirs == Inactive
	if r.Remote.IsValid() {
		port := r.Remote.Port() + 1
		if m.RTCPPort > 0 {
			port = uint16(m.RTCPPort)
		}
		if m.RTCPMux {
			port = r.Remote.Port()
		}
		r.RTCP = netip.AddrPortFrom(r.Remote.Addr(), port)
	}
	return r, nil
}

// match finds the codec that payload type pt stands for.
func (m *Media) match(pt int, codecs []Codec) (Codec, bool) {
	rm, mapped := m.RTPMap[pt]
	for _, c := range codecs {
		static := !mapped && pt == c.PT && pt < 96
		if static || mapped && strings.EqualFold(rm.Name, c.Name) && (rm.Clock == c.Clock || c.Name == "G722" && rm.Clock == 16000) &&
			(rm.Channels == 1 || c.Channels == 2) { // Opus says 2, and some say 1; what else has two channels is another codec
			c.PT = pt
			return c, true
		}
	}
	return Codec{}, false
}

// findEvents finds telephone-event and comfort noise at the codec's clock; an event
// clock of 8000 is taken beside Opus where there is nothing better.
func (r *Result) findEvents(m *Media) {
	for _, f := range m.Formats {
		pt, err := strconv.Atoi(f)
		if err != nil {
			continue
		}
		rm := m.RTPMap[pt]
		switch {
		case strings.EqualFold(rm.Name, "telephone-event") && (r.DTMF < 0 || rm.Clock == r.Codec.Clock && r.DTMFClock != r.Codec.Clock):
			r.DTMF, r.DTMFClock = pt, rm.Clock
		case strings.EqualFold(rm.Name, "CN") && rm.Clock == 8000, pt == 13 && rm.Name == "":
			r.CN = pt
		}
	}
	if r.DTMFClock <= 0 {
		r.DTMF = -1
	}
}

// ptime is what to send, in ms: what the far end asks for within reason.
func ptime(m *Media) int {
	p := m.Ptime
	if p == 0 {
		p = 20
	}
	if m.MaxPtime > 0 {
		p = min(p, m.MaxPtime)
	}
	return max(10, min(60, p/10*10))
}

func (m *Media) names() string {
	var names []string
	for _, f := range m.Formats {
		if pt, err := strconv.Atoi(f); err == nil && m.RTPMap[pt].Name != "" {
			names = append(names, printable(m.RTPMap[pt].Name))
		} else {
			names = append(names, printable(f))
		}
		if len(names) == 8 {
			break
		}
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// printable keeps what a stranger wrote fit for a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return -1
		}
		return r
	}, s[:min(len(s), 24)])
}

// Accept takes the answer to an offer of ours (Offer).
func Accept(answer *Session, l Local) (Result, error) {
	for i := range answer.Media {
		m := &answer.Media[i]
		if m.Kind != "audio" || m.Port == 0 || m.profile() == unknown {
			continue
		}
		r, err := answer.settle(m, l)
		if err != nil {
			return Result{}, err
		}
		if m.profile() == plain {
			if l.SRTP == Required {
				return Result{}, noCodec("the phone answered without encryption and SRTP is required")
			}
			return r, nil
		}
		return answer.secured(m, r, l)
	}
	return Result{}, noCodec("the phone refused the audio")
}

func (s *Session) secured(m *Media, r Result, l Local) (Result, error) {
	for _, theirs := range m.Crypto {
		for _, own := range l.Keys {
			if own.Tag == theirs.Tag && own.Suite == theirs.Suite {
				r.SRTP = &Keys{Suite: own.Suite, Tag: own.Tag, Local: own.Key, Peer: theirs.Key}
				r.OfferKeys = l.Keys
				return r, nil
			}
		}
	}
	return Result{}, noCodec("the phone answered with an SRTP key that was not offered")
}
