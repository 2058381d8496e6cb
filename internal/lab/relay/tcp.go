package relay

import (
	"errors"
	"net"
	"sync"
)

// TCP relays connections to one target. Its methods are safe for concurrent use. Each connection
// has two goroutines.
type TCP struct {
	lis    net.Listener
	target string
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	stall  chan struct{} // closed when the relay goes on; nil while it runs
	pairs  map[*pair]bool
}

type pair struct{ client, server *net.TCPConn }

// NewTCP opens a relay to target, host:port.
func NewTCP(target string) (*TCP, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &TCP{lis: lis, target: target, pairs: map[*pair]bool{}}
	r.wg.Go(r.accept)
	return r, nil
}

// Addr is where clients connect.
func (r *TCP) Addr() string { return r.lis.Addr().String() }

// Stall brings nothing in either direction any more, and closes nothing: a network that is gone. Who
// connects is not answered either.
func (r *TCP) Stall() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stall == nil {
		r.stall = make(chan struct{})
	}
}

// Heal ends a stall: what was kept is brought.
func (r *TCP) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stall != nil {
		close(r.stall)
		r.stall = nil
	}
}

// Reset cuts all connections by RST, on both sides, and says how many they were.
func (r *TCP) Reset() int { return r.cut(true) }

// Cut closes all connections in good order, and says how many they were.
func (r *TCP) Cut() int { return r.cut(false) }

func (r *TCP) cut(hard bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.pairs {
		p.close(hard)
	}
	return len(r.pairs)
}

func (p *pair) close(hard bool) {
	for _, c := range []*net.TCPConn{p.client, p.server} {
		if hard {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
}

// Conns is how many connections there are.
func (r *TCP) Conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pairs)
}

// Close ends all.
func (r *TCP) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	_ = r.lis.Close()
	r.Heal()
	r.Cut()
	r.wg.Wait()
}

func (r *TCP) accept() {
	for {
		c, err := r.lis.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			r.wg.Go(func() { r.serve(c.(*net.TCPConn)) })
		}
	}
}

func (r *TCP) serve(client *net.TCPConn) {
	r.wait()
	c, err := net.Dial("tcp", r.target)
	if err != nil {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	p := &pair{client, c.(*net.TCPConn)}
	r.mu.Lock()
	if r.closed {
		p.close(false)
	}
	r.pairs[p] = true
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { r.copy(p.server, p.client) })
	both.Go(func() { r.copy(p.client, p.server) })
	both.Wait()
	p.close(false)
	r.mu.Lock()
	delete(r.pairs, p)
	r.mu.Unlock()
}

// wait returns when the relay is not stalled.
func (r *TCP) wait() {
	for {
		r.mu.Lock()
		stall := r.stall
		r.mu.Unlock()
		if stall == nil {
			return
		}
		<-stall
	}
}

// copy brings what from says to to, until one of the two ends.
func (r *TCP) copy(to, from *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.wait()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}
