package app

import (
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"jigasi/internal/xlog"
)

// A supervisor tells systemd how the gateway is (sd_notify): ready, stopping, and alive. Alive means that
// the media clock turns; a gateway whose clock stands still serves nobody, and is started anew.
// Without systemd it does nothing. It has one goroutine, which close ends.
type supervisor struct {
	conn net.Conn // nil without systemd
	raw  syscall.RawConn
	quit chan struct{}
	done chan struct{}
}

// supervise reports READY, and then, where the unit has a WatchdogSec, that ticks goes on.
func supervise(env func(string) string, ticks func() int64, log *slog.Logger) *supervisor {
	s := &supervisor{quit: make(chan struct{}), done: make(chan struct{})}
	path := env("NOTIFY_SOCKET")
	if path == "" {
		close(s.done)
		return s
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // a leading @ is an abstract name for Go as well
	if err == nil {
		s.raw, err = conn.SyscallConn()
	}
	if err != nil {
		log.Warn("systemd cannot be told", xlog.Err, err)
		close(s.done)
		return s
	}
	s.conn = conn
	s.tell("READY=1\nSTATUS=taking calls")
	µs, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
	if err != nil || µs <= 0 {
		close(s.done)
		return s
	}
	go s.watch(time.Duration(µs)*time.Microsecond/3, ticks)
	return s
}

// watch says every so often that the clock has turned, and says nothing when it has not.
func (s *supervisor) watch(every time.Duration, ticks func() int64) {
	defer close(s.done)
	t := time.NewTicker(max(every, time.Millisecond))
	defer t.Stop()
	last := int64(-1)
	for {
		select {
		case <-s.quit:
			return
		case <-t.C:
		}
		if now := ticks(); now != last {
			last = now
			s.tell("WATCHDOG=1")
		}
	}
}

// stopping says that no new calls are taken.
func (s *supervisor) stopping() {
	s.tell("STOPPING=1\nSTATUS=no new calls; waiting for those that run")
}

func (s *supervisor) tell(what string) {
	if s.conn != nil {
		_ = s.raw.Write(func(fd uintptr) bool {
			_, _ = syscall.Write(int(fd), []byte(what)) // systemd is gone, or slow: nobody to tell
			return true                                 // and nobody waits until there is room
		})
	}
}

func (s *supervisor) close() {
	close(s.quit)
	<-s.done
	if s.conn != nil {
		s.conn.Close()
	}
}
