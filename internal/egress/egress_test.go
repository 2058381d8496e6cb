package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// inside is a server behind the gateway that nobody may reach, and how often somebody did.
func inside(t *testing.T, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var reached atomic.Int64
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			reached.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s, &reached
}

// names is a name server that answers each question with the next address.
func names(t *testing.T, addrs ...string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			i := min(int(n.Add(1)), len(addrs)) - 1
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(addrs[i])})
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func ask(t *testing.T, o Options, url string) (int, []byte, error) {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(r)
}

// TestT27_NothingInsideIsReached: no form of a private address, no name and no redirect leads to what is behind the gateway.
func TestT27_NothingInsideIsReached(t *testing.T) {
	s, reached := inside(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, host := range []string{
		"127.0.0.1", "localhost", "LOCALHOST.", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "[64:ff9b::7f00:1]", "[::127.0.0.1]",
		"169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fe80::1]", "[fd00::1]", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f.1", "127.1",
	} {
		for _, scheme := range []string{"http", "https"} {
			if _, _, err := ask(t, Options{Resolver: names(t, "127.0.0.1")}, scheme+"://"+host+":"+port+"/"); err == nil {
				t.Errorf("%s://%s was asked", scheme, host)
			}
		}
	}
	for _, u := range []string{"file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "https:example.com", "//example.com/", "unix:/run/x"} {
		if _, _, err := ask(t, Options{}, u); !errors.Is(err, ErrURL) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Fatalf("%d connections reached the inside", n)
	}
}

// TestT27_Rebinding: a name that is public when it is asked for first, and private afterwards, connects to neither.
func TestT27_Rebinding(t *testing.T) {
	s, reached := inside(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	resolver := names(t, "192.0.2.1", "127.0.0.1", "127.0.0.1")
	for range 3 {
		if _, _, err := ask(t, Options{Resolver: resolver}, "https://rebind.example.com:"+port+"/"); !errors.Is(err, ErrPrivate) {
			t.Fatal(err)
		}
	}
	// One that is listed may be private, but not hand out the credentials of a cloud.
	if _, _, err := ask(t, Options{Resolver: names(t, "169.254.169.254"), Allow: []string{"rebind.example.com"}}, "http://rebind.example.com/"); !errors.Is(err, ErrPrivate) {
		t.Fatal(err)
	}
	if n := reached.Load(); n != 0 {
		t.Fatalf("%d connections reached the inside", n)
	}
	status, _, err := ask(t, Options{Resolver: names(t, "127.0.0.1"), Allow: []string{"Hook.Example.com."}}, "http://hook.example.com:"+port+"/")
	if err != nil || status != 200 || reached.Load() != 1 {
		t.Fatal(status, err, reached.Load())
	}
}

// TestT27_Redirect: a service that is allowed cannot send us elsewhere.
func TestT27_Redirect(t *testing.T) {
	target, reached := inside(t, func(http.ResponseWriter, *http.Request) {})
	for _, code := range []int{301, 302, 303, 307, 308} {
		s, _ := inside(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, code) })
		if status, _, err := ask(t, Options{Allow: []string{"127.0.0.0/8"}}, s.URL); !errors.Is(err, ErrRedirect) || status != code {
			t.Error(status, err)
		}
	}
	if reached.Load() != 0 {
		t.Fatal("a redirect was followed")
	}
}

func TestT27_AnswersAreBounded(t *testing.T) {
	long, _ := inside(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) })
	if _, _, err := ask(t, Options{Allow: []string{"127.0.0.1"}, Answer: 99}, long.URL); !errors.Is(err, ErrLong) {
		t.Error(err)
	}
	if _, b, err := ask(t, Options{Allow: []string{"127.0.0.1"}, Answer: 100}, long.URL); err != nil || len(b) != 100 {
		t.Error(len(b), err)
	}
	stuck, _ := inside(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	if _, _, err := ask(t, Options{Allow: []string{"127.0.0.1"}, Limit: 50 * time.Millisecond}, stuck.URL+"/?token=secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	t.Setenv("HTTP_PROXY", stuck.URL) // no proxy of the environment sees what we send
	if status, _, err := ask(t, Options{Allow: []string{"127.0.0.1"}}, long.URL); err != nil || status != 200 {
		t.Error(status, err)
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	s.Config.ErrorLog = nil
	if _, _, err := ask(t, Options{Allow: []string{"127.0.0.1"}}, s.URL); err == nil {
		t.Error("a certificate of nobody was taken")
	}
	known := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if status, _, err := ask(t, Options{Allow: []string{"127.0.0.1"}, TLS: &tls.Config{RootCAs: known, MinVersion: tls.VersionTLS12}}, s.URL); err != nil || status != 200 {
		t.Error(status, err)
	}
}

func TestCheck(t *testing.T) {
	c, err := New(Options{Allow: []string{"hooks.internal", "10.1.0.0/16"}})
	if err != nil {
		t.Fatal(err)
	}
	for u, want := range map[string]error{
		"https://example.com/a": nil, "http://hooks.internal/": nil, "http://10.1.2.3:80/": nil, "https://10.2.0.1/": ErrPrivate, "http://8.8.8.8/": ErrPlain,
		"http://maybe.internal/": nil, "http://[::1": ErrURL, "": ErrURL, "https:///x": ErrURL, "http://localhost/": ErrPrivate,
	} {
		if err := c.Check(u); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", u, err, want)
		}
	}
	for _, bad := range []string{"", "http://x", "a b", "*.example.com", "host:80"} {
		if _, err := New(Options{Allow: []string{bad}}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzPublic(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		v4 := a.Unmap()
		if Public(a) && (v4.IsPrivate() || v4.IsLoopback() || v4.IsLinkLocalUnicast() || v4.IsMulticast() || v4.IsUnspecified()) {
			t.Error(a)
		}
	})
}
