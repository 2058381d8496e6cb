package siptx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"jigasi/internal/cause"

	"github.com/coder/websocket"
)

// Connect gives a flow to a peer, over a connection that is there or a new one.
// It blocks for 4 s at most. serverName is whom a certificate has to name.
func (l *Layer) Connect(ctx context.Context, network string, addr netip.AddrPort, serverName string) (Flow, error) {
	t := l.tp
	switch {
	case t.wire != nil:
		for _, b := range t.bound {
			if b.Network == network {
				return Flow{network: network, local: b.Addr, remote: addr, tp: t}, nil
			}
		}
		return Flow{}, fmt.Errorf("sip: nothing listens for %s", network)
	case network == "udp":
		return t.toUDP(addr)
	}
	t.mu.Lock()
	s := t.conns[connKey{network, addr}]
	t.mu.Unlock()
	if s == nil {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		c, web, err := t.dial(ctx, network, addr, serverName)
		if err != nil {
			if cure := cause.Distrust(err, "sip.tls.trust"); cure != "" {
				err = fmt.Errorf("%w: %s", err, cure)
			}
			return Flow{}, fmt.Errorf("sip: connect to %s %s: %w", network, addr, err)
		}
		if s = t.adopt(network, c, web, true); s == nil {
			return Flow{}, errors.New("sip: too many connections, or closed")
		}
	}
	return Flow{network: network, local: s.local, remote: addr, conn: s, tp: t}, nil
}

func (t *transport) dial(ctx context.Context, network string, addr netip.AddrPort, name string) (net.Conn, *websocket.Conn, error) {
	d := &net.Dialer{}
	secure := &tls.Dialer{NetDialer: d, Config: &tls.Config{MinVersion: tls.VersionTLS12}}
	if t.layer.opt.TLS != nil {
		secure.Config = t.layer.opt.TLS.Clone()
	}
	if secure.Config.ServerName = name; name == "" {
		secure.Config.ServerName = addr.Addr().String()
	}
	switch network {
	case "tcp":
		c, err := d.DialContext(ctx, "tcp", addr.String())
		return c, nil, err
	case "tls":
		c, err := secure.DialContext(ctx, "tcp", addr.String())
		return c, nil, err
	case "ws", "wss":
		return dialWeb(ctx, network, addr, name, d, secure)
	}
	return nil, nil, fmt.Errorf("transport %q is not spoken", network)
}

func (t *transport) toUDP(addr netip.AddrPort) (Flow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.udp {
		local := unmap(c.LocalAddr().(*net.UDPAddr).AddrPort())
		everywhere := local.Addr().IsUnspecified() && (local.Addr().Is6() || addr.Addr().Is4())
		if everywhere || !local.Addr().IsUnspecified() && local.Addr().Is4() == addr.Addr().Is4() {
			return Flow{network: "udp", local: local, remote: addr, udp: c, tp: t}, nil
		}
	}
	return Flow{}, fmt.Errorf("sip: no UDP socket listens for the family of %s", addr)
}

func (t *transport) close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.quit)
	}
	for _, c := range t.udp {
		_ = c.Close()
	}
	for _, l := range t.lis {
		_ = l.Close()
	}
	for _, w := range t.web {
		_ = w.Close()
	}
	for s := range t.all {
		s.close()
	}
	t.mu.Unlock()
	t.done.Wait()
}

// RouteTo is the address of ours from which the system sends to a peer; invalid without a route.
func RouteTo(peer netip.AddrPort) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(peer))
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = c.Close() }()
	return unmap(c.LocalAddr().(*net.UDPAddr).AddrPort()).Addr()
}
