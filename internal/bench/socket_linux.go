package bench

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is UDP without the runtime's poller: it is asked when its time has come, and a packet
// that arrives wakes nobody, which would be paid by whoever sent it.
type socket struct {
	fd    int
	local netip.AddrPort
	oob   [128]byte
}

func openSocket(ip netip.Addr) (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bench: socket: %w", err)
	}
	s := &socket{fd: fd}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: ip.As4()}); err != nil {
		s.close()
		return nil, fmt.Errorf("bench: bind to %v: %w", ip, err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("bench: socket: %w", err)
	}
	s.local = addrOf(sa)
	return s, nil
}

func addrOf(sa unix.Sockaddr) netip.AddrPort {
	if a, ok := sa.(*unix.SockaddrInet4); ok {
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// connect has write and read speak with one address only.
func (s *socket) connect(to netip.AddrPort) error {
	return unix.Connect(s.fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}

// stamp has the kernel note when packets arrive.
func (s *socket) stamp() error {
	return unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// write sends to the connected address; what the kernel refuses is lost, as on a network.
func (s *socket) write(b []byte) { _, _ = unix.Write(s.fd, b) }

// writeTo sends to any address.
func (s *socket) writeTo(b []byte, to netip.AddrPort) {
	_ = unix.Sendto(s.fd, b, 0, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}

// read gives what waits, 0 if nothing does.
func (s *socket) read(b []byte) int {
	n, err := unix.Read(s.fd, b)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// readFrom is read with the sender.
func (s *socket) readFrom(b []byte) (int, netip.AddrPort) {
	n, sa, err := unix.Recvfrom(s.fd, b, 0)
	if err != nil || n < 0 {
		return 0, netip.AddrPort{}
	}
	return n, addrOf(sa)
}

// readStamped is read with the time of arrival, after stamp.
func (s *socket) readStamped(b []byte) (int, time.Time) {
	n, oobn, _, _, err := unix.Recvmsg(s.fd, b, s.oob[:], 0)
	if err != nil || n <= 0 {
		return 0, time.Time{}
	}
	messages, err := unix.ParseSocketControlMessage(s.oob[:oobn])
	if err == nil {
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
				sec, ns := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
				return n, time.Unix(int64(sec), int64(ns))
			}
		}
	}
	return n, time.Now()
}

func (s *socket) close() { _ = unix.Close(s.fd) }
