package phone

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// message is a SIP request or response (RFC 3261, 7).
type message struct {
	method, uri string // of a request
	status      int    // of a response
	reason      string
	headers     [][2]string
	body        string
	kind        string // of the body; "" is SDP
}

// long are the names of the compact forms (RFC 3261, 7.3.3).
var long = map[string]string{"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type"}

// read parses a datagram; ok is false if it is no SIP message.
func read(raw string) (m message, ok bool) {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	start, rest, _ := strings.Cut(head, "\r\n")
	if after, found := strings.CutPrefix(start, "SIP/2.0 "); found {
		code, reason, _ := strings.Cut(after, " ")
		status, err := strconv.Atoi(code)
		if err != nil || status < 100 || status > 699 {
			return m, false
		}
		m.status, m.reason = status, reason
	} else {
		f := strings.Split(start, " ")
		if len(f) != 3 || f[2] != "SIP/2.0" || f[0] == "" || f[1] == "" {
			return m, false
		}
		m.method, m.uri = f[0], f[1]
	}
	for _, line := range strings.Split(rest, "\r\n") {
		if n := len(m.headers); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') { // folded
			m.headers[n-1][1] += " " + strings.TrimSpace(line)
			continue
		}
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) != "" {
			m.headers = append(m.headers, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
		}
	}
	m.body = body
	if n, err := strconv.Atoi(m.get("Content-Length")); err == nil && n >= 0 && n < len(body) {
		m.body = body[:n]
	}
	return m, true
}

func canonical(name string) string {
	name = strings.ToLower(name)
	if l, ok := long[name]; ok {
		return l
	}
	return name
}

// all gives the values of a header in order.
func (m message) all(name string) []string {
	var out []string
	for _, h := range m.headers {
		if canonical(h[0]) == canonical(name) {
			out = append(out, h[1])
		}
	}
	return out
}

// get gives the first value of a header, or "".
func (m message) get(name string) string {
	if all := m.all(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// cseq is the number and the method of CSeq.
func (m message) cseq() (number int, method string) {
	f := strings.Fields(m.get("CSeq"))
	if len(f) != 2 {
		return 0, ""
	}
	number, _ = strconv.Atoi(f[0]) // 0 if it is none
	return number, f[1]
}

func (m *message) add(name, value string) { m.headers = append(m.headers, [2]string{name, value}) }

// bytes writes the message, with the length and kind of its body.
func (m message) bytes() []byte {
	var b strings.Builder
	if m.status != 0 {
		b.WriteString("SIP/2.0 " + strconv.Itoa(m.status) + " " + m.reason + "\r\n")
	} else {
		b.WriteString(m.method + " " + m.uri + " SIP/2.0\r\n")
	}
	for _, h := range m.headers {
		if n := canonical(h[0]); n == "content-length" || n == "content-type" {
			continue
		}
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	if m.body != "" {
		b.WriteString("Content-Type: " + cmp.Or(m.kind, "application/sdp") + "\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(m.body)) + "\r\n\r\n" + m.body)
	return []byte(b.String())
}

// answer begins the response to a request (RFC 3261, 8.2.6); tag is added to To if it has none.
func (m message) answer(status int, tag string) message {
	r := message{status: status, reason: reasons[status]}
	for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
		for _, v := range m.all(name) {
			if name == "To" && tagOf(v) == "" && status != 100 {
				v += ";tag=" + tag
			}
			r.add(name, v)
		}
	}
	return r
}

var reasons = map[int]string{
	100: "Trying", 180: "Ringing", 200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 486: "Busy Here", 487: "Request Terminated",
	488: "Not Acceptable Here", 500: "Server Internal Error", 503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline",
}

// tagOf is the tag of a From or To.
func tagOf(address string) string {
	if _, after, ok := strings.Cut(address, ">"); ok {
		address = after
	}
	_, tag, _ := strings.Cut(address, ";tag=")
	tag, _, _ = strings.Cut(tag, ";")
	return tag
}

// uriOf is the URI of a Contact or a Route.
func uriOf(address string) string {
	if _, rest, ok := strings.Cut(address, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(address, ";")
	return uri
}

// place is where a URI with an IP address leads.
func place(uri string) (netip.AddrPort, bool) {
	_, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return netip.AddrPort{}, false
	}
	rest, _, _ = strings.Cut(rest, ";")
	rest, _, _ = strings.Cut(rest, "?")
	host := rest[strings.LastIndex(rest, "@")+1:]
	if a, err := netip.ParseAddrPort(host); err == nil {
		return a, true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return netip.AddrPortFrom(ip, 5060), err == nil
}

func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func branch() string { return "z9hG4bK" + random() }
