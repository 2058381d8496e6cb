package locate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// zone is a Resolver made of tables; down makes it silent.
type zone struct {
	naptr map[string][]NAPTR
	srv   map[string][]SRV
	addrs map[string]string
	down  atomic.Bool
	asked atomic.Int64
}

var errDown = errors.New("no answer")

func lookup[T any](z *zone, m map[string][]T, name string) ([]T, time.Duration, error) {
	z.asked.Add(1)
	if z.down.Load() {
		return nil, 0, errDown
	}
	if v, ok := m[name]; ok {
		return v, time.Minute, nil
	}
	return nil, 0, ErrNotFound
}

func (z *zone) NAPTR(_ context.Context, n string) ([]NAPTR, time.Duration, error) {
	return lookup(z, z.naptr, n)
}

func (z *zone) SRV(_ context.Context, n string) ([]SRV, time.Duration, error) {
	return lookup(z, z.srv, n)
}

func (z *zone) Addrs(_ context.Context, n string) ([]netip.Addr, time.Duration, error) {
	m := map[string][]netip.Addr{}
	for k, v := range z.addrs {
		for s := range strings.FieldsSeq(v) {
			m[k] = append(m[k], netip.MustParseAddr(s))
		}
	}
	return lookup(z, m, n)
}

func example() *zone {
	return &zone{
		naptr: map[string][]NAPTR{"naptr.test": {
			{50, 50, "s", "SIP+D2U", "_sip._udp.naptr.test."},
			{20, 50, "s", "SIPS+D2T", "_sips._tcp.other.test."},
			{20, 10, "u", "E2U+sip", "."},
		}},
		srv: map[string][]SRV{
			"_sip._udp.naptr.test":        {{1, 0, 5080, "a.test."}},
			"_sips._tcp.other.test":       {{1, 0, 5081, "b.test."}},
			"_sip._tcp.srv.test":          {{20, 0, 5070, "b.test"}, {10, 0, 5070, "a.test"}},
			"_sip._udp.srv.test":          {{1, 0, 5060, "gone.test"}, {1, 0, 5062, "a.test"}},
			"_sip._udp.closed.test":       {{0, 0, 0, "."}},
			"_xmpp-client._tcp.meet.test": {{1, 0, 5223, "a.test"}},
		},
		addrs: map[string]string{"a.test": "2001:db8::1 192.0.2.1", "b.test": "192.0.2.2", "plain.test": "192.0.2.9", "meet2.test": "192.0.2.8"},
	}
}

