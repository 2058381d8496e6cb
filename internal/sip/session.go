package sip

import (
	"errors"
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"
)

// offerIn is a re-INVITE or UPDATE of the peer that waits for our answer or its ACK.
type offerIn struct {
	req     *sip.Request
	tx      *siptx.Server
	offered bool // it had no SDP: our 2xx carries the offer
	replied bool
}

// offered is a re-INVITE or UPDATE of the peer (RFC 3261, 14.2; RFC 3311, 5.2). Before the INVITE has its answer
// there is no other one, and before its offer has one no other offer.
func (d *Dialog) offered(req *sip.Request, tx *siptx.Server) {
	invite := req.Method == sip.INVITE
	secs := siptx.Leading(siptx.Value(req, "Session-Expires"))
	switch {
	case d.state == leaving:
		tx.Status(481)
		return
	case unreadable(req):
		notRead(req, tx)
		return
	case secs > 0 && secs < minSE && d.ua.opt.SessionExpires > 0:
		res := siptx.Respond(req, 422, "")
		siptx.Set(res, "Min-SE", "90")
		tx.Respond(res)
		return
	case d.pendingIn != nil, invite && d.in.ok != nil, d.inbound && d.state == early && (invite || d.localSDP == nil && description(req) != nil):
		res := siptx.Respond(req, 500, "")
		siptx.Set(res, "Retry-After", "2")
		tx.Respond(res)
		return
	case d.pendingOut && (invite || description(req) != nil), d.state == early && invite:
		tx.Status(491)
		return
	}
	if c := req.Contact(); c != nil && !c.Address.Wildcard {
		d.peer.target = c.Address.String() // target refresh
	}
	if !invite && description(req) == nil {
		res := d.respond(req, 200)
		d.timer.answer(d, req, res)
		tx.Respond(res)
		return
	}
	o := &offerIn{req: req, tx: tx, offered: description(req) == nil}
	d.pendingIn = o
	if invite {
		tx.Respond(siptx.Respond(req, 100, ""))
		tx.OnCancel(func() { d.post(func() { d.offerCancelled(o) }) })
	}
	taken := d.tell(Event{
		Kind: Offer, SDP: description(req),
		Reply: func(status int, sdp []byte) { d.post(func() { d.reply(o, status, sdp) }) },
	})
	if !taken {
		d.reply(o, 500, nil)
	}
}

func (d *Dialog) offerCancelled(o *offerIn) {
	if d.pendingIn == o && !o.replied {
		d.pendingIn = nil
		o.tx.Status(487)
	}
}

// reply answers the peer's offer.
func (d *Dialog) reply(o *offerIn, status int, sdp []byte) {
	if d.pendingIn != o || o.replied {
		return
	}
	o.replied = true
	if status < 200 || status >= 300 {
		d.pendingIn = nil
		o.tx.Status(max(status, 400))
		return
	}
	d.localSDP = sdp
	res := d.respond(o.req, 200)
	if o.req.Method != sip.PRACK {
		d.timer.answer(d, o.req, res)
	}
	siptx.SetBody(res, sdpType, sdp)
	o.tx.Respond(res)
	if o.req.Method == sip.INVITE {
		d.awaitACK(res)
	} else {
		d.pendingIn = nil
	}
}

// offerAcked is the ACK to our answer of a re-INVITE; it brings the answer to an offer of ours.
func (d *Dialog) offerAcked(ack *sip.Request) {
	o := d.pendingIn
	d.pendingIn = nil
	if sdp := description(ack); o.offered && sdp != nil {
		d.tell(Event{Kind: Confirmed, SDP: sdp})
	}
	if d.hangup != nil {
		d.hangupNow(*d.hangup)
	}
}

// Errors of Reinvite.
var (
	ErrBusy    = errors.New("sip: the session is being changed already")
	ErrRefused = errors.New("sip: the peer refused the change")
)

// reinviteTries is how often a change is offered to a peer that has one of its own under way.
const reinviteTries = 5

