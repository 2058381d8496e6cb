// Package digest answers SIP authentication challenges (RFC 3261, 22; RFC 7616;
// RFC 8760): it chooses among several, counts nonces, and gives nothing to a
// realm that it has no credentials for.
package digest

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// Credentials are those of one account.
type Credentials struct {
	User, Password string
	// Realm limits them to one realm; "" accepts the realm of whoever may challenge.
	Realm string
}

// A Challenge is one WWW-Authenticate or Proxy-Authenticate value.
type Challenge struct {
	Realm, Nonce, Opaque, Algorithm string
	QOP                             []string
	Stale                           bool
}

// ErrNoChallenge says that no challenge can be answered: none has a scheme, an
// algorithm and a realm that are known here.
var ErrNoChallenge = errors.New("digest: no challenge that can be answered")

// Parse reads the value of a challenge header.
func Parse(v string) (Challenge, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return Challenge{}, fmt.Errorf("digest: scheme %.20q is not spoken", scheme)
	}
	p := params(rest)
	c := Challenge{Realm: p["realm"], Nonce: p["nonce"], Opaque: p["opaque"], Algorithm: p["algorithm"], Stale: strings.EqualFold(p["stale"], "true")}
	if q, ok := p["qop"]; ok {
		for _, one := range strings.Split(q, ",") {
			c.QOP = append(c.QOP, strings.ToLower(strings.TrimSpace(one)))
		}
	}
	if c.Nonce == "" {
		return Challenge{}, errors.New("digest: a challenge without a nonce")
	}
	return c, nil
}

// params reads name=value pairs separated by commas; values may be quoted.
func params(s string) map[string]string {
	out := map[string]string{}
	for len(s) > 0 && len(out) < 32 {
		s = strings.TrimLeft(s, " \t,")
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return out
		}
		name, rest = strings.ToLower(strings.TrimSpace(name)), strings.TrimLeft(rest, " \t")
		var value string
		if strings.HasPrefix(rest, `"`) {
			value, s = quoted(rest[1:])
		} else {
			value, s, _ = strings.Cut(rest, ",")
			value = strings.TrimSpace(value)
		}
		if _, have := out[name]; !have {
			out[name] = value
		}
	}
	return out
}

func quoted(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

func algorithm(name string) (h func() hash.Hash, session, ok bool) {
	name = strings.ToUpper(name)
	name, session = strings.CutSuffix(name, "-SESS")
	switch name {
	case "", "MD5":
		return md5.New, session, true
	case "SHA-256":
		return sha256.New, session, true
	}
	return nil, false, false
}

// Choose picks the first challenge, in the server's order, that can be answered (RFC 8760, 2.4).
func Choose(values []string, cr Credentials) (Challenge, error) {
	for _, v := range values {
		c, err := Parse(v)
		if err != nil {
			continue
		}
		if _, _, ok := algorithm(c.Algorithm); !ok || cr.Realm != "" && cr.Realm != c.Realm {
			continue
		}
		if len(c.QOP) > 0 && c.qop() == "" {
			continue
		}
		return c, nil
	}
	return Challenge{}, ErrNoChallenge
}

// qop is the protection that is chosen; "" is RFC 2069's.
func (c Challenge) qop() string {
	for _, want := range []string{"auth", "auth-int"} {
		for _, q := range c.QOP {
			if q == want {
				return q
			}
		}
	}
	return ""
}

// A Session remembers the challenge that was answered last, so that following
// requests carry credentials at once with a new nonce count. It is safe for concurrent use.
type Session struct {
	cr Credentials

	mu  sync.Mutex
	c   Challenge
	has bool
	nc  uint32
}

// NewSession makes a session without a challenge.
func NewSession(cr Credentials) *Session { return &Session{cr: cr} }

// Challenged takes the challenges of a 401 or 407 and reports whether trying again
// makes sense: not if they refuse the very credentials just given.
func (s *Session) Challenged(values []string, tried bool) error {
	c, err := Choose(values, s.cr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tried && !c.Stale && s.has && s.c.Nonce == c.Nonce && s.c.Realm == c.Realm {
		return errors.New("digest: the credentials are refused")
	}
	s.c, s.has, s.nc = c, true, 0
	return nil
}

// Authorize gives the value of an Authorization header for a request, or false
// as long as nobody has challenged.
func (s *Session) Authorize(method, uri string, body []byte) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.has {
		return "", false
	}
	s.nc++
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return s.c.answer(s.cr, method, uri, body, hex.EncodeToString(b[:]), s.nc), true
}

func (c Challenge) answer(cr Credentials, method, uri string, body []byte, cnonce string, count uint32) string {
	newHash, session, ok := algorithm(c.Algorithm)
	if !ok {
		return ""
	}
	sum := func(parts ...string) string {
		h := newHash()
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	a1 := sum(cr.User, c.Realm, cr.Password)
	if session {
		a1 = sum(a1, c.Nonce, cnonce)
	}
	qop, nc := c.qop(), fmt.Sprintf("%08x", count)
	a2 := sum(method, uri)
	if qop == "auth-int" {
		a2 = sum(method, uri, sum(string(body)))
	}
	response := sum(a1, c.Nonce, a2)
	if qop != "" {
		response = sum(a1, c.Nonce, nc, cnonce, qop, a2)
	}
	var w strings.Builder
	fmt.Fprintf(&w, `Digest username=%s,realm=%s,nonce=%s,uri=%s,response="%s"`,
		quote(cr.User), quote(c.Realm), quote(c.Nonce), quote(uri), response)
	if c.Algorithm != "" {
		w.WriteString(",algorithm=" + c.Algorithm)
	}
	if c.Opaque != "" {
		w.WriteString(",opaque=" + quote(c.Opaque))
	}
	if qop != "" {
		fmt.Fprintf(&w, `,qop=%s,nc=%s,cnonce="%s"`, qop, nc, cnonce)
	}
	return w.String()
}

// quote writes a quoted string; what would end the header is left out.
func quote(s string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "")
	return `"` + r.Replace(s) + `"`
}
