package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pinThread binds the calling thread; what it starts inherits that.
func pinThread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bench: binding to processor %d: %w", cpu, err)
	}
	return nil
}

// precede lets this thread and what it starts go before all others, where that is allowed: whoever
// else uses the machine then disturbs less. Gateway, generator and floor have the same privilege.
func precede() {
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
}

// processors are the first two that this process may use.
func processors() (first, second int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	if set.Count() < 2 {
		return 0, 0, errors.New("bench: two processors are needed, one for the gateway and one for all others")
	}
	for first = 0; !set.IsSet(first); first++ { // there are two
	}
	for second = first + 1; !set.IsSet(second); second++ {
	}
	return first, second, nil
}

// pinned names the variable that holds, in the process that was bound, the gateway's processor and
// the gateway to measure.
const pinned = "JIGASI_BENCH_PINNED"

// Pinned reports whether this process is bound already, and which gateway on which processor it is to
// measure.
func Pinned() (cpu int, gateway string, ok bool) {
	number, gateway, ok := strings.Cut(os.Getenv(pinned), " ")
	cpu, err := strconv.Atoi(number)
	return cpu, gateway, ok && err == nil
}

// Pin binds this whole process to the generator's processor, and remembers the gateway. As the
// runtime's threads are already there, it replaces the process by itself: it returns errors alone.
func Pin(gateway string) error {
	runtime.LockOSThread()
	first, second, err := processors()
	if err != nil {
		return err
	}
	if err := pinThread(second); err != nil {
		return err
	}
	precede()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), fmt.Sprintf("%s=%d %s", pinned, first, gateway)))
}

// gateway is the program under test.
type gateway struct {
	cmd  *exec.Cmd
	sip  netip.AddrPort
	log  string // path
	over chan struct{}
}

// Build compiles the gateway as it ships, from the sources in root, to a file that Run removes.
func Build(ctx context.Context, root string) (string, error) {
	dir, err := os.MkdirTemp("", "jigasi-bench")
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	out := filepath.Join(dir, "jigasi")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "libopus netgo osusergo",
		"-ldflags", `-extldflags "-static"`, "-o", out, "./cmd/jigasi")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=1")
	if text, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("bench: building the gateway: %w\n%s", err, text)
	}
	return out, nil
}

const configuration = `meeting: {domain: %s}
xmpp: {server: "%s", plaintext: true}
limits: {overload: 0} # the knee is looked for
sip: {listen: ["udp:%s"], trunks: ["127.0.0.1/32"], session_timer: 0}
media: {min_port: 21000, max_port: 29999}
admin: {port: 0}
log: {level: warn}
`

func startGateway(cpu int, binary, dir, xmpp string) (*gateway, error) {
	probe, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	g := &gateway{sip: netip.MustParseAddrPort(probe.LocalAddr().String()), log: filepath.Join(dir, "gateway.log"), over: make(chan struct{})}
	_ = probe.Close() // the gateway takes it
	file := filepath.Join(dir, "jigasi.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, domain, xmpp, g.sip), 0o600); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	log, err := os.Create(g.log)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer log.Close()
	g.cmd = exec.Command(binary, "run", "--config="+file)
	g.cmd.Stderr, g.cmd.Stdout = log, log
	started := make(chan error)
	go func() { // on a thread that ends bound to the gateway's processor
		runtime.LockOSThread()
		err := pinThread(cpu)
		if err == nil {
			err = g.cmd.Start()
		}
		started <- err
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("bench: starting the gateway: %w", err)
	}
	go func() {
		defer close(g.over)
		_ = g.cmd.Wait() // how it ended is seen in its log
	}()
	return g, nil
}

// stop ends the gateway; its log is shown if it ended by itself.
func (g *gateway) stop() error {
	select {
	case <-g.over:
		text, _ := os.ReadFile(g.log)
		return fmt.Errorf("bench: the gateway ended by itself:\n%s", tail(text, 4000))
	default:
	}
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	_ = g.cmd.Process.Signal(syscall.SIGINT) // the second one ends the drain
	select {
	case <-g.over:
	case <-time.After(10 * time.Second):
		_ = g.cmd.Process.Kill()
		<-g.over
		return errors.New("bench: the gateway did not stop")
	}
	return nil
}

func tail(b []byte, most int) []byte { return b[max(0, len(b)-most):] }

func (g *gateway) proc(name string) ([]byte, error) {
	return os.ReadFile(fmt.Sprintf("/proc/%d/%s", g.cmd.Process.Pid, name))
}

// usage is what a process has used so far.
type usage struct {
	cpu      time.Duration
	switches int
	at       time.Time
	machine  float64 // seconds that any processor was busy
}

func (g *gateway) usage() (usage, error) {
	u := usage{at: time.Now()}
	stat, err := g.proc("stat")
	if err != nil {
		return u, fmt.Errorf("bench: the gateway is gone: %w", err)
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 13 {
		return u, errors.New("bench: /proc/PID/stat is not understood")
	}
	for _, ticks := range f[11:13] { // utime, stime
		n, err := strconv.Atoi(ticks)
		if err != nil {
			return u, fmt.Errorf("bench: /proc/PID/stat: %w", err)
		}
		u.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", g.cmd.Process.Pid))
	if err != nil {
		return u, fmt.Errorf("bench: %w", err)
	}
	for _, t := range tasks {
		if b, err := os.ReadFile(t); err == nil { // a thread may have ended
			u.switches += field(b, "voluntary_ctxt_switches:")
		}
	}
	u.machine, err = busy()
	return u, err
}

// busy is how many seconds the processors have worked, all together.
func busy() (float64, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	sum := 0
	for i, f := range strings.Fields(first)[1:] {
		if n, err := strconv.Atoi(f); err == nil && (i < 3 || i == 5 || i == 6) { // user, nice, system, interrupts
			sum += n
		}
	}
	return float64(sum) / 100, nil
}

// memory is the proportional set size in KiB.
func (g *gateway) memory() (int, error) {
	b, err := g.proc("smaps_rollup")
	if err != nil {
		return 0, fmt.Errorf("bench: the gateway is gone: %w", err)
	}
	return field(b, "Pss:"), nil
}

// threads is how many threads the gateway has.
func (g *gateway) threads() int {
	b, err := g.proc("status")
	if err != nil {
		return 0
	}
	return field(b, "Threads:")
}

// field is the number after a key in a file of /proc.
func field(b []byte, key string) int {
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, key); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.Atoi(f[0]) // what is no number is none
				return n
			}
		}
	}
	return 0
}
