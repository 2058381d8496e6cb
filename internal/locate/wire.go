package locate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// wire asks real name servers. Addresses go through the resolver of the standard
// library, which knows /etc/hosts and search domains; it knows no NAPTR and no
// TTL, so the other records are asked here.
type wire struct {
	servers []string
	addrs   []*net.Resolver // asked one after the other until one answers
}

const (
	perServer = 2 * time.Second
	addrTTL   = 10 * time.Second
)

func newWire(servers []string) (*wire, error) {
	w := &wire{}
	for _, s := range servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), "53")
		}
		w.servers = append(w.servers, s)
		w.addrs = append(w.addrs, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s)
		}})
	}
	if len(servers) > 0 {
		return w, nil
	}
	w.addrs = []*net.Resolver{{PreferGo: true}}
	conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(conf.Servers) == 0 {
		w.servers = []string{"127.0.0.1:53"} // as the standard library does
		return w, nil
	}
	for _, s := range conf.Servers {
		w.servers = append(w.servers, net.JoinHostPort(s, conf.Port))
	}
	return w, nil
}

func (w *wire) NAPTR(ctx context.Context, name string) ([]NAPTR, time.Duration, error) {
	var out []NAPTR
	ttl, err := w.query(ctx, name, dns.TypeNAPTR, func(rr dns.RR) bool {
		r, ok := rr.(*dns.NAPTR)
		if ok {
			out = append(out, NAPTR{r.Order, r.Preference, r.Flags, r.Service, r.Replacement})
		}
		return ok
	})
	return out, ttl, err
}

func (w *wire) SRV(ctx context.Context, name string) ([]SRV, time.Duration, error) {
	var out []SRV
	ttl, err := w.query(ctx, name, dns.TypeSRV, func(rr dns.RR) bool {
		r, ok := rr.(*dns.SRV)
		if ok {
			out = append(out, SRV{r.Priority, r.Weight, r.Port, r.Target})
		}
		return ok
	})
	return out, ttl, err
}

func (w *wire) Addrs(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	var last error
	for _, r := range w.addrs {
		out, err := r.LookupNetIP(ctx, "ip", host)
		if d, ok := errors.AsType[*net.DNSError](err); ok && d.IsNotFound {
			return nil, 0, ErrNotFound
		}
		if err == nil {
			return out, addrTTL, nil
		}
		last = err
	}
	return nil, 0, last
}

// query asks one server after the other and hands over the records; the TTL is
// the smallest among those that take accepts.
func (w *wire) query(ctx context.Context, name string, kind uint16, take func(dns.RR) bool) (time.Duration, error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return 0, ErrNotFound
	}
	var last error
	for _, server := range w.servers {
		in, err := exchange(ctx, server, name, kind)
		if err != nil {
			last = err
			continue
		}
		switch in.Rcode {
		case dns.RcodeSuccess:
		case dns.RcodeNameError:
			return 0, ErrNotFound
		default:
			last = fmt.Errorf("%s answers %s", server, dns.RcodeToString[in.Rcode])
			continue
		}
		ttl, found := uint32(1<<31), false
		for _, rr := range in.Answer {
			if take(rr) {
				ttl, found = min(ttl, rr.Header().Ttl), true
			}
		}
		if !found {
			return 0, ErrNotFound
		}
		return time.Duration(ttl) * time.Second, nil
	}
	return 0, last
}

// exchange asks over UDP, and over TCP when the answer was cut.
func exchange(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	q.SetEdns0(1232, false)
	for _, network := range []string{"udp", "tcp"} {
		ctx, cancel := context.WithTimeout(ctx, perServer)
		in, _, err := (&dns.Client{Net: network, Timeout: perServer}).ExchangeContext(ctx, q, server)
		cancel()
		if err != nil {
			return nil, err
		}
		if !in.Truncated || network == "tcp" {
			return in, nil
		}
	}
	return nil, errors.New("answer cut")
}
