//go:build lab

package peers

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
)

// gateway is a lab with the real gateway in it.
type gateway struct {
	*lab.Meeting
	app    *app.App
	listen []string
	sip    string // host:port over UDP
}

func start(t *testing.T, change func(*config.Config)) *gateway {
	t.Helper()
	l, err := lab.Start(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Meeting.Domain = lab.Domain
	cfg.XMPP.Server, cfg.XMPP.Plaintext = l.XMPP.Addr(), true
	cfg.SIP.Listen = []string{"udp:127.0.0.1:0", "tcp:127.0.0.1:0"}
	cfg.SIP.Trunks = []string{"127.0.0.0/8"} // a stranger may not call 20 times a second
	cfg.Admin.Port = 0
	cfg.Limits.Overload = 0 // the machine that tests may be busy
	low := 30000 + 1000*rand.IntN(10)
	cfg.Media.MinPort, cfg.Media.MaxPort = low, low+999
	if change != nil {
		change(cfg)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("LAB_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	a, err := app.New(cfg, app.Options{Version: "lab", Loopback: true, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
		l.Close()
	})
	return &gateway{l, a, cfg.SIP.Listen, a.SIPAddrs()[0].String()}
}

// host is the address of the gateway's listener of a transport.
func (g *gateway) host(transport string) string {
	for i, l := range g.listen {
		if strings.HasPrefix(l, transport+":") {
			return g.app.SIPAddrs()[i].String()
		}
	}
	return ""
}

// target is the URI of a user at the gateway's listener of a transport.
func (g *gateway) target(transport, user string) string {
	return "sip:" + user + "@" + g.host(transport) + ";transport=" + transport
}

// need fails the test when a program is missing.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing: run make lab-install", program)
	}
	return path
}

// child runs a program until the end of the test; its output is shown where the test fails.
func child(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(need(t, program), args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	// A group of its own, so that children of a child (Kamailio's) end with it and do not hold its output open.
	c.SysProcAttr, c.WaitDelay = &syscall.SysProcAttr{Setpgid: true}, 2*time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = c.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
		}
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // who is left, if anybody is
		<-done
		if t.Failed() {
			text := out.String()
			t.Logf("%s said:\n%s", program, text[max(0, len(text)-4000):])
		}
	})
	return c
}

// slot counts the twenties of ports that were given out, from a random one on as others may test too.
var slot = func() *atomic.Int64 {
	s := new(atomic.Int64)
	s.Store(rand.Int64N(450))
	return s
}()

// freePorts gives the first of n ports in a row, at most 20, that nobody has for UDP and TCP, and that nobody else is given.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 450 {
		first := 12000 + 20*int(slot.Add(1)%450) // below those that the system, and the other tests, give out
		if allFree(first, n) {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		addr := fmt.Sprint("127.0.0.1:", port)
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			return false
		}
		u.Close()
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

func eventually(t *testing.T, limit time.Duration, want string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Errorf("not within %v: %s", limit, want)
}

func hears(b *bot.Bot, hz float64) func() bool {
	return func() bool {
		for _, v := range b.Hears() {
			if v.Since < 300*time.Millisecond && v.Tone(hz) > -26 {
				return true
			}
		}
		return false
	}
}

// fill reads a template of testdata, fills it in, and writes it to dir.
func fill(t *testing.T, dir, name string, values map[string]string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for k, v := range values {
		text = strings.ReplaceAll(text, "@"+k+"@", v)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
