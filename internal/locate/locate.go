// Package locate finds the addresses behind a name: RFC 3263 for SIP, RFC 2782
// (SRV) for everything else. It gives a list to try from the top, so that a dead
// server costs a try and not the call.
//
// It sends no SIP and keeps no goroutine. Answers are kept for their TTL, and
// for an hour longer while the name servers do not answer (RFC 8767).
package locate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNotFound says that the name servers answered, and that there is nothing.
var ErrNotFound = errors.New("no such name")

// A NAPTR record, RFC 3403.
type NAPTR struct {
	Order, Preference    uint16
	Flags, Service, Next string
}

// An SRV record, RFC 2782.
type SRV struct {
	Priority, Weight, Port uint16
	Host                   string
}

// A Resolver asks the name servers. Each answer comes with the time it may be
// kept; a name without records of the kind is ErrNotFound, every other error
// means that nobody answered. Implementations are safe for concurrent use.
type Resolver interface {
	NAPTR(ctx context.Context, name string) ([]NAPTR, time.Duration, error)
	SRV(ctx context.Context, name string) ([]SRV, time.Duration, error)
	Addrs(ctx context.Context, host string) ([]netip.Addr, time.Duration, error)
}

// Options of a Locator; the zero value asks the servers of /etc/resolv.conf.
type Options struct {
	// Resolver replaces the name servers.
	Resolver Resolver
	// Servers are host:port or IP addresses, instead of those of /etc/resolv.conf.
	Servers []string
	// Timeout bounds one question to all servers; 5 s by default.
	Timeout time.Duration
	// Networks are the transports that may be chosen where the URI names none, the
	// best first; tls, tcp, udp by default.
	Networks []string
	// PreferIPv6 puts IPv6 before IPv4; by default IPv4 stands first.
	PreferIPv6 bool
	// Rand gives a number below n, for the weights of SRV; random by default.
	Rand func(n int) int
}

// A URI is what RFC 3263 looks at.
type URI struct {
	Scheme    string // sip or sips
	Host      string // name or IP literal, brackets allowed
	Port      int    // 0 = not given
	Transport string // udp, tcp, tls, ws, wss; "" = not given
}

// A Target is one address to try.
type Target struct {
	Network string // udp, tcp, tls, ws, wss
	Addr    netip.AddrPort
	// ServerName is the name that a certificate must bear: the one looked up, never
	// the one that DNS answered with (RFC 5922, 4).
	ServerName string
}

// A Locator is safe for concurrent use.
type Locator struct {
	opt   Options
	cache cache

	mu    sync.Mutex
	avoid map[Target]time.Time
}

// New makes a Locator. It fails when there is neither a Resolver nor a name server.
func New(opt Options) (*Locator, error) {
	if opt.Timeout == 0 {
		opt.Timeout = 5 * time.Second
	}
	if len(opt.Networks) == 0 {
		opt.Networks = []string{"tls", "tcp", "udp"}
	}
	if opt.Rand == nil {
		opt.Rand = rand.IntN
	}
	if opt.Resolver == nil {
		r, err := newWire(opt.Servers)
		if err != nil {
			return nil, err
		}
		opt.Resolver = r
	}
	return &Locator{opt: opt, cache: cache{entries: map[string]entry{}}, avoid: map[Target]time.Time{}}, nil
}

const (
	maxTargets = 16 // tried for one request, at most
	maxAvoided = 256
)

