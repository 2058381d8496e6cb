package twin_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/twin"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func socket(t *testing.T, network, addr string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	a, err := net.ResolveUDPAddr(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP(network, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	at := netip.MustParseAddrPort(c.LocalAddr().String())
	return c, netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func newLoop(t *testing.T) *twin.Loop {
	t.Helper()
	l := twin.NewLoop(func(v any, stack []byte) { t.Errorf("panic %v\n%s", v, stack) })
	t.Cleanup(l.Close)
	return l
}

func receive(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came to the twin")
		return ""
	}
}

func taker() (chan string, func(b []byte)) {
	c := make(chan string, 100)
	return c, func(b []byte) { c <- string(b) }
}

// TestTheTwinHasThePeerAndTheFirstAllOthers: for each kind of first socket.
func TestTheTwinHasThePeerAndTheFirstAllOthers(t *testing.T) {
	for _, tt := range []struct{ network, at string }{{"udp4", "127.0.0.1:0"}, {"udp", ":0"}, {"udp4", "0.0.0.0:0"}} {
		t.Run(tt.network+" "+tt.at, func(t *testing.T) {
			l := newLoop(t)
			first, at := socket(t, tt.network, tt.at)
			peer, peerAt := socket(t, "udp4", "127.0.0.1:0")
			stranger, _ := socket(t, "udp4", "127.0.0.1:0")
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
			got, take := taker()
			w, err := l.Open(first, peerAt, take)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			for range 20 {
				_, _ = peer.WriteToUDPAddrPort([]byte("of the peer"), to)
				_, _ = stranger.WriteToUDPAddrPort([]byte("of a stranger"), to)
				if s := receive(t, got); s != "of the peer" {
					t.Fatalf("the twin has %q", s)
				}
				if n, err := first.Read(buf); err != nil || string(buf[:n]) != "of a stranger" {
					t.Fatalf("the first socket has %q, %v", buf[:n], err)
				}
			}
			if err := w.Write([]byte("back")); err != nil {
				t.Fatal(err)
			}
			n, from, err := peer.ReadFromUDPAddrPort(buf)
			if err != nil || string(buf[:n]) != "back" || from != to {
				t.Errorf("the peer got %q from %v, %v", buf[:n], from, err)
			}
			w.Close()
			_, _ = peer.WriteToUDPAddrPort([]byte("again"), to)
			if n, err := first.Read(buf); err != nil || string(buf[:n]) != "again" {
				t.Errorf("without the twin the first socket has %q, %v", buf[:n], err)
			}
			if err := w.Write([]byte("x")); err == nil {
				t.Error("a closed twin writes")
			}
		})
	}
}

// TestTheTwinHasTheMarkOfTheFirst: DSCP is set once.
func TestTheTwinHasTheMarkOfTheFirst(t *testing.T) {
	l := newLoop(t)
	for _, at := range []string{"127.0.0.1:0", ":0"} {
		first, _ := socket(t, "udp", at)
		peer, peerAt := socket(t, "udp4", "127.0.0.1:0")
		mark := func(c *net.UDPConn, option int) {
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, option, 46<<2) })
			if err != nil {
				t.Fatal(err)
			}
		}
		mark(first, syscall.IP_TOS)
		mark(peer, syscall.IP_RECVTOS)
		w, err := l.Open(first, peerAt, func([]byte) {})
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Write([]byte("x"))
		buf, oob := make([]byte, 10), make([]byte, 100)
		_, n, _, _, err := peer.ReadMsgUDP(buf, oob)
		if err != nil {
			t.Fatal(err)
		}
		list, err := syscall.ParseSocketControlMessage(oob[:n])
		if err != nil || len(list) != 1 || list[0].Data[0] != 46<<2 {
			t.Errorf("%s: the packet is marked %v, %v", at, list, err)
		}
		w.Close()
	}
}

// TestNobodyElseGetsTheAddress: the first socket shares its address with its twins alone.
func TestNobodyElseGetsTheAddress(t *testing.T) {
	l := newLoop(t)
	first, at := socket(t, "udp4", "127.0.0.1:0")
	_, peerAt := socket(t, "udp4", "127.0.0.1:0")
	w, err := l.Open(first, peerAt, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at)); err == nil {
		_ = c.Close()
		t.Error("another socket has the same address")
	}
}

// TestALostPeerIsNoError: packets to nobody bring word of it, which must not cost the next one.
func TestALostPeerIsNoError(t *testing.T) {
	l := newLoop(t)
	first, at := socket(t, "udp4", "127.0.0.1:0")
	peer, peerAt := socket(t, "udp4", "127.0.0.1:0")
	got, take := taker()
	w, err := l.Open(first, peerAt, take)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_ = peer.Close()
	for range 5 {
		_ = w.Write([]byte("x")) // lost
	}
	back, _ := socket(t, "udp4", peerAt.String())
	if err := w.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := back.Read(buf); err != nil || string(buf[:n]) != "y" {
		t.Errorf("the peer that is back has %q, %v", buf[:n], err)
	}
	_, _ = back.WriteToUDPAddrPort([]byte("z"), at)
	if s := receive(t, got); s != "z" {
		t.Errorf("the twin has %q", s)
	}
}

func TestT33_PanicStopsOneTwinOnly(t *testing.T) {
	panics := make(chan any, 10)
	l := twin.NewLoop(func(v any, _ []byte) { panics <- v })
	defer l.Close()
	first, at := socket(t, "udp4", "127.0.0.1:0")
	bad, badAt := socket(t, "udp4", "127.0.0.1:0")
	good, goodAt := socket(t, "udp4", "127.0.0.1:0")
	w1, err := l.Open(first, badAt, func([]byte) { panic("defect") })
	if err != nil {
		t.Fatal(err)
	}
	got, take := taker()
	w2, err := l.Open(first, goodAt, take)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = bad.WriteToUDPAddrPort([]byte("1"), at)
	select {
	case <-panics:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told of the panic")
	}
	_, _ = good.WriteToUDPAddrPort([]byte("2"), at)
	receive(t, got)
	w1.Close()
	w2.Close()
}

func TestNothingAllocates(t *testing.T) {
	l := newLoop(t)
	first, at := socket(t, "udp4", "127.0.0.1:0")
	peer, peerAt := socket(t, "udp4", "127.0.0.1:0")
	got := make(chan struct{}, 1)
	w, err := l.Open(first, peerAt, func([]byte) { got <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	b, buf := []byte("packet"), make([]byte, 10)
	if n := testing.AllocsPerRun(20, func() {
		_, _ = peer.WriteToUDPAddrPort(b, at)
		<-got
		_ = w.Write(b)
		_, _, _ = peer.ReadFromUDPAddrPort(buf)
	}); n > 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func TestWithoutALoopThereAreNoTwins(t *testing.T) {
	first, _ := socket(t, "udp4", "127.0.0.1:0")
	var l *twin.Loop
	if _, err := l.Open(first, netip.MustParseAddrPort("127.0.0.1:9"), func([]byte) {}); err == nil {
		t.Error("a twin without a loop")
	}
}
