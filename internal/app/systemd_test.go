package app

import (
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// TestSystemd: systemd hears that the gateway is ready, that its clock turns, and that it stops; a
// clock that stands still is not called alive.
func TestSystemd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	hear := func(limit time.Duration) string {
		b := make([]byte, 256)
		_ = socket.SetReadDeadline(time.Now().Add(limit))
		n, err := socket.Read(b)
		if err != nil {
			return ""
		}
		return string(b[:n])
	}
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000"}
	var ticks atomic.Int64
	var still atomic.Bool
	s := supervise(func(k string) string { return env[k] }, func() int64 {
		if still.Load() {
			return ticks.Load()
		}
		return ticks.Add(1)
	}, slog.New(slog.DiscardHandler))
	if got := hear(10 * time.Second); got != "READY=1\nSTATUS=taking calls" {
		t.Errorf("%q", got)
	}
	for range 3 {
		if got := hear(10 * time.Second); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	still.Store(true)
	for hear(300*time.Millisecond) != "" {
		// what was on its way
	}
	if got := hear(300 * time.Millisecond); got != "" {
		t.Errorf("a clock that stands still is alive: %q", got)
	}
	s.stopping()
	if got := hear(10 * time.Second); got != "STOPPING=1\nSTATUS=no new calls; waiting for those that run" {
		t.Errorf("%q", got)
	}
	s.close()

	for _, e := range []map[string]string{{}, {"NOTIFY_SOCKET": path + "nowhere"}, {"NOTIFY_SOCKET": path}} {
		s := supervise(func(k string) string { return e[k] }, ticks.Load, slog.New(slog.DiscardHandler))
		s.stopping()
		s.close()
	}
}

// TestSystemdThatDoesNotListen: its socket is full soon, and that holds nobody up.
func TestSystemdThatDoesNotListen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000"}
	var ticks atomic.Int64
	s := supervise(func(k string) string { return env[k] }, func() int64 { return ticks.Add(1) }, slog.New(slog.DiscardHandler))
	for end := time.Now().Add(20 * time.Second); ticks.Load() < 700 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		// more words than any socket of systemd's holds
	}
	if n := ticks.Load(); n < 700 {
		t.Errorf("the watchdog was told %d times", n)
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.stopping()
		s.close()
	}()
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Fatal("the gateway waits for systemd")
	}
}