func locator(t *testing.T, opt Options) *Locator {
	t.Helper()
	l, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func show(ts []Target) string {
	var out []string
	for _, t := range ts {
		out = append(out, fmt.Sprintf("%s:%s:%s", t.Network, t.Addr, t.ServerName))
	}
	return strings.Join(out, " ")
}

func TestTargets(t *testing.T) {
	first := func(int) int { return 0 }
	for _, c := range []struct{ uri, want string }{
		{"sip 192.0.2.7 0 -", "udp:192.0.2.7:5060:192.0.2.7"},
		{"sips [2001:db8::7] 0 -", "tls:[2001:db8::7]:5061:2001:db8::7"},
		{"sip 192.0.2.7 5099 TCP", "tcp:192.0.2.7:5099:192.0.2.7"},
		{"sips 192.0.2.7 0 tcp", "tls:192.0.2.7:5061:192.0.2.7"},
		{"sip plain.test 5070 -", "udp:192.0.2.9:5070:plain.test"},
		{"sip naptr.test. 0 -", "tls:192.0.2.2:5081:naptr.test udp:192.0.2.1:5080:naptr.test udp:[2001:db8::1]:5080:naptr.test"},
		{"sips naptr.test 0 -", "tls:192.0.2.2:5081:naptr.test"},
		{"sip naptr.test 0 udp", "udp:192.0.2.1:5080:naptr.test udp:[2001:db8::1]:5080:naptr.test"},
		{"sip srv.test 0 -", "tcp:192.0.2.1:5070:srv.test tcp:[2001:db8::1]:5070:srv.test tcp:192.0.2.2:5070:srv.test udp:192.0.2.1:5062:srv.test udp:[2001:db8::1]:5062:srv.test"},
		{"sip srv.test 5064 udp", ""},
		{"sip plain.test 0 -", "udp:192.0.2.9:5060:plain.test"},
		{"sips plain.test 0 -", "tls:192.0.2.9:5061:plain.test"},
		{"sip plain.test 0 wss", "wss:192.0.2.9:443:plain.test"},
		{"sip closed.test 0 udp", ""},
		{"sip gone.test 0 -", ""},
		{"sip - 0 -", ""},
	} {
		l := locator(t, Options{Resolver: example(), Rand: first})
		var u URI
		if _, err := fmt.Sscan(c.uri, &u.Scheme, &u.Host, &u.Port, &u.Transport); err != nil {
			t.Fatal(err)
		}
		u.Transport, u.Host = strings.Trim(u.Transport, "-"), strings.Trim(u.Host, "-")
		got, err := l.Targets(t.Context(), u)
		if show(got) != c.want || (c.want == "") != errors.Is(err, ErrNotFound) {
			t.Errorf("%s\n got %s, %v\nwant %s", c.uri, show(got), err, c.want)
		}
	}
}

func TestServiceAndAvoid(t *testing.T) {
	l := locator(t, Options{Resolver: example(), PreferIPv6: true})
	got, err := l.Service(t.Context(), "xmpp-client", "tcp", "meet.test", 5222)
	if err != nil || show(got) != "tcp:[2001:db8::1]:5223:meet.test tcp:192.0.2.1:5223:meet.test" {
		t.Fatal(show(got), err)
	}
	l.Avoid(got[0], time.Minute)
	if got, _ = l.Service(t.Context(), "xmpp-client", "tcp", "meet.test", 5222); !got[0].Addr.Addr().Is4() || len(got) != 2 {
		t.Error(show(got))
	}
	if got, _ = l.Service(t.Context(), "xmpp-client", "tcp", "meet2.test", 5222); show(got) != "tcp:192.0.2.8:5222:meet2.test" {
		t.Error(show(got))
	}
	if got, err = l.Service(t.Context(), "turn", "udp", "meet2.test", 0); !errors.Is(err, ErrNotFound) {
		t.Error(show(got), err)
	}
}

// TestWeights draws often and compares with the weights, RFC 2782.
func TestWeights(t *testing.T) {
	in := []SRV{{1, 10, 1, "a"}, {1, 30, 2, "b"}, {1, 60, 3, "c"}, {0, 0, 4, "first"}, {1, 0, 5, "zero"}}
	count := map[uint16]int{}
	const n = 20000
	for range n {
		out := shuffle(in, locator(t, Options{Resolver: example()}).opt.Rand)
		if out[0].Host != "first" || len(out) != len(in) {
			t.Fatal(out)
		}
		count[out[1].Port]++
	}
	for port, want := range map[uint16]float64{1: .10, 2: .30, 3: .60} {
		if got := float64(count[port]) / n; math.Abs(got-want) > .03 {
			t.Errorf("port %d drawn first %.3f of the time, want %.2f", port, got, want)
		}
	}
}

// TestT55_LastGoodAnswer keeps a known name working for an hour of dead name
// servers, asks them no more than every two seconds, and says no afterwards.
func TestT55_LastGoodAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := example()
		l := locator(t, Options{Resolver: z})
		u := URI{Scheme: "sip", Host: "plain.test", Port: 5060}
		want, err := l.Targets(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Targets(t.Context(), u); err != nil || z.asked.Load() != 1 {
			t.Fatal(err, z.asked.Load())
		}
		z.down.Store(true)
		time.Sleep(50 * time.Minute)
		for range 100 {
			if got, err := l.Targets(t.Context(), u); err != nil || show(got) != show(want) {
				t.Fatal(show(got), err)
			}
		}
		if z.asked.Load() != 2 {
			t.Errorf("a dead server was asked %d times", z.asked.Load())
		}
		if _, err := l.Targets(t.Context(), URI{Scheme: "sip", Host: "new.test"}); !errors.Is(err, errDown) {
			t.Error(err)
		}
		time.Sleep(3 * time.Hour)
		if got, err := l.Targets(t.Context(), u); !errors.Is(err, errDown) {
			t.Error(show(got), err)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	l := locator(t, Options{Resolver: example()})
	for i := range 3 * maxEntries {
		l.Targets(t.Context(), URI{Host: fmt.Sprintf("x%d.test", i), Port: 1})
		l.Avoid(Target{Network: "udp", ServerName: fmt.Sprint(i)}, time.Hour)
	}
	if len(l.cache.entries) > maxEntries || len(l.avoid) > maxAvoided+1 {
		t.Error(len(l.cache.entries), len(l.avoid))
	}
}

// TestWire asks a name server on loopback: a cut answer that needs TCP, a dead
// first server, NXDOMAIN, and addresses.
func TestWire(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		name, kind := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
		add := func(s string) {
			rr, err := dns.NewRR(name + " 60 IN " + s)
			if err != nil {
				t.Error(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		switch {
		case kind == dns.TypeNAPTR && name == "trunk.test.":
			add(`NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.trunk.test.`)
		case kind == dns.TypeSRV && name == "_sip._tcp.trunk.test.":
			if m.Truncated = w.LocalAddr().Network() == "udp"; !m.Truncated {
				add("SRV 1 1 5066 sbc.test.")
			}
		case kind == dns.TypeA && name == "sbc.test.":
			add("A 192.0.2.33")
		case name == "sbc.test.":
		default:
			m.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(m)
	})
	udp, tcp := &dns.Server{PacketConn: pc, Handler: h}, &dns.Server{Listener: ln, Handler: h}
	done := make(chan error, 2)
	go func() { done <- udp.ActivateAndServe() }()
	go func() { done <- tcp.ActivateAndServe() }()
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	l := locator(t, Options{Servers: []string{dead.LocalAddr().String(), pc.LocalAddr().String()}})
	got, err := l.Targets(t.Context(), URI{Scheme: "sip", Host: "trunk.test"})
	if err != nil || show(got) != "tcp:192.0.2.33:5066:trunk.test" {
		t.Error(show(got), err)
	}
	if _, err = l.Targets(t.Context(), URI{Scheme: "sip", Host: "nowhere.test"}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	udp.Shutdown()
	tcp.Shutdown()
	<-done
	<-done
}
