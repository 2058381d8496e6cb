package sip

import (
	"jigasi/internal/siptx"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// via adds our Via to a request.
func (u *UA) via(req *sip.Request, f siptx.Flow, acc *account) {
	adv := u.advertised(f, acc)
	v := &sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(f.Network()),
		Host: bracket(adv.Addr()), Port: int(adv.Port()), Params: sip.NewParams(),
	}
	v.Params.Add("branch", siptx.Magic+siptx.Token())
	v.Params.Add("rport", "")
	req.AppendHeader(v)
}

// viaFirst puts a Via before the other headers.
func (u *UA) viaFirst(req *sip.Request, f siptx.Flow, acc *account) {
	u.via(req, f, acc)
	v := req.Via()
	req.RemoveHeader("Via")
	req.PrependHeader(v)
}

// advertised is our address as the peer of a flow should see it.
func (u *UA) advertised(f siptx.Flow, acc *account) netip.AddrPort {
	return u.advertise(f.Local(), f.Remote(), f.Network(), acc)
}

// advertise is our address for a peer: the public one that was set, the one that the account's server
// sees, or the one that the system sends from. Peers on this machine are told none of the public ones.
func (u *UA) advertise(local, remote netip.AddrPort, network string, acc *account) netip.AddrPort {
	port := local.Port()
	if network != "udp" { // the port of a connection that we opened takes no calls
		for i, l := range u.Local() {
			if u.opt.Listen[i].Network == network {
				port = l.Port()
			}
		}
	}
	ip := local.Addr()
	if !ip.IsValid() || ip.IsUnspecified() {
		if ip = siptx.RouteTo(remote); !ip.IsValid() {
			ip = netip.IPv4Unspecified()
		}
	}
	if remote.Addr().IsLoopback() {
		return netip.AddrPortFrom(ip, port)
	}
	switch {
	case u.opt.PublicIP.IsValid():
		if u.opt.PublicIP.Is4() == remote.Addr().Is4() {
			ip = u.opt.PublicIP
		}
	case acc != nil && acc.learned().IsValid():
		learnt := acc.learned()
		ip = learnt.Addr()
		if network == "udp" && learnt.Port() != 0 {
			port = learnt.Port()
		}
	}
	return netip.AddrPortFrom(ip, port)
}

// contact writes our Contact header.
func (u *UA) contact(f siptx.Flow, acc *account) string {
	user := "jigasi"
	if acc != nil {
		user = acc.opt.User
	}
	adv, network := u.advertised(f, acc), f.Network()
	if network == "wss" {
		network = "ws" // RFC 7118, 5.2.4
	}
	return "<sip:" + user + "@" + adv.String() + ";transport=" + network + ">"
}

// PublicAddr is our address as an account's server sees it; invalid if it did not say. "" means the first account.
func (u *UA) PublicAddr(accountID string) netip.AddrPort {
	if a := u.account(accountID); a != nil {
		return a.learned()
	}
	return netip.AddrPort{}
}

func bracket(ip netip.Addr) string {
	if ip.Is6() {
		return "[" + ip.String() + "]"
	}
	return ip.String()
}
