package rtpport

import (
	"net/netip"
	"time"
)

// probation is how many packets in a row from one other address move the phone
// there, and lockAfter from the announced one hold it fast: then nobody else is
// heard or sent to (T08).
const (
	probation = 4
	lockAfter = 4
	// patience is how long the address of the SDP alone is believed: packets that lie in wait for a
	// new call come at once, those of a phone behind NAT go on coming.
	patience = 300 * time.Millisecond
	// unseen is how many packets are sent to an address from which nothing ever came (T09).
	unseen = 500
)

// peer is where the phone is: as its SDP says, until its packets say better.
type peer struct {
	said   netip.AddrPort // by SDP
	to     netip.AddrPort // where to send; invalid: nowhere
	locked bool
	heard  int // packets in a row from said or to
	other  netip.AddrPort
	count  int // packets in a row from other
	blind  int // packets sent while nothing was heard
	since  time.Time
	back   int // packets in a row from said, while another is locked
}

// announce takes the address of a new SDP. Places that no phone can be are not sent to.
func (p *peer) announce(a netip.AddrPort, own uint16, now time.Time) {
	*p = peer{said: a, since: now}
	ip := a.Addr()
	broadcast := ip.Is4() && ip.As4()[3] == 255 && ip.As4()[0] == 255
	if a.IsValid() && a.Port() != 0 && !ip.IsMulticast() && !ip.IsUnspecified() && !broadcast && !(ip.IsLoopback() && a.Port() == own) {
		p.to = a
	}
}

// from judges a packet of that source: whether it is the phone's. Once its address is
// held fast, only the address of the SDP itself can take over.
func (p *peer) from(a netip.AddrPort, now time.Time) bool {
	switch {
	case a == p.to:
		p.count, p.back = 0, 0
		if p.heard++; p.heard >= lockAfter {
			p.locked = true
		}
		return true
	case p.locked && a == p.said:
		if p.back++; p.back < lockAfter {
			return false
		}
		p.to, p.heard, p.back = a, lockAfter, 0
		return true
	case p.locked, now.Sub(p.since) < patience:
		return false
	}
	if a != p.other {
		p.other, p.count = a, 0
	}
	if p.count++; p.count < probation || p.heard > 0 && p.count < 5*probation {
		return false
	}
	p.to, p.locked, p.heard, p.blind = a, true, p.count, 0
	return true
}

// knows reports whether RTCP of that address may be believed.
func (p *peer) knows(ip netip.Addr) bool { return ip == p.to.Addr() || ip == p.said.Addr() }

// may reports whether to send now, and counts.
func (p *peer) may() bool {
	if !p.to.IsValid() {
		return false
	}
	if p.heard == 0 {
		if p.blind >= unseen {
			return false
		}
		p.blind++
	}
	return true
}

// portAfter is the port after a's: where RTCP goes without multiplexing.
func portAfter(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), a.Port()+1)
}
