package siptx

import (
	"bytes"
	"strconv"
	"strings"
)

// Limits of one message (reliability 3.3). A message has at most 70 Via headers
// because no request has more hops (Max-Forwards).
const (
	maxDatagram = 16 << 10
	maxStream   = 64 << 10
	maxHeaders  = 200
	maxVias     = 70
	maxItems    = 20 // addresses in one Contact, Route or Record-Route field
)

// A flaw is what is wrong with a message, and how a request with it is refused.
type flaw struct {
	status int
	why    string
}

func (f flaw) Error() string { return "sip: " + f.why }

func bad(why string) error { return flaw{400, why} }

// A field is one header field, its name in the canonical form.
type field struct{ name, value string }

// head is the part of a message before the body: unfolded, with canonical
// names, so that what is read does not depend on how it was written or cut.
type head struct {
	start  string
	fields []field
	length int // Content-Length, -1 without
}

// canonical are the names that this program reads, by their compact and lower-case forms.
var canonical = func() map[string]string {
	m := map[string]string{
		"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "e": "Content-Encoding", "f": "From", "i": "Call-ID",
		"k": "Supported", "l": "Content-Length", "m": "Contact", "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To",
		"u": "Allow-Events", "v": "Via", "x": "Session-Expires",
	}
	for _, name := range []string{
		"Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length", "Content-Type", "Route", "Record-Route",
		"Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require", "RSeq", "RAck", "Accept", "Allow", "Expires", "Min-Expires",
		"Reason", "Retry-After", "Refer-To", "Event", "WWW-Authenticate", "Proxy-Authenticate", "Warning", "Timestamp",
	} {
		m[strings.ToLower(name)] = name
	}
	return m
}()

// once are the fields of which a message has exactly one; a second would be
// read differently by the next hop (T16).
var once = []string{"From", "To", "Call-ID", "CSeq"}

// single are those of which it has at most one.
var single = map[string]bool{
	"From": true, "To": true, "Call-ID": true, "CSeq": true, "Max-Forwards": true, "Content-Length": true, "Content-Type": true,
	"Session-Expires": true, "Min-SE": true, "RSeq": true, "RAck": true,
}

var blank = []byte("\r\n\r\n")

// readHead reads what stands before the blank line. Even with an error it gives
// what it could read, to answer with.
func readHead(b []byte) (head, error) {
	h := head{length: -1}
	lines := strings.Split(string(b), "\r\n")
	h.start = lines[0]
	var err error
	note := func(e error) {
		if err == nil {
			err = e
		}
	}
	if strayByte(h.start) {
		note(bad("control bytes in the first line"))
	}
	seen := map[string]bool{}
	for i := 1; i < len(lines); i++ {
		line := lines[i]
		if first := i; folded(lines, i+1) {
			for ; folded(lines, i+1); i++ {
				lines[i] = strings.TrimRight(lines[i], " \t")
				lines[i+1] = " " + strings.Trim(lines[i+1], " \t")
			}
			line = strings.Join(lines[first:i+1], "")
		}
		if strayByte(line) {
			note(bad("a line end or zero byte inside a header field"))
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		if !ok || !isToken(name) {
			note(bad("a header field without a name"))
			continue
		}
		if c := canonical[strings.ToLower(name)]; c != "" {
			name = c
		}
		if single[name] && seen[name] {
			note(bad("two " + name + " fields"))
			continue
		}
		seen[name] = true
		value = strings.Trim(value, " \t")
		if name == "Content-Length" {
			n, ok := number(value, maxStream)
			if !ok {
				note(bad("Content-Length that is no number, or too large"))
			}
			h.length = n
		}
		if len(h.fields) >= maxHeaders {
			return h, bad("too many header fields")
		}
		h.fields = append(h.fields, field{name, value})
	}
	return h, err
}

// folded reports whether a line goes on with the field of the line before.
func folded(lines []string, i int) bool {
	return i < len(lines) && lines[i] != "" && (lines[i][0] == ' ' || lines[i][0] == '\t')
}

// strayByte reports a CR, LF or NUL that is not quoted by a backslash (RFC 3261, 25.1).
func strayByte(line string) bool {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\r', '\n':
			return true
		case 0:
			if i == 0 || line[i-1] != '\\' {
				return true
			}
		}
	}
	return false
}

// number reads a decimal number up to limit.
func number(s string, limit int) (int, bool) {
	if s == "" || len(s) > 10 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= limit
}

// isToken reports whether s is a token (RFC 3261, 25.1).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && strings.IndexByte("-.!%*_+`'~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// values gives all values of a field, in order.
func (h head) values(name string) []string {
	var all []string
	for _, f := range h.fields {
		if f.name == name {
			all = append(all, f.value)
		}
	}
	return all
}

// isRequest reports whether the first line is not that of a response.
func (h head) isRequest() bool { return len(h.start) < 4 || !strings.EqualFold(h.start[:4], "SIP/") }

// method is the method of a request as it was written.
func (h head) method() string {
	m, _, _ := strings.Cut(h.start, " ")
	return m
}

// refusal is a response to a request that cannot be parsed: what it takes to
// find the way back is copied as it is. nil says that there is no way back.
func (h head) refusal(f flaw) []byte {
	if !h.isRequest() || h.method() == "ACK" || len(h.values("Via")) == 0 || len(h.values("Via")) > maxVias {
		return nil
	}
	var b bytes.Buffer
	b.WriteString("SIP/2.0 " + strconv.Itoa(f.status) + " " + Reason(f.status) + "\r\n")
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		for _, v := range h.values(name) {
			if name == "To" && !strings.Contains(v, "tag") {
				v += ";tag=" + Token()
			}
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.Bytes()
}
