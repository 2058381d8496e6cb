package sip

import (
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// reliables are the provisional responses of a call that wants them acknowledged (RFC 3262, 3): one is
// under way at a time, and the latest of the others waits for its turn.
type reliables struct {
	seq  uint32
	sent *reliable
	next func() // to send after the PRACK
	then func() // the answer, which waits for a PRACK
}

type reliable struct {
	seq    uint32
	raw    *sip.Response
	wait   time.Duration
	repeat *time.Timer
	giveUp *time.Timer
	sdp    bool
}

// holdsSDP reports whether a session description waits for its PRACK.
func (r *reliables) holdsSDP() bool { return r.sent != nil && r.sent.sdp }

func (r *reliables) stop(d *Dialog) {
	if r.sent != nil {
		d.stop(r.sent.repeat)
		d.stop(r.sent.giveUp)
	}
	r.next = nil
}

// provisional sends a provisional response, reliably where the peer demands it.
func (d *Dialog) provisional(status int, sdp []byte) {
	res := d.respond(d.first, status)
	siptx.SetBody(res, sdpType, sdp)
	r := &d.in.reliable
	switch {
	case !siptx.Lists(d.first, "Require", "100rel"):
		d.in.tx.Respond(res)
		return
	case r.sent != nil:
		r.next = func() { d.provisional(status, sdp) }
		return
	}
	if r.seq++; r.seq == 1 {
		r.seq = 1 + uint32(time.Now().UnixNano()&0xffff)
	}
	siptx.Set(res, "Require", "100rel")
	siptx.Set(res, "RSeq", strconv.FormatUint(uint64(r.seq), 10))
	sent := &reliable{seq: r.seq, raw: res, wait: siptx.T1, sdp: len(sdp) > 0}
	r.sent = sent
	var repeat func()
	repeat = func() {
		d.in.tx.Respond(res)
		sent.wait *= 2
		sent.repeat = d.after(sent.wait, repeat)
	}
	sent.repeat = d.after(sent.wait, repeat)
	sent.giveUp = d.after(64*siptx.T1, func() {
		r.stop(d)
		d.in.tx.Status(504)
		d.end(cause.Cause{Code: cause.Timeout, Text: "the phone did not acknowledge a provisional response (PRACK): check that it reaches the address in our Contact"})
	})
	d.in.tx.Respond(res)
}

// prack is the acknowledgement of a reliable provisional response; with a
// description it makes an offer of its own (RFC 3262, 5).
func (d *Dialog) prack(req *sip.Request, tx *siptx.Server) {
	r := &d.in.reliable
	f := strings.Fields(siptx.Value(req, "RAck"))
	if !d.inbound || r.sent == nil || len(f) != 3 || f[2] != "INVITE" || f[0] != strconv.FormatUint(uint64(r.sent.seq), 10) ||
		f[1] != strconv.FormatUint(uint64(d.first.CSeq().SeqNo), 10) {
		tx.Status(481)
		return
	}
	next := r.next
	r.stop(d)
	r.sent = nil
	if description(req) != nil && description(d.first) != nil {
		d.offered(req, tx)
	} else {
		tx.Status(200)
	}
	if then := r.then; then != nil {
		r.then = nil
		then()
	} else if next != nil && d.state == early {
		next()
	}
}

// prackOut acknowledges a reliable provisional response; false means that it is an old one (RFC 3262, 4).
func (d *Dialog) prackOut(a *attempt, res *sip.Response, tag string) bool {
	n := uint32(siptx.Leading(siptx.Value(res, "RSeq")))
	last, seen := d.out.rseq[tag]
	if seen && n <= last || !seen && len(d.out.rseq) >= maxForks {
		return false
	}
	d.out.rseq[tag] = n
	rack := fmt.Sprintf("%d %d INVITE", n, a.req.CSeq().SeqNo)
	d.sendTo(endOf(res), sip.PRACK, func(req *sip.Request) { siptx.Set(req, "RAck", rack) }, func(*sip.Request, *sip.Response) {})
	return true
}
