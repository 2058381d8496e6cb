package sip

import (
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"jigasi/internal/xlog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Dialog is one call, in or out. Its methods post to the dialog's goroutine:
// they are safe for concurrent use, and none blocks.
type Dialog struct {
	ua      *UA
	callID  string
	inbound bool
	account *account     // nil for a trunk
	events  chan Event   // only the dialog's goroutine sends
	queue   *queue       // of the dialog's goroutine
	first   *sip.Request // the INVITE that began it, as it came or was first meant; never changes
	seen    atomic.Pointer[place]
	ladder  ladder

	// Owned by the dialog's goroutine.
	state      dialogState
	flow       siptx.Flow // held while the dialog lives
	localTag   string
	local      string // From of our requests
	peer       remoteEnd
	localSeq   uint32
	remoteSeq  uint32
	localSDP   []byte
	extra      []Header // of our requests and answers that carry a session
	pendingOut bool     // a re-INVITE of ours is under way
	again      *siptx.Client
	pendingIn  *offerIn // a re-INVITE of the peer is under way
	hangup     *cause.Cause
	told       bool // the owner knows of the end already
	timers     map[*time.Timer]struct{}

	in    inbound  // incoming.go
	out   outbound // outgoing.go
	hops  hops     // hop.go
	timer sessionTimer
}

// place is where a dialog's messages go through, for other goroutines.
type place struct {
	peer  netip.AddrPort
	media netip.Addr
}

// remoteEnd is the far side of a dialog (RFC 3261, 12); a forked INVITE has several for a while.
type remoteEnd struct {
	tag    string
	to     string   // From of its requests and To of ours
	target string   // its Contact
	routes []string // in the order of our Route headers
}

type dialogState uint8

const (
	early     dialogState = iota
	accepted              // 2xx sent, no ACK yet
	confirmed             // ACK seen or sent
	leaving               // BYE or CANCEL sent
	over
)

func newDialog(u *UA, inbound bool, first *sip.Request, callID string) *Dialog {
	d := &Dialog{
		ua: u, first: first, inbound: inbound, callID: callID, events: make(chan Event, maxEvents),
		queue: newQueue(), timers: map[*time.Timer]struct{}{},
	}
	d.seen.Store(&place{})
	return d
}

// begin makes the dialog known under its local tag and starts its goroutine, and its owner's.
func (d *Dialog) begin(owner func()) bool {
	u := d.ua
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.dialogs[dialogKey{d.callID, d.localTag}] = d
	u.wg.Go(d.run)
	if owner != nil {
		u.wg.Go(owner)
	}
	return true
}

func (d *Dialog) run() {
	defer close(d.events)
	defer d.forget()
	for d.state != over {
		for _, f := range d.queue.take() {
			if d.state != over {
				d.guard(f)
			}
		}
	}
}

// guard has a defect of ours cost this dialog and no other (T33).
func (d *Dialog) guard(f func()) {
	defer cause.Recover(d.broke)
	f()
}

// broke ends a dialog that met a defect of ours, on its goroutine.
func (d *Dialog) broke(why cause.Cause, stack []byte) {
	d.ua.log.Error("a SIP dialog met a defect of ours", xlog.Err, why.Err, xlog.SIPCallID, d.callID, "stack", string(stack))
	d.hangup = &why
	d.abandon()
}

// beside runs f, which may block, beside the dialog's goroutine.
func (d *Dialog) beside(f func()) {
	d.ua.wg.Go(func() {
		defer cause.Recover(func(why cause.Cause, stack []byte) { d.post(func() { d.broke(why, stack) }) })
		f()
	})
}

// forget stops all that would come back to a dialog that is over.
func (d *Dialog) forget() {
	d.queue.close()
	for t := range d.timers {
		t.Stop()
	}
	for _, a := range d.out.attempts {
		a.tx.Quit()
	}
	if d.again != nil {
		d.again.Quit()
	}
	d.flow.Release()
	d.ua.mu.Lock()
	defer d.ua.mu.Unlock()
	delete(d.ua.dialogs, dialogKey{d.callID, d.localTag})
	if d.inbound {
		delete(d.ua.invites, mergeKey(d.first))
	}
}

func (d *Dialog) post(f func()) bool  { return d.queue.post(f) }
func (d *Dialog) offer(f func()) bool { return d.queue.offer(f) }

// after has f run on the dialog's goroutine later, unless the timer is stopped or the dialog ends.
func (d *Dialog) after(wait time.Duration, f func()) *time.Timer {
	var t *time.Timer
	ready := make(chan struct{})
	t = time.AfterFunc(wait, func() {
		<-ready
		d.post(func() {
			if _, ok := d.timers[t]; ok {
				delete(d.timers, t)
				f()
			}
		})
	})
	d.timers[t] = struct{}{}
	close(ready)
	return t
}

// stop stops a timer for good: what it posted already is not run either.
func (d *Dialog) stop(t *time.Timer) {
	if t != nil {
		t.Stop()
		delete(d.timers, t)
	}
}

// end is the end of the dialog.
func (d *Dialog) end(why cause.Cause) {
	if d.state == over {
		return
	}
	d.state = over
	if o := d.pendingIn; o != nil && !o.replied {
		o.tx.Status(487) // RFC 3261, 15.1.2
	}
	if d.hangup != nil {
		why = *d.hangup
	}
	if !d.told {
		d.tell(Event{Kind: Ended, Cause: why})
	}
}

// abandon ends the dialog with one word that nobody waits for.
func (d *Dialog) abandon() {
	switch {
	case d.state == over:
	case d.inbound && d.state == early:
		d.in.tx.Status(503)
	case d.state == accepted || d.state == confirmed:
		req := d.requestIn(sip.BYE, d.peer, d.flow)
		d.authorize(req, d.flow)
		_ = d.flow.Send([]byte(req.String())) // there is no time to ask again
	case !d.inbound && d.state == early:
		d.cancel()
	}
	d.end(cause.Cause{Code: cause.Shutdown})
}

// use makes a flow that of the dialog.
func (d *Dialog) use(f siptx.Flow) {
	f.Hold()
	d.flow.Release()
	d.flow = f
	d.seen.Store(&place{f.Remote(), d.ua.advertised(f, d.account).Addr()})
}

// requestIn builds a request inside the dialog (RFC 3261, 12.2.1.1).
func (d *Dialog) requestIn(method sip.RequestMethod, end remoteEnd, f siptx.Flow) *sip.Request {
	var target sip.Uri
	if err := sip.ParseUri(end.target, &target); err != nil {
		target = sip.Uri{Scheme: "sip", Host: f.Remote().Addr().String()}
	}
	routes := end.routes
	if len(routes) > 0 && !loose(routes[0]) { // strict router
		var first sip.Uri
		if _, err := sip.ParseAddressValue(routes[0], &first, &sip.HeaderParams{}); err == nil {
			routes = append(append([]string(nil), routes[1:]...), "<"+end.target+">")
			target = first
		}
	}
	req := sip.NewRequest(method, target)
	d.ua.via(req, f, d.account)
	for _, r := range routes {
		req.AppendHeader(sip.NewHeader("Route", r))
	}
	req.AppendHeader(sip.NewHeader("Max-Forwards", "70"))
	req.AppendHeader(sip.NewHeader("From", d.local))
	req.AppendHeader(sip.NewHeader("To", end.to))
	callID := sip.CallIDHeader(d.callID)
	req.AppendHeader(&callID)
	if method != sip.ACK {
		d.localSeq++
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: d.localSeq, MethodName: method})
	req.AppendHeader(sip.NewHeader("Contact", d.ua.contact(f, d.account)))
	req.AppendHeader(sip.NewHeader("User-Agent", d.ua.opt.UserAgent))
	req.SetBody(nil)
	if d.account != nil {
		d.account.decorate(req)
	}
	return req
}