// Targets gives the addresses of a SIP or SIPS URI in the order to try them
// (RFC 3263, 4). It blocks on name servers unless all answers are known, and
// never returns an empty list without an error.
func (l *Locator) Targets(ctx context.Context, u URI) ([]Target, error) {
	u.Host = strings.TrimSuffix(strings.Trim(u.Host, "[]"), ".")
	u.Transport = strings.ToLower(u.Transport)
	sips := strings.EqualFold(u.Scheme, "sips")
	if sips {
		u.Transport = secure(u.Transport)
	}
	if u.Host == "" || u.Port < 0 || u.Port > 65535 {
		return nil, fmt.Errorf("locate: no host or no such port: %w", ErrNotFound)
	}
	_, err := netip.ParseAddr(u.Host)
	if numeric := err == nil; numeric || u.Port != 0 {
		network := cmp.Or(u.Transport, map[bool]string{true: "tls", false: "udp"}[sips])
		return l.order(l.hosts(ctx, nil, network, u.Host, port(network, u.Port), u.Host))
	}
	var out []Target
	if u.Transport != "" {
		if out, err = l.service(ctx, nil, u.Transport, u.Host); len(out) > 0 {
			return l.order(out, err)
		}
		return l.order(l.hosts(ctx, nil, u.Transport, u.Host, port(u.Transport, 0), u.Host))
	}
	if out, err = l.naptr(ctx, u.Host, sips); len(out) > 0 {
		return l.order(out, nil)
	}
	for _, network := range l.opt.Networks {
		if sips && secure(network) != network {
			continue
		}
		var e error
		if out, e = l.service(ctx, out, network, u.Host); e != nil {
			err = e
		}
	}
	if len(out) > 0 {
		return l.order(out, nil)
	}
	network := map[bool]string{true: "tls", false: "udp"}[sips]
	if out, e := l.hosts(ctx, nil, network, u.Host, port(network, 0), u.Host); e == nil {
		return l.order(out, nil)
	} else if !errors.Is(e, ErrNotFound) {
		err = e
	}
	return nil, cmp.Or(err, fmt.Errorf("locate %s: %w", u.Host, ErrNotFound))
}

// Service gives the addresses of an SRV service, such as xmpp-client over tcp,
// in the order to try them. Without SRV records it is host at port, where port is
// not 0. The Network of each target is proto.
func (l *Locator) Service(ctx context.Context, service, proto, host string, port uint16) ([]Target, error) {
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err != nil {
		out, err := l.srv(ctx, nil, proto, "_"+service+"._"+proto+"."+host, host)
		if len(out) > 0 || port == 0 {
			return l.order(out, err)
		}
	}
	return l.order(l.hosts(ctx, nil, proto, host, port, host))
}

// Hosts gives the addresses of a name, in the order to try them; a literal is its own.
func (l *Locator) Hosts(ctx context.Context, host string) ([]netip.Addr, error) {
	targets, err := l.hosts(ctx, nil, "", strings.TrimSuffix(strings.Trim(host, "[]"), "."), 0, "")
	var out []netip.Addr
	for _, t := range targets {
		out = append(out, t.Addr.Addr())
	}
	return out, err
}

// Avoid moves a target to the end of every list for a while, because it did not
// answer (RFC 3263, 4.3).
func (l *Locator) Avoid(t Target, d time.Duration) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for old, until := range l.avoid {
		if until.Before(now) || len(l.avoid) >= maxAvoided {
			delete(l.avoid, old)
		}
	}
	l.avoid[t] = now.Add(d)
}

// order moves avoided targets back, drops duplicates and cuts the list.
func (l *Locator) order(in []Target, err error) ([]Target, error) {
	if len(in) == 0 {
		return nil, cmp.Or(err, error(ErrNotFound))
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var good, bad []Target
	for _, t := range in {
		switch until, ok := l.avoid[t]; {
		case slices.Contains(good, t) || slices.Contains(bad, t):
		case ok && now.Before(until):
			bad = append(bad, t)
		default:
			good = append(good, t)
		}
	}
	good = append(good, bad...)
	return good[:min(len(good), maxTargets)], nil
}

// secure is the transport of a sips URI.
func secure(network string) string {
	switch network {
	case "tcp":
		return "tls"
	case "ws":
		return "wss"
	}
	return network
}

// port is the given one, or the default of RFC 3261, 19.1.2 and RFC 7118.
func port(network string, given int) uint16 {
	switch {
	case given != 0:
		return uint16(given)
	case network == "tls":
		return 5061
	case network == "ws":
		return 80
	case network == "wss":
		return 443
	}
	return 5060
}
