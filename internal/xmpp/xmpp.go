// Package xmpp is a client's connection to an XMPP server: connected over TCP,
// WebSocket or BOSH, authenticated, bound, and then stanzas both ways.
//
// It is RFC 6120 (streams, STARTTLS, SASL, binding), RFC 7395 (WebSocket),
// XEP-0124 and 0206 (BOSH), XEP-0198 (resumption), XEP-0199 (ping), XEP-0030 and 0115 (discovery, caps)
// and XEP-0092 (version). It knows no rooms and no roster, and does not log in
// again by itself: who holds the Conn does, with a Backoff.
//
// No stanza ends a connection but broken XML: addresses are opaque, an element
// that is too large is passed over, an answer counts only from the one asked.
//
// A Conn has three goroutines (read, handle, write), BOSH one more; Close waits for them.
package xmpp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"jigasi/internal/locate"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// The transports of Options.
const (
	TCP       = "tcp"  // port 5222, STARTTLS (the default)
	TLS       = "tls"  // port 5223, TLS from the first byte (XEP-0368)
	WebSocket = "ws"   // RFC 7395, Options.URL
	BOSH      = "bosh" // XEP-0206, Options.URL
)

// Options says where and as whom to connect. Domain and, unless Anonymous, User
// and Password are required.
type Options struct {
	Domain    string // the XMPP domain: whose certificate is expected, whom SASL talks to
	Host      string // "host:port" or "host" in place of SRV records and Domain
	Transport string // "" means TCP
	URL       string // for WebSocket (ws, wss) and BOSH (http, https), with its query

	User      string // localpart, or bare address
	Password  xlog.Secret
	Anonymous bool
	Resource  string // "" lets the server choose

	// Resume has the session outlive its connection (XEP-0198), where the server offers that and it is no guest's: what is
	// lost comes back within 20 s, and nobody notices. A process that dies is in its rooms until the server gives it up.
	Resume bool

	// AllowPlain lets everything, the password too, cross a connection without TLS.
	// TLS is still used where the server offers it, and checked.
	AllowPlain bool
	TLS        TLSOptions

	// Names finds servers by their names, and while the name servers do not answer by what they said up to an hour
	// ago; nil asks the system each time.
	Names *locate.Locator

	Limits  stanza.Limits
	Timeout time.Duration // of Dial as a whole; 0 means 20 s
	Ping    time.Duration // after this silence the server is pinged, and 10 s later given up; 0 means 30 s, negative never

	Caps     func() Caps // what disco#info answers; nil: nothing
	Software string      // what jabber:iq:version answers; "" means no answer
	Version  string

	// Handler gets every stanza but answers to Request and what the Conn answers itself
	// (disco, ping, version), one after the other, on one goroutine. It may
	// call any method but Close. It may run before Dial returns. It returns false for
	// what it does not know: an IQ of type get or set is then refused in its place.
	// An IQ that it takes it must answer, then or later.
	Handler func(*stanza.Elem) bool
	// Ordered has Request return only after the Handler has seen all that came before the answer: else a
	// refusal may overtake what explains it. The Handler may then not call Request.
	Ordered bool

	Counts *Counts // nil: nobody looks at them
	Log    *slog.Logger

	resolver resolver
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
}

// TLSOptions say which certificate is the server's. The zero value wants one of
// the system's authorities for the domain (or the URL's host).
type TLSOptions struct {
	CAFile string         // PEM, in place of the system's authorities
	CAs    *x509.CertPool // likewise
	// PinSHA256 are digests, in hex or base64, of the server's certificate or of its
	// public key (SPKI). If there are any, one must match, and nothing else is asked.
	PinSHA256  []string
	ServerName string // in place of Domain or the URL's host
	TrustAll   bool   // takes any certificate from anybody; logged at each connection
}

