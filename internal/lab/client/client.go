// Package client connects the people and the focus of the lab to a real XMPP server: a client
// (RFC 6120, STARTTLS, SASL PLAIN or ANONYMOUS) and an external component (XEP-0114). It is
// written from those texts and not from the gateway's own connection, so that both do not
// share an error, and it can say what no honest client would.
package client

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"jigasi/internal/stanza"
)

// Options makes a client.
type Options struct {
	Addr     string // host:port of the server
	Domain   string
	User     string // localpart; "" is an anonymous login
	Password string
	Resource string         // "" lets the server choose
	CAs      *x509.CertPool // who may vouch for the server
	// Handler gets each stanza but the answers to Request, in order, on the reader's
	// goroutine: it must not block, and must not call Request. nil drops them.
	Handler func(*stanza.Elem)
}

// A Client is a bound stream. Its methods are safe for concurrent use.
type Client struct {
	conn    net.Conn
	r       *stanza.Reader
	jid     stanza.JID
	space   string // of the stream
	handler func(*stanza.Elem)
	done    chan struct{}

	writing sync.Mutex

	mu      sync.Mutex
	pending map[string]chan *stanza.Elem
}

const (
	nsClient    = "jabber:client"
	nsComponent = "jabber:component:accept"
	nsStream    = "http://etherx.jabber.org/streams"
	nsTLS       = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL      = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind      = "urn:ietf:params:xml:ns:xmpp-bind"
)

// limit is how long connecting, one request and one write may take.
const limit = 20 * time.Second

func dial(addr, space string, handler func(*stanza.Elem)) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		return nil, err
	}
	if handler == nil {
		handler = func(*stanza.Elem) {}
	}
	_ = conn.SetDeadline(time.Now().Add(limit)) // shows at the next read or write
	return &Client{conn: conn, space: space, handler: handler, done: make(chan struct{}), pending: map[string]chan *stanza.Elem{}}, nil
}

// Dial connects, logs in and binds.
func Dial(o Options) (*Client, error) {
	c, err := dial(o.Addr, nsClient, o.Handler)
	if err != nil {
		return nil, err
	}
	if err := c.login(o); err != nil {
		_ = c.conn.Close()
		return nil, fmt.Errorf("lab client at %s: %w", o.Domain, err)
	}
	c.start()
	return c, nil
}

// Component connects as an external component: all that is for its domain comes to it.
func Component(addr, domain, secret string, handler func(*stanza.Elem)) (*Client, error) {
	c, err := dial(addr, nsComponent, handler)
	if err != nil {
		return nil, err
	}
	if err := c.handshake(domain, secret); err != nil {
		_ = c.conn.Close()
		return nil, fmt.Errorf("lab component %s: %w", domain, err)
	}
	c.start()
	return c, nil
}

func (c *Client) start() {
	_ = c.conn.SetDeadline(time.Time{})
	go c.read()
}

// open starts the stream and gives the server's header.
func (c *Client) open(domain string) (*stanza.Elem, error) {
	c.r = stanza.NewReader(c.conn, stanza.Limits{})
	_, err := fmt.Fprintf(c.conn, "<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='%s' to='%s' version='1.0'>", c.space, nsStream, domain)
	if err != nil {
		return nil, err
	}
	return c.r.Header()
}

// features opens the stream and gives its features.
func (c *Client) features(domain string) (*stanza.Elem, error) {
	if _, err := c.open(domain); err != nil {
		return nil, err
	}
	return c.want("features")
}

// want reads the next element, which has to be of that name.
func (c *Client) want(name string) (*stanza.Elem, error) {
	e, err := c.r.Next()
	if err == nil && e.Name.Local != name {
		err = fmt.Errorf("no <%s/> but %s", name, e)
	}
	return e, err
}

