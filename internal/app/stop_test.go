package app_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/lab/soak"
	"jigasi/internal/sip"

	"go.uber.org/goleak"
)

// asGateway makes the test's own program the gateway: the process that signals are sent to.
const asGateway = "JIGASI_TEST_GATEWAY"

// fewFiles is how many files and sockets that process may hold.
const fewFiles = "JIGASI_TEST_FILES"

func TestMain(m *testing.M) {
	if os.Getenv(asGateway) != "" {
		limitFiles(os.Getenv(fewFiles))
		os.Exit(app.RunWith(os.Args[1:], app.Options{Version: "test", Loopback: true}, os.Stderr, func(string) string { return "" }))
	}
	if !raceEnabled {
		soak.Together(24)
	}
	goleak.VerifyTestMain(m)
}

// process is a gateway in a process of its own, in a brewery and with calls.
type process struct {
	*lab.Meeting
	cmd   *exec.Cmd
	sip   string
	out   bytes.Buffer
	ended chan error
	ua    *sip.UA
	calls []*sip.Dialog
	over  atomic.Int32 // calls that have ended
}

// spawn starts a gateway whose running calls may go on for drain after a signal.
func spawn(t *testing.T, drain time.Duration, env ...string) *process {
	t.Helper()
	return spawnWith(t, func(cfg *config.Config) { cfg.Limits.Drain = drain }, env...)
}

// spawnWith is spawn with a configuration of the test's.
func spawnWith(t *testing.T, change func(*config.Config), env ...string) *process {
	t.Helper()
	m, err := lab.Start(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	p := &process{Meeting: m, ended: make(chan error, 1), sip: fmt.Sprintf("127.0.0.1:%d", ports.Free(t))}
	cfg := config.Default()
	cfg.Meeting.Domain = lab.Domain
	cfg.XMPP.Server, cfg.XMPP.Plaintext = m.XMPP.Addr(), true
	cfg.SIP.Listen, cfg.SIP.Trunks = []string{"udp:" + p.sip}, []string{"127.0.0.0/8"}
	cfg.Admin.Port = 0
	cfg.Limits.Overload = 0
	withBrewery(cfg)
	change(cfg)
	file := filepath.Join(t.TempDir(), "jigasi.yaml")
	if err := os.WriteFile(file, cfg.YAML(), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(self, "--config="+file)
	p.cmd.Env = append(append(os.Environ(), asGateway+"=1"), env...)
	p.cmd.Stderr = &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the gateway said:\n%s", p.out.Bytes()[max(0, p.out.Len()-6000):])
		}
	})
	p.ua = sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Trunks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err := p.ua.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.ua.Close(t.Context()) })
	eventually(t, 20*time.Second, "the focus sees the gateway", func() bool { return len(m.Focus.Gateways()) == 1 })
	return p
}

// silentOffer is of a phone that only listens: one that is merely silent is given up after 30 s (T46).
const silentOffer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=recvonly\r\n"

