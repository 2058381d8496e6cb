package export

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// pace has the line be read by the clock: the system wakes nobody before so much has come that it would be lost.
func (l *line) pace() {
	c, ok := l.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	l.raw = raw
	l.look = func(fd uintptr) bool {
		l.n, l.err = unix.Read(int(fd), l.buf)
		switch {
		case l.err == unix.EAGAIN || l.err == unix.EINTR:
			l.n, l.err = 0, nil
		case l.err != nil:
			l.n = 0
		case l.n == 0:
			l.err = io.EOF
		}
		return true
	}
	l.wake(lineBytes)
}

// wake says how many bytes wake who waits.
func (l *line) wake(bytes int) {
	_ = l.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes) // without it, it costs more
	})
}
