package rtpport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"jigasi/internal/cause"
)

// quarantine is how long a port rests after a call: late packets of the old phone must not
// be heard in a new call.
const quarantine = 2 * time.Second

// A Pool gives out pairs of UDP ports from a range. It is safe for concurrent use.
type Pool struct {
	min, max uint16
	rest     time.Duration

	mu    sync.Mutex
	next  uint16
	used  map[uint16]bool
	until map[uint16]time.Time
}

// NewPool makes a pool of the ports from min to max, both included. RTP has the even ones.
func NewPool(minPort, maxPort uint16) (*Pool, error) {
	first := minPort + minPort%2
	if minPort == 0 || maxPort < first+1 {
		return nil, fmt.Errorf("the port range %d-%d holds no pair of ports", minPort, maxPort)
	}
	return &Pool{min: first, max: maxPort, next: first, rest: quarantine, used: map[uint16]bool{}, until: map[uint16]time.Time{}}, nil
}

// InUse is how many pairs are taken now.
func (p *Pool) InUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.used)
}

// pair is an RTP socket and its RTCP socket.
type pair struct {
	pool      *Pool
	port      uint16
	rtp, rtcp *net.UDPConn
}

func (p *Pool) take(ip netip.Addr) (*pair, error) {
	for range int(p.max-p.min)/2 + 1 {
		port, ok := p.reserve()
		if !ok {
			break
		}
		pr, err := listen(ip, port)
		if err != nil {
			p.release(port, 0) // somebody else has it
			continue
		}
		pr.pool = p
		return pr, nil
	}
	return nil, cause.Cause{Code: cause.Full, Status: 503, Text: fmt.Sprintf("no free UDP port between %d and %d for another call", p.min, p.max)}
}

func (p *Pool) reserve() (uint16, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for range int(p.max-p.min)/2 + 1 {
		port := p.next
		if p.next += 2; p.next >= p.max || p.next < p.min {
			p.next = p.min
		}
		if !p.used[port] && now.After(p.until[port]) {
			p.used[port] = true
			delete(p.until, port)
			return port, true
		}
	}
	return 0, false
}

func (p *Pool) release(port uint16, rest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, port)
	if rest > 0 {
		p.until[port] = time.Now().Add(rest)
	}
}

func listen(ip netip.Addr, port uint16) (*pair, error) {
	open := func(port uint16) (*net.UDPConn, error) {
		a := &net.UDPAddr{Port: int(port)}
		if ip.IsValid() {
			a.IP = ip.AsSlice()
		}
		return net.ListenUDP("udp", a)
	}
	rtp, err := open(port)
	if err != nil {
		return nil, err
	}
	rtcp, err := open(port + 1)
	if err != nil {
		_ = rtp.Close()
		return nil, err
	}
	return &pair{port: port, rtp: rtp, rtcp: rtcp}, nil
}

func (p *pair) close() {
	_ = p.rtp.Close()
	_ = p.rtcp.Close()
	p.pool.release(p.port, p.pool.rest)
}

// isClosed reports whether a socket's error is its end, and not the echo of a lost datagram.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
