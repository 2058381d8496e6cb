package locate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// naptrNetworks are the services of RFC 3263, 4.1 and RFC 7118, 8.
var naptrNetworks = map[string]string{
	"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls", "SIP+D2W": "ws", "SIPS+D2W": "wss",
}

// naptr follows the NAPTR records of a domain; no records is an empty list.
func (l *Locator) naptr(ctx context.Context, domain string, sips bool) ([]Target, error) {
	records, err := ask(ctx, l, "NAPTR "+domain, func(ctx context.Context) ([]NAPTR, time.Duration, error) {
		return l.opt.Resolver.NAPTR(ctx, domain)
	})
	if err != nil {
		return nil, err
	}
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var out []Target
	for _, r := range records {
		service := strings.ToUpper(r.Service)
		network, ok := naptrNetworks[service]
		if !ok || !strings.EqualFold(r.Flags, "s") || sips && !strings.HasPrefix(service, "SIPS") || !slices.Contains(l.opt.Networks, network) {
			continue
		}
		more, e := l.srv(ctx, out, network, r.Next, domain)
		if e != nil {
			err = e
		}
		out = more
		if len(out) >= maxTargets {
			break
		}
	}
	return out, err
}

// service appends the SRV targets of one transport of a domain.
func (l *Locator) service(ctx context.Context, out []Target, network, domain string) ([]Target, error) {
	label := map[string]string{"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp.", "ws": "_sip._ws.", "wss": "_sips._ws."}[network]
	if label == "" {
		return out, fmt.Errorf("locate: no transport %.16q", network)
	}
	return l.srv(ctx, out, network, label+domain, domain)
}

// srv appends the targets of an SRV name in the order of RFC 2782. A target that
// cannot be resolved is left out as long as another can.
func (l *Locator) srv(ctx context.Context, out []Target, network, name, serverName string) ([]Target, error) {
	name = strings.TrimSuffix(name, ".")
	records, err := ask(ctx, l, "SRV "+name, func(ctx context.Context) ([]SRV, time.Duration, error) {
		return l.opt.Resolver.SRV(ctx, name)
	})
	if errors.Is(err, ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	for _, r := range shuffle(records, l.opt.Rand) {
		host := strings.TrimSuffix(r.Host, ".")
		if host == "" { // "." says: no such service here
			continue
		}
		more, e := l.hosts(ctx, out, network, host, r.Port, serverName)
		if e != nil {
			err = e
		}
		out = more
		if len(out) >= maxTargets {
			break
		}
	}
	return out, err
}

// hosts appends the addresses of one host.
func (l *Locator) hosts(ctx context.Context, out []Target, network, host string, port uint16, serverName string) ([]Target, error) {
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if addrs, err = ask(ctx, l, "A "+host, func(ctx context.Context) ([]netip.Addr, time.Duration, error) {
		return l.opt.Resolver.Addrs(ctx, host)
	}); err != nil {
		return out, err
	}
	addrs = slices.Clone(addrs)
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int {
		a4, b4 := a.Unmap().Is4(), b.Unmap().Is4()
		switch {
		case a4 == b4:
			return 0
		case a4 != l.opt.PreferIPv6:
			return -1
		}
		return 1
	})
	for _, a := range addrs {
		out = append(out, Target{Network: network, Addr: netip.AddrPortFrom(a.Unmap(), port), ServerName: serverName})
	}
	return out, nil
}

// shuffle orders records by priority, and at random by weight among equals: RFC
// 2782, "Weight". The input stays as it is.
func shuffle(in []SRV, random func(int) int) []SRV {
	rest := slices.Clone(in)
	slices.SortStableFunc(rest, func(a, b SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(min(a.Weight, 1), min(b.Weight, 1)))
	})
	out := make([]SRV, 0, len(rest))
	for len(rest) > 0 {
		same, sum := 0, 0
		for same < len(rest) && rest[same].Priority == rest[0].Priority {
			sum += int(rest[same].Weight)
			same++
		}
		pick, run := 0, random(sum+1)
		for i := range same {
			if run -= int(rest[i].Weight); run <= 0 {
				pick = i
				break
			}
		}
		out = append(out, rest[pick])
		rest = slices.Delete(rest, pick, pick+1)
	}
	return out
}

// A cache keeps answers, and says no for a while too.
type cache struct {
	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	value any // a slice, or nil for not found
	until time.Time
}

const (
	maxEntries  = 1024
	maxTTL      = time.Hour
	minTTL      = time.Second
	negativeTTL = 30 * time.Second
	staleFor    = time.Hour
	retryAfter  = 2 * time.Second // a dead name server is not asked more often for one name
)

// ask gives the answer from the cache or from f. When f gets no answer, one that
// has run out is used for up to an hour.
func ask[T any](ctx context.Context, l *Locator, key string, f func(context.Context) ([]T, time.Duration, error)) ([]T, error) {
	key = strings.ToLower(key)
	now := time.Now()
	l.cache.mu.Lock()
	old, ok := l.cache.entries[key]
	l.cache.mu.Unlock()
	if ok && now.Before(old.until) {
		return known[T](key, old)
	}
	ctx, cancel := context.WithTimeout(ctx, l.opt.Timeout)
	value, ttl, err := f(ctx)
	cancel()
	switch {
	case err == nil && len(value) > 0:
		e := entry{value, now.Add(min(max(ttl, minTTL), maxTTL))}
		l.cache.put(key, e, now)
		return value, nil
	case err == nil || errors.Is(err, ErrNotFound):
		e := entry{nil, now.Add(negativeTTL)}
		l.cache.put(key, e, now)
		return known[T](key, e)
	case ok && now.Before(old.until.Add(staleFor)):
		l.cache.hold(key, old, time.Now().Add(retryAfter))
		return known[T](key, old)
	}
	return nil, fmt.Errorf("locate %s: %w", key, err)
}

func known[T any](key string, e entry) ([]T, error) {
	if v, ok := e.value.([]T); ok {
		return v, nil
	}
	return nil, fmt.Errorf("locate %s: %w", key, ErrNotFound)
}

func (c *cache) put(key string, e entry, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxEntries {
		for k, old := range c.entries {
			if now.After(old.until) || len(c.entries) >= maxEntries {
				delete(c.entries, k)
			}
		}
	}
	c.entries[key] = e
}

// hold uses an old answer until the name servers are asked again.
func (c *cache) hold(key string, e entry, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[key].until.Equal(e.until) {
		e.until = until
		c.entries[key] = e
	}
}
