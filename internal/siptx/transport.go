package siptx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"jigasi/internal/qos"
	"jigasi/internal/xlog"

	"github.com/coder/websocket"
)

const (
	connectTimeout = 4 * time.Second
	writeTimeout   = 4 * time.Second
)

// A Flow is where a message came from and an answer goes to: a UDP socket with
// the peer's address, or a connection. The zero Flow goes nowhere.
type Flow struct {
	network string // udp, tcp, tls, ws, wss
	local   netip.AddrPort
	remote  netip.AddrPort
	udp     *net.UDPConn
	conn    *stream
	tp      *transport
}

// Network is udp, tcp, tls, ws or wss.
func (f Flow) Network() string { return f.network }

// Local is our address; of a UDP socket that listens everywhere it has no IP.
func (f Flow) Local() netip.AddrPort { return f.local }

// Remote is the peer's address.
func (f Flow) Remote() netip.AddrPort { return f.remote }

// Reliable reports whether nothing is lost on the way (RFC 3261, 17).
func (f Flow) Reliable() bool { return f.network != "udp" }

// Gone is closed when the connection ends; nil where there is none.
func (f Flow) Gone() <-chan struct{} {
	if f.conn == nil {
		return nil
	}
	return f.conn.gone
}

// Alive reports whether a message can still be sent.
func (f Flow) Alive() bool {
	if f.tp == nil {
		return false
	}
	select {
	case <-f.Gone():
		return false
	default:
		return true
	}
}

// Hold keeps an idle connection open until Release is called, once for each Hold.
func (f Flow) Hold() {
	if f.conn != nil {
		f.conn.held.Add(1)
	}
}

// Release lets a connection go that was held.
func (f Flow) Release() {
	if f.conn != nil {
		f.conn.held.Add(-1)
	}
}

// Send writes one whole message. It blocks while a connection's peer does not
// read, for 4 s at most.
func (f Flow) Send(b []byte) error {
	switch {
	case f.tp == nil:
		return ErrClosed
	case f.tp.wire != nil:
		return f.tp.wire.Send(f.network, f.local, f.remote, b)
	case f.udp != nil:
		_, err := f.udp.WriteToUDPAddrPort(b, f.remote)
		return err
	case f.conn != nil:
		return f.conn.write(b)
	}
	return ErrClosed
}

// transport owns the sockets and gives every whole message to the layer.
type transport struct {
	layer *Layer
	wire  Wire

	mu     sync.Mutex
	closed bool
	udp    []*net.UDPConn
	lis    []net.Listener
	web    []*http.Server
	bound  []Bound // of a Wire
	conns  map[connKey]*stream
	all    map[*stream]struct{}
	perIP  map[netip.Addr]int

	knocks   map[net.Conn]struct{} // to WebSocket listeners, not upgraded yet
	knocking map[netip.Addr]int

	quit chan struct{}
	done sync.WaitGroup
}

// Bound is one listener as it is.
type Bound struct {
	Network string
	Addr    netip.AddrPort
}

type connKey struct {
	network string
	addr    netip.AddrPort
}

func newTransport(l *Layer) *transport {
	return &transport{
		layer: l, wire: l.opt.Wire, conns: map[connKey]*stream{}, all: map[*stream]struct{}{}, perIP: map[netip.Addr]int{}, quit: make(chan struct{}),
		knocks: map[net.Conn]struct{}{}, knocking: map[netip.Addr]int{},
	}
}

// Listen opens one listener and gives the address it got. network is udp, tcp, tls, ws or wss.
func (l *Layer) Listen(network, addr string) (netip.AddrPort, error) {
	t := l.tp
	if t.wire != nil {
		a, err := netip.ParseAddrPort(addr)
		t.bound = append(t.bound, Bound{network, a})
		return a, err
	}
	switch network {
	case "udp":
		return t.listenUDP(addr)
	case "tcp", "ws":
	case "tls", "wss":
		if c := l.opt.TLS; c == nil || len(c.Certificates) == 0 && c.GetCertificate == nil {
			return netip.AddrPort{}, fmt.Errorf("sip: a %s listener needs a certificate and a key", network)
		}
	default:
		return netip.AddrPort{}, fmt.Errorf("sip: transport %q is not one of udp, tcp, tls, ws, wss", network)
	}
	return t.listenStream(network, addr)
}

func (t *transport) listenUDP(addr string) (netip.AddrPort, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("sip: listen udp %s: %w", addr, err)
	}
	c, err := net.ListenUDP("udp", a)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("sip: %w", err)
	}
	_ = c.SetReadBuffer(4 << 20) // as much as the system allows
	bound := c.LocalAddr().(*net.UDPAddr).AddrPort()
	t.mark(c, bound.Addr())
	local := unmap(bound)
	t.mu.Lock()
	t.udp = append(t.udp, c)
	t.mu.Unlock()
	t.done.Go(func() { t.readUDP(c, local) })
	return local, nil
}

