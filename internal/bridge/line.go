package bridge

import (
	"bytes"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/twin"
)

// line is the twin of the selected pair's socket, once media flows.
type line struct {
	twin atomic.Pointer[twin.Twin] // nil: the tap has it

	mu    sync.Mutex // held while it changes; no taker of packets wants it
	route *route
	ended bool
}

// follow makes the line that of the selected pair.
func (l *line) follow(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := c.tap.route.Load()
	if l.ended || c.media.Load() == nil || l.route == r {
		return
	}
	l.close()
	l.route = r
	if r == nil || c.opt.Loop == nil {
		return
	}
	t, err := c.opt.Loop.Open(r.socket.UDPConn, r.remote, func(b []byte) {
		if len(b) > 0 && b[0] < 20 { // STUN is the agent's
			r.socket.bring(b, r.remote)
			return
		}
		c.take(b)
	})
	if err == nil { // else there are no twins here, and the tap goes on
		l.twin.Store(t)
	}
}

func (l *line) close() {
	if t := l.twin.Swap(nil); t != nil {
		t.Close()
	}
}

// end closes the line for good.
func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.close()
}

// arrival is a packet for the agent.
type arrival struct {
	packet []byte
	from   netip.AddrPort
}

// bring gives the agent a packet that its own socket did not get: a check of the bridge or an
// answer to ours, of which there is one in a while.
func (t *tap) bring(b []byte, from netip.AddrPort) {
	select {
	case t.brought <- arrival{bytes.Clone(b), from}:
		t.woken.Store(true)
		_ = t.SetReadDeadline(time.Unix(1, 0)) // the reader looks; a closed socket needs nobody
	default: // checks come again
	}
}
