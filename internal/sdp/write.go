package sdp

import (
	"fmt"
	"strconv"
	"strings"
)

// eventPT is the payload type under which telephone-event is offered.
const eventPT = 101

// Offer writes an offer. Where SRTP is wanted, keys are those of l.Keys or fresh ones;
// they are returned, and l.Keys has to be set to them for Accept. With the policy Optional, a
// secure line is followed by a plain one, of which the far end takes one.
func (l Local) Offer() ([]byte, []Crypto) {
	codecs := l.Codecs
	if codecs == nil {
		codecs = known
	}
	keys := l.Keys
	if l.SRTP != Off && keys == nil {
		for i, name := range l.suites() {
			keys = append(keys, newCrypto(i+1, name))
		}
	}
	var lines []string
	for _, c := range codecs {
		lines = append(lines, format(c, c.PT)...)
	}
	f := formats{lines: append(lines, event(eventPT, 8000)...)}
	for _, c := range codecs {
		f.pts = append(f.pts, strconv.Itoa(c.PT))
	}
	f.pts = append(f.pts, strconv.Itoa(eventPT))
	var b strings.Builder
	l.head(&b)
	if l.SRTP != Off {
		l.audio(&b, "RTP/SAVP", f, keys, l.RTCPMux, l.Direction)
	}
	if l.SRTP != Required {
		l.audio(&b, "RTP/AVP", f, nil, l.RTCPMux, l.Direction)
	}
	return []byte(b.String()), keys
}

// formats is the part of an audio line that names codecs.
type formats struct{ pts, lines []string }

func format(c Codec, pt int) []string {
	ch := ""
	if c.Channels > 1 {
		ch = "/" + strconv.Itoa(c.Channels)
	}
	out := []string{fmt.Sprintf("a=rtpmap:%d %s/%d%s", pt, c.Name, c.Clock, ch)}
	if c.Fmtp != "" {
		out = append(out, fmt.Sprintf("a=fmtp:%d %s", pt, c.Fmtp))
	}
	return out
}

func event(pt, clock int) []string {
	return []string{fmt.Sprintf("a=rtpmap:%d telephone-event/%d", pt, clock), fmt.Sprintf("a=fmtp:%d 0-15", pt)}
}

// formats is what an answer to m lists: the codec, events, comfort noise.
func (r Result) formats(m *Media) formats {
	f := formats{pts: []string{strconv.Itoa(r.RecvPT)}, lines: format(r.Codec, r.RecvPT)}
	if r.DTMF >= 0 {
		f.pts = append(f.pts, strconv.Itoa(r.DTMF))
		f.lines = append(f.lines, event(r.DTMF, r.DTMFClock)...)
	}
	if r.CN >= 0 && r.Codec.Clock == 8000 {
		f.pts = append(f.pts, strconv.Itoa(r.CN))
		f.lines = append(f.lines, fmt.Sprintf("a=rtpmap:%d CN/8000", r.CN))
	}
	if r.LevelID != 0 {
		f.lines = append(f.lines, fmt.Sprintf("a=extmap:%d %s", r.LevelID, levelURI))
	}
	return f
}

func (l Local) family() string {
	if l.Addr.Addr().Is6() {
		return "IP6"
	}
	return "IP4"
}

func (l Local) head(b *strings.Builder) {
	ip := l.Addr.Addr()
	fmt.Fprintf(b, "v=0\r\no=jigasi %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n", l.SessionID, l.Version, l.family(), ip, l.family(), ip)
}

func (l Local) audio(b *strings.Builder, proto string, f formats, keys []Crypto, mux bool, d Direction) {
	fmt.Fprintf(b, "m=audio %d %s %s\r\n", l.Addr.Port(), proto, strings.Join(f.pts, " "))
	for _, line := range f.lines {
		b.WriteString(line + "\r\n")
	}
	if l.Ptime > 0 {
		fmt.Fprintf(b, "a=ptime:%d\r\n", l.Ptime)
	}
	if mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	for _, k := range keys {
		b.WriteString(k.line())
	}
	b.WriteString("a=" + d.String() + "\r\n")
}

// narrow is the direction of an answer.
func narrow(r Result) Direction {
	switch {
	case r.Send && r.Recv:
		return SendRecv
	case r.Send:
		return SendOnly
	case r.Recv:
		return RecvOnly
	}
	return Inactive
}

func orZero(formats []string) []string {
	if len(formats) == 0 {
		return []string{"0"}
	}
	return formats
}
