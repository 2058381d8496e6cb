package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// A challenge is one that was read; the strings are unquoted.
type challenge struct {
	realm, nonce, opaque string
	hasOpaque            bool
	algorithm            string // as written, "" when absent; echoed
	qop                  string // what we shall use: "", auth or auth-int
	qopBad               bool   // offered, but nothing that we know
	stale                bool
}

// maxValue bounds the header field that is read; a longer one is malformed.
const maxValue = 8 << 10

// choose reads the challenges in the order they stand, and keeps for each realm
// the first that can be answered: the order is the server's preference
// (RFC 8760, 2.4). It never returns an empty list without an error.
func choose(values []string) ([]challenge, error) {
	var out []challenge
	err := ErrMalformed
	for _, v := range values {
		if len(v) > maxValue {
			continue
		}
		for _, ch := range read(v) {
			if newHash(ch.algorithm) == nil || ch.qopBad {
				err = ErrUnsupported
				continue
			}
			known := false
			for _, o := range out {
				known = known || strings.EqualFold(o.realm, ch.realm)
			}
			if !known {
				out = append(out, ch)
			}
		}
	}
	if len(out) == 0 {
		return nil, err
	}
	return out, nil
}

// read gives the digest challenges of one field value. It may hold several,
// separated by commas (RFC 9110, 11.6.1); other schemes and challenges without a
// realm or a nonce are left out.
func read(value string) []challenge {
	var out []challenge
	var cur *challenge
	flush := func() {
		if cur != nil && cur.realm != "" && cur.nonce != "" {
			out = append(out, *cur)
		}
		cur = nil
	}
	s := scanner{rest: value}
	for {
		name, ok := s.token()
		if !ok {
			break
		}
		if !s.skip('=') { // a scheme
			flush()
			if strings.EqualFold(name, "Digest") {
				cur = &challenge{}
			}
			continue
		}
		val, ok := s.value()
		if !ok {
			cur = nil
			break
		}
		if cur != nil {
			cur.set(strings.ToLower(name), val)
		}
	}
	flush()
	return out
}

func (ch *challenge) set(name, val string) {
	switch name {
	case "realm":
		ch.realm = val
	case "nonce":
		ch.nonce = val
	case "opaque":
		ch.opaque, ch.hasOpaque = val, true
	case "algorithm":
		ch.algorithm = val
	case "stale":
		ch.stale = strings.EqualFold(val, "true")
	case "qop":
		ch.qop, ch.qopBad = "", val != ""
		for q := range strings.SplitSeq(val, ",") {
			switch q = strings.ToLower(strings.TrimSpace(q)); {
			case q == "auth", q == "auth-int" && ch.qop == "":
				ch.qop, ch.qopBad = q, false
			}
		}
	}
}

// answer computes the credentials, RFC 7616, 3.4.
func (ch *challenge) answer(l Login, req Request, cnonce string, count uint32) string {
	h := newHash(ch.algorithm)
	sum := func(parts ...string) string {
		h.Reset()
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	a1 := sum(l.User, ch.realm, l.Password)
	sess := strings.HasSuffix(strings.ToLower(ch.algorithm), "-sess")
	if sess {
		a1 = sum(a1, ch.nonce, cnonce)
	}
	a2 := sum(req.Method, req.URI)
	if ch.qop == "auth-int" {
		a2 = sum(req.Method, req.URI, sum(string(req.Body)))
	}
	nc := fmt.Sprintf("%08x", count)

	var b strings.Builder
	b.WriteString(`Digest username=`)
	quote(&b, l.User)
	b.WriteString(`, realm=`)
	quote(&b, ch.realm)
	b.WriteString(`, nonce=`)
	quote(&b, ch.nonce)
	b.WriteString(`, uri=`)
	quote(&b, req.URI)
	response := ""
	if ch.qop == "" {
		response = sum(a1, ch.nonce, a2)
	} else {
		response = sum(a1, ch.nonce, nc, cnonce, ch.qop, a2)
	}
	b.WriteString(`, response="` + response + `"`)
	if ch.algorithm != "" {
		b.WriteString(`, algorithm=` + ch.algorithm)
	}
	if ch.qop != "" || sess {
		b.WriteString(`, cnonce="` + cnonce + `"`)
	}
	if ch.qop != "" {
		b.WriteString(`, qop=` + ch.qop + `, nc=` + nc)
	}
	if ch.hasOpaque {
		b.WriteString(`, opaque=`)
		quote(&b, ch.opaque)
	}
	return b.String()
}

// newHash is nil for an algorithm we do not know.
func newHash(algorithm string) hash.Hash {
	switch strings.ToUpper(algorithm) {
	case "", "MD5", "MD5-SESS":
		return md5.New()
	case "SHA-256", "SHA-256-SESS":
		return sha256.New()
	case "SHA-512-256", "SHA-512-256-SESS":
		return sha512.New512_256()
	}
	return nil
}

// quote writes a quoted-string; control characters, which could start a new
// header field, are left out.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == 0x7f {
			continue
		}
		if c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
}

// A scanner walks over auth-params.
type scanner struct{ rest string }

func (s *scanner) space(also string) { s.rest = strings.TrimLeft(s.rest, " \t\r\n"+also) }

// token reads a name, after any separators.
func (s *scanner) token() (string, bool) {
	s.space(",;")
	i := 0
	for i < len(s.rest) && isToken(s.rest[i]) {
		i++
	}
	t := s.rest[:i]
	s.rest = s.rest[i:]
	return t, i > 0
}

func (s *scanner) skip(c byte) bool {
	s.space("")
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	s.space("")
	return true
}

// value reads a token or a quoted string. A value with control characters, or
// a quote that does not end, is not one.
func (s *scanner) value() (string, bool) {
	if s.rest == "" || s.rest[0] != '"' {
		i := strings.IndexAny(s.rest, ", \t\r\n")
		if i < 0 {
			i = len(s.rest)
		}
		v := s.rest[:i]
		s.rest = s.rest[i:]
		return v, v == "" || clean(v)
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), clean(b.String())
		case '\\':
			if i++; i < len(s.rest) {
				b.WriteByte(s.rest[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func clean(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-.!%*_+`'~", c) >= 0
}
