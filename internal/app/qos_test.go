package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"jigasi/internal/config"
	"jigasi/internal/rtpport"
)

// marks are the DSCPs of this process's UDP sockets by port, as the system has them.
func marks(t *testing.T) map[int]int {
	t.Helper()
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]int{}
	for _, f := range fds {
		fd, err := strconv.Atoi(filepath.Base(f.Name()))
		if err != nil {
			continue
		}
		if kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil || kind != syscall.SOCK_DGRAM {
			continue
		}
		at, err := syscall.Getsockname(fd)
		if err != nil {
			continue
		}
		tos, _ := syscall.GetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TOS)
		switch a := at.(type) {
		case *syscall.SockaddrInet4:
			out[a.Port] = tos >> 2
		case *syscall.SockaddrInet6:
			out[a.Port] = tos >> 2
		}
	}
	return out
}

// TestPacketsAreMarked: sip.dscp and media.dscp reach the sockets.
func TestPacketsAreMarked(t *testing.T) {
	cfg := config.Default()
	cfg.Meeting.Domain, cfg.Admin.Port = "meet.example.com", 0
	cfg.SIP.Listen, cfg.SIP.Trunks, cfg.SIP.DSCP, cfg.Media.DSCP = []string{"udp:127.0.0.1:0"}, []string{"192.0.2.0/24"}, 24, 46
	a, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if got := marks(t)[int(a.SIPAddrs()[0].Port())]; got != 24 {
		t.Error("SIP has", got)
	}
	before := marks(t)
	port, err := rtpport.Open(a.phoneOptions(config.SIPAccount{}, nil).RTP)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	var fresh []int
	for p, dscp := range marks(t) {
		if _, old := before[p]; !old {
			fresh = append(fresh, dscp)
		}
	}
	if !slices.Equal(fresh, []int{46, 46}) {
		t.Error("RTP and RTCP have", fresh)
	}
}
