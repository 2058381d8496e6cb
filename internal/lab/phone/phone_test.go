package phone

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"jigasi/internal/lab/soak"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	soak.Together(8)
	goleak.VerifyTestMain(m)
}

// told collects what On says.
type told struct {
	mu  sync.Mutex
	all []string
}

func (s *told) on(event string, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, event)
}

func (s *told) has(event string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.all, event)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("never: %s", what)
	}
}

func line(t *testing.T, take Taking, o Options) *Line {
	t.Helper()
	l, err := Listen(take, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(soon(t)) })
	return l
}

func dial(t *testing.T, o Options) *Phone {
	t.Helper()
	p, err := Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Hangup(soon(t)) })
	return p
}

// soon is a context that lives through the test's cleanup.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTwoPhonesHearEachOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		codec string
		slow  bool
		at    string
	}{{"PCMU", false, "127.0.0.1:0"}, {"PCMA", false, "127.0.0.1:0"}, {"PCMA", true, "127.0.0.1:0"}, {"", false, "[::1]:0"}} {
		t.Run(tt.codec+tt.at, func(t *testing.T) {
			t.Parallel()
			var said, taken told
			l := line(t, Taking{At: netip.MustParseAddrPort(tt.at)}, Options{Tone: 620, On: taken.on})
			p := dial(t, Options{Server: l.Addr(), User: "room", Codec: tt.codec, Slow: tt.slow, Tone: 440, Headers: [][2]string{{"X-Test", "yes"}}, On: said.on})
			q := <-l.Calls()
			if q.Invite("x-test") != "yes" {
				t.Error("the header did not arrive")
			}
			within(t, "the caller is up", p.Up())
			within(t, "the called is up", q.Up())
			near := func(db float64) bool { return db > -20.5 && db < -19.5 }
			eventually(t, "they hear each other", func() bool {
				return p.Traffic().Packets > 40 && q.Traffic().Packets > 40 && near(p.Tone(620)) && near(q.Tone(440))
			})
			if p.Tone(440) > -50 || q.Tone(620) > -50 {
				t.Errorf("one hears itself: %.1f, %.1f dBov", p.Tone(440), q.Tone(620))
			}
			if p.Level() != 20 || q.Level() != 20 || p.Traffic().Lost != 0 || p.Traffic().First.IsZero() || len(p.Heard()) < 8000/2 {
				t.Errorf("levels %d and %d, %+v", p.Level(), q.Level(), p.Traffic())
			}
			if want := tt.codec; want != "" && (p.Codec() != want || q.Codec() != want) {
				t.Errorf("codecs %s and %s", p.Codec(), q.Codec())
			}
			if err := p.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
			within(t, "the called hears of it", q.Over())
			if p.Ended() != "hung up" || q.Ended() != "the other end hung up" || p.Status() != 200 {
				t.Errorf("ended %q (%d) and %q", p.Ended(), p.Status(), q.Ended())
			}
			for _, e := range []string{"INVITE sent", "180 Ringing", "200 OK", "first sound heard by the phone"} {
				if !said.has(e) {
					t.Errorf("the caller was not told %q: %q", e, said.all)
				}
			}
			if !taken.has("INVITE received") || !taken.has("BYE received") {
				t.Errorf("the called was told %q", taken.all)
			}
		})
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	l := line(t, Taking{}, Options{})
	p := dial(t, Options{Server: l.Addr(), User: "room", Tone: 440})
	q := <-l.Calls()
	within(t, "up", p.Up())
	if p.SendDigit('x', time.Second) {
		t.Error("x is no key")
	}
	for _, d := range "1*#" {
		if !p.SendDigit(d, 60*time.Millisecond) {
			t.Errorf("%c was not taken", d)
		}
	}
	eventually(t, "the keys arrive", func() bool { return q.Digits() == "1*#" })
	within(t, "up", q.Up())
	q.SendDigit('D', 0)
	eventually(t, "a key comes back", func() bool { return p.Digits() == "D" })
	eventually(t, "and nothing was lost by it", func() bool { return q.Traffic().Packets > 10 })
}

func TestRefused(t *testing.T) {
	l := line(t, Taking{Status: 486, Rings: 20 * time.Millisecond}, Options{})
	p := dial(t, Options{Server: l.Addr(), User: "room"})
	q := <-l.Calls()
	within(t, "refused", p.Over())
	within(t, "acknowledged", q.Over())
	if p.Status() != 486 || p.Ended() != "486 Busy Here" || q.Ended() != "refused with 486" {
		t.Errorf("%d, %q and %q", p.Status(), p.Ended(), q.Ended())
	}
	if p.Level() != 127 || p.Tone(440) != -120 || p.Codec() != "" {
		t.Error("there was sound")
	}
}

func TestNoCommonCodec(t *testing.T) {
	l := line(t, Taking{}, Options{Codec: "PCMA"})
	p := dial(t, Options{Server: l.Addr(), User: "room", Codec: "PCMU"})
	within(t, "refused", p.Over())
	if p.Status() != 488 {
		t.Errorf("status %d", p.Status())
	}
}