// loose reports whether a route set begins at a loose router (RFC 3261, 16.12.1.1).
func loose(route string) bool {
	uri, _, _ := strings.Cut(strings.ToLower(route), ">")
	return strings.Contains(uri+";", ";lr;") || strings.Contains(uri, ";lr=")
}

// Hangup ends the dialog, with CANCEL, a refusal or BYE, whichever it takes. Ended follows.
func (d *Dialog) Hangup(why cause.Cause) {
	d.post(func() { d.leave(why) })
}

func (d *Dialog) leave(why cause.Cause) {
	if d.state == over || d.state == leaving {
		return
	}
	if d.hangup == nil {
		d.hangup = &why
	}
	switch {
	case d.inbound && d.state == early:
		d.refuse(why)
	case d.inbound && d.state == accepted:
		// No BYE before the ACK (RFC 3261, 15): acked or the ACK's deadline sends it.
	case !d.inbound && d.state == early:
		d.cancel()
	default:
		d.bye(why)
	}
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

// bye sends BYE and ends when it is answered, or not.
func (d *Dialog) bye(why cause.Cause) {
	d.state = leaving
	d.send(sip.BYE, func(req *sip.Request) {
		if why.Text != "" && why.Code != cause.Normal {
			siptx.Set(req, "Reason", reason(why))
		}
	}, func(_ *sip.Request, res *sip.Response) {
		if res == nil || res.StatusCode >= 200 {
			d.end(why)
		}
	})
}

// expected are the reasons that scripts behind a PBX know from Jigasi.
var expected = map[cause.Code]string{
	cause.NoMedia: `SIP;cause=408;text="Stopped receiving media", `, cause.NoInvite: `SIP;cause=408;text="No invite from conference focus", `,
}

// reason writes a Reason header (RFC 3326): where Jigasi had a word for it that word, and ours. What an error of the
// system or the network adds stays here: strangers need not know the addresses within.
func reason(why cause.Cause) string {
	text := why.Text
	if why.Err != nil {
		text = strings.Replace(text, ": "+why.Err.Error(), "", 1)
	}
	text = strings.NewReplacer(`"`, "'", `\`, "").Replace(siptx.Clean(text))
	if r := []rune(text); len(r) > 120 {
		text = string(r[:120])
	}
	old := expected[why.Code]
	if why.Code == cause.Timeout { // also Jigasi's "No response on heartbeat"
		short, _, _ := strings.Cut(text, ": ")
		old = fmt.Sprintf(`SIP;cause=408;text="%s", `, short)
	}
	return old + fmt.Sprintf(`Q.850;cause=%d;text="%s"`, why.Code.Q850(), text)
}

// Info sends an INFO request; done, which may be nil, learns the status, 0 for none. It runs
// on the dialog's goroutine and must not block.
func (d *Dialog) Info(contentType string, b []byte, done func(status int)) {
	if done == nil {
		done = func(int) {}
	}
	posted := d.post(func() {
		if d.state != confirmed {
			done(0)
			return
		}
		d.send(sip.INFO, func(req *sip.Request) { siptx.SetBody(req, contentType, b) }, func(_ *sip.Request, res *sip.Response) {
			switch {
			case res == nil:
				done(0)
			case res.StatusCode >= 200:
				done(res.StatusCode)
				d.lost(res.StatusCode)
			}
		})
	})
	if !posted {
		done(0)
	}
}

// lost hangs up when an answer says that the peer does not know the dialog any more (RFC 3261, 12.2.1.2).
func (d *Dialog) lost(status int) {
	if status == 481 && d.state == confirmed {
		d.hangupNow(cause.Cause{Code: cause.Lost, Text: "the phone does not know this call any more"})
	}
}
