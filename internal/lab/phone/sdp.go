package phone

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Payload types of G.711 (RFC 3551, 6).
const (
	ptPCMU = 0
	ptPCMA = 8
)

// ptOpus is the payload type under which we offer Opus: types from minDynamic on mean what the description says.
const (
	ptOpus     = 97
	minDynamic = 96
)

// eventPT is the payload type we offer for telephone-event.
const eventPT = 101

// flow is what an offer or an answer says about the sound we send.
type flow struct {
	to        netip.AddrPort
	pt        uint8  // ptPCMU or ptPCMA, or a dynamic one, which is Opus
	event     uint8  // payload type of telephone-event; 0 means there is none
	mute      bool   // the other end does not want to hear us
	direction string // as the other end sees it; "" is sendrecv
}

// wanted are the payload types of Options.Codec, the best first.
func wanted(codec string) []uint8 {
	switch codec {
	case "PCMU":
		return []uint8{ptPCMU}
	case "PCMA":
		return []uint8{ptPCMA}
	case "opus":
		return []uint8{ptOpus}
	}
	return []uint8{ptPCMU, ptPCMA}
}

// describe writes an offer or an answer.
func describe(at netip.AddrPort, version int, pts []uint8, event uint8, direction string) string {
	family := "IP4"
	if at.Addr().Is6() {
		family = "IP6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=phone 1 %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\nm=audio %d RTP/AVP", version, family, at.Addr(), family, at.Addr(), at.Port())
	for _, pt := range pts {
		fmt.Fprintf(&b, " %d", pt)
	}
	if event != 0 {
		fmt.Fprintf(&b, " %d", event)
	}
	b.WriteString("\r\n")
	for _, pt := range pts {
		fmt.Fprintf(&b, "a=rtpmap:%d %s\r\n", pt, mapOf(pt))
	}
	if event != 0 {
		fmt.Fprintf(&b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", event, event)
	}
	fmt.Fprintf(&b, "a=ptime:20\r\na=%s\r\n", direction)
	return b.String()
}

func nameOf(pt uint8) string {
	switch {
	case pt == ptPCMA:
		return "PCMA"
	case pt >= minDynamic:
		return "opus"
	}
	return "PCMU"
}

// mapOf names a codec as a description does.
func mapOf(pt uint8) string {
	if pt >= minDynamic {
		return "opus/48000/2" // always (RFC 7587, 7)
	}
	return nameOf(pt) + "/8000"
}

// opusOf is the payload type that a description gives Opus; 0 if it does not.
func opusOf(body string) uint8 {
	for line := range strings.SplitSeq(strings.ReplaceAll(body, "\r\n", "\n"), "\n") {
		if number, name, ok := strings.Cut(strings.TrimPrefix(line, "a=rtpmap:"), " "); ok && strings.EqualFold(name, "opus/48000/2") {
			if n, err := strconv.ParseUint(number, 10, 7); err == nil && n >= minDynamic {
				return uint8(n)
			}
		}
	}
	return 0
}

// understand reads the other end's description and picks its first codec that is among ours.
func understand(body string, ours []uint8) (f flow, ok bool) {
	var ip netip.Addr
	var port uint16
	audio, found, opus := false, false, opusOf(body)
	for line := range strings.SplitSeq(strings.ReplaceAll(body, "\r\n", "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "m="):
			if audio = strings.HasPrefix(line, "m=audio ") && port == 0; !audio {
				continue
			}
			fields := strings.Fields(line)
			for i, s := range fields {
				n, err := strconv.ParseUint(s, 10, 16)
				switch {
				case err != nil:
				case i == 1:
					port = uint16(n)
				case i > 2 && !found && n < 128 && (n < minDynamic && contains(ours, uint8(n)) || n != 0 && uint8(n) == opus && contains(ours, ptOpus)):
					f.pt, found = uint8(n), true
				}
			}
		case strings.HasPrefix(line, "c=") && (audio || port == 0):
			if w := strings.Fields(line); len(w) == 3 {
				ip, _ = netip.ParseAddr(w[2]) // checked below
			}
		case audio && strings.HasPrefix(line, "a=rtpmap:") && strings.HasSuffix(line, " telephone-event/8000"):
			n, _ := strconv.ParseUint(strings.TrimSuffix(line[len("a=rtpmap:"):], " telephone-event/8000"), 10, 7)
			f.event = uint8(n)
		case line == "a=sendonly" || line == "a=inactive" || line == "a=recvonly":
			f.direction = line[2:]
		}
	}
	f.to = netip.AddrPortFrom(ip, port)
	f.mute = f.direction == "sendonly" || f.direction == "inactive" || ip.IsValid() && ip.IsUnspecified()
	return f, found && ip.IsValid() && port != 0
}

func contains(list []uint8, v uint8) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}