func TestCancel(t *testing.T) {
	l := line(t, Taking{Rings: -1}, Options{})
	p := dial(t, Options{Server: l.Addr(), User: "room"})
	q := <-l.Calls()
	if err := p.Hangup(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, "it stops ringing", q.Over())
	if p.Status() != 487 || p.Ended() != "hung up" || q.Ended() != "the caller gave up" {
		t.Errorf("%d, %q and %q", p.Status(), p.Ended(), q.Ended())
	}
}

func TestTheCalledHangsUp(t *testing.T) {
	l := line(t, Taking{Rings: 10 * time.Millisecond}, Options{})
	p := dial(t, Options{Server: l.Addr(), User: "room"})
	q := <-l.Calls()
	within(t, "up", q.Up())
	if err := q.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "over", p.Over())
	if p.Ended() != "the other end hung up" {
		t.Error(p.Ended())
	}
	// And while it rings.
	l2 := line(t, Taking{Rings: -1}, Options{})
	p = dial(t, Options{Server: l2.Addr(), User: "room"})
	q = <-l2.Calls()
	if err := q.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "declined", p.Over())
	if p.Status() != 603 {
		t.Errorf("status %d", p.Status())
	}
}

// TestLoss: a network between that loses the first of each kind of message.
func TestLoss(t *testing.T) {
	t.Parallel()
	l := line(t, Taking{}, Options{Resend: 100 * time.Millisecond})
	relay, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = relay.Close() })
	var mu sync.Mutex
	seen := map[string]int{}
	wg.Go(func() {
		var caller netip.AddrPort
		buf := make([]byte, 65536)
		for {
			n, from, err := relay.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			m, _ := read(string(buf[:n]))
			_, method := m.cseq()
			kind := m.method
			if m.status != 0 {
				kind = m.reason + method
			}
			mu.Lock()
			seen[kind]++
			lost := seen[kind] == 1
			mu.Unlock()
			to := l.Addr()
			if from == l.Addr() {
				to = caller
			} else {
				caller = from
			}
			if lost {
				continue
			}
			// The relay stays in the way: Contact leads to it.
			for i, h := range m.headers {
				if h[0] == "Contact" {
					m.headers[i][1] = "<sip:x@" + relay.LocalAddr().String() + ">"
				}
			}
			_, _ = relay.WriteToUDPAddrPort(m.bytes(), to)
		}
	})
	p := dial(t, Options{Server: relay.LocalAddr().(*net.UDPAddr).AddrPort(), User: "room", Resend: 100 * time.Millisecond})
	q := <-l.Calls()
	within(t, "up", p.Up())
	within(t, "acknowledged", q.Up())
	if err := p.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "over", q.Over())
	mu.Lock()
	defer mu.Unlock()
	for _, kind := range []string{"INVITE", "OKINVITE", "ACK", "BYE", "OKBYE"} {
		if seen[kind] < 2 {
			t.Errorf("%s was not sent again: %v", kind, seen)
		}
	}
}

// TestStreams: loss, late packets, another source and a pause, as numbers and as silence.
func TestStreams(t *testing.T) {
	var s sound
	pcm := make([]int16, frame)
	for i := range pcm {
		pcm[i] = 5000
	}
	now := time.Now()
	packet := func(seq uint16, stamp uint32, ssrc byte) {
		head := []byte{0x80, 0, byte(seq >> 8), byte(seq), byte(stamp >> 24), byte(stamp >> 16), byte(stamp >> 8), byte(stamp), 0, 0, 0, ssrc}
		now = now.Add(20 * time.Millisecond)
		s.hear(head, pcm, now)
	}
	packet(65534, 0, 1)
	packet(65535, 160, 1)
	packet(1, 480, 1) // 0 is lost
	packet(0, 320, 1) // comes too late
	packet(7, 5000, 2)
	packet(8, 5160, 2)
	now = now.Add(time.Second)
	packet(9, 5320, 2)
	got := s.Traffic()
	if got.Packets != 6 || got.Lost != 1 || got.Gap != 1020*time.Millisecond {
		t.Errorf("%+v", got)
	}
	if n := len(s.Heard()); n != 7*frame { // six packets, and silence for the lost one
		t.Errorf("%d samples", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(ask("INVITE", "1", sdpHold))
	f.Add("SIP/2.0 200 OK\r\nVia: a\r\n b\r\nl: 3\r\n\r\nabcdef")
	f.Fuzz(func(t *testing.T, raw string) {
		m, ok := read(raw)
		if !ok {
			return
		}
		again, ok := read(string(m.bytes()))
		if !ok || again.method != m.method || again.status != m.status || again.body != m.body || again.get("Call-ID") != m.get("Call-ID") {
			t.Errorf("%q became %q", raw, m.bytes())
		}
		_, _ = understand(m.body, wanted(""))
		_, _ = place(uriOf(m.get("Contact")))
	})
}
