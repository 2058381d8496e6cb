// Package digest answers SIP digest challenges: RFC 3261, 22, with the
// algorithms of RFC 7616 and the choice among several challenges of RFC 8760.
//
// It is the client's side only, starts no goroutine and sends nothing: the
// caller asks an Attempt for header fields and tells it what came back. Which
// peer may challenge at all is the caller's to decide (a trunk, never whoever
// opened the dialog); which realm may, is decided here.
package digest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// What can be wrong with a challenge. Errors returned by this package wrap one of them.
var (
	ErrRefused     = errors.New("credentials refused")              // they were sent, and challenged again
	ErrRealm       = errors.New("challenge for another realm")      // not one of the login's: nothing is given away
	ErrUnsupported = errors.New("no supported algorithm or qop")    // nothing we can compute
	ErrMalformed   = errors.New("no readable digest challenge")     // no realm, no nonce, or not digest at all
	ErrTooMany     = errors.New("too many challenges, giving up")   // a peer that never says yes
	ErrNoLogin     = errors.New("challenged, but no user is known") // the account has no credentials
)

// A Login is who we are, and to whom we say so.
type Login struct {
	User     string
	Password string
	// Realms are the realms that may ask, compared without regard to case. With
	// none, the first realm that asks is believed and is the only one from then on.
	Realms []string
}

// String hides the password from fmt.
func (l Login) String() string { return l.User + ":***" }

// GoString hides the password from %#v.
func (l Login) GoString() string { return l.String() }

// LogValue hides the password from slog.
func (l Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// A Kind is who asks: the user agent server, or a proxy on the way.
type Kind uint8

// The kinds.
const (
	WWW   Kind = iota // 401, WWW-Authenticate, Authorization
	Proxy             // 407, Proxy-Authenticate, Proxy-Authorization
)

// KindOf is the kind of a response's status; ok is false for any but 401 and 407.
func KindOf(status int) (kind Kind, ok bool) {
	switch status {
	case 401:
		return WWW, true
	case 407:
		return Proxy, true
	}
	return WWW, false
}

// ChallengeHeader names the header field that asks.
func (k Kind) ChallengeHeader() string {
	if k == Proxy {
		return "Proxy-Authenticate"
	}
	return "WWW-Authenticate"
}

// Header names the header field that answers.
func (k Kind) Header() string {
	if k == Proxy {
		return "Proxy-Authorization"
	}
	return "Authorization"
}

// A Request is what credentials are bound to. Body counts for qop=auth-int only.
type Request struct {
	Method, URI string
	Body        []byte
}

// A Header is one header field to send.
type Header struct{ Name, Value string }

// A Client keeps the nonces of one login, so that later requests need no
// further round trip. It is safe for concurrent use.
type Client struct {
	login  Login
	listed bool // the realms are the user's, not learnt

	mu    sync.Mutex
	spots []*protection
}

// New makes a client that has seen no challenge yet.
func New(login Login) *Client {
	login.Realms = slices.Clone(login.Realms)
	return &Client{login: login, listed: len(login.Realms) > 0}
}

// Forget drops the realm that was believed and all nonces, so that the next challenge is believed again;
// false means that the realms are the user's own words. It is for a registrar that has a new realm, and nobody else.
func (c *Client) Forget() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed {
		return false
	}
	c.login.Realms, c.spots = nil, nil
	return true
}

// A protection is one protection space, RFC 3261, 22.1: a kind and a realm.
type protection struct {
	kind   Kind
	chal   challenge
	cnonce string
	count  uint32
}

const (
	maxTries  = 4 // challenges answered for one request
	maxSpaces = 8 // kinds and realms remembered
)

// An Attempt is the way of one request through its challenges. It belongs to
// one goroutine.
type Attempt struct {
	client *Client
	req    Request
	tries  int
	last   *protection            // answered last
	sent   map[*protection]string // nonce used in the last transmission
}

// Start begins a request. Its first Headers may already hold credentials, when
// a nonce is known from before.
func (c *Client) Start(req Request) *Attempt {
	return &Attempt{client: c, req: req, sent: map[*protection]string{}}
}

// Headers are the credentials to put into the next transmission of the request:
// call it once for each, because each counts up the nonce.
func (a *Attempt) Headers() []Header {
	c := a.client
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(a.sent)
	var out []Header
	for _, p := range c.spots {
		p.count++
		a.sent[p] = p.chal.nonce
		out = append(out, Header{p.kind.Header(), p.chal.answer(c.login, a.req, p.cnonce, p.count)})
	}
	return out
}

// Challenged takes the challenges of a response: its kind and the values of all
// its fields of that kind, from the top. With nil, send the request again with
// new Headers; with an error, the response is final.
func (a *Attempt) Challenged(kind Kind, values []string) error {
	if a.client.login.User == "" {
		return ErrNoLogin
	}
	if a.tries++; a.tries > maxTries {
		return ErrTooMany
	}
	chosen, err := choose(values)
	if err != nil {
		return err
	}
	c := a.client
	c.mu.Lock()
	defer c.mu.Unlock()
	err = ErrRealm
	taken := 0
	for _, ch := range chosen {
		if !c.allowed(ch.realm) {
			continue
		}
		if err = a.take(kind, ch); err != nil {
			return err
		}
		taken++
	}
	if taken == 0 {
		return fmt.Errorf("%w: %.64q", err, chosen[0].realm)
	}
	return nil
}

// take remembers a challenge, unless it says that our answer was wrong.
func (a *Attempt) take(kind Kind, ch challenge) error {
	c := a.client
	i := slices.IndexFunc(c.spots, func(p *protection) bool {
		return p.kind == kind && strings.EqualFold(p.chal.realm, ch.realm)
	})
	if i >= 0 {
		old := c.spots[i]
		used, sent := a.sent[old]
		// Asked twice in a row without stale is a refusal. A server that forgot its
		// nonce and does not say so is believed once.
		if sent && !ch.stale && (used == ch.nonce || a.last == old) {
			c.spots = slices.Delete(c.spots, i, i+1)
			return ErrRefused
		}
		if old.chal.nonce == ch.nonce && old.chal.algorithm == ch.algorithm {
			a.last = old // another request has just learnt it
			return nil
		}
		c.spots = slices.Delete(c.spots, i, i+1)
	}
	if len(c.spots) >= maxSpaces {
		return ErrTooMany
	}
	a.last = &protection{kind: kind, chal: ch, cnonce: token()}
	c.spots = append(c.spots, a.last)
	if len(c.login.Realms) == 0 {
		c.login.Realms = []string{ch.realm}
	}
	return nil
}

func (c *Client) allowed(realm string) bool {
	if len(c.login.Realms) == 0 {
		return true
	}
	return slices.ContainsFunc(c.login.Realms, func(r string) bool { return strings.EqualFold(r, realm) })
}

func token() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
