package sip

import (
	"context"
	"jigasi/internal/siptx"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// hops finds where requests inside a dialog go, one after the other, so that they leave in
// the order in which they were meant.
type hops struct {
	waits []hopWait
	busy  bool
	known string // the URI that flow was found for
}

type hopWait struct {
	end remoteEnd
	f   func(siptx.Flow)
}

// hop calls f with the flow to an end: at once where that is known, later where a
// name has to be looked up or a connection opened. What cannot be reached is sent
// the way of the last message.
func (d *Dialog) hop(end remoteEnd, f func(siptx.Flow)) {
	d.hops.waits = append(d.hops.waits, hopWait{end, f})
	d.nextHop()
}

func (d *Dialog) nextHop() {
	for !d.hops.busy && len(d.hops.waits) > 0 && d.state != over {
		w := d.hops.waits[0]
		d.hops.waits = d.hops.waits[1:]
		uri := firstHop(w.end)
		if d.stays(uri) {
			w.f(d.flow)
			continue
		}
		d.hops.busy = true
		now := d.flow
		d.beside(func() {
			flow, err := d.ua.reach(uri, now, d.account)
			d.post(func() {
				d.hops.busy = false
				switch {
				case err != nil:
					flow = d.flow
				case w.end.tag == d.peer.tag:
					d.hops.known = uri.String()
					d.use(flow)
				}
				w.f(flow)
				d.nextHop()
			})
		})
	}
}

// firstHop is the URI that a request to an end is sent to (RFC 3261, 12.2.1.1).
func firstHop(end remoteEnd) sip.Uri {
	var uri sip.Uri
	if len(end.routes) > 0 {
		if _, err := sip.ParseAddressValue(end.routes[0], &uri, &sip.HeaderParams{}); err == nil && uri.Host != "" {
			return uri
		}
	}
	uri = sip.Uri{}
	if err := sip.ParseUri(end.target, &uri); err != nil {
		return sip.Uri{}
	}
	return uri
}

// stays reports whether a request goes the way of the last message: where the
// URI says so, behind a proxy of ours, over a connection of the peer's own, and
// where the peer gives an address that cannot be reached from here.
func (d *Dialog) stays(uri sip.Uri) bool {
	f := d.flow
	alive := f.Reliable() && f.Alive()
	switch {
	case uri.Host == "":
		return true
	case !f.Alive():
		return false
	case d.hops.known == uri.String():
		return true
	case d.account != nil && len(d.peer.routes) == 0:
		return true
	case alive && (f.Network() == "ws" || f.Network() == "wss"):
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(uri.Host, "[]"))
	if err != nil {
		return strings.HasSuffix(uri.Host, ".invalid") // RFC 7118, 5
	}
	ip = ip.Unmap()
	transport := strings.ToLower(siptx.Param(uri.UriParams, "transport"))
	switch {
	case ip == f.Remote().Addr():
		port := uri.Port
		if port == 0 {
			port = 5060
		}
		return alive && (transport == "" || transport == f.Network()) || f.Network() == "udp" && transport != "tcp" && transport != "tls" && uint16(port) == f.Remote().Port()
	case inward(ip) && !inward(f.Remote().Addr()), ip.IsUnspecified(), ip.IsMulticast():
		return true
	}
	// Behind NAT the peer gives the same wrong address in Via and Contact.
	return d.inbound && strings.Trim(d.first.Via().Host, "[]") == ip.String()
}

// inward reports an address that means nothing outside its own network.
func inward(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || shared.Contains(ip)
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// reach opens the way to a URI, behind an account's proxy where its connection has gone. It blocks.
func (u *UA) reach(uri sip.Uri, now siptx.Flow, acc *account) (siptx.Flow, error) {
	ctx, cancel := context.WithTimeout(u.ctx, 8*time.Second)
	defer cancel()
	if acc != nil && !now.Alive() {
		targets, err := u.targets(ctx, uri, acc)
		if err != nil {
			return siptx.Flow{}, err
		}
		return u.connect(ctx, targets)
	}
	transport := strings.ToLower(siptx.Param(uri.UriParams, "transport"))
	targets, err := u.opt.Resolver.Targets(ctx, uri.Host, uri.Port, transport, strings.EqualFold(uri.Scheme, "sips"))
	if err != nil {
		return siptx.Flow{}, err
	}
	for _, t := range targets {
		if t.Addr.Addr() == now.Remote().Addr() && t.Network == now.Network() && now.Reliable() && now.Alive() {
			return now, nil // a connection that is there (RFC 5923)
		}
	}
	return u.connect(ctx, targets)
}

// connect opens the way to the first target that can be reached.
func (u *UA) connect(ctx context.Context, targets []Target) (f siptx.Flow, err error) {
	for _, t := range targets {
		if f, err = u.layer.Connect(ctx, t.Network, t.Addr, t.ServerName); err == nil {
			return f, nil
		}
		u.avoid(t)
	}
	return siptx.Flow{}, err
}

// send sends a request of the dialog to its peer. prepare completes it; on is called on the
// dialog's goroutine with each response to it (nil: none came). Challenges are answered.
func (d *Dialog) send(method sip.RequestMethod, prepare func(*sip.Request), on func(*sip.Request, *sip.Response)) {
	d.sendTo(d.peer, method, prepare, on)
}

func (d *Dialog) sendTo(end remoteEnd, method sip.RequestMethod, prepare func(*sip.Request), on func(*sip.Request, *sip.Response)) {
	d.hop(end, func(f siptx.Flow) {
		req := d.requestIn(method, end, f)
		prepare(req)
		d.transmit(req, f, d.authorize(req, f), on)
	})
}

// transmit runs the transaction of a request, and again with credentials where they are asked for.
func (d *Dialog) transmit(req *sip.Request, f siptx.Flow, creds *credentials, on func(*sip.Request, *sip.Response)) *siptx.Client {
	d.ladder.add(true, string(req.Method))
	tx := d.ua.layer.Send(req, f, func(res *sip.Response) {
		d.ladder.response(req.Method, res)
		final := res == nil || res.StatusCode >= 300
		handle := func() {
			if res != nil && d.state != over && creds.accept(res) {
				d.transmit(d.renew(req, f, creds), f, creds, on)
				return
			}
			on(req, res)
		}
		if final {
			d.post(handle)
		} else {
			d.offer(handle) // comes again, or is told by the next
		}
	})
	if req.Method == sip.INVITE {
		d.again = tx
	}
	return tx
}

// renew is a request again, as a new transaction with credentials (RFC 3261, 22.2).
func (d *Dialog) renew(req *sip.Request, f siptx.Flow, creds *credentials) *sip.Request {
	again := req.Clone()
	for _, h := range []string{"Via", "CSeq", "Authorization", "Proxy-Authorization"} {
		for again.RemoveHeader(h) {
		}
	}
	d.localSeq = max(d.localSeq, req.CSeq().SeqNo) + 1
	again.AppendHeader(&sip.CSeqHeader{SeqNo: d.localSeq, MethodName: req.Method})
	d.ua.viaFirst(again, f, d.account)
	creds.put(again)
	return again
}
