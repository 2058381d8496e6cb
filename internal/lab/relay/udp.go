// Package relay is a bad network for tests: a relay of UDP that loses, holds back, doubles and damages
// packets as a seed says, and one of TCP that stalls and cuts connections. It needs no rights and no
// module of the kernel's. Line is its crank, for tests in virtual time.
package relay

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// UDP relays between whoever sends to Addr, and one target. Its methods are safe for concurrent use.
// Four goroutines serve it: one reads and one sends in each direction.
type UDP struct {
	front, back *net.UDPConn
	target      netip.AddrPort
	client      atomic.Pointer[netip.AddrPort] // who sent to front last
	up, down    *direction
	quit        chan struct{}
	once        sync.Once
	wg          sync.WaitGroup
}

// direction is a line with a clock.
type direction struct {
	begun time.Time
	queue chan Arrival
	send  func([]byte)

	mu   sync.Mutex
	line *Line
}

// queued is how many packets may be under way in one direction; more are lost.
const queued = 4096

// NewUDP opens a relay to target, of the host of target. up is what happens on the way to it.
func NewUDP(target netip.AddrPort, seed uint64, up, down Faults) (*UDP, error) {
	local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(target.Addr(), 0))
	front, err := net.ListenUDP("udp", local)
	if err != nil {
		return nil, err
	}
	back, err := net.ListenUDP("udp", local)
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	r := &UDP{front: front, back: back, target: target, quit: make(chan struct{})}
	now := time.Now()
	r.up = &direction{begun: now, queue: make(chan Arrival, queued), line: NewLine(seed, up), send: func(b []byte) {
		_, _ = back.WriteToUDPAddrPort(b, target) // a lost packet, as on a network
	}}
	r.down = &direction{begun: now, queue: make(chan Arrival, queued), line: NewLine(seed+1, down), send: func(b []byte) {
		if to := r.client.Load(); to != nil {
			_, _ = front.WriteToUDPAddrPort(b, *to)
		}
	}}
	r.wg.Go(func() { r.read(front, r.up, func(from netip.AddrPort) bool { r.client.Store(&from); return true }) })
	r.wg.Go(func() { r.read(back, r.down, func(from netip.AddrPort) bool { return from == target }) })
	r.wg.Go(func() { r.up.run(r.quit) })
	r.wg.Go(func() { r.down.run(r.quit) })
	return r, nil
}

// Addr is where the client sends.
func (r *UDP) Addr() netip.AddrPort { return addrOf(r.front) }

// Back is where the target sees the client.
func (r *UDP) Back() netip.AddrPort { return addrOf(r.back) }

func addrOf(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// SetFaults changes what happens from now on.
func (r *UDP) SetFaults(up, down Faults) {
	for d, f := range map[*direction]Faults{r.up: up, r.down: down} {
		d.mu.Lock()
		d.line.Faults = f
		d.mu.Unlock()
	}
}

// Counts tells what was done on the way to the target, and back.
func (r *UDP) Counts() (up, down Counts) { return r.up.counts(), r.down.counts() }

func (d *direction) counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.line.Counts()
}

// Close ends the relay; what is under way is lost.
func (r *UDP) Close() {
	r.once.Do(func() {
		close(r.quit)
		_ = r.front.Close()
		_ = r.back.Close()
	})
	r.wg.Wait()
}

func (r *UDP) read(c *net.UDPConn, d *direction, known func(netip.AddrPort) bool) {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !known(netip.AddrPortFrom(from.Addr().Unmap(), from.Port())) {
			continue
		}
		d.take(buf[:n])
	}
}

func (d *direction) take(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.line.Send(time.Since(d.begun), b) {
		select {
		case d.queue <- a:
		default: // too many are under way
			d.line.counts.Lost++
		}
	}
}

// run sends each packet when it is due.
func (d *direction) run(quit <-chan struct{}) {
	var waiting []Arrival
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		select {
		case <-quit:
			return
		case a := <-d.queue:
			at, _ := slices.BinarySearchFunc(waiting, a.At+1, func(w Arrival, t time.Duration) int { return cmp.Compare(w.At, t) })
			waiting = slices.Insert(waiting, at, a)
		case <-due.C:
		}
		now := time.Since(d.begun)
		for len(waiting) > 0 && waiting[0].At <= now {
			d.send(waiting[0].Data)
			waiting = waiting[1:]
		}
		if len(waiting) > 0 {
			due.Reset(waiting[0].At - now)
		}
	}
}
