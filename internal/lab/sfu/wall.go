package sfu

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// Wall is a firewall around the bridge: from now on its endpoints take UDP from, and send it to,
// only whom admit lets through. Sockets that are open are not concerned.
func (b *Bridge) Wall(admit func(netip.AddrPort) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admit = admit
}

// Blocked is how many packets the wall has kept out.
func (b *Bridge) Blocked() int64 { return b.blocked.Load() }

// Lose loses packets of the endpoints, those that are there too, on their way in and out: those for which
// lost says so. nil ends it.
func (b *Bridge) Lose(lost func(endpoint string, packet []byte) bool) {
	if lost == nil {
		b.lose.Store(nil)
		return
	}
	b.lose.Store(&lost)
}

// walledNet gives an agent sockets behind the wall. As with a videobridge, which has one port for all, a
// socket sends only to who has been heard at it: the participant's checks come first.
type walledNet struct {
	transport.Net
	b     *Bridge
	id    string
	admit func(netip.AddrPort) bool
}

func (b *Bridge) net(id string) (transport.Net, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return walledNet{n, b, id, b.admit}, nil
}

// passes reports whether a packet from or to that address gets through.
func (n walledNet) passes(at netip.AddrPort, packet []byte) bool {
	if n.admit != nil && !n.admit(at) {
		return false
	}
	lost := n.b.lose.Load()
	return lost == nil || !(*lost)(n.id, packet)
}

// ListenUDP implements transport.Net.
func (n walledNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	c, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	return &walled{UDPConn: c, n: n}, nil
}

type walled struct {
	*net.UDPConn
	n walledNet

	mu    sync.RWMutex
	heard []netip.AddrPort
}

// knows reports whether a has been heard; now it is, if it is admitted and speaks.
func (w *walled) knows(a netip.AddrPort, speaks bool) bool {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	w.mu.RLock()
	known := slices.Contains(w.heard, a)
	w.mu.RUnlock()
	if known || !speaks {
		return known
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.heard) < 100 {
		w.heard = append(w.heard, a)
	}
	return true
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (w *walled) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		size, from, err := w.UDPConn.ReadFromUDPAddrPort(b)
		if err != nil || w.n.passes(from, b[:size]) && w.knows(from, true) {
			return size, from, err
		}
		w.n.b.blocked.Add(1)
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter. What the wall keeps in is lost, as on a network.
func (w *walled) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if !w.n.passes(to, b) || !w.knows(to, false) {
		return len(b), nil
	}
	return w.UDPConn.WriteToUDPAddrPort(b, to)
}

// ReadFrom serves users of the plain interface.
func (w *walled) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := w.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo serves users of the plain interface.
func (w *walled) WriteTo(b []byte, to net.Addr) (int, error) {
	a, err := netip.ParseAddrPort(to.String())
	if err != nil {
		return 0, err
	}
	return w.WriteToAddrPort(b, a)
}
