package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/qos"
	"jigasi/internal/xlog"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// tapNet gives the ICE agent its sockets, each with a tap.
type tapNet struct {
	transport.Net
	c     *Conn
	route atomic.Pointer[route] // of the selected pair; nil: by the agent

	mu   sync.Mutex
	taps []*tap
}

// route is the selected pair where it needs no relay: our socket, and the far end.
type route struct {
	socket *tap
	remote netip.AddrPort
}

func newTapNet(c *Conn) (*tapNet, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("bridge: network: %w", err)
	}
	return &tapNet{Net: n, c: c}, nil
}

// ListenUDP opens a socket with a tap.
func (n *tapNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	c, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	t := &tap{UDPConn: c, n: n, brought: make(chan arrival, 16)}
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		t.local = plain(a.AddrPort())
		if err := qos.Mark(c, a.AddrPort().Addr(), n.c.opt.DSCP); err != nil {
			n.c.log.Warn("the network is not asked to prefer this sound", xlog.Err, err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taps = append(n.taps, t)
	return t, nil
}

// choose makes the route of a newly selected pair. A packet that only looks as if it came from the
// bridge never changes it.
func (n *tapNet) choose(local, remote ice.Candidate) {
	n.route.Store(n.routeOf(local, remote))
	n.c.line.follow(n.c)
}

func (n *tapNet) routeOf(local, remote ice.Candidate) *route {
	address, port := local.Address(), local.Port()
	switch local.Type() {
	case ice.CandidateTypeRelay:
		return nil
	case ice.CandidateTypeServerReflexive:
		base := local.RelatedAddress()
		if base == nil {
			return nil
		}
		address, port = base.Address, base.Port
	}
	ours, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	theirs, err := netip.ParseAddr(remote.Address())
	if err != nil {
		return nil
	}
	want := plain(netip.AddrPortFrom(ours, uint16(port)))
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.taps {
		if t.local == want {
			return &route{t, plain(netip.AddrPortFrom(theirs, uint16(remote.Port())))}
		}
	}
	return nil
}

// plain is a without what tells one form of an address from another.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// A tap is a UDP socket of the ICE agent. Its reader is the agent's; media and
// DTLS of the selected pair do not reach it, but go straight to the connection.
type tap struct {
	*net.UDPConn
	n       *tapNet
	local   netip.AddrPort
	brought chan arrival // what a twin has read for the agent
	woken   atomic.Bool  // the deadline that has passed is bring's, not the agent's
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (t *tap) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		select {
		case a := <-t.brought:
			return copy(b, a.packet), a.from, nil
		default:
		}
		size, from, err := t.UDPConn.ReadFromUDPAddrPort(b)
		if errors.Is(err, os.ErrDeadlineExceeded) && t.woken.Swap(false) {
			if err = t.SetReadDeadline(time.Time{}); err == nil {
				continue
			}
		}
		if err != nil || size == 0 || b[0] < 20 { // STUN
			return size, from, err
		}
		r := t.n.route.Load()
		if r == nil || r.socket != t || r.remote != plain(from) {
			return size, from, nil
		}
		t.n.c.take(b[:size])
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (t *tap) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return t.UDPConn.WriteToUDPAddrPort(b, to)
}

// ReadFrom serves users of the plain interface.
func (t *tap) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := t.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// write sends to the selected pair: by a socket itself where it can, else by the agent.
func (c *Conn) write(b []byte) error {
	if t := c.line.twin.Load(); t != nil {
		return t.Write(b)
	}
	if r := c.tap.route.Load(); r != nil {
		_, err := r.socket.UDPConn.WriteToUDPAddrPort(b, r.remote)
		return err
	}
	_, err := c.conn.Write(b)
	return err
}
