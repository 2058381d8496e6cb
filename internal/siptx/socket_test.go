package siptx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"jigasi/internal/lab/soak"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"
)

// certify makes a certificate for localhost that vouches for itself.
func certify(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// serve starts a layer that answers everything 200, and closes it with the test.
func serve(t *testing.T, network string, o Options) (*Layer, netip.AddrPort) {
	t.Helper()
	l, addr := listening(t, network, o)
	t.Cleanup(l.Close)
	return l, addr
}

func listening(t *testing.T, network string, o Options) (*Layer, netip.AddrPort) {
	t.Helper()
	o.Request = func(_ *sip.Request, tx *Server) { tx.Status(200) }
	o.ACK = func(*sip.Request) {}
	l := New(o)
	addr, err := l.Listen(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, addr
}

func TestMain(m *testing.M) {
	soak.Together(8)
	goleak.VerifyTestMain(m)
}

// ask sends an OPTIONS and gives the status of the answer, 0 where there is none, or no connection any more.
func ask(t *testing.T, l *Layer, network string, to netip.AddrPort, name string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	f, err := l.Connect(ctx, network, to, name)
	if err != nil {
		t.Logf("connect: %v", err)
		return 0
	}
	got := make(chan int, 1)
	req := request("OPTIONS")
	req.Via().Params.Add("branch", Magic+Token())
	req.Via().Params.Add("rport", "")
	l.Send(req, f, func(res *sip.Response) {
		if res != nil {
			got <- res.StatusCode
		}
	})
	select {
	case status := <-got:
		return status
	case <-f.Gone():
		return 0
	case <-ctx.Done():
		return 0
	}
}

func TestEveryTransport(t *testing.T) {
	t.Parallel()
	cfg := certify(t)
	for _, network := range []string{"udp", "tcp", "tls", "ws", "wss"} {
		t.Run(network, func(t *testing.T) {
			_, addr := serve(t, network, Options{TLS: cfg, Open: true})
			a, _ := serve(t, "udp", Options{TLS: cfg})
			if got := ask(t, a, network, addr, "localhost"); got != 200 {
				t.Errorf("answered %d", got)
			}
			if network != "udp" {
				a.tp.mu.Lock()
				n := len(a.tp.conns)
				a.tp.mu.Unlock()
				if got := ask(t, a, network, addr, "localhost"); got != 200 || n != 1 {
					t.Errorf("over the same connection: %d, %d connections", got, n)
				}
			}
			if network == "tls" || network == "wss" {
				b, _ := serve(t, "udp", Options{TLS: cfg})
				if got := ask(t, b, network, addr, "example.com"); got != 0 {
					t.Error("a certificate for another name was taken")
				}
				if _, err := b.Connect(t.Context(), network, addr, "example.com"); err == nil || !strings.Contains(err.Error(), "sip.tls.trust.server_name") {
					t.Errorf("%v does not say what to do", err)
				}
			}
		})
	}
	asks := cfg.Clone() // for a certificate of ours, as some carriers do
	asks.ClientAuth, asks.ClientCAs = tls.RequireAndVerifyClientCert, cfg.RootCAs
	none := cfg.Clone()
	none.Certificates = nil
	for want, ours := range map[int]*tls.Config{200: cfg, 0: none} {
		_, addr := serve(t, "tls", Options{TLS: asks, Open: true})
		a, _ := serve(t, "udp", Options{TLS: ours})
		if got := ask(t, a, "tls", addr, "localhost"); got != want {
			t.Errorf("a server that asks for a certificate answers %d, want %d", got, want)
		}
	}
	if _, err := New(Options{}).Listen("tls", "127.0.0.1:0"); err == nil {
		t.Error("TLS without a certificate listens")
	}
	if _, err := New(Options{}).Listen("sctp", "127.0.0.1:0"); err == nil {
		t.Error("SCTP listens")
	}
}

func TestT07_ConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	limits := Limits{PerIP: 4, Connections: 5, First: 300 * time.Millisecond, Idle: 400 * time.Millisecond}
	for _, network := range []string{"tcp", "ws"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			l, addr := serve(t, network, Options{Open: true, Limits: limits})
			var conns []net.Conn
			for range 8 {
				c, err := net.Dial("tcp", addr.String())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				conns = append(conns, c)
				if network == "ws" { // slow to ask for the upgrade
					_, _ = c.Write([]byte("GET / HTTP/1.1\r\n"))
				}
			}
			if open := dismiss(conns, time.Now().Add(limits.First+20*time.Second)); open != 0 {
				t.Errorf("%d silent connections are open after the time for a first message", open)
			}
			if got := l.Stats().Connections.Load(); network == "tcp" && got != 4 {
				t.Errorf("%d connections were refused, want 4", got)
			}
			a, _ := serve(t, "udp", Options{})
			if got := ask(t, a, network, addr, ""); got != 200 {
				t.Errorf("a valid request is answered %d", got)
			}
		})
	}
}

// What a peer promises takes no memory; what it sends slowly does not keep it longer.
func TestT07_PromisesTakeNoMemory(t *testing.T) {
	l, addr := serve(t, "tcp", Options{Open: true, Limits: Limits{PerIP: 300, First: 400 * time.Millisecond}})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 200 {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = c.Write([]byte("OPTIONS sip:a SIP/2.0\r\nContent-Length: 65000\r\n\r\nx"))
	}
	time.Sleep(100 * time.Millisecond)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 6<<20 {
		t.Errorf("200 promises of 65000 bytes took %d KiB", grown>>10)
	}
	deadline := time.Now().Add(3 * time.Second)
	for n := 1; n > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		l.tp.mu.Lock()
		n = len(l.tp.all)
		l.tp.mu.Unlock()
		if n == 0 {
			return
		}
	}
	t.Error("connections that never finish a message stay open")
}

// A connection that somebody holds outlives its idle time.
func TestHeldConnectionStays(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, "tcp", Options{Open: true})
	a, _ := serve(t, "udp", Options{Limits: Limits{Idle: 60 * time.Millisecond}})
	held, err := a.Connect(t.Context(), "tcp", addr, "")
	if err != nil {
		t.Fatal(err)
	}
	held.Hold()
	time.Sleep(200 * time.Millisecond)
	if !held.Alive() {
		t.Fatal("a held connection was closed")
	}
	held.Release()
	select {
	case <-held.Gone():
	case <-time.After(20 * time.Second):
		t.Fatal("a connection that nobody holds stays open")
	}
	if held.Alive() || held.Send([]byte("x")) == nil {
		t.Error("a closed connection takes messages")
	}
}

func TestKeepAliveIsAnswered(t *testing.T) {
	_, addr := serve(t, "tcp", Options{Open: true})
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write([]byte("\r\n\r\n"))
	b := make([]byte, 10)
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, err := c.Read(b)
	if err != nil || !bytes.Equal(b[:n], []byte("\r\n")) {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

// A defect that a message meets costs that message (T33).
func TestT33_PanicCostsOneMessage(t *testing.T) {
	h := newHarness(Options{Known: known})
	defer h.Close()
	h.opt.Request = func(*sip.Request, *Server) { panic("on purpose") }
	h.Receive(message("INFO sip:a@here SIP/2.0", Magic+"p"), "udp", here, there)
	if h.Stats().Panics.Load() != 1 {
		t.Error("the panic was not counted")
	}
}
