package siptx

import (
	"net/netip"
	"sync"
	"time"
)

// door counts what strangers ask for. It remembers a bounded number of sources,
// in two halves: when the younger is full it becomes the older, and what is used is
// carried over.
type door struct {
	burst, strangers int
	ban              time.Duration

	mu         sync.Mutex
	young, old map[netip.Addr]*source
	second     time.Time // start of the overall count
	asked      int
}

type source struct {
	since  time.Time // start of the window
	count  int
	banned time.Time // until then
}

const (
	doorWindow  = 2 * time.Second
	doorSources = 32768 // in each half
)

func newDoor(l Limits) *door {
	return &door{burst: l.Burst, strangers: l.Strangers, ban: l.Ban, young: map[netip.Addr]*source{}}
}

// let counts one request of a source; banned says that this one was the last straw.
func (d *door) let(ip netip.Addr, now time.Time) (ok, banned bool) {
	if ip.Is6() { // one customer has a whole /64
		if p, err := ip.Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.of(ip)
	if now.Before(s.banned) {
		return false, false
	}
	if now.Sub(s.since) >= doorWindow {
		s.since, s.count = now, 0
	}
	if s.count++; s.count > d.burst {
		s.banned = now.Add(d.ban)
		return false, true
	}
	if now.Sub(d.second) >= time.Second {
		d.second, d.asked = now, 0
	}
	d.asked++
	return d.asked <= d.strangers, false
}

// of finds a source, or makes it.
func (d *door) of(ip netip.Addr) *source {
	s := d.young[ip]
	if s != nil {
		return s
	}
	if s = d.old[ip]; s == nil {
		s = &source{}
	}
	if len(d.young) >= doorSources {
		d.old, d.young = d.young, map[netip.Addr]*source{}
	}
	d.young[ip] = s
	return s
}
