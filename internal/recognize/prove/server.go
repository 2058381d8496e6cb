package prove

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A Server is a counterpart over a WebSocket.
type Server struct {
	URL   string            // ws://
	Via   http.RoundTripper // of a Server that is Near: the only way to it
	Open  atomic.Int64
	Most  atomic.Int64 // connections at once, of one who
	Count atomic.Int64

	temper *Temper
	handle Handler
}

// A Handler is what a counterpart does with a connection that gets this far: a fault, and after how many frames it is due.
// It returns to hang up.
type Handler func(ctx context.Context, c *websocket.Conn, r *http.Request, fault Fault, after int)

// Serve runs a counterpart until the end of the test. Each connection gets a fault and after how
// many frames it is due; Refuse and Late are dealt with here.
func Serve(t *testing.T, temper *Temper, handler Handler) *Server {
	t.Helper()
	s := &Server{temper: temper, handle: handler}
	h := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(h.Close)
	s.URL = "ws" + strings.TrimPrefix(h.URL, "http")
	return s
}

// Near is Serve for a test in virtual time: there is no socket between the two, and nothing runs after the test.
func Near(t *testing.T, temper *Temper, handler Handler) *Server {
	t.Helper()
	s := &Server{URL: "ws://service.test", temper: temper, handle: handler}
	s.Via = Nearby(t, http.HandlerFunc(s.serve))
	return s
}

// Nearby is the way to a handler of HTTP in the same process, until the end of the test.
func Nearby(t *testing.T, handler http.Handler) http.RoundTripper {
	t.Helper()
	n := NewWire()
	var running sync.WaitGroup
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		handler.ServeHTTP(w, r)
	})}
	running.Go(func() { _ = h.Serve(n) })
	via := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return n.Dial(ctx) }}
	t.Cleanup(func() {
		via.CloseIdleConnections()
		_ = h.Close()
		running.Wait()
	})
	return via
}

// A Wire is a listener in the process, and the way to it.
type Wire struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewWire makes a Wire.
func NewWire() *Wire { return &Wire{conns: make(chan net.Conn), done: make(chan struct{})} }

var errNobody = errors.New("nobody listens")

// Dial makes a connection.
func (w *Wire) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case w.conns <- far:
		return near, nil
	case <-w.done:
		return nil, errNobody
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept gives the far end of the next connection.
func (w *Wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (w *Wire) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

// Addr is no real address.
func (*Wire) Addr() net.Addr { return &net.UnixAddr{Name: "wire", Net: "unix"} }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	fault, after := None, 0
	if s.temper != nil {
		fault, after = s.temper.Next(25)
	}
	if fault == Refuse {
		http.Error(w, "spoken words", http.StatusServiceUnavailable)
		return
	}
	if fault == Late {
		<-time.After(100 * time.Millisecond)
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(1 << 20)
	s.Count.Add(1)
	s.Open.Add(1)
	defer s.Open.Add(-1)
	// One that its client has given up is here until this side has noticed: two that stay are two.
	for range 400 {
		if s.Open.Load() == 1 {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	s.Most.Store(max(s.Most.Load(), s.Open.Load()))
	s.handle(r.Context(), c, r, fault, after)
}

// Misbehave does what a fault is due to do, and reports whether the connection goes on.
func Misbehave(ctx context.Context, c *websocket.Conn, fault Fault, after, frame int) bool {
	if fault == None || frame < after {
		return true
	}
	if fault == Garbage {
		_ = c.Write(ctx, websocket.MessageText, []byte(`{"spoken words": [`))
	}
	for fault == Garbage || fault == Stall {
		if _, _, err := c.Read(ctx); err != nil {
			break
		}
	}
	return false
}
