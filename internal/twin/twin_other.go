//go:build !linux

package twin

import (
	"net"
	"net/netip"
)

// Open fails: there are no twins on this system.
func (l *Loop) Open(*net.UDPConn, netip.AddrPort, func(b []byte)) (*Twin, error) { return nil, ErrNone }

// Write sends to the peer.
func (t *Twin) Write([]byte) error { return net.ErrClosed }

func (t *Twin) close() {}

type batch struct{}

func (*batch) init() {}

func (*batch) read(*Twin) {}