func (t *transport) mark(c syscall.Conn, local netip.Addr) {
	if err := qos.Mark(c, local, t.layer.opt.DSCP); err != nil {
		t.layer.log.Warn("the network is not asked to prefer SIP", xlog.Err, err)
	}
}

func (t *transport) readUDP(c *net.UDPConn, local netip.AddrPort) {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil, n <= 4: // somebody's ICMP error; CRLF or a stray byte: keep-alive
		case n > maxDatagram:
			t.layer.stats.TooLarge.Add(1)
		default:
			t.layer.handle(buf[:n], Flow{network: "udp", local: local, remote: unmap(from), udp: c, tp: t})
		}
	}
}

// listenStream accepts connections. One that is too many is closed at once.
func (t *transport) listenStream(network, addr string) (netip.AddrPort, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("sip: %w", err)
	}
	bound := l.Addr().(*net.TCPAddr).AddrPort()
	if s, ok := l.(syscall.Conn); ok {
		t.mark(s, bound.Addr())
	}
	local := unmap(bound)
	if network == "tls" || network == "wss" {
		l = tls.NewListener(l, t.layer.opt.TLS)
	}
	t.mu.Lock()
	t.lis = append(t.lis, l)
	t.mu.Unlock()
	if network == "ws" || network == "wss" {
		t.serveWeb(network, l)
		return local, nil
	}
	t.done.Go(func() {
		for {
			c, err := l.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil: // out of file descriptors: a later connection may fare better
				select {
				case <-t.quit:
				case <-time.After(10 * time.Millisecond):
				}
			default:
				t.adopt(network, c, nil, false)
			}
		}
	})
	return local, nil
}

// A stream is one connection.
type stream struct {
	key   connKey
	local netip.AddrPort
	raw   net.Conn        // TCP, TLS
	web   *websocket.Conn // or WebSocket
	wmu   sync.Mutex
	held  atomic.Int32
	gone  chan struct{}
	idle  *time.Timer
}

func (s *stream) write(b []byte) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.web != nil {
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		defer cancel()
		return s.web.Write(ctx, websocket.MessageText, b)
	}
	_ = s.raw.SetWriteDeadline(time.Now().Add(writeTimeout)) // an error shows at the write
	_, err := s.raw.Write(b)
	return err
}

func (s *stream) close() {
	if s.web != nil {
		_ = s.web.CloseNow()
		return
	}
	_ = s.raw.Close()
}

func addrOf(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	return unmap(tcp.AddrPort()), true
}

// adopt starts to read a connection; nil means that it is one too many.
func (t *transport) adopt(network string, c net.Conn, web *websocket.Conn, dialled bool) *stream {
	remote, ok := addrOf(c.RemoteAddr())
	local, ok2 := addrOf(c.LocalAddr())
	if !ok || !ok2 {
		_ = c.Close()
		return nil
	}
	s := &stream{key: connKey{network, remote}, local: local, raw: c, web: web, gone: make(chan struct{})}
	if !t.enter(s, dialled) {
		s.close()
		return nil
	}
	t.done.Go(func() {
		defer t.drop(s)
		f := Flow{network: network, local: local, remote: remote, conn: s, tp: t}
		if web != nil {
			t.readWeb(s, f)
		} else {
			t.readStream(s, f)
		}
	})
	return s
}

// enter counts a connection in, unless it is one too many.
func (t *transport) enter(s *stream, dialled bool) bool {
	ip, lim := s.key.addr.Addr(), t.layer.opt.Limits
	known := dialled || t.layer.opt.Known(ip)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !known && (len(t.all) >= lim.Connections || t.perIP[ip] >= lim.PerIP) || len(t.all) >= 2*lim.Connections {
		t.layer.stats.Connections.Add(1)
		return false
	}
	t.all[s] = struct{}{}
	t.perIP[ip]++
	t.conns[s.key] = s
	wait := lim.First
	if dialled {
		wait = lim.Idle
	}
	s.idle = time.AfterFunc(wait, func() { t.idled(s) })
	return true
}

// idled closes a connection that brought nothing for too long, unless somebody holds it.
func (t *transport) idled(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.held.Load() > 0 && !t.closed {
		s.idle.Reset(t.layer.opt.Limits.Idle)
	} else {
		s.close()
	}
}

func (t *transport) drop(s *stream) {
	defer close(s.gone) // when nobody finds it any more: whoever waits for this connects again
	s.idle.Stop()
	s.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, s)
	if ip := s.key.addr.Addr(); t.perIP[ip] > 1 {
		t.perIP[ip]--
	} else {
		delete(t.perIP, ip)
	}
	if t.conns[s.key] == s {
		delete(t.conns, s.key)
	}
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
