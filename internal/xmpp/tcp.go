package xmpp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/locate"
	"jigasi/internal/stanza"
)

// writeLimit is how long the server may leave one stanza untaken.
const writeLimit = 10 * time.Second

// perAddress is how long one of several addresses of a server may take.
const perAddress = 5 * time.Second

// A resolver finds SRV records (RFC 6120, 3.2.1); *net.Resolver is one.
type resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// tcpStream is RFC 6120 over a socket, with TLS or without.
type tcpStream struct {
	lim    stanza.Limits
	r      *stanza.Reader
	raw    net.Conn // the socket: closing it ends TLS too, without waiting for a dead peer
	conn   net.Conn // raw, or TLS over it
	secure bool
}

// dialTCP connects to the first server that answers.
func dialTCP(ctx context.Context, o *Options) (*tcpStream, error) {
	addrs, err := o.addresses(ctx)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, addr := range addrs {
		conn, err := o.dial(ctx, "tcp", addr)
		if err != nil {
			failed = errors.Join(failed, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		s := &tcpStream{lim: o.Limits, raw: conn, conn: conn}
		if o.Transport == TLS {
			err = s.startTLS(ctx, o)
		}
		if err != nil {
			s.drop()
			return nil, err
		}
		return s, nil
	}
	return nil, failed
}

// addresses lists where to connect, best first.
func (o *Options) addresses(ctx context.Context) ([]string, error) {
	service, port := "xmpp-client", "5222"
	if o.Transport == TLS {
		service, port = "xmpps-client", "5223"
	}
	if o.Host != "" {
		return []string{withPort(o.Host, port)}, nil
	}
	if net.ParseIP(o.Domain) != nil {
		return []string{net.JoinHostPort(o.Domain, port)}, nil
	}
	if o.Names != nil {
		return o.named(ctx, service, port)
	}
	_, records, err := o.resolver.LookupSRV(ctx, service, "tcp", o.Domain)
	if err != nil || len(records) == 0 { // none is usual; the domain itself is the server then
		return []string{net.JoinHostPort(o.Domain, port)}, ctx.Err()
	}
	var addrs []string
	for _, r := range records {
		if target := strings.TrimSuffix(r.Target, "."); target != "" {
			addrs = append(addrs, net.JoinHostPort(target, strconv.Itoa(int(r.Port))))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no XMPP service (SRV record says so)", o.Domain)
	}
	return addrs, nil
}

// named lists where to connect by the answers of a Locator, which also knows those of an hour ago.
func (o *Options) named(ctx context.Context, service, port string) ([]string, error) {
	n, _ := strconv.ParseUint(port, 10, 16)
	targets, err := o.Names.Service(ctx, service, "tcp", o.Domain, uint16(n))
	if errors.Is(err, locate.ErrNotFound) {
		return nil, fmt.Errorf("%w: the domain has no address of its own, so say in xmpp.server where its server is", err)
	}
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, t := range targets {
		addrs = append(addrs, t.Addr.String())
	}
	return addrs, nil
}

// dialNamed is a dialer that finds names by a Locator.
func dialNamed(names *locate.Locator, d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		ips, err := names.Hosts(ctx, host)
		if err != nil {
			return nil, err
		}
		var failed error
		for _, ip := range ips {
			try, cancel := ctx, context.CancelFunc(func() {})
			if len(ips) > 1 {
				try, cancel = context.WithTimeout(ctx, perAddress)
			}
			c, err := d.DialContext(try, network, net.JoinHostPort(ip.String(), port))
			cancel()
			if err == nil {
				return c, nil
			}
			if failed = errors.Join(failed, err); ctx.Err() != nil {
				break
			}
		}
		return nil, failed
	}
}

// withPort adds a port where host has none.
func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// startTLS makes the connection a TLS one. What was read ahead was not the
// server's and ends it (the injection of CVE-2011-0411).
func (s *tcpStream) startTLS(ctx context.Context, o *Options) error {
	if s.r != nil && s.r.Buffered() > 0 {
		return fmt.Errorf("%w: data between <proceed/> and TLS", ErrProtocol)
	}
	cfg, err := o.TLS.config(o.Domain)
	if err != nil {
		return err
	}
	if o.Transport == TLS {
		cfg.NextProtos = []string{"xmpp-client"}
	}
	conn := tls.Client(s.conn, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS with %s: %w", o.Domain, err)
	}
	s.conn, s.r, s.secure = conn, nil, true
	return nil
}

func (s *tcpStream) encrypted() bool { return s.secure }

func (s *tcpStream) open(domain string) error {
	if s.r == nil {
		s.r = stanza.NewReader(s.conn, s.lim)
	}
	var b bytes.Buffer
	b.WriteString("<?xml version='1.0'?><stream:stream xmlns='" + nsClient + "' xmlns:stream='" + nsStream + "' version='1.0' to='")
	_ = xml.EscapeText(&b, []byte(domain)) // a Buffer does not fail
	b.WriteString("'>")
	if err := s.write(b.Bytes()); err != nil {
		return err
	}
	h, err := s.r.Header()
	if err != nil {
		return err
	}
	if !h.Is(nsStream, "stream") {
		return fmt.Errorf("%w: no stream header", ErrProtocol)
	}
	return nil
}

func (s *tcpStream) read() (*stanza.Elem, int, error) {
	e, err := s.r.Next()
	return e, s.r.Size(), err
}

func (s *tcpStream) write(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

func (s *tcpStream) appendTo(b []byte, e *stanza.Elem) []byte { return e.Append(b, nsClient) }

func (s *tcpStream) end(context.Context) error { return s.write([]byte("</stream:stream>")) }

func (s *tcpStream) drop() { _ = s.raw.Close() } // nothing is left to be lost
