package twin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Open makes a twin of a socket for what peer sends. take is given each packet, on a goroutine of the
// loop; it must not block, and the packet is valid until it returns.
func (l *Loop) Open(of *net.UDPConn, peer netip.AddrPort, take func(b []byte)) (*Twin, error) {
	if l == nil {
		return nil, ErrNone
	}
	at, ok := of.LocalAddr().(*net.UDPAddr)
	if !ok {
		return nil, ErrNone
	}
	tos, err := share(of)
	if err != nil {
		return nil, err
	}
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	local, err := sockaddr(netip.AddrPortFrom(at.AddrPort().Addr().Unmap().WithZone(""), uint16(at.Port)), peer.Addr())
	if err != nil {
		return nil, err
	}
	remote, err := sockaddr(peer, peer.Addr())
	if err != nil {
		return nil, err
	}
	family := unix.AF_INET
	if peer.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("twin: %w", err)
	}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), withTOS(fd, family, tos),
		unix.Bind(fd, local), unix.Connect(fd, remote)); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("twin: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueBytes)
	// What came between bind and connect may be of anybody.
	var b [1]byte
	for n := 1; n >= 0; {
		n, _, err = unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if err != nil {
			break
		}
	}
	t := &Twin{fd: fd, take: take}
	l.add(t)
	return t, nil
}

// share lets another socket of this user have the address of c, now that nobody else can get it by
// chance, and tells how its packets are marked.
func share(c *net.UDPConn) (tos int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("twin: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		tos, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS) // 0 if it has none
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("twin: %w", err)
	}
	return tos, nil
}

func withTOS(fd, family, tos int) error {
	switch {
	case tos == 0:
		return nil
	case family == unix.AF_INET6:
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos)
}

// sockaddr is an address in the family of like; the wildcard is in both.
func sockaddr(a netip.AddrPort, like netip.Addr) (unix.Sockaddr, error) {
	ip := a.Addr()
	switch {
	case like.Is4() && ip.IsUnspecified():
		return &unix.SockaddrInet4{Port: int(a.Port())}, nil
	case like.Is4() && ip.Is4():
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, nil
	case like.Is6() && ip.Is6() && ip.Zone() == "" && !ip.IsLinkLocalUnicast():
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}, nil
	}
	return nil, ErrNone
}

// Write sends to the peer. What the system has no room for is lost, as on the network.
func (t *Twin) Write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fd < 0 {
		return net.ErrClosed
	}
	for try := 0; ; try++ {
		_, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(t.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case e == 0:
			return nil
		case e == unix.ECONNREFUSED && try == 0: // of an earlier packet; this one was not sent
		default:
			return e
		}
	}
}

// close is called with mu held.
func (t *Twin) close() {
	if t.fd >= 0 {
		_ = unix.Close(t.fd)
		t.fd = -1
	}
}

const (
	batchPackets = 8
	batchBytes   = 2048
	batchRounds  = 32      // of one twin in one turn: nobody can keep a worker
	queueBytes   = 1 << 20 // what the system should hold between two turns; it may hold less
)

// batch is what one system call fills.
type batch struct {
	messages [batchPackets]message
	vectors  [batchPackets]unix.Iovec
	buffers  [batchPackets][batchBytes]byte
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	size   uint32
}

func (b *batch) init() {
	for i := range b.messages {
		b.vectors[i].Base = &b.buffers[i][0]
		b.vectors[i].SetLen(batchBytes)
		b.messages[i].header.Iov = &b.vectors[i]
		b.messages[i].header.SetIovlen(1)
	}
}

// read gives what has come for t to its taker.
func (b *batch) read(t *Twin) {
	for range batchRounds {
		n := b.receive(t)
		for i := range n {
			t.take(b.buffers[i][:b.messages[i].size])
		}
		if n < batchPackets {
			return
		}
	}
}

func (b *batch) receive(t *Twin) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fd < 0 {
		return 0
	}
	n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(t.fd), uintptr(unsafe.Pointer(&b.messages[0])), batchPackets, unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0 // nothing there, or word that an earlier packet did not arrive
	}
	return int(n)
}
