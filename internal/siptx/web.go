package siptx

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// serveWeb takes WebSocket connections (RFC 7118). A client that is slow to ask for
// the upgrade keeps nobody else waiting, and is closed after the time for a first message.
func (t *transport) serveWeb(network string, l net.Listener) {
	srv := &http.Server{
		ErrorLog:          log.New(io.Discard, "", 0), // strangers' handshakes are counted, not logged
		ReadHeaderTimeout: t.layer.opt.Limits.First, IdleTimeout: t.layer.opt.Limits.First, MaxHeaderBytes: 16 << 10, ConnState: t.knock,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.upgrade(network, w, r) }),
	}
	t.mu.Lock()
	t.web = append(t.web, srv)
	t.mu.Unlock()
	t.done.Go(func() { _ = srv.Serve(l) }) // ends with the listener
}

// knock counts connections that have not asked for the upgrade yet; one too many is closed.
func (t *transport) knock(c net.Conn, state http.ConnState) {
	remote, ok := addrOf(c.RemoteAddr())
	if !ok {
		return
	}
	ip, lim := remote.Addr(), t.layer.opt.Limits
	known := t.layer.opt.Known(ip)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch state {
	case http.StateNew:
		all := len(t.knocks) + len(t.all)
		if !known && (all >= lim.Connections || t.knocking[ip]+t.perIP[ip] >= lim.PerIP) || all >= 2*lim.Connections {
			t.layer.stats.Connections.Add(1)
			_ = c.Close()
			return
		}
		t.knocks[c] = struct{}{}
		t.knocking[ip]++
	case http.StateHijacked, http.StateClosed:
		if _, in := t.knocks[c]; !in {
			return
		}
		delete(t.knocks, c)
		if t.knocking[ip]--; t.knocking[ip] == 0 {
			delete(t.knocking, ip)
		}
	}
}

// ended is a net.Conn of addresses only: the WebSocket owns the real one.
type ended struct {
	net.Conn
	local, remote net.Addr
}

func (e ended) LocalAddr() net.Addr  { return e.local }
func (e ended) RemoteAddr() net.Addr { return e.remote }
func (e ended) Close() error         { return nil }

func (t *transport) upgrade(network string, w http.ResponseWriter, r *http.Request) {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if err != nil || !ok || !hasProtocol(r) {
		http.Error(w, "this is SIP over WebSocket: ask for the subprotocol sip", http.StatusBadRequest)
		return
	}
	// A page of any origin may ask: nothing here is let in for its cookies.
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"sip"}, InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	if s := t.adopt(network, ended{local: local, remote: net.TCPAddrFromAddrPort(remote)}, c, false); s == nil {
		_ = c.CloseNow()
	}
}

func hasProtocol(r *http.Request) bool {
	for _, v := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(p), "sip") {
				return true
			}
		}
	}
	return false
}

// readWeb reads messages off a WebSocket until it ends: each of its messages is one of SIP.
func (t *transport) readWeb(s *stream, f Flow) {
	s.web.SetReadLimit(maxStream)
	for {
		_, b, err := s.web.Read(context.Background()) // ends when the connection is closed
		if err != nil {
			return
		}
		if len(b) <= 4 { // CRLF: keep-alive
			_ = s.write([]byte("\r\n")) // a dead connection shows at the read
		} else {
			t.layer.handle(b, f)
		}
		s.idle.Reset(t.layer.opt.Limits.Idle)
	}
}

func dialWeb(ctx context.Context, network string, addr netip.AddrPort, name string, plain, secure interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
},
) (net.Conn, *websocket.Conn, error) {
	var raw net.Conn
	dial := func(d interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	},
	) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := d.DialContext(ctx, "tcp", addr.String())
			raw = c
			return c, err
		}
	}
	if name == "" {
		name = addr.Addr().String()
	}
	tr := &http.Transport{DialContext: dial(plain), DialTLSContext: dial(secure), ResponseHeaderTimeout: 3 * time.Second}
	c, _, err := websocket.Dial(ctx, network+"://"+net.JoinHostPort(name, "0"), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tr}, Subprotocols: []string{"sip"},
	})
	if err != nil {
		return nil, nil, err
	}
	return ended{local: raw.LocalAddr(), remote: raw.RemoteAddr()}, c, nil
}
