package app_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab/ports"
	"jigasi/internal/lab/soak"
	"jigasi/internal/sip"
)

// phones makes a place for real phones, with sound, at a gateway that is a process of its own.
func (p *process) phones(t *testing.T) *meeting {
	t.Helper()
	return &meeting{Meeting: p.Meeting, ua: p.ua, at: p.sip, handsets: newHandsets(t, portRange(t)-12000, 200)}
}

// memory is a figure of the process, in KiB: VmRSS is what it has, VmHWM the most it had.
func (p *process) memory(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// outcome waits until a call is answered, or has ended.
func outcome(d *sip.Dialog) (answered bool, why cause.Cause) {
	for e := range d.Events() {
		switch {
		case e.Kind == sip.Answered:
			go func() {
				for e := range d.Events() {
					if e.Reply != nil {
						e.Reply(200, []byte(silentOffer))
					}
				}
			}()
			return true, cause.Cause{}
		case e.Kind == sip.Ended:
			return false, e.Cause
		}
	}
	return false, cause.Cause{}
}

// A flood is what strangers send: garbage, calls, and registrations of one number after the other.
type flood struct {
	sent [3]atomic.Int64
	quit chan struct{}
	done sync.WaitGroup
}

// request is one that a peer sends from an address.
func request(method, from, to string, n int64) []byte {
	body := ""
	if method == "INVITE" {
		body = silentOffer
	}
	return fmt.Appendf(nil, "%s sip:%d@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d\r\nFrom: <sip:%d@%s>;tag=%d\r\nTo: <sip:%d@%s>\r\n"+
		"Call-ID: %s%d@%s\r\nCSeq: 1 %s\r\nMax-Forwards: 70\r\nContact: <sip:x@%s>\r\nJitsi-Conference-Room: alpha\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		method, n, to, from, method, n, n, from, n, n, to, method, n, from, method, from, len(body), body)
}

// flood sends so much a second until it is stopped.
func (p *process) flood(t *testing.T, garbage, calls, registers int) *flood {
	t.Helper()
	f := &flood{quit: make(chan struct{})}
	for kind, rate := range []int{garbage, calls, registers} {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 66, 6, byte(1+kind))})
		if err != nil {
			t.Fatal(err)
		}
		to, from := netip.MustParseAddrPort(p.sip), c.LocalAddr().String()
		f.done.Go(func() {
			defer func() { _ = c.Close() }()
			tick, begun := time.NewTicker(5*time.Millisecond), time.Now()
			defer tick.Stop()
			for {
				select {
				case <-f.quit:
					return
				case <-tick.C:
				}
				for n := f.sent[kind].Load(); n < int64(time.Since(begun).Seconds()*float64(rate)); n++ {
					b := []byte("\x00\xffgarbage of nobody\r\n\r\n" + strings.Repeat("x", int(n%900)))
					if kind > 0 {
						b = request([]string{"", "INVITE", "REGISTER"}[kind], from, p.sip, n)
					}
					_, _ = c.WriteToUDPAddrPort(b, to)
					f.sent[kind].Store(n + 1)
				}
			}
		})
	}
	return f
}

func (f *flood) stop() {
	close(f.quit)
	f.done.Wait()
}

// rounds asks the gateway so often, as somebody it knows, and gives how long the answers took, the shortest first;
// one that does not come within 4 s is not there.
func (p *process) rounds(t *testing.T, count int) (all []time.Duration) {
	t.Helper()
	c, err := net.Dial("udp", p.sip)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	buf := make([]byte, 4096)
	for i := range count {
		asked := time.Now()
		_, _ = c.Write(request("OPTIONS", c.LocalAddr().String(), p.sip, asked.UnixNano()+int64(i)))
		_ = c.SetReadDeadline(asked.Add(4 * time.Second))
		if n, err := c.Read(buf); err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200") {
			all = append(all, time.Since(asked))
		}
		<-time.After(5 * time.Millisecond)
	}
	slices.Sort(all)
	return all
}

