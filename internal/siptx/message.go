package siptx

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Magic begins every branch of RFC 3261.
const Magic = "z9hG4bK"

// Token makes a random string of 80 bits for tags, branches and Call-IDs.
func Token() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// A Message is what requests and responses have in common.
type Message interface {
	GetHeaders(name string) []sip.Header
	GetHeader(name string) sip.Header
	AppendHeader(h sip.Header)
	RemoveHeader(name string) bool
	Via() *sip.ViaHeader
	From() *sip.FromHeader
	To() *sip.ToHeader
	CSeq() *sip.CSeqHeader
	CallID() *sip.CallIDHeader
	Contact() *sip.ContactHeader
	Body() []byte
	SetBody(b []byte)
}

// Param finds a parameter without case, "" if it is not there or has no value.
func Param(p sip.HeaderParams, name string) string {
	for _, kv := range p {
		if strings.EqualFold(kv.K, name) {
			return kv.V
		}
	}
	return ""
}

// HasParam reports whether a parameter is there, with a value or without.
func HasParam(p sip.HeaderParams, name string) bool {
	for _, kv := range p {
		if strings.EqualFold(kv.K, name) {
			return true
		}
	}
	return false
}

// setParam replaces a parameter, whatever its case.
func setParam(p *sip.HeaderParams, name, v string) {
	for i, kv := range *p {
		if strings.EqualFold(kv.K, name) {
			(*p)[i].V = v
			return
		}
	}
	p.Add(name, v)
}

// Values gives all values of a header, in order, one item each for Contact, Route and Record-Route.
func Values(m Message, name string) []string {
	var all []string
	for _, h := range m.GetHeaders(name) {
		all = append(all, h.Value())
	}
	return all
}

// Value gives the first value of a header, "" without one.
func Value(m Message, name string) string {
	if h := m.GetHeader(name); h != nil {
		return strings.TrimSpace(h.Value())
	}
	return ""
}

// Lists reports whether a comma separated header names an option or method.
func Lists(m Message, header, option string) bool {
	for _, v := range Values(m, header) {
		for o := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(o), option) {
				return true
			}
		}
	}
	return false
}

// Set replaces a header by a plain value, cleaned.
func Set(m Message, name, v string) {
	m.RemoveHeader(name)
	m.AppendHeader(sip.NewHeader(name, Clean(v)))
}

// SetBody sets the body and its type; an empty body takes both away.
func SetBody(m Message, ctype string, b []byte) {
	m.RemoveHeader("Content-Type")
	if len(b) > 0 {
		m.AppendHeader(sip.NewHeader("Content-Type", Clean(ctype)))
	}
	m.SetBody(b)
}

// Clean takes out of a header value what would begin another header (T23).
func Clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s))
}

// IsToken reports whether s may be the name of a header.
func IsToken(s string) bool { return isToken(s) }

// wire is how one parser of the library is set up: routes stay text, because
// they are only ever handed back.
var wire = func() *sip.Parser {
	all := sip.DefaultHeadersParser()
	m := map[string]sip.HeaderParser{}
	for _, name := range []string{"via", "from", "to", "contact", "call-id", "cseq", "content-length", "content-type", "max-forwards"} {
		m[name] = all[name]
	}
	return sip.NewParser(sip.WithHeadersParsers(m))
}()

// Parse reads one whole message, the content of a datagram: without a
// Content-Length the body goes to the end; what is over is cut off (RFC 3261, 18.3).
func Parse(b []byte) (Message, error) {
	m, _, err := parse(b)
	return m, err
}

func parse(b []byte) (Message, head, error) {
	for bytes.HasPrefix(b, []byte("\r\n")) {
		b = b[2:]
	}
	end := bytes.Index(b, blank)
	if end < 0 && bytes.HasSuffix(b, blank[:2]) { // a datagram whose sender forgot the blank line
		b = append(append([]byte(nil), b...), blank[2:]...)
		end = len(b) - len(blank)
	}
	if end < 0 {
		return nil, head{}, flaw{0, "the message has no end"}
	}
	h, err := readHead(b[:end])
	if err != nil {
		return nil, h, err
	}
	body := b[end+len(blank):]
	switch {
	case h.length > len(body):
		return nil, h, bad(fmt.Sprintf("the body has %d bytes, Content-Length says %d", len(body), h.length))
	case h.length >= 0:
		body = body[:h.length]
	}
	m, err := h.message()
	if err != nil {
		return nil, h, err
	}
	m.SetBody(append([]byte(nil), body...))
	return m, h, nil
}

// message has the library parse the canonical form.
func (h head) message() (Message, error) {
	first, err := h.firstLine()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(first + "\r\n")
	vias := 0
	for _, f := range h.fields {
		switch {
		case f.name == "Content-Length":
			continue // SetBody writes it
		case !addressed[f.name]:
			b.WriteString(f.name + ": " + f.value + "\r\n")
			continue
		}
		v, err := tidy(f.name, f.value)
		if err != nil {
			return nil, err
		}
		items := []string{v}
		if f.name != "From" && f.name != "To" {
			items = Split(v)
		}
		if f.name == "Via" {
			vias += len(items)
		} else if len(items) > maxItems {
			return nil, bad("too many addresses in one field")
		}
		if vias > maxVias {
			return nil, bad("too many Via fields")
		}
		for _, item := range items {
			b.WriteString(f.name + ": " + item + "\r\n")
		}
	}
	b.WriteString("\r\n")
	parsed, err := wire.ParseSIP(b.Bytes())
	if err != nil {
		return nil, bad("the library cannot parse it")
	}
	m, ok := parsed.(Message)
	if !ok {
		return nil, bad("neither request nor response")
	}
	return m, h.check(m)
}