// What Dial and the methods of Conn return, wrapped.
var (
	ErrClosed   = errors.New("connection closed")
	ErrNoTLS    = errors.New("server offers no TLS, and without it no login is allowed: give it a certificate, or set xmpp.plaintext where it is on this machine")
	ErrSlow     = errors.New("queue full")
	ErrSilent   = errors.New("server does not answer pings")
	ErrProtocol = errors.New("server breaks the protocol")
)

// An AuthError is a refused login.
type AuthError struct{ Condition, Text string }

func (e *AuthError) Error() string {
	return "login refused: " + strings.TrimSuffix(e.Condition+", "+e.Text, ", ")
}

// A StreamError is why the server ended the stream (RFC 6120, 4.9).
type StreamError struct {
	Condition, Text string
	Host            string // with see-other-host: where to go instead
}

func (e *StreamError) Error() string {
	return "stream error: " + strings.TrimSuffix(e.Condition+", "+e.Text, ", ")
}

// An Error is an IQ of type error (RFC 6120, 8.3), or the error of any stanza.
type Error struct {
	Type, Condition, Text string
	AppSpecific           *stanza.Elem   // the first element of another namespace, or nil
	All                   []*stanza.Elem // all of them
}

func (e *Error) Error() string {
	return strings.TrimSuffix(e.Type+"/"+e.Condition+": "+e.Text, ": ")
}

// ErrorOf reads the error of a stanza of type error. It never gives nil.
func ErrorOf(e *stanza.Elem) *Error {
	x := e.Kid("", "error")
	out := &Error{Type: x.Get("type"), Condition: "undefined-condition"}
	if x == nil {
		return out
	}
	for _, k := range x.Kids {
		switch {
		case k.Is(nsStanzas, "text"):
			out.Text = k.Text
		case k.Name.Space == nsStanzas:
			out.Condition = k.Name.Local
		default:
			out.All = append(out.All, k)
		}
	}
	if len(out.All) > 0 {
		out.AppSpecific = out.All[0]
	}
	return out
}

const (
	nsClient  = "jabber:client"
	nsStream  = "http://etherx.jabber.org/streams"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession = "urn:ietf:params:xml:ns:xmpp-session"
	nsPing    = "urn:xmpp:ping"
	nsInfo    = "http://jabber.org/protocol/disco#info"
	nsItems   = "http://jabber.org/protocol/disco#items"
	nsVersion = "jabber:iq:version"
	nsCaps    = "http://jabber.org/protocol/caps"
)

// complete fills in defaults, or says what is missing.
func (o Options) complete() (Options, error) {
	if local, domain, ok := strings.Cut(o.User, "@"); ok {
		o.User = local
		if o.Domain == "" {
			o.Domain = domain
		}
	}
	if o.Transport == "" {
		o.Transport = TCP
	}
	web := o.Transport == WebSocket || o.Transport == BOSH
	switch {
	case o.Domain == "":
		return o, errors.New("no XMPP domain given")
	case !o.Anonymous && o.User == "":
		return o, errors.New("no XMPP user given, and not anonymous")
	case !web && o.Transport != TCP && o.Transport != TLS:
		return o, fmt.Errorf("unknown XMPP transport %q", o.Transport)
	case web && o.URL == "":
		return o, fmt.Errorf("XMPP transport %q needs a URL", o.Transport)
	}
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Ping == 0 {
		o.Ping = 30 * time.Second
	}
	if o.Caps == nil {
		o.Caps = func() Caps { return Caps{} }
	}
	if o.Handler == nil {
		o.Handler = func(*stanza.Elem) bool { return false }
	}
	if o.Counts == nil {
		o.Counts = &Counts{}
	}
	if o.resolver == nil {
		o.resolver = net.DefaultResolver
	}
	if o.dial == nil {
		d := &net.Dialer{KeepAlive: 30 * time.Second}
		if o.dial = d.DialContext; o.Names != nil {
			o.dial = dialNamed(o.Names, d)
		}
	}
	o.Log = xlog.Or(o.Log).With("domain", o.Domain)
	return o, nil
}
