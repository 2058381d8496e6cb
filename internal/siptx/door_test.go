package siptx

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// T06: whoever asks in another's name makes us send no more than was sent.
func TestT06_NoAmplifier(t *testing.T) {
	t.Parallel()
	const count = 10000
	spoof := func(open bool, refuse bool) (in, out, packets int) {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(Options{Open: open})
			for i := range count {
				branch := fmt.Sprintf("%s%d", Magic, i)
				b := message([]string{"INVITE", "OPTIONS", "REGISTER", "BYE", "garbage"}[i%5]+" sip:a@here SIP/2.0", branch)
				in += len(b)
				src := there
				if i%2 == 0 { // one victim, and many
					src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 5060)
				}
				h.Receive(b, "udp", here, src)
				select {
				case tx := <-h.asked:
					if refuse {
						tx.Status(403)
					}
				default:
				}
			}
			time.Sleep(40 * time.Second)
			out, packets = h.bytes(), len(h.sent)
			h.Close()
		})
		return in, out, packets
	}
	if _, out, packets := spoof(false, true); out+packets != 0 {
		t.Errorf("closed: %d bytes in %d packets went to strangers", out, packets)
	}
	in, out, packets := spoof(true, true)
	if out > in || packets > count {
		t.Errorf("open: %d bytes in, %d out, %d packets", in, out, packets)
	}
	if packets == 0 {
		t.Error("open: nobody was answered at all")
	}
}

// Strangers that ask too often are not answered for a while; those who are known are never counted.
func TestT05_StrangersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(Options{Open: true, Known: func(ip netip.Addr) bool { return ip == here.Addr() }})
		ask := func(n int, from netip.AddrPort) (answered int) {
			for i := range n {
				h.Receive(message("OPTIONS sip:a@here SIP/2.0", fmt.Sprintf("%s%v-%d-%d", Magic, from, time.Now().UnixNano(), i)), "udp", here, from)
				select {
				case tx := <-h.asked:
					tx.Status(200)
					answered++
				default:
				}
			}
			return answered
		}
		if got := ask(100, there); got != 16 {
			t.Errorf("a stranger was answered %d times in a burst", got)
		}
		if got := ask(1000, here); got != 1000 {
			t.Errorf("somebody known was answered %d of 1000 times", got)
		}
		time.Sleep(299 * time.Second)
		if got := ask(1, there); got != 0 {
			t.Error("the ban is over early")
		}
		time.Sleep(2 * time.Second)
		for range 5 {
			if got := ask(10, there); got != 10 {
				t.Errorf("a polite stranger was answered %d of 10 times", got)
			}
			time.Sleep(2 * time.Second)
		}
		h.Close()
	})
}

// T07: a million sources are remembered no further than 65 536, in less than 32 MiB.
func TestT07_SourcesAreBounded(t *testing.T) {
	before := held()
	d := newDoor(Limits{Burst: 1, Strangers: 1 << 30, Ban: time.Minute})
	now := time.Now()
	for i := range 1000000 {
		d.let(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if grown := held() - before; grown > 32<<20 {
		t.Errorf("a million sources take %d KiB", grown>>10)
	} else {
		t.Logf("a million sources take %d KiB", grown>>10)
	}
	if n := len(d.young) + len(d.old); n > 2*doorSources {
		t.Errorf("%d sources are remembered", n)
	}
	six := netip.MustParseAddr("2001:db8::1")
	d.let(six, now)
	if ok, _ := d.let(netip.MustParseAddr("2001:db8::2"), now); ok {
		t.Error("one network of IPv6 counts as many sources")
	}
}

func TestTooManyTransactions(t *testing.T) {
	h := newHarness(Options{Known: known, Limits: Limits{Transactions: 10}})
	defer h.Close()
	for i := range 15 {
		h.Receive(message("INFO sip:a@here SIP/2.0", fmt.Sprint(Magic, "x", i)), "udp", here, there)
	}
	for range 10 {
		(<-h.asked).Status(200)
	}
	h.Receive(message("INFO sip:a@here SIP/2.0", Magic+"y"), "udp", here, there)
	if len(h.asked) != 1 {
		t.Error("answered transactions count as open")
	}
	if h.count("503") != 5 || h.Stats().Busy.Load() != 5 || !strings.Contains(h.sent[0], "Retry-After: 5") {
		t.Errorf("sent %v", h.firsts())
	}
}
