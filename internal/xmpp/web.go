package xmpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"jigasi/internal/stanza"

	"github.com/coder/websocket"
)

const nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"

// connect makes the transport that o asks for.
func connect(ctx context.Context, o *Options) (stream, error) {
	switch o.Transport {
	case WebSocket:
		return dialWS(ctx, o)
	case BOSH:
		return newBOSH(o)
	}
	return dialTCP(ctx, o)
}

// webClient is the HTTP client of one connection. It follows no redirects: one
// to http would undo TLS, and one to elsewhere the check of the name.
func webClient(o *Options, secure, plainScheme string) (c *http.Client, encrypted bool, err error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != secure && u.Scheme != plainScheme {
		return nil, false, fmt.Errorf("XMPP URL is not of the form %s://host/path", secure) // it may hold a token: not shown
	}
	if u.Scheme == plainScheme && !o.AllowPlain {
		return nil, false, ErrNoTLS
	}
	cfg, err := o.TLS.config(u.Hostname())
	if err != nil {
		return nil, false, err
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: cfg, DialContext: o.dial, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, u.Scheme == secure, nil
}

// hideURL takes the URL, which may hold a token, out of an error.
func hideURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// answerLimit bounds one HTTP answer or WebSocket message.
func answerLimit(lim stanza.Limits) int64 {
	if lim.Bytes <= 0 {
		return 8 << 20
	}
	return 8 * int64(lim.Bytes)
}

// wsStream is RFC 7395: one element in each text message.
type wsStream struct {
	lim    stanza.Limits
	secure bool
	c      *websocket.Conn
	http   *http.Client
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

func dialWS(ctx context.Context, o *Options) (stream, error) {
	client, secure, err := webClient(o, "wss", "ws")
	if err != nil {
		return nil, err
	}
	c, _, err := websocket.Dial(ctx, o.URL, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"xmpp"}})
	if err != nil {
		client.CloseIdleConnections()
		return nil, fmt.Errorf("WebSocket: %w", hideURL(err))
	}
	c.SetReadLimit(answerLimit(o.Limits))
	s := &wsStream{lim: o.Limits, secure: secure, c: c, http: client}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func (s *wsStream) encrypted() bool { return s.secure }

func (s *wsStream) open(domain string) error {
	if err := s.write(stanza.New(nsFraming, "open", "to", domain, "version", "1.0").Append(nil, "")); err != nil {
		return err
	}
	e, _, err := s.read()
	if err != nil {
		return err
	}
	if err := streamError(e); err != nil {
		return err
	}
	if !e.Is(nsFraming, "open") {
		return fmt.Errorf("%w: WebSocket without <open/>", ErrProtocol)
	}
	return nil
}

func (s *wsStream) read() (*stanza.Elem, int, error) {
	for {
		_, message, err := s.c.Reader(s.ctx)
		if err != nil {
			return nil, 0, ofWebSocket(err)
		}
		r := stanza.NewReader(message, s.lim)
		e, err := r.Next()
		switch {
		case err == io.EOF: //nolint:errorlint // the reader gives it bare: an empty message keeps the connection alive
			continue
		case err != nil:
			if _, failed := io.Copy(io.Discard, message); failed != nil {
				err = ofWebSocket(failed)
			}
			return nil, r.Size(), err
		case e.Is(nsFraming, "close"):
			return nil, 0, io.EOF
		}
		size := r.Size()
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			return nil, size, stanza.ErrMalformed
		}
		return e, size, nil
	}
}

// ofWebSocket makes a close by the server the end of the stream.
func ofWebSocket(err error) error {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return io.EOF
	}
	return err
}

func (s *wsStream) write(b []byte) error {
	ctx, cancel := context.WithTimeout(s.ctx, writeLimit)
	defer cancel()
	return s.c.Write(ctx, websocket.MessageText, b)
}

func (s *wsStream) appendTo(b []byte, e *stanza.Elem) []byte { return appendAlone(b, e) }

// appendAlone encodes an element that has no stream around it to inherit from.
func appendAlone(b []byte, e *stanza.Elem) []byte {
	if e.Name.Space == "" {
		top := *e
		top.Name.Space = nsClient
		e = &top
	}
	return e.Append(b, "")
}

func (s *wsStream) end(context.Context) error {
	return s.write(stanza.New(nsFraming, "close").Append(nil, ""))
}

func (s *wsStream) drop() {
	s.once.Do(func() {
		s.cancel()
		_ = s.c.CloseNow() // the goodbye has been said or has failed
		s.http.CloseIdleConnections()
	})
}
