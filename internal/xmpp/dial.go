package xmpp

import (
	"context"
	"errors"
	"fmt"
	"io"

	"jigasi/internal/stanza"
)

// maxHops is how often see-other-host is followed.
const maxHops = 3

// A dialer negotiates one stream: STARTTLS, SASL, binding.
type dialer struct {
	ctx context.Context
	o   *Options
	s   stream
	jid stanza.JID

	resume *stanza.Elem // asks for an old session in place of binding a new one
	seen   uint32       // stanzas of it that the server has seen
}

// Dial connects, logs in and binds. It blocks until all that is done, ctx is
// done or Options.Timeout is over; the Conn lives on after ctx.
//
// The errors are *AuthError for a refused login, *StreamError where the server
// says why, ErrNoTLS and others that wrap what failed.
func Dial(ctx context.Context, opt Options) (*Conn, error) {
	o, err := opt.complete()
	if err != nil {
		return nil, err
	}
	if o.TLS.TrustAll {
		o.Log.Debug("the XMPP server's certificate is not checked: anybody in between can read the password")
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	for hops := 0; ; hops++ {
		c, err := dialOnce(ctx, &o)
		other, _ := errors.AsType[*StreamError](err)
		if other == nil || other.Host == "" || hops == maxHops || o.Transport != TCP && o.Transport != TLS {
			return c, explain(ctx, o.Domain, err)
		}
		o.Host = other.Host
	}
}

func explain(ctx context.Context, domain string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if cure := cureOf(err); cure != "" {
		return fmt.Errorf("XMPP to %s: %w: %s", domain, err, cure)
	}
	return fmt.Errorf("XMPP to %s: %w", domain, err)
}

func dialOnce(ctx context.Context, o *Options) (*Conn, error) {
	s, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	d := &dialer{ctx: ctx, o: o, s: s}
	stop := context.AfterFunc(ctx, s.drop)
	err = d.negotiate()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.drop()
		return nil, err
	}
	switch {
	case s.encrypted():
	case o.Anonymous: // of each call, and no password
		o.Log.Info("XMPP connection without TLS")
	default:
		o.Log.Warn("XMPP connection without TLS: the password can be read on the way")
	}
	return start(o, d.s, d.jid), nil
}

// negotiate goes through the stream features until an address is bound. Each
// step that succeeds begins the stream anew.
func (d *dialer) negotiate() error {
	for authenticated := false; ; {
		features, err := d.begin()
		if err != nil {
			return err
		}
		tcp, _ := d.s.(*tcpStream)
		mechanisms := features.Kid(nsSASL, "mechanisms")
		switch {
		case tcp != nil && !tcp.secure && !authenticated && features.Kid(nsTLS, "starttls") != nil:
			err = d.startTLS(tcp)
		case authenticated && d.resume != nil:
			return d.again()
		case authenticated:
			return d.bound(features)
		case mechanisms == nil:
			err = fmt.Errorf("%w: no SASL offered", ErrProtocol)
		default:
			err = d.login(mechanisms)
			authenticated = true
		}
		if err != nil {
			return err
		}
	}
}

func (d *dialer) begin() (*stanza.Elem, error) {
	if err := d.s.open(d.o.Domain); err != nil {
		return nil, ended(err)
	}
	f, err := d.read()
	if err != nil {
		return nil, err
	}
	if !f.Is(nsStream, "features") {
		return nil, fmt.Errorf("%w: no stream features", ErrProtocol)
	}
	return f, nil
}

func (d *dialer) startTLS(s *tcpStream) error {
	if err := d.send(stanza.New(nsTLS, "starttls")); err != nil {
		return err
	}
	e, err := d.read()
	if err != nil {
		return err
	}
	if !e.Is(nsTLS, "proceed") {
		return fmt.Errorf("%w: STARTTLS offered and refused", ErrProtocol)
	}
	return s.startTLS(d.ctx, d.o)
}

// bound binds, and has the session outlive its connection where both sides want that. A guest would be somebody else with
// another login.
func (d *dialer) bound(features *stanza.Elem) error {
	if err := d.bind(features); err != nil {
		return err
	}
	if !d.o.Resume || d.o.Anonymous || d.o.Transport == BOSH || features.Kid(nsSM, "sm") == nil {
		return nil
	}
	m, err := manage(d.o, d.s)
	d.s = m
	return err
}

func (d *dialer) bind(features *stanza.Elem) error {
	bind := stanza.New(nsBind, "bind")
	if d.o.Resource != "" {
		bind.Add(stanza.New("", "resource").WithText(d.o.Resource))
	}
	answer, err := d.ask(bind)
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	jid := answer.Kid(nsBind, "bind").Kid(nsBind, "jid")
	if jid == nil || jid.Text == "" {
		return fmt.Errorf("%w: bound to nothing", ErrProtocol)
	}
	d.jid = stanza.ParseJID(jid.Text)
	session := features.Kid(nsSession, "session") // RFC 3921; where it is not optional, it is needed
	if session == nil || session.Kid("", "optional") != nil {
		return nil
	}
	if _, err := d.ask(stanza.New(nsSession, "session")); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// ask sends an IQ of type set before there is a Conn. Nothing else is expected.
func (d *dialer) ask(payload *stanza.Elem) (*stanza.Elem, error) {
	id := newID()
	if err := d.send(stanza.New(nsClient, "iq", "type", "set", "id", id).Add(payload)); err != nil {
		return nil, err
	}
	for {
		e, err := d.read()
		switch {
		case err != nil:
			return nil, err
		case !e.Is(nsClient, "iq") || e.Get("id") != id:
		case e.Get("type") == "error":
			return nil, ErrorOf(e)
		case e.Get("type") == "result":
			return e, nil
		}
	}
}

func (d *dialer) send(e *stanza.Elem) error { return d.s.write(d.s.appendTo(nil, e)) }

func (d *dialer) read() (*stanza.Elem, error) {
	e, _, err := d.s.read()
	if err != nil {
		return nil, ended(err)
	}
	return e, streamError(e)
}

// streamError reads <stream:error/>, and gives nil for all else.
func streamError(e *stanza.Elem) error {
	if !e.Is(nsStream, "error") {
		return nil
	}
	out := &StreamError{Condition: "undefined-condition"}
	for _, k := range e.Kids {
		switch {
		case k.Is(nsStreams, "text"):
			out.Text = k.Text
		case k.Name.Space == nsStreams:
			out.Condition = k.Name.Local
			if k.Name.Local == "see-other-host" {
				out.Host = k.Text
			}
		}
	}
	return out
}

// ended makes the end of a stream an error that says so.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w by the server", ErrClosed)
	}
	return err
}