func (c *Client) login(o Options) error {
	f, err := c.features(o.Domain)
	if err != nil {
		return err
	}
	if f.Kid(nsTLS, "starttls") != nil {
		if err := c.Raw("<starttls xmlns='" + nsTLS + "'/>"); err != nil {
			return err
		}
		if _, err := c.want("proceed"); err != nil {
			return err
		}
		c.conn = tls.Client(c.conn, &tls.Config{ServerName: o.Domain, RootCAs: o.CAs})
		if _, err = c.features(o.Domain); err != nil {
			return err
		}
	}
	auth := stanza.New(nsSASL, "auth", "mechanism", "ANONYMOUS")
	if o.User != "" {
		auth.Set("mechanism", "PLAIN").WithText(base64.StdEncoding.EncodeToString([]byte("\x00" + o.User + "\x00" + o.Password)))
	}
	if err := c.Send(auth); err != nil {
		return err
	}
	if _, err := c.want("success"); err != nil {
		return err
	}
	if _, err := c.features(o.Domain); err != nil {
		return err
	}
	return c.bind(o.Resource)
}

func (c *Client) bind(resource string) error {
	b := stanza.New(nsBind, "bind")
	if resource != "" {
		b.Add(stanza.New("", "resource").WithText(resource))
	}
	if err := c.Send(stanza.New(nsClient, "iq", "type", "set", "id", "bind").Add(b)); err != nil {
		return err
	}
	e, err := c.want("iq")
	if err != nil {
		return err
	}
	jid := e.Kid(nsBind, "bind").Kid(nsBind, "jid")
	if jid == nil {
		return errors.New("not bound")
	}
	c.jid = stanza.ParseJID(jid.Text)
	return nil
}

func (c *Client) handshake(domain, secret string) error {
	h, err := c.open(domain)
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(h.Get("id") + secret))
	if err := c.Raw("<handshake>" + hex.EncodeToString(sum[:]) + "</handshake>"); err != nil {
		return err
	}
	_, err = c.want("handshake")
	c.jid = stanza.JID{Domain: domain}
	return err
}

func (c *Client) read() {
	defer close(c.done)
	for {
		e, err := c.r.Next()
		if err != nil {
			_ = c.conn.Close()
			return
		}
		if c.space != nsClient {
			rename(e, c.space)
		}
		c.mu.Lock()
		answer := c.pending[e.Get("id")]
		if t := e.Get("type"); e.Name.Local != "iq" || t != "result" && t != "error" {
			answer = nil
		}
		if answer != nil {
			delete(c.pending, e.Get("id"))
		}
		c.mu.Unlock()
		if answer != nil {
			answer <- e
		} else {
			c.handler(e)
		}
	}
}

// rename makes a component's stanza a client's.
func rename(e *stanza.Elem, from string) {
	if e.Name.Space == from {
		e.Name.Space = nsClient
	}
	for _, k := range e.Kids {
		rename(k, from)
	}
}

// JID is the address that the server has bound.
func (c *Client) JID() stanza.JID { return c.jid }

// Done is closed when the stream has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Send sends a stanza; what is of a client's namespace is the stream's.
func (c *Client) Send(e *stanza.Elem) error {
	if e.Is(nsClient, e.Name.Local) && c.space != nsClient {
		e = e.Clone()
		e.Name.Space = c.space
	}
	return c.Raw(string(e.Append(nil, c.space)))
}

// Raw sends bytes as they are, well-formed or not.
func (c *Client) Raw(text string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.conn.Write([]byte(text))
	return err
}

// ID makes an id for an IQ.
func ID() string { return rand.Text() }

// Request sends an IQ under an id of its own and gives the answer, of type result or error.
func (c *Client) Request(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	iq = iq.Clone().Set("id", ID())
	answer := make(chan *stanza.Elem, 1)
	c.mu.Lock()
	c.pending[iq.Get("id")] = answer
	c.mu.Unlock()
	if err := c.Send(iq); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case e := <-answer:
		return e, nil
	case <-c.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close says goodbye, waits a moment for the server's, and closes.
func (c *Client) Close() {
	_ = c.Raw("</stream:stream>") // a dead stream is closed already
	select {
	case <-c.done:
	case <-time.After(2 * time.Second):
	}
	c.Drop()
}

// Drop closes the socket without a word.
func (c *Client) Drop() {
	_ = c.conn.Close()
	<-c.done
}
