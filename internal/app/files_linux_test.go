package app_test

import (
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/sip"
)

// openFiles is how many files and sockets this process holds.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// limitFiles lets this process hold so many files and sockets; "" changes nothing.
func limitFiles(most string) {
	n, err := strconv.ParseUint(most, 10, 64)
	if err != nil {
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		panic(err)
	}
}

// T56: a gateway runs out of files. What cannot be served is refused with a status, the process lives, and
// when calls have ended new ones are taken.
func TestT56_FilesRunOut(t *testing.T) {
	t.Parallel()
	p := spawn(t, time.Second, fewFiles+"=48")
	p.Join("alpha", 620)
	var up []*sip.Dialog
	refused := map[int]int{}
	for range 12 {
		d := p.dial(t, "alpha")
		answered, why := outcome(d)
		if answered {
			up = append(up, d)
			continue
		}
		refused[why.Status]++
		if why.Status != 503 && why.Status != 500 && why.Status != 480 {
			t.Errorf("refused with %d: %v", why.Status, why)
		}
	}
	t.Logf("%d calls are up, refused: %v", len(up), refused)
	if len(up) == 0 || len(refused) == 0 {
		t.Error("the files are too few for one call, or enough for all")
	}
	for _, d := range up {
		d.Hangup(cause.Cause{Code: cause.Normal})
	}
	eventually(t, patience, "a call is taken again", func() bool {
		d := p.dial(t, "alpha")
		answered, _ := outcome(d)
		if answered {
			d.Hangup(cause.Cause{Code: cause.Normal})
		}
		return answered
	})
}

// bound are the addresses of this process's sockets that anybody can reach: listening TCP and all UDP.
func bound(t *testing.T) (all []netip.AddrPort) {
	t.Helper()
	ours := map[string]bool{}
	list, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if to, err := os.Readlink(f); err == nil && strings.HasPrefix(to, "socket:[") {
			ours[strings.Trim(to, "socket:[]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			continue // no IPv6 here
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 10 || !ours[f[9]] || strings.HasPrefix(table, "tcp") && f[3] != "0A" {
				continue
			}
			ip, port, _ := strings.Cut(f[1], ":")
			raw, err1 := hex.DecodeString(ip)
			p, err2 := hex.DecodeString(port)
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %q", table, f[1])
			}
			for i := 0; i+4 <= len(raw); i += 4 { // words are in the machine's order, which is little-endian
				slices.Reverse(raw[i : i+4])
			}
			addr, _ := netip.AddrFromSlice(raw)
			all = append(all, netip.AddrPortFrom(addr.Unmap(), uint16(p[0])<<8|uint16(p[1])))
		}
	}
	return all
}

// T30: of a gateway as it comes, with a call, only the ports of SIP and sound can be reached from other machines.
func TestT30_OnlyCallsListenOutside(t *testing.T) {
	var low, high uint16
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		cfg.SIP.Listen = []string{"udp:0.0.0.0:0", "tcp:0.0.0.0:0"} // the default, at free ports
		cfg.Admin.Port = ports.Free(t)
		low, high = uint16(cfg.Media.MinPort), uint16(cfg.Media.MaxPort)
	})
	one, two := make(chan *caller, 1), make(chan *caller, 1) // no people: their sockets would be seen, too
	for _, c := range []chan *caller{one, two} {
		go func() {
			p, _ := m.tryCall(t, "alpha", 440, "PCMU")
			c <- p
		}()
	}
	p, q := <-one, <-two
	if p == nil || q == nil {
		t.Fatal("the phones are not in the meeting")
	}
	sip := map[uint16]bool{}
	for _, a := range m.app.SIPAddrs() {
		sip[a.Port()] = true
	}
	seen, admin := 0, false
	for _, a := range bound(t) {
		admin = admin || strings.HasSuffix(m.app.AdminAddr(), a.String())
		switch {
		case a.Addr().IsLoopback():
		case sip[a.Port()]:
			seen++
		case a.Port() >= low && a.Port() <= high:
		default:
			t.Errorf("%v can be reached from elsewhere", a)
		}
	}
	if seen != 2 || !admin {
		t.Errorf("%d SIP ports are seen of 2, admin %v: the test sees not all", seen, admin)
	}
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	q.d.Hangup(cause.Cause{Code: cause.Normal})
}
