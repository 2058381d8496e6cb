package sip

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of the wire (reliability 3.3).
const (
	maxDatagram   = 16 << 10
	maxStream     = 64 << 10
	firstMessage  = 5 * time.Second
	idleStream    = 120 * time.Second
	maxConns      = 1000
	maxConnsPerIP = 50
	dialTimeout   = 4 * time.Second
)

// A flow is where a message came from and an answer goes to: a UDP socket with
// the peer's address, or a connection.
type flow struct {
	network string // udp, tcp, tls, ws
	local   netip.AddrPort
	remote  netip.AddrPort
	udp     *net.UDPConn
	conn    *stream
}

func (f flow) reliable() bool { return f.network != "udp" }

// send writes one whole message.
func (f flow) send(b []byte) error {
	if f.udp != nil {
		_, err := f.udp.WriteToUDPAddrPort(b, f.remote)
		return err
	}
	return f.conn.write(b)
}

// transport owns the sockets and gives every whole message to handle, in the
// order in which one socket brought them.
type transport struct {
	handle func(raw []byte, f flow)
	tls    *tls.Config
	stats  *Stats

	mu     sync.Mutex
	closed bool
	udp    []*net.UDPConn
	lis    []net.Listener
	conns  map[connKey]*stream
	all    map[*stream]struct{}
	perIP  map[netip.Addr]int
	done   sync.WaitGroup
}

type connKey struct {
	network string
	addr    netip.AddrPort
}

func newTransport(cfg *tls.Config, stats *Stats, handle func([]byte, flow)) *transport {
	return &transport{
		handle: handle, tls: cfg, stats: stats, conns: map[connKey]*stream{},
		all: map[*stream]struct{}{}, perIP: map[netip.Addr]int{},
	}
}

// listen opens one listener and gives the address it got.
func (t *transport) listen(network, addr string) (netip.AddrPort, error) {
	switch network {
	case "udp":
		return t.listenUDP(addr)
	case "tcp":
		return t.listenStream(network, addr, func(l net.Listener) net.Listener { return l })
	case "tls":
		if t.tls == nil || len(t.tls.Certificates) == 0 && t.tls.GetCertificate == nil {
			return netip.AddrPort{}, errors.New("sip: a TLS listener needs a certificate and a key")
		}
		return t.listenStream(network, addr, func(l net.Listener) net.Listener { return tls.NewListener(l, t.tls) })
	}
	return netip.AddrPort{}, fmt.Errorf("sip: transport %q is not one of udp, tcp, tls", network)
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
	_ = c.SetReadBuffer(1 << 20) // as much as the system allows
	local := unmap(c.LocalAddr().(*net.UDPAddr).AddrPort())
	t.mu.Lock()
	t.udp = append(t.udp, c)
	t.mu.Unlock()
	t.done.Go(func() { t.readUDP(c, local) })
	return local, nil
}

func (t *transport) readUDP(c *net.UDPConn, local netip.AddrPort) {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of somebody else's datagram
		}
		switch {
		case n <= 4: // CRLF or a stray byte: keep-alive
		case n > maxDatagram:
			t.stats.TooLarge.Add(1)
		default:
			t.handle(append([]byte(nil), buf[:n]...), flow{network: "udp", local: local, remote: unmap(from), udp: c})
		}
	}
}

func (t *transport) listenStream(network, addr string, wrap func(net.Listener) net.Listener) (netip.AddrPort, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("sip: %w", err)
	}
	local := unmap(l.Addr().(*net.TCPAddr).AddrPort())
	l = wrap(l)
	t.mu.Lock()
	t.lis = append(t.lis, l)
	t.mu.Unlock()
	t.done.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				t.adopt(network, c, nil)
			}
		}
	})
	return local, nil
}

// A stream is one TCP or TLS connection.
type stream struct {
	net.Conn
	key connKey
	wmu sync.Mutex
}

func (s *stream) write(b []byte) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	_ = s.SetWriteDeadline(time.Now().Add(dialTimeout)) // an error shows at the write
	_, err := s.Write(b)
	return err
}

// adopt starts to read a connection; nil means that it is one too many.
func (t *transport) adopt(network string, c net.Conn, dialled *netip.AddrPort) *stream {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		_ = c.Close()
		return nil
	}
	s := &stream{Conn: c, key: connKey{network, unmap(tcp.AddrPort())}}
	ip := s.key.addr.Addr()
	t.mu.Lock()
	if t.closed || dialled == nil && (len(t.all) >= maxConns || t.perIP[ip] >= maxConnsPerIP) {
		t.mu.Unlock()
		t.stats.Refused.Add(1)
		_ = c.Close()
		return nil
	}
	t.all[s] = struct{}{}
	t.perIP[ip]++
	t.conns[s.key] = s
	t.done.Add(1)
	t.mu.Unlock()
	go func() {
		defer t.done.Done()
		t.readStream(s)
		t.drop(s)
	}()
	return s
}

