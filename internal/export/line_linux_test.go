package export

import "golang.org/x/sys/unix"

// waited reports whether a line is no longer read by the clock: then one byte wakes who waits.
func (l *line) waited() bool {
	low := 0
	_ = l.raw.Control(func(fd uintptr) { low, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT) })
	return low == 1
}
