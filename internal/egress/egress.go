// Package egress is the guarded way out: HTTP requests to addresses that an operator, or somebody through an operator,
// has named, and that must not reach what stands behind the gateway.
//
// The address is checked when the connection is made, after names have been resolved, so that a name that changes its
// mind (DNS rebinding) gets nowhere. Only https is spoken, no redirect is followed, no proxy of the environment is used,
// and time and size of an answer are bounded. What the operator lists may be private, and may be plain http.
package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Options make a Client.
type Options struct {
	Allow    []string      // hosts, addresses and networks that may be private, and plain http
	Limit    time.Duration // of a whole request whose context has no deadline; 0 is 10 s
	Answer   int64         // bytes of an answer that are read; 0 is 64 KiB
	Resolver *net.Resolver // nil is that of the machine
	TLS      *tls.Config   // nil is as usual
}

// A Client makes guarded requests. It is safe for concurrent use.
type Client struct {
	opt   Options
	hosts []string
	nets  []netip.Prefix
	http  *http.Client
}

// The reasons for which nothing is sent.
var (
	ErrPlain    = errors.New("only https is spoken to hosts that are not on the list of those allowed")
	ErrPrivate  = errors.New("the address is not public, and not on the list of those allowed")
	ErrRedirect = errors.New("redirected, which is not followed")
	ErrURL      = errors.New("not an http or https URL")
	ErrLong     = errors.New("the answer is too long")
)

// New makes a client. The error names an entry of Allow that is neither a host nor a network.
func New(o Options) (*Client, error) {
	o.Limit, o.Answer = cmp.Or(o.Limit, 10*time.Second), cmp.Or(o.Answer, 64<<10)
	c := &Client{opt: o}
	for _, s := range o.Allow {
		switch p, host, err := read(s); {
		case err != nil:
			return nil, err
		case host != "":
			c.hosts = append(c.hosts, host)
		default:
			c.nets = append(c.nets, p)
		}
	}
	t := &http.Transport{
		DialContext: c.dial, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true, DisableCompression: true, MaxConnsPerHost: 10, MaxIdleConns: 20,
		IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: 16 << 10,
	}
	c.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// read reads an entry of Allow: a network, an address, or a host name.
func read(s string) (netip.Prefix, string, error) {
	s = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "."))
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), "", nil
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), "", nil
	}
	if s == "" || strings.ContainsAny(s, "/:@ *?#") {
		return netip.Prefix{}, "", fmt.Errorf("%.60q is no host, address or network", s)
	}
	return netip.Prefix{}, s, nil
}

// Check tells, without a connection, whether a URL could be asked at all. Names are not resolved.
func (c *Client) Check(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return ErrURL // the error of url.Parse has the URL in it, and that may have a secret
	}
	return c.check(u)
}

func (c *Client) check(u *url.URL) error {
	host := name(u.Hostname())
	addr, err := netip.ParseAddr(host)
	literal := err == nil
	switch {
	case host == "" || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http":
		return ErrURL
	case literal && !c.may(host, addr), host == "localhost" && !c.allowed(host, netip.AddrFrom4([4]byte{127, 0, 0, 1})):
		return ErrPrivate
	case u.Scheme == "http" && !c.allowed(host, addr) && (literal || len(c.nets) == 0):
		return ErrPlain // a name may still turn out to be in an allowed network
	}
	return nil
}

func name(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// allowed reports whether the operator has listed a host or its address.
func (c *Client) allowed(host string, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if slices.ContainsFunc(c.nets, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return true
	}
	// A name is trusted with private addresses, not with those where clouds hand out credentials.
	return slices.Contains(c.hosts, host) && !a.IsLinkLocalUnicast()
}

// may reports whether an address that a host has may be connected to.
func (c *Client) may(host string, a netip.Addr) bool { return Public(a) || c.allowed(host, a) }

type schemeKey struct{}

// dial connects to what a host resolves to, if it may.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	host = name(host)
	plain, _ := ctx.Value(schemeKey{}).(string)
	d := net.Dialer{Timeout: 5 * time.Second, Resolver: c.opt.Resolver}
	d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(resolved)
		switch {
		case err != nil || !c.may(host, ap.Addr()):
			return ErrPrivate
		case plain == "http" && !c.allowed(host, ap.Addr()):
			return ErrPlain
		}
		return nil
	}
	return d.DialContext(ctx, network, addr)
}

// Do sends a request and gives status and body of the answer. An answer that is too long, or a redirect, is an error.
// No error contains the URL.
func (c *Client) Do(r *http.Request) (status int, body []byte, err error) {
	if err := c.check(r.URL); err != nil {
		return 0, nil, err
	}
	ctx := context.WithValue(r.Context(), schemeKey{}, r.URL.Scheme)
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, c.opt.Limit)
		defer cancel()
		ctx = limited
	}
	answer, err := c.http.Do(r.WithContext(ctx))
	if err != nil {
		return 0, nil, bare(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return answer.StatusCode, nil, ErrRedirect
	}
	body, err = io.ReadAll(io.LimitReader(answer.Body, c.opt.Answer+1))
	switch {
	case err != nil:
		return answer.StatusCode, nil, bare(err)
	case int64(len(body)) > c.opt.Answer:
		return answer.StatusCode, nil, ErrLong
	}
	return answer.StatusCode, body, nil
}

// bare is an error without the URL around it.
func bare(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }
