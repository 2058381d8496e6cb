// Package socket is the stream of a speech service that is reached over a WebSocket, but for what
// its messages mean: that is a Dialect, one for each such service.
//
// A stream has two goroutines: one reads, one pings. Both end with it. Nothing that a server says
// gets into an error or a log: it may be what somebody has said.
package socket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"jigasi/internal/recognize"

	"github.com/coder/websocket"
)

const (
	writeLimit = 5 * time.Second
	pingEvery  = 10 * time.Second
	pingLimit  = 20 * time.Second // some servers answer nothing while they think
	maxMessage = 1 << 20
	closeWait  = time.Second
)

// ErrMessage says that the server has said something that cannot be understood.
var ErrMessage = errors.New("the service sent a message that is none")

// A Sender sends messages.
type Sender interface {
	Text(b []byte) error
	Binary(b []byte) error
	Gone() <-chan struct{} // closed when the stream is
}

// A Dialect is what the messages of a service mean, for one stream. Heard runs on another goroutine
// than the rest.
type Dialect interface {
	// Hello sends what comes before sound.
	Hello(s Sender) error
	// Sound sends sound.
	Sound(s Sender, pcm []byte) error
	// Bye says that no more sound follows.
	Bye(s Sender) error
	// Heard reads a message. done says that it is the last one.
	Heard(message []byte) (results []recognize.Result, done bool, err error)
	// Quiet is how long after Bye silence means that all is said; 0 is never.
	Quiet() time.Duration
}

// Dial opens a stream, via a transport or, with nil, http.DefaultTransport. The error tells a status, but nothing the server
// has written.
func Dial(ctx context.Context, via http.RoundTripper, url string, header http.Header, d Dialect) (*Stream, error) {
	c, err := Connect(ctx, via, url, header)
	if err != nil {
		return nil, err
	}
	s := &Stream{conn: c, dialect: d, results: make(chan recognize.Result, 64), gone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if err := d.Hello(s); err != nil {
		s.Close()
		return nil, err
	}
	go s.read()
	go Ping(s.ctx, c, s.Close)
	return s, nil
}

// Connect opens a WebSocket as Dial does. Redirects are not followed: an address is the operator's, whole.
func Connect(ctx context.Context, via http.RoundTripper, address string, header http.Header) (*websocket.Conn, error) {
	client := &http.Client{Transport: via, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c, answer, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: header, HTTPClient: client, CompressionMode: websocket.CompressionDisabled})
	switch {
	case err == nil:
		c.SetReadLimit(maxMessage)
		return c, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case answer != nil:
		return nil, Status(answer)
	}
	return nil, Unreachable(address, err)
}

// Unreachable is the error of a service that is not there, with its address but nothing else of its URL.
func Unreachable(address string, err error) error {
	host := "?"
	if u, bad := url.Parse(address); bad == nil && u.Host != "" {
		host = u.Host
	}
	return fmt.Errorf("the service at %s cannot be reached: %w: does it run, and is its address below transcription in jigasi.yaml right?", host, unwrapped(err))
}

// unwrapped is the cause at the bottom, which holds an address but no URL with its parameters.
func unwrapped(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// Ping pings until ctx is done, and calls dead where no answer comes.
func Ping(ctx context.Context, c *websocket.Conn, dead func()) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		limit, cancel := context.WithTimeout(ctx, pingLimit)
		err := c.Ping(limit)
		cancel()
		if err != nil {
			dead()
			return
		}
	}
}

// A Stream is a recognize.Stream over a WebSocket.
type Stream struct {
	conn    *websocket.Conn
	dialect Dialect
	ctx     context.Context
	cancel  context.CancelFunc
	results chan recognize.Result
	gone    chan struct{}
	once    sync.Once
	err     error

	mu    sync.Mutex
	timer *time.Timer // of Quiet
	quiet bool        // it is over
}

// Text sends a text message.
func (s *Stream) Text(b []byte) error { return s.send(websocket.MessageText, b) }

// Binary sends a binary message.
func (s *Stream) Binary(b []byte) error { return s.send(websocket.MessageBinary, b) }

// Gone is closed when the stream is.
func (s *Stream) Gone() <-chan struct{} { return s.gone }

func (s *Stream) send(kind websocket.MessageType, b []byte) error {
	ctx, cancel := context.WithTimeout(s.ctx, writeLimit)
	defer cancel()
	if err := s.conn.Write(ctx, kind, b); err != nil {
		return fmt.Errorf("a message cannot be sent: %w", Plain(err))
	}
	return nil
}

// Write sends sound.
func (s *Stream) Write(pcm []byte) error { return s.dialect.Sound(s, pcm) }

// CloseSend says that no more sound follows.
func (s *Stream) CloseSend() error {
	if err := s.dialect.Bye(s); err != nil {
		return err
	}
	if wait := s.dialect.Quiet(); wait > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer = time.AfterFunc(wait, s.hush)
	}
	return nil
}

// hush ends a stream in which nothing is said any more.
func (s *Stream) hush() {
	s.mu.Lock()
	s.quiet = true
	s.mu.Unlock()
	s.Close()
}

// still gives a server that has just spoken more time, and reports whether it is over.
func (s *Stream) still() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && !s.quiet {
		s.timer.Reset(s.dialect.Quiet())
	}
	return s.quiet
}

// Results are what was heard.
func (s *Stream) Results() <-chan recognize.Result { return s.results }

// Err says why Results was closed.
func (s *Stream) Err() error { return s.err }

// Close ends the stream at once.
func (s *Stream) Close() {
	s.once.Do(func() {
		close(s.gone)
		s.cancel()
		_ = s.conn.CloseNow()
	})
}

func (s *Stream) read() {
	defer close(s.results)
	defer s.Close()
	for {
		_, message, err := s.conn.Read(s.ctx)
		over := s.still()
		if err != nil && over {
			return
		}
		if err != nil {
			s.err = fmt.Errorf("the stream ended: %w", Plain(err))
			return
		}
		results, done, err := s.dialect.Heard(message)
		for _, r := range results {
			select {
			case s.results <- r:
			case <-s.gone:
				s.err = context.Canceled
				return
			}
		}
		if done || err != nil {
			s.err = err
			if err == nil {
				s.bow()
			}
			return
		}
	}
}

// bow closes politely, but not for long.
func (s *Stream) bow() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.conn.Close(websocket.StatusNormalClosure, "")
	}()
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		_ = s.conn.CloseNow()
		<-done
	}
}

// Plain is an error without what a server has written into it.
func Plain(err error) error {
	if code := websocket.CloseStatus(err); code != -1 {
		return fmt.Errorf("closed with %d", code)
	}
	return unwrapped(err)
}
