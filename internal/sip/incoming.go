package sip

import (
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// inbound is what a dialog knows as the called side.
type inbound struct {
	tx       *siptx.Server
	ok       *sip.Response // our 2xx, repeated until the ACK
	wait     time.Duration
	repeat   *time.Timer
	giveUp   *time.Timer
	offered  bool // our 2xx carried an offer: the ACK brings the answer
	ringing  *time.Timer
	reliable reliables
}

func mergeKey(req *sip.Request) string {
	return req.CallID().Value() + " " + siptx.Param(req.From().Params, "tag") + " " + strconv.FormatUint(uint64(req.CSeq().SeqNo), 10)
}

// invite takes a new call in.
func (u *UA) invite(req *sip.Request, tx *siptx.Server) {
	switch {
	case unreadable(req):
		notRead(req, tx)
		return
	case !takesSDP(req):
		tx.Status(406)
		return
	}
	if secs := siptx.Leading(siptx.Value(req, "Session-Expires")); secs > 0 && secs < minSE && u.opt.SessionExpires > 0 {
		res := siptx.Respond(req, 422, tx.Tag)
		siptx.Set(res, "Min-SE", strconv.Itoa(minSE))
		tx.Respond(res)
		return
	}
	branch := siptx.Param(req.Via().Params, "branch")
	u.mu.Lock()
	was, seen := u.invites[mergeKey(req)]
	if !seen {
		u.invites[mergeKey(req)] = branch
	}
	u.mu.Unlock()
	if seen && was != branch {
		tx.Status(482) // merged (RFC 3261, 8.2.2.2)
		return
	}
	d := newDialog(u, true, req, req.CallID().Value())
	d.accept(req, tx)
	if !tx.Stranger() {
		tx.Respond(siptx.Respond(req, 100, ""))
	}
	if !d.begin(func() { u.incoming(d) }) {
		u.mu.Lock()
		delete(u.invites, mergeKey(req))
		u.mu.Unlock()
		tx.Status(503)
		return
	}
	tx.OnCancel(func() { d.post(d.callerGone) })
}

// expired ends a call that the caller gave only so much time (RFC 3261, 13.3.1).
func (d *Dialog) expired() {
	if d.state == early {
		d.in.tx.Status(487)
		d.end(cause.Cause{Code: cause.Cancelled, Text: "the caller waits no longer: its INVITE has expired"})
	}
}

// incoming hands a call to its owner; a defect there costs this call (T33).
func (u *UA) incoming(d *Dialog) {
	defer func() {
		if r := recover(); r != nil {
			u.log.Error("a new call met a defect of ours", "panic", r)
			d.Hangup(cause.Cause{Code: cause.Panic, Text: "a defect of ours ended this call"})
		}
	}()
	u.opt.Incoming(d)
}

// accept takes the dialog's state from the INVITE (RFC 3261, 12.1.1). A caller
// without Contact is of RFC 2543 and reached where From says.
func (d *Dialog) accept(req *sip.Request, tx *siptx.Server) {
	d.in.tx = tx
	d.ladder.request(req, tx)
	d.account = d.ua.accountOf(req, tx.Flow())
	d.localTag = tx.Tag
	d.local = siptx.WithTag(req, tx.Tag).To().Value()
	d.peer = remoteEnd{
		tag: siptx.Param(req.From().Params, "tag"), to: req.From().Value(),
		target: req.From().Address.String(), routes: siptx.Values(req, "Record-Route"),
	}
	if c := req.Contact(); c != nil && !c.Address.Wildcard {
		d.peer.target = c.Address.String()
	}
	d.remoteSeq = req.CSeq().SeqNo
	d.use(tx.Flow())
	if secs := siptx.Leading(siptx.Value(req, "Expires")); secs > 0 {
		d.after(time.Duration(secs)*time.Second, d.expired)
	}
}

func (d *Dialog) callerGone() {
	if d.state != early {
		return // CANCEL crossed our 2xx: it has no effect (RFC 3261, 9.2)
	}
	d.ladder.add(false, "CANCEL")
	d.in.tx.Status(487)
	d.end(cause.Cause{Code: cause.Cancelled})
}

// Ring sends 180, again every minute (RFC 3261, 13.3.1.1).
func (d *Dialog) Ring() { d.post(d.ring) }

func (d *Dialog) ring() {
	if d.state != early || !d.inbound {
		return
	}
	d.provisional(180, nil)
	d.stop(d.in.ringing)
	d.in.ringing = d.after(time.Minute, d.ring)
}

// Progress sends 183 with a session description: early media.
func (d *Dialog) Progress(sdp []byte) {
	d.post(func() {
		if d.state == early && d.inbound {
			d.localSDP = sdp
			d.provisional(183, sdp)
		}
	})
}

// Answer sends 200 with a session description, which is an offer if the INVITE had none, and
// with headers that are sent again with each later answer. Confirmed follows with the ACK.
func (d *Dialog) Answer(sdp []byte, headers ...Header) {
	d.post(func() {
		if d.state == early && d.inbound {
			d.extra = extras(headers)
			d.answer(sdp)
		}
	})
}

func (d *Dialog) answer(sdp []byte) {
	if d.in.reliable.holdsSDP() { // no 2xx before its PRACK (RFC 3262, 3)
		d.in.reliable.then = func() { d.answer(sdp) }
		return
	}
	if d.state != early {
		return
	}
	d.in.reliable.stop(d)
	d.stop(d.in.ringing)
	d.state, d.localSDP = accepted, sdp
	d.in.offered = description(d.first) == nil
	res := d.respond(d.first, 200)
	d.timer.answer(d, d.first, res)
	siptx.SetBody(res, sdpType, sdp)
	d.in.tx.Respond(res)
	d.awaitACK(res)
}

// respond builds a response inside the dialog, with all that one to INVITE or UPDATE carries.
func (d *Dialog) respond(req *sip.Request, status int) *sip.Response {
	res := siptx.Respond(req, status, d.localTag)
	res.AppendHeader(sip.NewHeader("Contact", d.ua.contact(d.flow, d.account)))
	d.ua.capabilities(res)
	for _, h := range d.extra {
		siptx.Set(res, h.Name, h.Value)
	}
	return res
}

// awaitACK repeats a 2xx until its ACK comes (RFC 3261, 13.3.1.4), over every transport.
func (d *Dialog) awaitACK(res *sip.Response) {
	d.in.ok, d.in.wait = res, siptx.T1
	raw := []byte(res.String())
	flow := d.flow
	if d.pendingIn != nil {
		flow = d.pendingIn.tx.Flow()
	}
	var repeat func()
	repeat = func() {
		_ = flow.Send(raw) // the next turn tries again
		d.in.wait = min(2*d.in.wait, siptx.T2)
		d.in.repeat = d.after(d.in.wait, repeat)
	}
	d.in.repeat = d.after(d.in.wait, repeat)
	d.in.giveUp = d.after(64*siptx.T1, func() {
		d.acknowledged()
		d.pendingIn = nil
		d.hangupNow(cause.Cause{Code: cause.Timeout, Text: "the phone never acknowledged the answer (no ACK): check that it reaches the address in our Contact"})
	})
}

// acknowledged ends the repetition of a 2xx.
func (d *Dialog) acknowledged() {
	d.in.ok = nil
	d.stop(d.in.repeat)
	d.stop(d.in.giveUp)
}

// acked is the ACK to a 2xx of ours.
func (d *Dialog) acked(req *sip.Request) {
	d.ladder.request(req, nil)
	if d.in.ok == nil || req.CSeq().SeqNo != d.in.ok.CSeq().SeqNo || siptx.Param(req.From().Params, "tag") != d.peer.tag {
		return
	}
	d.acknowledged()
	if d.pendingIn != nil { // of a re-INVITE
		d.offerAcked(req)
		return
	}
	if d.state != accepted {
		return
	}
	d.state = confirmed
	if d.hangup != nil { // hung up before the ACK came
		d.bye(*d.hangup)
		return
	}
	e := Event{Kind: Confirmed}
	if d.in.offered {
		e.SDP = description(req)
	}
	d.tell(e)
}

// Reject refuses the call with a cause, or a status if the cause has one.
func (d *Dialog) Reject(why cause.Cause, headers ...Header) {
	d.post(func() {
		if d.state == early && d.inbound {
			d.extra = extras(headers)
			d.hangup = &why
			d.refuse(why)
		}
	})
}

func (d *Dialog) refuse(why cause.Cause) {
	status := why.Status
	if status < 300 || status > 699 {
		status = why.Code.SIPStatus()
	}
	if status < 300 {
		status = 480
	}
	res := siptx.Respond(d.first, status, d.localTag)
	if why.Text != "" {
		siptx.Set(res, "Reason", reason(why))
	}
	for _, h := range d.extra {
		siptx.Set(res, h.Name, h.Value)
	}
	if status == 503 {
		siptx.Set(res, "Retry-After", "30")
	}
	d.in.tx.Respond(res)
	d.end(why)
}

// request is a request of the peer inside the dialog.
func (d *Dialog) request(req *sip.Request, tx *siptx.Server) {
	d.ladder.request(req, tx)
	seq := req.CSeq().SeqNo
	switch tag := siptx.Param(req.From().Params, "tag"); {
	case d.peer.tag != "" && tag != d.peer.tag:
		tx.Status(481)
		return
	case seq <= d.remoteSeq && d.remoteSeq != 0:
		tx.Status(500) // out of order (RFC 3261, 12.2.2)
		return
	}
	d.remoteSeq = seq
	if bad := unsupported(req); bad != "" && req.Method != sip.BYE {
		badExtension(req, tx, bad)
		return
	}
	switch req.Method {
	case sip.BYE:
		tx.Status(200)
		d.peerLeft(req)
	case sip.INVITE, sip.UPDATE:
		d.offered(req, tx)
	case sip.PRACK:
		d.prack(req, tx)
	case sip.INFO:
		d.info(req, tx)
	case sip.OPTIONS:
		d.ua.options(req, tx)
	case sip.REFER:
		tx.Status(603)
	case sip.NOTIFY, sip.SUBSCRIBE:
		tx.Status(489)
	case sip.MESSAGE:
		notAllowed(req, tx)
	default:
		tx.Status(501)
	}
}

// peerLeft is the BYE of the peer; its Reason header says why.
func (d *Dialog) peerLeft(req *sip.Request) {
	if d.inbound && d.state == early {
		d.in.tx.Status(487)
	}
	d.end(cause.Cause{Code: cause.Normal, Text: reasonText(siptx.Value(req, "Reason"))})
}

// reasonText takes the text out of a Reason header.
func reasonText(v string) string {
	_, rest, ok := strings.Cut(v, "text=")
	if !ok {
		return ""
	}
	if q, ok := strings.CutPrefix(rest, `"`); ok {
		rest, _, _ = strings.Cut(q, `"`)
	} else {
		rest, _, _ = strings.Cut(rest, ";")
	}
	return siptx.Clean(strings.ToValidUTF8(rest[:min(len(rest), 200)], ""))
}

// info hands an INFO up; one that the owner does not keep up with is refused.
func (d *Dialog) info(req *sip.Request, tx *siptx.Server) {
	taken := d.tell(Event{
		Kind: Info, ContentType: siptx.Clean(siptx.Value(req, "Content-Type")), Body: req.Body(),
		Reply: func(status int, _ []byte) {
			res := siptx.Respond(req, status, tx.Tag)
			if status == 415 {
				siptx.Set(res, "Accept", infoTypes)
			}
			tx.Respond(res)
		},
	})
	if !taken {
		tx.Status(500)
	}
}