// dial calls a room without sound of its own.
func (p *process) dial(t *testing.T, room string) *sip.Dialog {
	t.Helper()
	d, err := p.ua.Dial(t.Context(), sip.DialOptions{
		To: "sip:gw@" + p.sip, From: "sip:phone@phone.test", SDP: []byte(silentOffer),
		Headers: []sip.Header{{Name: "Jitsi-Conference-Room", Value: room}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// connect brings calls up, five to a room.
func (p *process) connect(t *testing.T, count int) {
	t.Helper()
	up := make(chan bool, count)
	for i := range count {
		d := p.dial(t, fmt.Sprintf("room%d", i/5))
		p.calls = append(p.calls, d)
		go func() {
			for e := range d.Events() {
				switch {
				case e.Reply != nil:
					e.Reply(200, []byte(silentOffer))
				case e.Kind == sip.Answered:
					up <- true
				case e.Kind == sip.Ended:
					p.over.Add(1)
					up <- false
				}
			}
		}()
	}
	for i := range count {
		select {
		case ok := <-up:
			if !ok {
				t.Fatal("a call ended before it was up")
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("%d of %d calls are up", i, count)
		}
	}
}

func (p *process) signal(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// exits wants the process to end by itself with status 0, and nothing of it to be left.
func (p *process) exits(t *testing.T, limit time.Duration) {
	t.Helper()
	if !soak.Full() {
		limit = max(limit, patience)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(limit):
		t.Fatalf("the gateway still runs %v after the end of its drain", limit)
	}
	eventually(t, 15*time.Second, "every phone was told", func() bool { return int(p.over.Load()) == len(p.calls) })
	for i := range (len(p.calls) + 4) / 5 {
		name := fmt.Sprintf("room%d", i)
		eventually(t, 5*time.Second, "nobody is left in "+name, func() bool { return len(p.XMPP.Room(name).Nicks()) == 1 })
	}
	eventually(t, 5*time.Second, "the brewery is empty", func() bool { return len(p.Focus.Gateways()) == 0 })
	eventually(t, 5*time.Second, "no XMPP connection is left", func() bool { return p.XMPP.Clients() == 0 })
}

// draining reports whether the brewery reads graceful_shutdown.
func (p *process) draining() bool {
	for _, g := range p.Focus.Gateways() {
		for _, s := range g.Kid("http://jitsi.org/protocol/colibri", "stats").Kids {
			if s.Get("name") == "graceful_shutdown" {
				return s.Get("value") == "true"
			}
		}
	}
	return false
}

// T37: after SIGTERM no new call is taken and the focus knows; calls go on and end by themselves; those
// that are left at the end of the drain are hung up, and the process ends within 10 s with nothing left.
func TestT37_GracefulStop(t *testing.T) {
	t.Parallel()
	drain := time.Duration(soak.Count(8, 40)) * time.Second
	p := spawn(t, drain)
	p.connect(t, 50)
	p.signal(t)
	asked := time.Now()
	eventually(t, 10*time.Second, "the brewery reads graceful_shutdown", p.draining)
	t.Logf("graceful_shutdown is read after %v", time.Since(asked).Round(time.Millisecond))
	refused := p.dial(t, "room0")
	for e := range refused.Events() {
		if e.Kind == sip.Answered {
			t.Error("a new call was taken")
		}
		if e.Kind == sip.Ended && e.Cause.Status != 503 {
			t.Errorf("a new call was refused with %v", e.Cause)
		}
	}
	for _, d := range p.calls[:10] {
		d.Hangup(cause.Cause{Code: cause.Normal})
	}
	within(t, drain, "ten have hung up", func() bool { return p.over.Load() >= 10 })
	if n := p.over.Load(); n != 10 && time.Since(asked) < drain-time.Second {
		t.Errorf("%d calls are over during the drain, and 10 have hung up", n)
	}
	select {
	case err := <-p.ended:
		t.Fatalf("the gateway ended while calls ran: %v", err)
	case <-time.After(time.Until(asked.Add(drain - time.Second))):
	}
	if n := p.over.Load(); n != 10 {
		t.Errorf("%d calls are over before the end of the drain", n)
	}
	<-time.After(time.Until(asked.Add(drain)))
	p.exits(t, 10*time.Second)
}

// T37: once the last call has ended, the gateway waits no longer.
func TestT37_LastCallEndsTheDrain(t *testing.T) {
	t.Parallel()
	p := spawn(t, time.Hour)
	p.connect(t, 5)
	p.signal(t)
	eventually(t, 10*time.Second, "the brewery reads graceful_shutdown", p.draining)
	for _, d := range p.calls {
		d.Hangup(cause.Cause{Code: cause.Normal})
	}
	p.exits(t, 10*time.Second)
}

// T37: a second signal hangs up at once.
func TestT37_SecondSignal(t *testing.T) {
	t.Parallel()
	p := spawn(t, time.Hour)
	p.connect(t, 20)
	p.signal(t)
	eventually(t, 10*time.Second, "the brewery reads graceful_shutdown", p.draining)
	p.signal(t)
	p.exits(t, 10*time.Second)
}