// spoken is the version, in which case does not count (RFC 3261, 7.1).
const spoken = "SIP/2.0"

// firstLine checks the first line and gives it in the form of version 2.0.
func (h head) firstLine() (string, error) {
	parts := strings.Split(h.start, " ")
	if !h.isRequest() {
		parts = strings.SplitN(h.start, " ", 3)
		if len(parts) < 2 || !strings.EqualFold(parts[0], spoken) {
			return "", bad("a response of an unknown version")
		}
		parts[0] = spoken
		status, ok := number(parts[1], 699)
		if !ok || status < 100 || len(parts[1]) != 3 {
			return "", bad("a status that is none")
		}
		if len(parts) == 2 {
			parts = append(parts, "") // a sender who left out even the space
		}
		return strings.Join(parts, " "), nil
	}
	if len(parts) != 3 || !isToken(parts[0]) || len(parts[0]) > 64 {
		return "", bad("the request line has not three parts")
	}
	version, ok := strings.CutPrefix(strings.ToUpper(parts[2]), "SIP/")
	major, minor, dot := strings.Cut(version, ".")
	if _, good := number(major+minor, 1<<30); !ok || !dot || !good {
		return "", bad("the request line names no version")
	}
	if version != "2.0" {
		return "", flaw{505, "a version that is not spoken"}
	}
	scheme, _, ok := strings.Cut(parts[1], ":")
	if !ok || !isScheme(scheme) {
		return "", bad("the request is for no URI")
	}
	switch strings.ToLower(scheme) {
	case "sip", "sips", "tel":
	default:
		return "", flaw{416, "the request is for a URI of another scheme"}
	}
	parts[2] = spoken
	return strings.Join(parts, " "), nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		later := s[i] >= '0' && s[i] <= '9' || strings.IndexByte("+-.", s[i]) >= 0
		if !letter && (i == 0 || !later) {
			return false
		}
	}
	return s != ""
}

// check says what is wrong with a parsed message, and mends what the parser changed.
func (h head) check(m Message) error {
	for _, name := range once {
		if len(h.values(name)) != 1 {
			return bad("no " + name + " field")
		}
	}
	via := m.Via()
	switch {
	case via == nil || via.Host == "" || strings.ContainsAny(via.Host, " \t\"<>"):
		return bad("no usable Via")
	case via.Port < 0 || via.Port > 65535:
		return bad("a Via with no such port")
	case m.From() == nil || m.To() == nil || m.CSeq() == nil || m.CallID() == nil:
		return bad("a field that cannot be read")
	}
	for _, v := range m.GetHeaders("Via") { // the library writes the brackets of plain IPv6 only
		hop, ok := v.(*sip.ViaHeader)
		if ok && strings.Contains(hop.Host, ":") && !strings.Contains(hop.Value(), "[") {
			hop.Host = "[" + hop.Host + "]"
		}
		if ok && slices.ContainsFunc(hop.Params, spaced) { // the library would write it in another way than it came
			return bad("a Via with white space in a parameter")
		}
	}
	method := strings.TrimSpace(string(m.CSeq().MethodName))
	m.CSeq().MethodName = sip.RequestMethod(method)
	req, ok := m.(*sip.Request)
	if !ok {
		return nil
	}
	req.Method = sip.RequestMethod(h.method()) // the parser makes it upper case; methods have a case (RFC 3261, 7.1)
	switch {
	case method != h.method():
		return bad("CSeq names another method")
	case req.Recipient.Port < 0 || req.Recipient.Port > 65535:
		return bad("the request is for no such port")
	case req.Recipient.Host == "" && req.Recipient.Raw() == "":
		return bad("the request is for no host")
	}
	if v := Value(m, "Max-Forwards"); v != "" {
		if _, ok := number(v, 255); !ok {
			return bad("Max-Forwards out of range")
		}
	}
	return nil
}

func spaced(p sip.HeaderKV) bool {
	return strings.ContainsAny(p.K, " \t") || strings.ContainsAny(p.V, " \t")
}

// reasons of the statuses that this program sends.
var reasons = map[int]string{
	100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 410: "Gone", 413: "Request Entity Too Large",
	415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
	422: "Session Interval Too Small", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
	483: "Too Many Hops", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
	500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
	600: "Busy Everywhere", 603: "Decline", 606: "Not Acceptable",
}

// Reason is the phrase that goes with a status.
func Reason(status int) string {
	if r := reasons[status]; r != "" {
		return r
	}
	return "Error"
}

// Respond builds a response to req; tag completes a To without one in all but 100.
func Respond(req *sip.Request, status int, tag string) *sip.Response {
	if to := req.To(); to != nil && tag != "" && status != 100 && !HasParam(to.Params, "tag") {
		req = WithTag(req, tag)
	}
	return sip.NewResponseFromRequest(req, status, Reason(status), nil)
}

// WithTag is a copy of req whose To has our tag.
func WithTag(req *sip.Request, tag string) *sip.Request {
	c := req.Clone()
	c.SetSource(req.Source())
	if to := c.To(); to != nil {
		to.Params.Add("tag", tag)
	}
	return c
}

// Leading reads the number v begins with; 0 if there is none.
func Leading(v string) int {
	v = strings.TrimSpace(v)
	i := 0
	for i < len(v) && i < 9 && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	n, _ := strconv.Atoi(v[:i])
	return n
}
