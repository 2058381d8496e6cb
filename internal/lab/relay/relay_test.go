package relay_test

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"reflect"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/lab/relay"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// send puts count packets of 20 ms on a line, and gives what comes.
func send(l *relay.Line, count int) (all []relay.Arrival) {
	for i := range count {
		all = append(all, l.Send(time.Duration(i)*20*time.Millisecond, []byte{byte(i >> 8), byte(i), 0})...)
	}
	return all
}

func TestLineDoesWhatItSays(t *testing.T) {
	const count = 50000
	for _, loss := range []float64{0.01, 0.05, 0.1, 0.2} {
		for _, burst := range []float64{0, 4} {
			l := relay.NewLine(7, relay.Faults{Loss: loss, Burst: burst})
			send(l, count)
			if got := float64(l.Counts().Lost) / count; math.Abs(got-loss) > loss/3 {
				t.Errorf("loss %v in bursts of %v: %v are lost", loss, burst, got)
			}
		}
	}
	l := relay.NewLine(7, relay.Faults{Duplicate: 0.05, Corrupt: 0.05, Reorder: 0.05, Jitter: 50 * time.Millisecond, Delay: 100 * time.Millisecond})
	all := send(l, count)
	c := l.Counts()
	for what, got := range map[string]int{"doubled": c.Duplicated, "damaged": c.Corrupted, "overtaken": c.Reordered, "more": len(all) - count} {
		if got < count/25 || got > count*3/50 {
			t.Errorf("%d of %d are %s, want 5 %%", got, count, what)
		}
	}
	for _, a := range all[:100] {
		if a.At < 100*time.Millisecond {
			t.Errorf("a packet takes %v", a.At)
		}
	}
}

func TestSameSeedSameFate(t *testing.T) {
	f := relay.Faults{Loss: 0.1, Burst: 3, Duplicate: 0.1, Corrupt: 0.1, Reorder: 0.1, Jitter: time.Second, Rate: 8000}
	a, b, other := send(relay.NewLine(1, f), 500), send(relay.NewLine(1, f), 500), send(relay.NewLine(2, f), 500)
	if !reflect.DeepEqual(a, b) {
		t.Error("one seed has two fates")
	}
	if reflect.DeepEqual(a, other) {
		t.Error("two seeds have one fate")
	}
}

func TestRateBounds(t *testing.T) {
	l := relay.NewLine(1, relay.Faults{Rate: 1000})
	for range 1000 { // 100 bytes every 20 ms are five times too many
		l.Send(time.Duration(l.Counts().Packets)*20*time.Millisecond, make([]byte, 100))
	}
	if got := 1000 - l.Counts().Lost; got < 190 || got > 210 {
		t.Errorf("%d of 1000 get through, want a fifth", got)
	}
}

func TestUDPBothWays(t *testing.T) {
	loop := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))
	server, err := net.ListenUDP("udp", loop)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	slow := relay.Faults{Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond}
	r, err := relay.NewUDP(server.LocalAddr().(*net.UDPAddr).AddrPort(), 1, slow, slow)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	client, err := net.ListenUDP("udp", loop)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	buf := make([]byte, 100)
	for i := range byte(20) {
		if _, err := client.WriteToUDPAddrPort([]byte{i}, r.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range byte(20) {
		_ = server.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, from, err := server.ReadFromUDPAddrPort(buf)
		if err != nil || n != 1 || buf[0] != i || from != r.Back() {
			t.Fatalf("%d: %v from %v, %v", i, buf[:n], from, err)
		}
		if _, err := server.WriteToUDPAddrPort(buf[:n], from); err != nil {
			t.Fatal(err)
		}
		_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, from, err = client.ReadFromUDPAddrPort(buf); err != nil || n != 1 || buf[0] != i || from != r.Addr() {
			t.Fatalf("%d back: %v from %v, %v", i, buf[:n], from, err)
		}
	}
	r.SetFaults(relay.Faults{Loss: 1}, relay.Faults{})
	_, _ = client.WriteToUDPAddrPort([]byte{1}, r.Addr())
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if up, _ := r.Counts(); up.Lost == 1 {
			return
		}
	}
	t.Error("what should be lost is not")
}

// echo is a server that gives back what it gets.
func echo(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l
}

func TestTCPStallsAndCuts(t *testing.T) {
	l := echo(t)
	defer l.Close()
	r, err := relay.NewTCP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	buf := make([]byte, 10)
	say := func(c net.Conn) error {
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, buf[:5])
		return err
	}
	c := dial()
	defer c.Close()
	if err := say(c); err != nil || r.Conns() != 1 {
		t.Fatalf("%v, %d connections", err, r.Conns())
	}
	r.Stall()
	_, _ = c.Write([]byte("hello"))
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(buf); n > 0 || err == nil {
		t.Fatalf("a stalled relay brings %q", buf[:n])
	}
	r.Heal()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(c, buf[:5]); err != nil {
		t.Fatalf("after the stall: %v", err)
	}
	if n := r.Reset(); n != 1 {
		t.Fatalf("%d connections were cut", n)
	}
	if _, err := c.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection that is reset says %v", err)
	}
	c = dial()
	defer c.Close()
	if err := say(c); err != nil {
		t.Fatal(err)
	}
	r.Cut()
	if _, err := c.Read(buf); err == nil {
		t.Error("a connection that is cut lives on")
	}
}
