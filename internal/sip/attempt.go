package sip

import (
	"context"
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"time"

	"github.com/emiago/sipgo/sip"
)

// An attempt is one INVITE of an outgoing call: the first, one with credentials, or one to another server.
type attempt struct {
	req       *sip.Request
	flow      siptx.Flow
	tx        *siptx.Client
	creds     *credentials
	provision bool // a provisional response came: CANCEL is allowed
	cancelled bool
	dead      bool // another one counts
}

// maxUDP is the size beyond which a request goes over TCP where it can (RFC 3261, 18.1.1).
const maxUDP = 1300

// try sends the INVITE to the next target. A connection is opened beside the dialog's goroutine.
func (d *Dialog) try() {
	if a := d.last(); a != nil {
		a.dead = true
	}
	if len(d.out.targets) == 0 {
		if d.follow() {
			return
		}
		why := d.out.why
		if why == (cause.Cause{}) {
			why = cause.Cause{Code: cause.Unavailable, Text: "the SIP server does not answer: check its address, and that it and we reach each other"}
		}
		d.end(why)
		return
	}
	t := d.out.targets[0]
	d.out.targets = d.out.targets[1:]
	size := len(d.out.sdp) + 700 // what the headers take at most, routes and extras apart
	for _, h := range d.extra {
		size += len(h.Name) + len(h.Value) + 4
	}
	d.beside(func() {
		f, err := d.ua.way(t, size)
		d.post(func() {
			switch {
			case d.out.cancelled:
				d.end(cause.Cause{Code: cause.Cancelled})
			case err != nil:
				d.ua.avoid(t)
				d.out.why = cause.Cause{Code: cause.Unavailable, Text: "the SIP server cannot be reached: check its address, transport and certificate", Err: err}
				d.try()
			default:
				d.use(f)
				if d.out.redirects == 0 {
					d.out.home = f.Remote().Addr()
				}
				d.sendInvite(nil)
			}
		})
	})
}

// way opens the way to a target. Requests that are too large for a datagram go
// over TCP where that is spoken. It blocks.
func (u *UA) way(t Target, size int) (siptx.Flow, error) {
	if t.Network == "udp" && size > maxUDP {
		ctx, cancel := context.WithTimeout(u.ctx, 2*time.Second)
		f, err := u.layer.Connect(ctx, "tcp", t.Addr, t.ServerName)
		cancel()
		if err == nil {
			return f, nil
		}
	}
	return u.layer.Connect(u.ctx, t.Network, t.Addr, t.ServerName)
}

func (d *Dialog) last() *attempt {
	if n := len(d.out.attempts); n > 0 {
		return d.out.attempts[n-1]
	}
	return nil
}

// sendInvite sends the INVITE, with the credentials that a challenge to the last one asked for.
func (d *Dialog) sendInvite(creds *credentials) {
	if a := d.last(); a != nil {
		a.dead = true
	}
	req := d.requestIn(sip.INVITE, d.peer, d.flow)
	d.ua.capabilities(req)
	d.timer.offer(req)
	for _, h := range d.extra {
		siptx.Set(req, h.Name, h.Value)
	}
	siptx.SetBody(req, sdpType, d.out.sdp)
	if creds != nil {
		creds.put(req)
	} else {
		creds = d.authorize(req, d.flow)
	}
	a := &attempt{req: req, flow: d.flow, creds: creds}
	d.out.attempts = append(d.out.attempts, a)
	d.ladder.add(true, "INVITE")
	a.tx = d.ua.layer.Send(req, d.flow, func(res *sip.Response) {
		d.ladder.response(sip.INVITE, res)
		handle := func() { d.responded(a, res) }
		if res == nil || res.StatusCode >= 300 {
			d.post(handle)
		} else if !d.offer(handle) && res.StatusCode >= 200 {
			d.ua.Stats().Stray.Add(1) // comes again until it is acknowledged
		}
	})
	d.stop(d.out.patience)
	if len(d.out.targets) > 0 || d.out.hasty {
		d.out.patience = d.after(d.ua.opt.Patience, func() {
			switch {
			case d.state != early || d.out.cancelled:
			case len(d.out.targets) > 0:
				d.try()
			default:
				d.giveUp()
			}
		})
	}
}

// responded is a response to one of our INVITEs; nil means that none came.
func (d *Dialog) responded(a *attempt, res *sip.Response) {
	switch {
	case res == nil && (a.dead || d.state == confirmed):
	case res == nil && d.out.cancelled:
		d.end(cause.Cause{Code: cause.Cancelled})
	case res == nil:
		d.try()
	case res.StatusCode >= 300:
		d.refused(a, res)
	case res.StatusCode >= 200:
		d.answered(a, res)
	case a.dead:
		a.provision = true
		d.sendCancel(a)
	default:
		d.provisionalIn(a, res)
	}
}

// giveUp ends the call for its owner, and goes on for the peer until it is sure that nobody has answered.
func (d *Dialog) giveUp() {
	d.tell(Event{Kind: Ended, Cause: cause.Cause{Code: cause.Unavailable, Text: "the SIP server does not answer: check its address, and that it and we reach each other"}})
	d.told = true
	d.cancel()
}

// cancel gives an unanswered call up. Without a provisional response CANCEL has to wait (RFC 3261, 9.1).
func (d *Dialog) cancel() {
	if d.out.cancelled {
		return
	}
	d.out.cancelled = true
	a := d.last()
	if a == nil || a.dead { // a connection or a name is awaited
		d.end(cause.Cause{Code: cause.Cancelled})
		return
	}
	if a.provision {
		d.sendCancel(a)
	}
	d.after(64*siptx.T1, func() {
		if d.state == early {
			d.end(cause.Cause{Code: cause.Cancelled})
		}
	})
}

// sendCancel sends CANCEL for an INVITE, over its way and with its branch (RFC 3261, 9.1).
func (d *Dialog) sendCancel(a *attempt) {
	if a.cancelled {
		return
	}
	a.cancelled = true
	req := sip.NewRequest(sip.CANCEL, a.req.Recipient)
	req.AppendHeader(a.req.Via().Clone())
	for _, name := range []string{"Route", "Max-Forwards", "From", "To"} {
		for _, v := range siptx.Values(a.req, name) {
			req.AppendHeader(sip.NewHeader(name, v))
		}
	}
	callID := sip.CallIDHeader(d.callID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: a.req.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.SetBody(nil)
	d.ladder.add(true, "CANCEL")
	d.ua.layer.Send(req, a.flow, func(*sip.Response) {})
}
