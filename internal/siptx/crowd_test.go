package siptx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"jigasi/internal/lab/soak"

	"github.com/coder/websocket"
)

// held is the memory of this process that is not free, without what can be collected.
func held() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// hello is the first flight of a TLS client.
func hello(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer func() { _ = a.Close(); _ = b.Close() }()
	go func() { _ = tls.Client(a, &tls.Config{ServerName: "localhost"}).HandshakeContext(t.Context()) }()
	buf := make([]byte, 16384)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// crowd opens connections from many addresses of this machine; each says something and no more. It gives
// them, and how many were open at once at most, as far as the layer counts them.
func crowd(t *testing.T, l *Layer, addr netip.AddrPort, count int, say []byte) (all []net.Conn, most int) {
	t.Helper()
	for i := range count {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, byte(i/8/250), byte(1+i/8%250))}}
		c, err := d.Dial("tcp", addr.String())
		if err != nil {
			t.Error(err)
			return all, most
		}
		all = append(all, c)
		_, _ = c.Write(say)
		if i%50 == 49 || i == count-1 {
			l.tp.mu.Lock()
			most = max(most, len(l.tp.all)+len(l.tp.knocks))
			l.tp.mu.Unlock()
		}
	}
	return all, most
}

// dismiss waits until all are closed by the other side, and gives how many were not.
func dismiss(all []net.Conn, end time.Time) (open int) {
	for _, c := range all {
		_ = c.SetReadDeadline(end)
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			open++
		}
		_ = c.Close()
	}
	return open
}

// A siege is a crowd before a layer.
type siege struct {
	l      *Layer
	conns  []net.Conn
	open   int // at once, at most
	answer int // to who is known, from the midst of it
	grown  int64
	took   time.Duration
}

// besiege opens a layer, has a crowd come, and a ask from its midst. The layer is open afterwards.
func besiege(t *testing.T, a *Layer, network string, o Options, count int, say []byte) (s siege) {
	t.Helper()
	var addr netip.AddrPort
	s.l, addr = listening(t, network, o)
	before, start := held(), time.Now()
	s.conns, s.open = crowd(t, s.l, addr, count, say)
	s.answer = ask(t, a, network, addr, "localhost")
	s.grown, s.took = held()-before, time.Since(start)
	return s
}

// T07: thousands of connections that say nothing, or too little, or promise much: so many are kept as there may be,
// they cost little, they end after the time for a first message, and who is known is served meanwhile.
func TestT07_CrowdsAreBounded(all *testing.T) {
	count, first := soak.Count(150, 5000), time.Duration(soak.Count(500, 5000))*time.Millisecond
	cfg, waits := certify(all), []func(*testing.T, time.Time){}
	for _, tt := range []struct {
		network, name string
		say           []byte
	}{
		{"tcp", "silent", nil},
		{"tcp", "slow", []byte("OPTIONS sip:a SIP/2.0\r\nVia:")},
		{"tcp", "promising", []byte("OPTIONS sip:a SIP/2.0\r\nContent-Length: 65000\r\n\r\nx")},
		{"tls", "silent", nil},
		{"tls", "half a handshake", hello(all)},
		{"ws", "slow", []byte("GET / HTTP/1.1\r\nHost:")},
		{"wss", "half a handshake", hello(all)},
	} {
		all.Run(tt.network+", "+tt.name, func(t *testing.T) {
			most := soak.Count(100, 1000)
			us := netip.MustParseAddr("127.0.0.1")
			o := Options{TLS: cfg, Open: true, Limits: Limits{Connections: most, First: first}, Known: func(ip netip.Addr) bool { return ip == us }}
			a, _ := serve(t, "udp", Options{TLS: cfg})
			c := besiege(t, a, tt.network, o, count, tt.say)
			for ; c.took > first && !soak.Full(); c = besiege(t, a, tt.network, o, count, tt.say) {
				first *= 2 // a machine that is busy has more time to bring them all before the first of them have to go
				o.Limits.First = first
				c.l.Close()
				dismiss(c.conns, time.Now().Add(20*time.Second))
			}
			all.Cleanup(c.l.Close)
			if c.answer != 200 {
				t.Errorf("who is known is answered %d", c.answer)
			}
			if c.open > most {
				t.Errorf("%d connections are open, of %d that may be", c.open, most)
			}
			if c.grown > 32<<20 {
				t.Errorf("they hold %d KiB", c.grown>>10)
			}
			refused := c.l.Stats().Connections.Load()
			if refused == 0 {
				t.Errorf("of %d connections none was refused", count)
			}
			t.Logf("%d connections: %d open at once, %d refused, %d KiB", count, c.open, refused, c.grown>>10)
			wait := func(t *testing.T, end time.Time) {
				if n := dismiss(c.conns, end); n > 0 {
					t.Errorf("%d connections of %d are open still", n, count)
				}
			}
			if soak.Full() {
				wait(t, time.Now().Add(first+20*time.Second))
			} else {
				waits = append(waits, wait) // all at once
			}
		})
	}
	end := time.Now().Add(first + 20*time.Second)
	for _, wait := range waits {
		wait(all, end)
	}
}

// A WebSocket of a stranger is counted once, as a handshake and then as a connection.
func TestWebSocketIsCountedOnce(t *testing.T) {
	l, addr := serve(t, "ws", Options{Open: true, Limits: Limits{PerIP: 2, First: time.Minute}}) // nobody says anything
	var open []*websocket.Conn
	tr := &http.Transport{DisableKeepAlives: true}
	dial := func() error {
		defer tr.CloseIdleConnections() // it may have opened one more than it needed
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://%s", addr), &websocket.DialOptions{Subprotocols: []string{"sip"}, HTTPClient: &http.Client{Transport: tr}})
		if err == nil {
			t.Cleanup(func() { _ = c.CloseNow() })
			open = append(open, c)
		}
		return err
	}
	for i := range 2 {
		if err := dial(); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		for end, n := time.Now().Add(20*time.Second), 0; n <= i; <-time.After(5 * time.Millisecond) { // the handshake ends before it is counted in
			l.tp.mu.Lock()
			n = len(l.tp.all)
			l.tp.mu.Unlock()
			if time.Now().After(end) {
				t.Fatalf("%d connections are counted", n)
			}
		}
	}
	if dial() == nil {
		t.Error("a third connection of one address is taken")
	}
	_ = open[0].CloseNow()
	for end := time.Now().Add(20 * time.Second); dial() != nil; <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no connection is taken after one has ended")
		}
	}
	for end, n := time.Now().Add(20*time.Second), 1; n > 0; <-time.After(5 * time.Millisecond) {
		l.tp.mu.Lock()
		n = len(l.tp.knocks) + len(l.tp.knocking)
		l.tp.mu.Unlock()
		if time.Now().After(end) {
			t.Fatal("handshakes are left")
		}
	}
}