// T05, T56: strangers send garbage, calls and registrations, and hold connections. Calls that run lose no packet, who
// is known calls as before and is answered as soon, and the memory stays small.
func TestT05_FloodsHurtNobody(t *testing.T) {
	t.Parallel()
	p := spawnWith(t, func(cfg *config.Config) {
		cfg.SIP.Trunks = []string{"127.0.0.1/32"}
	})
	m := p.phones(t)
	running, count := soak.Count(1, 25), soak.Count(6, 1000)
	var phones []*caller
	lost := func() (n int) {
		for _, c := range phones {
			n += c.port.Stats().Lost
		}
		return n
	}
	for i := range running {
		room := fmt.Sprintf("room%d", i/5)
		if i%5 == 0 {
			p.Join(room, 620)
		}
		phones = append(phones, m.call(t, room, 440, "PCMU"))
	}
	eventually(t, 20*time.Second, "they hear the meeting", func() bool {
		return !slices.ContainsFunc(phones, func(c *caller) bool { return c.tone(620) < -40 })
	})
	before, was, base := p.rounds(t, 100), lost(), p.memory(t, "VmRSS")
	f := p.flood(t, 2000, 500, 200)
	var failed atomic.Int32
	work := make(chan int)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for range work {
				d := p.dial(t, "room0")
				ok, why := outcome(d)
				if !ok {
					failed.Add(1)
					t.Logf("a call of a known peer fails: %v", why)
				}
				d.Hangup(cause.Cause{Code: cause.Normal})
			}
		})
	}
	for i := range count {
		work <- i
	}
	close(work)
	workers.Wait()
	during := p.rounds(t, 100)
	f.stop()
	grown := p.memory(t, "VmRSS") - base
	t.Logf("%d garbage, %d calls, %d registrations of strangers; %d of %d calls of a known peer failed; answers to it took %v, before %v (p99); memory +%d MiB",
		f.sent[0].Load(), f.sent[1].Load(), f.sent[2].Load(), failed.Load(), count, at99(during), at99(before), grown>>10)
	if n := int(failed.Load()); n*1000 > count {
		t.Errorf("%d of %d calls of a known peer failed", n, count)
	}
	if len(during) < soak.Count(80, 99) { // a loaded machine is late by itself
		t.Errorf("of 100 questions of a known peer %d were answered", len(during))
	}
	if more := at99(during) - at99(before); soak.Full() && more > 20*time.Millisecond {
		t.Errorf("answers take %v longer", more)
	}
	if grown > 64<<10 {
		t.Errorf("the memory grew by %d MiB", grown>>10)
	}
	if n := lost() - was; soak.Full() && n > 0 || n > 25 { // a loaded machine loses some by itself
		t.Errorf("calls that run lost %d packets", n)
	}
	eventually(t, 10*time.Second, "the phones still hear the meeting", func() bool {
		return !slices.ContainsFunc(phones, func(c *caller) bool { return c.tone(620) < -40 })
	})
}

func at99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 4 * time.Second
	}
	return sorted[len(sorted)*99/100].Round(10 * time.Microsecond)
}

// T56: with all that strangers may hold and all they send, the gateway stays below 256 MiB, and calls are taken.
func TestT56_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	tcp := fmt.Sprintf("127.0.0.1:%d", ports.Free(t))
	p := spawnWith(t, func(cfg *config.Config) {
		cfg.SIP.Trunks = []string{"127.0.0.1/32"}
		cfg.SIP.Listen = append(cfg.SIP.Listen, "tcp:"+tcp)
	})
	f := p.flood(t, soak.Count(2000, 10000), soak.Count(1000, 5000), soak.Count(500, 2000))
	var conns []net.Conn
	for i := range soak.Count(400, 4000) { // each begins a message of 60 000 bytes
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 67, byte(i/8/250), byte(1+i/8%250))}}
		c, err := d.Dial("tcp", tcp)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		_, _ = c.Write([]byte("OPTIONS sip:a SIP/2.0\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("x", 59000)))
		conns = append(conns, c)
	}
	<-time.After(time.Duration(soak.Count(1, 30)) * time.Second)
	p.Join("alpha", 620)
	d := p.dial(t, "alpha")
	if ok, why := outcome(d); !ok {
		t.Errorf("a known peer cannot call: %v", why)
	}
	f.stop()
	most := p.memory(t, "VmHWM") >> 10
	t.Logf("%d connections, %d garbage, %d calls and %d registrations of strangers: at most %d MiB", len(conns), f.sent[0].Load(), f.sent[1].Load(), f.sent[2].Load(), most)
	if most > 256 {
		t.Errorf("the gateway took %d MiB", most)
	}
	d.Hangup(cause.Cause{Code: cause.Normal})
}

// refused asks for a call and gives the first line of the final answer, what its Retry-After says, and how long it took.
func (p *process) refused(t *testing.T) (line, after string, took time.Duration) {
	t.Helper()
	c, err := net.Dial("udp", p.sip)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	asked := time.Now()
	_, _ = c.Write(request("INVITE", c.LocalAddr().String(), p.sip, asked.UnixNano()))
	buf := make([]byte, 4096)
	for {
		_ = c.SetReadDeadline(asked.Add(10 * time.Second))
		n, err := c.Read(buf)
		if err != nil {
			return "nothing", "", time.Since(asked)
		}
		if line, _, _ = strings.Cut(string(buf[:n]), "\r\n"); strings.HasPrefix(line, "SIP/2.0 1") {
			continue
		}
		if _, v, ok := strings.Cut(string(buf[:n]), "Retry-After: "); ok {
			after, _, _ = strings.Cut(v, "\r\n")
		}
		return line, after, time.Since(asked)
	}
}
