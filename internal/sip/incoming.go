package sip

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"jigasi/internal/cause"
)

// inbound is what a dialog knows as the called side.
type inbound struct {
	tx       *serverTx
	ok       *sip.Response // our 2xx, repeated until the ACK
	wait     time.Duration
	repeat   *time.Timer
	giveUp   *time.Timer
	offered  bool // our 2xx carried an offer: the ACK brings the answer
	reliable uint32
	rseq     *reliable
	ringing  *time.Timer
}

// reliable is a provisional response that waits for its PRACK (RFC 3262).
type reliable struct {
	seq    uint32
	raw    *sip.Response
	wait   time.Duration
	repeat *time.Timer
}

func (in *inbound) stop() {
	for _, t := range []*time.Timer{in.repeat, in.giveUp, in.ringing} {
		if t != nil {
			t.Stop()
		}
	}
	if in.rseq != nil {
		in.rseq.repeat.Stop()
	}
}

func mergeKey(req *sip.Request) string {
	return req.CallID().Value() + " " + param(req.From().Params, "tag") + " " + strconv.FormatUint(uint64(req.CSeq().SeqNo), 10)
}

// invite takes a new call in.
func (u *UA) invite(req *sip.Request, tx *serverTx) {
	if len(req.Body()) > 0 && !isSDP(req) {
		res := respond(req, 415, tx.tag)
		set(res, "Accept", sdpType)
		tx.respond(res)
		return
	}
	if req.Contact() == nil {
		tx.status(400)
		return
	}
	branch := param(req.Via().Params, "branch")
	u.mu.Lock()
	if was, seen := u.invites[mergeKey(req)]; seen && was != branch {
		u.mu.Unlock()
		tx.status(482) // merged (RFC 3261, 8.2.2.2)
		return
	}
	u.invites[mergeKey(req)] = branch
	u.mu.Unlock()

	d := newDialog(u, true, req)
	d.in.tx, d.flow = tx, tx.flow
	d.account = u.accountOf(req, tx.flow)
	d.localTag, d.remoteTag = tx.tag, param(req.From().Params, "tag")
	to := withTag(req, tx.tag)
	d.local, d.remote = to.To().Value(), req.From().Value()
	d.target = req.Contact().Address.String()
	d.routes = values(req, "Record-Route")
	d.remoteSeq = req.CSeq().SeqNo
	d.contact = u.contact(d.flow, d.account)
	if se := value(req, "Session-Expires"); se != "" {
		if secs := leadingInt(se); secs > 0 && secs < minSE {
			res := respond(req, 422, tx.tag)
			set(res, "Min-SE", strconv.Itoa(minSE))
			tx.respond(res)
			u.unmerge(req)
			return
		}
	}
	tx.respond(respond(req, 100, tx.tag))
	tx.onCancel = func() { d.post(d.callerGone) }
	if !d.begin() {
		tx.status(503)
		u.unmerge(req)
		return
	}
	u.wg.Go(func() { u.opt.Incoming(d) })
}

func (u *UA) unmerge(req *sip.Request) {
	u.mu.Lock()
	delete(u.invites, mergeKey(req))
	u.mu.Unlock()
}

func (d *Dialog) callerGone() {
	if d.state != early {
		return // CANCEL crossed our 2xx: it has no effect (RFC 3261, 9.2)
	}
	d.in.tx.status(487)
	d.end(cause.Cause{Code: cause.Cancelled})
}

// Ring sends 180, again every minute (RFC 3261, 13.3.1.1).
func (d *Dialog) Ring() { d.post(d.ring) }

func (d *Dialog) ring() {
	if d.state != early || d.in.ok != nil {
		return
	}
	d.provisional(180, nil)
	d.in.ringing = d.after(time.Minute, d.ring)
}

// Progress sends 183 with a session description: early media.
func (d *Dialog) Progress(sdp []byte) {
	d.post(func() {
		if d.state == early {
			d.localSDP = sdp
			d.provisional(183, sdp)
		}
	})
}

// provisional sends a provisional response, reliably where the peer demands it.
func (d *Dialog) provisional(status int, sdp []byte) {
	res := respond(d.invite, status, d.localTag)
	set(res, "Contact", d.contact)
	d.ua.capabilities(res)
	body(res, sdpType, sdp)
	if !lists(d.invite, "Require", "100rel") {
		d.in.tx.respond(res)
		return
	}
	if d.in.rseq != nil {
		return // one at a time (RFC 3262, 3)
	}
	d.in.reliable++
	set(res, "Require", "100rel")
	set(res, "RSeq", strconv.FormatUint(uint64(d.in.reliable), 10))
	r := &reliable{seq: d.in.reliable, raw: res, wait: t1}
	d.in.rseq = r
	r.repeat = d.after(r.wait, func() { d.repeatReliable(r) })
	d.in.tx.respond(res)
}

func (d *Dialog) repeatReliable(r *reliable) {
	if d.in.rseq != r || d.state != early {
		return
	}
	if r.wait *= 2; r.wait > 64*t1 {
		d.in.tx.status(504)
		d.end(cause.Cause{Code: cause.Timeout, Text: "the phone did not acknowledge a provisional response (PRACK)"})
		return
	}
	d.in.tx.respond(r.raw)
	r.repeat = d.after(r.wait, func() { d.repeatReliable(r) })
}

