package prove

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A Server is a counterpart over a WebSocket.
type Server struct {
	URL   string // ws://
	Open  atomic.Int64
	Most  atomic.Int64 // connections at once, of one who
	Count atomic.Int64
}

// Serve runs a counterpart until the end of the test. Each connection gets a fault and after how
// many frames it is due; Refuse and Late are dealt with here. A handler returns to hang up.
func Serve(t *testing.T, temper *Temper, handler func(ctx context.Context, c *websocket.Conn, r *http.Request, fault Fault, after int)) *Server {
	t.Helper()
	s := &Server{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault, after := None, 0
		if temper != nil {
			fault, after = temper.Next(25)
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
		handler(r.Context(), c, r, fault, after)
	}))
	t.Cleanup(h.Close)
	s.URL = "ws" + strings.TrimPrefix(h.URL, "http")
	return s
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