// Reinvite offers another session; done learns the answer, or why there is none, on the
// dialog's goroutine. Glare (491) is tried again after the time that RFC 3261, 14.1 sets.
func (d *Dialog) Reinvite(sdp []byte, done func(answer []byte, err error)) {
	if !d.post(func() { d.reinvite(sdp, reinviteTries, done) }) {
		done(nil, ErrClosed)
	}
}

func (d *Dialog) reinvite(sdp []byte, tries int, done func([]byte, error)) {
	again := func() {
		d.after(d.glareWait(), func() { d.reinvite(sdp, tries-1, done) })
	}
	switch {
	case d.state != confirmed && d.state != accepted, tries <= 0:
		done(nil, ErrBusy)
		return
	case d.state == accepted, d.pendingIn != nil, d.pendingOut, d.in.ok != nil:
		again()
		return
	}
	d.pendingOut = true
	finished := false
	limit := d.after(2*64*siptx.T1, func() { // provisional answers without end
		d.pendingOut, finished = false, true
		if d.again != nil {
			d.again.Quit()
		}
		done(nil, ErrRefused)
	})
	d.send(sip.INVITE, func(req *sip.Request) {
		d.ua.capabilities(req)
		d.timer.keep(req)
		for _, h := range d.extra {
			siptx.Set(req, h.Name, h.Value)
		}
		siptx.SetBody(req, sdpType, sdp)
	}, func(req *sip.Request, res *sip.Response) {
		if res != nil && res.StatusCode < 200 {
			return
		}
		if res != nil && res.StatusCode < 300 {
			d.ackOK(req, res, d.peer)
		}
		if finished {
			return // a 2xx that came again
		}
		d.stop(limit)
		d.pendingOut, finished = false, true
		d.reinvited(res, sdp, again, done)
	})
}

// reinvited is the final answer to our re-INVITE.
func (d *Dialog) reinvited(res *sip.Response, sdp []byte, again func(), done func([]byte, error)) {
	switch {
	case res != nil && res.StatusCode < 300:
		if c := res.Contact(); c != nil && !c.Address.Wildcard {
			d.peer.target = c.Address.String() // target refresh
		}
		d.localSDP = sdp
		d.timer.agreed(d, res)
		done(description(res), nil)
	case d.state != confirmed:
		done(nil, ErrRefused)
	case res != nil && (res.StatusCode == 491 || res.StatusCode == 500 && siptx.Value(res, "Retry-After") != ""):
		again()
	case res != nil && res.StatusCode == 422 && d.timer.raise(res):
		again()
	case res == nil || res.StatusCode == 481 || res.StatusCode == 408:
		done(nil, ErrRefused)
		d.hangupNow(cause.Cause{Code: cause.Lost, Text: "the phone does not know this call any more"})
	default:
		done(nil, ErrRefused)
	}
}

// glareWait is 2.1 to 4 s for who owns the Call-ID, up to 2 s for the other, in units of 10 ms (RFC 3261, 14.1).
func (d *Dialog) glareWait() time.Duration {
	if d.inbound {
		return time.Duration(rand.IntN(200)) * 10 * time.Millisecond
	}
	return time.Duration(210+rand.IntN(190)) * 10 * time.Millisecond
}

// ackOK acknowledges a 2xx: a request of its own, in no transaction, with the credentials of the INVITE.
func (d *Dialog) ackOK(invite *sip.Request, res *sip.Response, end remoteEnd) {
	d.hop(end, func(f siptx.Flow) {
		seq := d.localSeq
		d.localSeq = res.CSeq().SeqNo
		ack := d.requestIn(sip.ACK, end, f)
		d.localSeq = seq
		if d.trusts(f) {
			for _, name := range []string{"Authorization", "Proxy-Authorization"} {
				for _, v := range siptx.Values(invite, name) {
					ack.AppendHeader(sip.NewHeader(name, v))
				}
			}
		}
		d.ladder.add(true, "ACK")
		_ = f.Send([]byte(ack.String())) // the 2xx comes again if this is lost
	})
}