func (t *transport) drop(s *stream) {
	_ = s.Close()
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

func (t *transport) readStream(s *stream) {
	local := unmap(s.LocalAddr().(*net.TCPAddr).AddrPort())
	f := flow{network: s.key.network, local: local, remote: s.key.addr, conn: s}
	r := bufio.NewReaderSize(s, 4096)
	wait := firstMessage
	for {
		_ = s.SetReadDeadline(time.Now().Add(wait)) // an error shows at the read
		raw, pings, err := readMessage(r)
		if err != nil {
			return
		}
		if pings {
			_ = s.write([]byte("\r\n")) // RFC 5626, 3.5.1; a dead connection shows at the read
		} else {
			t.handle(raw, f)
		}
		wait = idleStream
	}
}

var errStream = errors.New("sip: the stream cannot be followed")

// readMessage reads one message off a stream, by its Content-Length (RFC 3261,
// 18.3), or reports a keep-alive of two line ends.
func readMessage(r *bufio.Reader) (raw []byte, ping bool, err error) {
	length, ends := -1, 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, false, err
		}
		if len(raw)+len(line) > maxStream {
			return nil, false, errStream
		}
		blank := len(strings.TrimRight(string(line), "\r\n")) == 0
		if len(raw) == 0 && blank {
			if ends++; ends == 2 {
				return nil, true, nil
			}
			continue
		}
		raw = append(raw, line...)
		if blank {
			break
		}
		name, v, _ := strings.Cut(string(line), ":")
		if name = strings.ToLower(strings.TrimSpace(name)); name == "content-length" || name == "l" {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil || n < 0 || n > maxStream || length >= 0 && length != n {
				return nil, false, errStream
			}
			length = n
		}
	}
	if length <= 0 {
		return raw, false, nil
	}
	at := len(raw)
	raw = append(raw, make([]byte, length)...)
	_, err = io.ReadFull(r, raw[at:])
	return raw, false, err
}

// to gives a flow to a peer, over a connection that is there or a new one.
func (t *transport) to(ctx context.Context, network string, addr netip.AddrPort, serverName string) (flow, error) {
	if network == "udp" {
		return t.toUDP(addr)
	}
	key := connKey{network, addr}
	t.mu.Lock()
	s := t.conns[key]
	t.mu.Unlock()
	if s == nil {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		var d net.Dialer
		var c net.Conn
		var err error
		if network == "tls" {
			cfg := &tls.Config{MinVersion: tls.VersionTLS12}
			if t.tls != nil {
				cfg = t.tls.Clone()
			}
			cfg.ServerName = serverName
			c, err = (&tls.Dialer{NetDialer: &d, Config: cfg}).DialContext(ctx, "tcp", addr.String())
		} else {
			c, err = d.DialContext(ctx, "tcp", addr.String())
		}
		if err != nil {
			return flow{}, fmt.Errorf("sip: connect to %s %s: %w", network, addr, err)
		}
		if s = t.adopt(network, c, &addr); s == nil {
			return flow{}, errors.New("sip: the transport is closed")
		}
	}
	local, ok := s.LocalAddr().(*net.TCPAddr)
	if !ok {
		return flow{}, errStream
	}
	return flow{network: network, local: unmap(local.AddrPort()), remote: addr, conn: s}, nil
}

func (t *transport) toUDP(addr netip.AddrPort) (flow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.udp {
		local := unmap(c.LocalAddr().(*net.UDPAddr).AddrPort())
		if local.Addr().IsUnspecified() || local.Addr().Is4() == addr.Addr().Is4() {
			return flow{network: "udp", local: local, remote: addr, udp: c}, nil
		}
	}
	return flow{}, fmt.Errorf("sip: no UDP socket listens for the family of %s", addr)
}

func (t *transport) close() {
	t.mu.Lock()
	t.closed = true
	for _, c := range t.udp {
		_ = c.Close()
	}
	for _, l := range t.lis {
		_ = l.Close()
	}
	for s := range t.all {
		_ = s.Close()
	}
	t.mu.Unlock()
	t.done.Wait()
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// routeTo is the address of ours from which the kernel sends to a peer.
func routeTo(peer netip.AddrPort) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(peer))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return unmap(c.LocalAddr().(*net.UDPAddr).AddrPort()).Addr()
}
