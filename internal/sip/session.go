package sip

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"jigasi/internal/cause"
)

// offerIn is a re-INVITE or UPDATE of the peer that waits for our answer or its ACK.
type offerIn struct {
	req     *sip.Request
	tx      *serverTx
	offered bool // it had no SDP: our 2xx carries the offer
	replied bool
}

// offered is a re-INVITE or UPDATE of the peer (RFC 3261, 14.2; RFC 3311, 5.2).
func (d *Dialog) offered(req *sip.Request, tx *serverTx) {
	if c := req.Contact(); c != nil {
		d.target = c.Address.String()
	}
	invite := req.Method == sip.INVITE
	switch {
	case len(req.Body()) > 0 && !isSDP(req):
		res := respond(req, 415, "")
		set(res, "Accept", sdpType)
		tx.respond(res)
		return
	case !invite && !isSDP(req): // a refresh
		res := respond(req, 200, "")
		set(res, "Contact", d.contact)
		d.timer.answer(d, req, res)
		tx.respond(res)
		return
	case d.pendingIn != nil, invite && d.in.ok != nil:
		res := respond(req, 500, "")
		set(res, "Retry-After", "2")
		tx.respond(res)
		return
	case d.pendingOut, d.state == early && invite:
		tx.status(491)
		return
	}
	o := &offerIn{req: req, tx: tx, offered: !isSDP(req)}
	d.pendingIn = o
	if invite {
		tx.onCancel = func() { d.post(func() { d.offerCancelled(o) }) }
	}
	e := Event{Kind: Offer, Reply: func(status int, sdp []byte) { d.post(func() { d.reply(o, status, sdp) }) }}
	if isSDP(req) {
		e.SDP = req.Body()
	}
	d.tell(e)
}

func (d *Dialog) offerCancelled(o *offerIn) {
	if d.pendingIn == o && !o.replied {
		d.pendingIn = nil
		o.tx.status(487)
	}
}

// reply answers the peer's offer.
func (d *Dialog) reply(o *offerIn, status int, sdp []byte) {
	if d.pendingIn != o || o.replied || d.state == over {
		return
	}
	o.replied = true
	if status < 200 || status >= 300 {
		d.pendingIn = nil
		o.tx.status(status)
		return
	}
	d.localSDP = sdp
	res := respond(o.req, 200, "")
	set(res, "Contact", d.contact)
	d.ua.capabilities(res)
	d.timer.answer(d, o.req, res)
	body(res, sdpType, sdp)
	o.tx.respond(res)
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
	if o.offered && isSDP(ack) {
		d.tell(Event{Kind: Confirmed, SDP: ack.Body()})
	}
}

// Errors of Reinvite.
var (
	ErrBusy    = errors.New("sip: the session is being changed already")
	ErrRefused = errors.New("sip: the peer refused the change")
)

// Reinvite offers another session; done learns the answer, or why there is none. Glare
// (491) is tried again after the time that RFC 3261, 14.1 sets.
func (d *Dialog) Reinvite(sdp []byte, done func(answer []byte, err error)) {
	d.post(func() { d.reinvite(sdp, 3, done) })
}

func (d *Dialog) reinvite(sdp []byte, tries int, done func([]byte, error)) {
	if d.state != confirmed || d.pendingIn != nil || d.pendingOut {
		done(nil, ErrBusy)
		return
	}
	d.pendingOut = true
	req := d.requestIn(sip.INVITE)
	d.ua.capabilities(req)
	d.timer.offer(req)
	body(req, sdpType, sdp)
	d.send(req, func(res *sip.Response) {
		switch {
		case res != nil && res.StatusCode < 200:
			return
		case res != nil && res.StatusCode < 300:
			d.ackOK(res)
			d.pendingOut, d.localSDP = false, sdp
			d.timer.agreed(d, res)
			done(res.Body(), nil)
			return
		}
		d.pendingOut = false
		switch {
		case res != nil && res.StatusCode == 491 && tries > 1:
			d.after(d.glareWait(), func() { d.reinvite(sdp, tries-1, done) })
		case res == nil || res.StatusCode == 481 || res.StatusCode == 408:
			done(nil, ErrRefused)
			d.hangupNow(cause.Cause{Code: cause.Lost, Text: "the phone does not know this call any more"})
		default:
			done(nil, ErrRefused)
		}
	})
}

// glareWait is 2.1 to 4 s for who owns the Call-ID, up to 2 s for the other (RFC 3261, 14.1).
func (d *Dialog) glareWait() time.Duration {
	spread := time.Duration(time.Now().UnixNano()%200) * 10 * time.Millisecond
	if d.inbound {
		return spread
	}
	return 2100*time.Millisecond + min(spread, 1900*time.Millisecond)
}