func (d *Dialog) prack(req *sip.Request, tx *serverTx) {
	f := strings.Fields(value(req, "RAck"))
	if d.in.rseq == nil || len(f) != 3 || f[0] != strconv.FormatUint(uint64(d.in.rseq.seq), 10) {
		tx.status(481)
		return
	}
	d.in.rseq.repeat.Stop()
	d.in.rseq = nil
	tx.status(200)
}

// Answer sends 200 with a session description, which is an offer if the INVITE had none.
// Confirmed follows with the ACK.
func (d *Dialog) Answer(sdp []byte) {
	d.post(func() {
		if d.state != early {
			return
		}
		d.state, d.localSDP = accepted, sdp
		d.in.offered = !isSDP(d.invite)
		res := respond(d.invite, 200, d.localTag)
		set(res, "Contact", d.contact)
		d.ua.capabilities(res)
		d.timer.answer(d, d.invite, res)
		body(res, sdpType, sdp)
		d.in.tx.respond(res)
		d.awaitACK(res)
	})
}

// awaitACK repeats a 2xx until its ACK comes (RFC 3261, 13.3.1.4), over every transport.
func (d *Dialog) awaitACK(res *sip.Response) {
	d.in.ok, d.in.wait = res, t1
	raw := []byte(res.String())
	var repeat func()
	repeat = func() {
		if d.in.ok != res {
			return
		}
		_ = d.flow.send(raw) // the next turn tries again
		d.in.wait = min(2*d.in.wait, t2)
		d.in.repeat = d.after(d.in.wait, repeat)
	}
	d.in.repeat = d.after(d.in.wait, repeat)
	d.in.giveUp = d.after(64*t1, func() {
		if d.in.ok == res {
			d.in.ok = nil
			d.hangupNow(cause.Cause{Code: cause.Timeout, Text: "the phone never acknowledged the answer (no ACK): check that it reaches the address in our Contact"})
		}
	})
}

// hangupNow ends an established dialog from our side.
func (d *Dialog) hangupNow(why cause.Cause) {
	if d.hangup == nil {
		d.hangup = &why
	}
	if d.state != over && d.state != leaving {
		d.bye(*d.hangup)
	}
}

// acked is the ACK to a 2xx of ours.
func (d *Dialog) acked(req *sip.Request) {
	if d.in.ok == nil || req.CSeq().SeqNo != d.in.ok.CSeq().SeqNo {
		return
	}
	d.in.ok = nil
	d.in.repeat.Stop()
	d.in.giveUp.Stop()
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
	if d.in.offered && isSDP(req) {
		e.SDP = req.Body()
	}
	d.tell(e)
}

// Reject refuses the call with a cause, or a status if the cause has one.
func (d *Dialog) Reject(why cause.Cause, headers ...Header) {
	d.post(func() {
		if d.state == early {
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
	res := respond(d.invite, status, d.localTag)
	if why.Text != "" {
		set(res, "Reason", reason(why))
	}
	for _, h := range d.extra {
		set(res, h.Name, h.Value)
	}
	if status == 503 {
		set(res, "Retry-After", "30")
	}
	d.in.tx.respond(res)
	d.end(why)
}

// request is a request of the peer inside the dialog.
func (d *Dialog) request(req *sip.Request, tx *serverTx) {
	seq := req.CSeq().SeqNo
	if tag := param(req.From().Params, "tag"); d.remoteTag != "" && tag != d.remoteTag {
		tx.status(481)
		return
	}
	if seq <= d.remoteSeq && d.remoteSeq != 0 {
		tx.status(500) // out of order (RFC 3261, 12.2.2)
		return
	}
	d.remoteSeq = seq
	if bad := unsupported(req); bad != "" {
		res := respond(req, 420, "")
		set(res, "Unsupported", bad)
		tx.respond(res)
		return
	}
	switch req.Method {
	case sip.BYE:
		tx.status(200)
		d.peerLeft(req)
	case sip.INVITE, sip.UPDATE:
		d.offered(req, tx)
	case sip.PRACK:
		d.prack(req, tx)
	case sip.INFO:
		d.info(req, tx)
	case sip.OPTIONS:
		res := respond(req, 200, "")
		d.ua.capabilities(res)
		tx.respond(res)
	case sip.REFER:
		tx.status(603)
	case sip.NOTIFY, sip.SUBSCRIBE:
		tx.status(489)
	default:
		res := respond(req, 405, "")
		set(res, "Allow", allow)
		tx.respond(res)
	}
}

// peerLeft is the BYE of the peer; its Reason header says why.
func (d *Dialog) peerLeft(req *sip.Request) {
	if d.inbound && d.state == early {
		d.in.tx.status(487)
	}
	why := cause.Cause{Code: cause.Normal}
	if text := reasonText(value(req, "Reason")); text != "" {
		why.Text = text
	}
	d.end(why)
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
	return clean(rest[:min(len(rest), 200)])
}

func (d *Dialog) info(req *sip.Request, tx *serverTx) {
	replied := false
	d.tell(Event{
		Kind: Info, ContentType: value(req, "Content-Type"), Body: req.Body(),
		Reply: func(status int, _ []byte) {
			d.post(func() {
				if !replied {
					replied = true
					tx.status(status)
				}
			})
		},
	})
}
