package export

import (
	"errors"
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
		n, err := unix.Read(int(fd), l.buf)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			n, err = 0, nil
		case err != nil:
			n = 0
		case n == 0:
			err = io.EOF
		}
		l.n, l.err = n, err
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