// ackOK acknowledges a 2xx: a request of its own, in no transaction.
func (d *Dialog) ackOK(res *sip.Response) {
	seq := d.localSeq
	d.localSeq = res.CSeq().SeqNo
	ack := d.requestIn(sip.ACK)
	d.localSeq = seq
	d.authorize(ack)
	_ = d.flow.send([]byte(ack.String())) // the 2xx comes again if this is lost
}

// minSE is the shortest session interval that is accepted, in s (RFC 4028, 4).
const minSE = 90

// sessionTimer is RFC 4028, in both roles.
type sessionTimer struct {
	interval time.Duration // 0: no session timer
	ours     bool          // we refresh
	update   bool          // by UPDATE, which the peer allows
	t        *time.Timer
}

func (s *sessionTimer) stop() {
	if s.t != nil {
		s.t.Stop()
	}
}

// offer asks for a session timer in a request of ours.
func (s *sessionTimer) offer(req *sip.Request) {
	if s.interval > 0 {
		set(req, "Session-Expires", strconv.Itoa(int(s.interval/time.Second)))
		set(req, "Min-SE", strconv.Itoa(minSE))
	}
}

// answer agrees on a session timer in a 2xx to a request of the peer.
func (s *sessionTimer) answer(d *Dialog, req *sip.Request, res *sip.Response) {
	se := value(req, "Session-Expires")
	theirs := lists(req, "Supported", "timer") || lists(req, "k", "timer")
	limit := d.ua.opt.SessionExpires
	switch {
	case limit < 0:
		return
	case se == "" && !theirs:
		if s.interval > 0 {
			s.arm(d)
		}
		return
	case se == "":
		s.interval, s.ours = limit, true
	default:
		s.interval = time.Duration(max(minSE, leadingInt(se))) * time.Second
		s.ours = strings.Contains(strings.ToLower(se), "refresher=uas") || !theirs
	}
	s.update = lists(req, "Allow", "UPDATE") || s.update
	refresher := "uac"
	if s.ours {
		refresher = "uas"
	}
	set(res, "Session-Expires", strconv.Itoa(int(s.interval/time.Second))+";refresher="+refresher)
	if theirs {
		set(res, "Require", "timer")
	}
	s.arm(d)
}

// agreed reads what a 2xx to a request of ours says.
func (s *sessionTimer) agreed(d *Dialog, res *sip.Response) {
	se := value(res, "Session-Expires")
	s.update = lists(res, "Allow", "UPDATE") || s.update
	if se == "" {
		if s.interval > 0 { // the peer knows no timers: we refresh alone
			s.ours = true
			s.arm(d)
		}
		return
	}
	s.interval = time.Duration(max(minSE, leadingInt(se))) * time.Second
	s.ours = !strings.Contains(strings.ToLower(se), "refresher=uas")
	s.arm(d)
}

func (s *sessionTimer) arm(d *Dialog) {
	s.stop()
	if s.ours {
		s.t = d.after(s.interval/2, d.refresh)
		return
	}
	s.t = d.after(s.interval-min(32*time.Second, s.interval/3), func() {
		d.hangupNow(cause.Cause{Code: cause.Lost, Text: "the phone did not refresh the session in time (RFC 4028)"})
	})
}

// refresh says that the session goes on.
func (d *Dialog) refresh() {
	if d.state != confirmed {
		return
	}
	if !d.timer.update {
		d.reinvite(d.localSDP, 3, func(_ []byte, err error) {
			if errors.Is(err, ErrBusy) {
				d.timer.t = d.after(5*time.Second, d.refresh)
			}
		})
		return
	}
	req := d.requestIn(sip.UPDATE)
	d.timer.offer(req)
	d.ua.capabilities(req)
	d.send(req, func(res *sip.Response) {
		switch {
		case res == nil || res.StatusCode == 481 || res.StatusCode == 408:
			d.hangupNow(cause.Cause{Code: cause.Lost, Text: "the phone did not answer the session refresh"})
		case res.StatusCode >= 300:
			d.timer.update = false
			d.timer.arm(d)
		case res.StatusCode >= 200:
			d.timer.agreed(d, res)
		}
	})
}

// leadingInt reads the number v begins with; 0 if there is none.
func leadingInt(v string) int {
	v = strings.TrimSpace(v)
	i := 0
	for i < len(v) && i < 9 && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	n, _ := strconv.Atoi(v[:i])
	return n
}
