package sip

import (
	"context"
	"jigasi/internal/locate"
	"net"
	"net/netip"
	"strings"
	"time"
)

// A Target is one place to send a request to.
type Target = locate.Target

// A Resolver finds where a URI's requests go (RFC 3263), in order of preference. An
// Avoid(Target, time.Duration) method, where it has one, is told of those that cannot be reached.
type Resolver interface {
	Targets(ctx context.Context, host string, port int, transport string, secure bool) ([]Target, error)
}

// Located makes a Resolver of package locate.
func Located(l *locate.Locator) Resolver { return located{l} }

type located struct{ *locate.Locator }

func (l located) Targets(ctx context.Context, host string, port int, transport string, secure bool) ([]Target, error) {
	u := locate.URI{Scheme: "sip", Host: host, Port: port, Transport: transport}
	if secure && transport != "tls" && transport != "wss" {
		u.Scheme = "sips"
	}
	return l.Locator.Targets(ctx, u)
}

// defaultResolver asks the system's name servers as RFC 3263 says, or, where there are none, for addresses only.
func defaultResolver() Resolver {
	l, err := locate.New(locate.Options{})
	if err != nil {
		return systemResolver{}
	}
	return located{l}
}

// avoid tells the resolver of a target that cannot be reached.
func (u *UA) avoid(t Target) {
	if a, ok := u.opt.Resolver.(interface{ Avoid(Target, time.Duration) }); ok {
		a.Avoid(t, time.Minute)
	}
}

// systemResolver knows addresses and names, and no more of RFC 3263 than the default ports.
type systemResolver struct{}

func (systemResolver) Targets(ctx context.Context, host string, port int, transport string, secure bool) ([]Target, error) {
	network := strings.ToLower(transport)
	if network == "" {
		network = "udp"
		if secure {
			network = "tls"
		}
	}
	if port == 0 {
		port = map[string]int{"tls": 5061, "ws": 80, "wss": 443}[network]
	}
	if port == 0 {
		port = 5060
	}
	name := strings.Trim(host, "[]")
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	var out []Target
	for _, ip := range ips {
		out = append(out, Target{Network: network, Addr: netip.AddrPortFrom(ip.Unmap(), uint16(port)), ServerName: name})
	}
	return out, nil
}
