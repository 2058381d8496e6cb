package sip

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// magic begins every branch of RFC 3261.
const magic = "z9hG4bK"

// token makes a random string for tags, branches and Call-IDs.
func token() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// param finds a parameter without case; the library compares exactly.
func param(p sip.HeaderParams, name string) string {
	for _, kv := range p {
		if strings.EqualFold(kv.K, name) {
			return kv.V
		}
	}
	return ""
}

func hasParam(p sip.HeaderParams, name string) bool {
	for _, kv := range p {
		if strings.EqualFold(kv.K, name) {
			return true
		}
	}
	return false
}

// message is what requests and responses have in common.
type message interface {
	GetHeaders(name string) []sip.Header
	GetHeader(name string) sip.Header
	AppendHeader(h sip.Header)
	RemoveHeader(name string) bool
	Via() *sip.ViaHeader
	From() *sip.FromHeader
	To() *sip.ToHeader
	CSeq() *sip.CSeqHeader
	CallID() *sip.CallIDHeader
	Body() []byte
	SetBody(b []byte)
	SetSource(addr string)
	SetTransport(network string)
}

// values gives all values of a header, in order.
func values(m message, name string) []string {
	var all []string
	for _, h := range m.GetHeaders(name) {
		all = append(all, h.Value())
	}
	return all
}

// value gives the first value of a header, or "".
func value(m message, name string) string {
	if h := m.GetHeader(name); h != nil {
		return strings.TrimSpace(h.Value())
	}
	return ""
}

// lists reports whether a comma separated header names an option or method.
func lists(m message, header, option string) bool {
	for _, v := range values(m, header) {
		for _, o := range strings.Split(v, ",") {
			if strings.EqualFold(strings.TrimSpace(o), option) {
				return true
			}
		}
	}
	return false
}

// once are the headers of which a message has exactly one; a second would be
// read differently by the next hop (T16).
var once = []string{"From", "To", "Call-ID", "CSeq"}

// atMostOnce are those of which it has at most one.
var atMostOnce = []string{"Max-Forwards", "Content-Length", "Content-Type", "Session-Expires"}

// check says what is wrong with a message, or "".
func check(m message) string {
	for _, name := range once {
		if n := len(m.GetHeaders(name)); n != 1 {
			return fmt.Sprintf("%d %s headers", n, name)
		}
	}
	for _, name := range atMostOnce {
		if len(m.GetHeaders(name)) > 1 {
			return "two " + name + " headers"
		}
	}
	switch {
	case m.Via() == nil || m.Via().Host == "":
		return "no usable Via"
	case m.From() == nil || m.To() == nil || m.CSeq() == nil || m.CallID() == nil:
		return "a header that cannot be read"
	case len(m.GetHeaders("Via")) > 70:
		return "too many Via headers"
	case m.CSeq().SeqNo > 1<<31-1:
		return "CSeq out of range"
	}
	if req, ok := m.(*sip.Request); ok {
		if req.Method != m.CSeq().MethodName {
			return "CSeq names another method"
		}
		if strings.ContainsAny(string(req.Method), " \t") {
			return "no method"
		}
	}
	return ""
}

// parse reads one whole message. The body of a datagram may be longer than
// Content-Length says; what is over is cut off (RFC 3261, 18.3).
func parse(b []byte) (message, error) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		if end := bytes.Index(b, []byte("\r\n\r\n")); end < 0 || i < end {
			return nil, fmt.Errorf("sip: a zero byte among the headers")
		}
	}
	parsed, err := sip.ParseMessage(b)
	if err != nil {
		return nil, fmt.Errorf("sip: message cannot be parsed: %w", err)
	}
	m, ok := parsed.(message)
	if !ok {
		return nil, fmt.Errorf("sip: neither request nor response")
	}
	if n := len(m.Body()); n > 0 || value(m, "Content-Length") != "" {
		want, err := strconv.Atoi(value(m, "Content-Length"))
		switch {
		case value(m, "Content-Length") == "":
		case err != nil || want < 0 || want > n:
			return nil, fmt.Errorf("sip: body of %d bytes, Content-Length says %.12q", n, value(m, "Content-Length"))
		case want < n:
			m.SetBody(m.Body()[:want])
		}
	}
	return m, nil
}

// clean takes out of a header value what would begin another header (T23).
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s))
}

// tokenName reports whether s may be the name of a header.
func tokenName(s string) bool {
	for _, r := range s {
		if !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-.!%*_+`'~", r)) {
			return false
		}
	}
	return s != ""
}

// reserved are headers that the dialog writes itself.
var reserved = []string{
	"Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length", "Content-Type", "Route",
	"Record-Route", "Authorization", "Proxy-Authorization", "Allow", "Supported", "Require", "Session-Expires", "Min-SE",
	"v", "f", "t", "i", "m", "l", "c", "k", "x",
}

// A Header is a name and a value.
type Header struct{ Name, Value string }

// extras filters headers that somebody else wants sent.
func extras(in []Header) []Header {
	var out []Header
	for _, h := range in {
		if !tokenName(h.Name) || len(h.Value) > 4096 || len(out) == 64 {
			continue
		}
		skip := false
		for _, r := range reserved {
			skip = skip || strings.EqualFold(r, h.Name)
		}
		if !skip {
			out = append(out, Header{h.Name, clean(h.Value)})
		}
	}
	return out
}

// set replaces a header by a plain value.
func set(m message, name, v string) {
	m.RemoveHeader(name)
	m.AppendHeader(sip.NewHeader(name, v))
}

// body sets body and its type; nil takes both away.
func body(m message, ctype string, b []byte) {
	m.RemoveHeader("Content-Type")
	if len(b) > 0 {
		m.AppendHeader(sip.NewHeader("Content-Type", ctype))
	}
	m.SetBody(b)
}

const sdpType = "application/sdp"

// isSDP reports whether a message carries a session description.
func isSDP(m message) bool {
	t, _, _ := strings.Cut(value(m, "Content-Type"), ";")
	return len(m.Body()) > 0 && strings.EqualFold(strings.TrimSpace(t), sdpType)
}

// hostPort writes an address as the host part of a URI.
func hostPort(a netip.AddrPort) string { return a.String() }

// reasons of the statuses that this program sends.
var reasons = map[int]string{
	100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 410: "Gone", 413: "Request Entity Too Large", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
	421: "Extension Required", 422: "Session Interval Too Small", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
	482: "Loop Detected", 483: "Too Many Hops", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event",
	491: "Request Pending", 500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out",
	505: "Version Not Supported", 603: "Decline",
}

// respond builds a response to req. Tag completes the To header of all but 100.
func respond(req *sip.Request, status int, tag string) *sip.Response {
	reason := reasons[status]
	if reason == "" {
		reason = "Error"
	}
	if to := req.To(); to != nil && tag != "" && !hasParam(to.Params, "tag") && status != 100 {
		req = withTag(req, tag)
	}
	res := sip.NewResponseFromRequest(req, status, reason, nil)
	return res
}

// withTag is a copy of req whose To has our tag.
func withTag(req *sip.Request, tag string) *sip.Request {
	c := req.Clone()
	c.SetSource(req.Source())
	c.SetTransport(req.Transport())
	if to := c.To(); to != nil {
		to.Params.Add("tag", tag)
	}
	return c
}
