package bridge

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// tapNet gives the ICE agent its sockets, each with a tap.
type tapNet struct {
	transport.Net
	c      *Conn
	remote atomic.Pointer[netip.AddrPort] // far end of the selected pair
	socket atomic.Pointer[tap]            // the socket its packets come to
}

func newTapNet(c *Conn) (*tapNet, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("bridge: network: %w", err)
	}
	return &tapNet{Net: n, c: c}, nil
}

func (n *tapNet) choose(remote netip.AddrPort) { n.remote.Store(&remote) }

// ListenUDP opens a socket with a tap.
func (n *tapNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	c, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	return &tap{UDPConn: c, n: n}, nil
}

// A tap is a UDP socket of the ICE agent. Its reader is the agent's; media and
// DTLS of the selected pair do not reach it, but go straight to the connection.
type tap struct {
	*net.UDPConn
	n *tapNet
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (t *tap) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		size, from, err := t.UDPConn.ReadFromUDPAddrPort(b)
		if err != nil {
			return size, from, err
		}
		if size == 0 || b[0] < 20 { // STUN
			return size, from, nil
		}
		remote := t.n.remote.Load()
		if remote == nil || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != *remote {
			return size, from, nil
		}
		if t.n.socket.Load() != t {
			t.n.socket.Store(t)
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

// write sends to the selected pair: by the tapped socket where packets come in, else by ICE.
func (c *Conn) write(b []byte) error {
	if t, remote := c.tap.socket.Load(), c.tap.remote.Load(); t != nil && remote != nil {
		_, err := t.UDPConn.WriteToUDPAddrPort(b, *remote)
		return err
	}
	_, err := c.conn.Write(b)
	return err
}
