package sip

import (
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"jigasi/internal/cause"
)

// EventKind says what an Event is about.
type EventKind uint8

const (
	// Progress: a provisional response to our INVITE; SDP may be early media.
	Progress EventKind = iota
	// Answered: a 2xx to our INVITE with its SDP; the ACK has been sent.
	Answered
	// Confirmed: the ACK to our 2xx came, with SDP if the INVITE had none.
	Confirmed
	// Offer: a re-INVITE or UPDATE wants another session; Reply answers. Without SDP the peer
	// wants our offer in the reply.
	Offer
	// Info: an INFO request; Reply answers.
	Info
	// Ended: the dialog is over; the channel is closed after it.
	Ended
)

// An Event is what a dialog tells its owner.
type Event struct {
	Kind        EventKind
	Status      int    // Progress, Answered
	Reason      string // Progress
	SDP         []byte
	ContentType string // Info
	Body        []byte // Info
	Cause       cause.Cause
	// Reply answers an Offer or Info, once; later calls do nothing.
	Reply func(status int, sdp []byte)
}

// A Dialog is one call, in or out. Its methods post to the dialog's goroutine:
// they are safe for concurrent use, and none blocks.
type Dialog struct {
	ua      *UA
	invite  *sip.Request // the INVITE that began it
	inbound bool
	account *account // nil for a trunk
	events  chan Event
	inbox   chan func()
	done    chan struct{}

	// Owned by the dialog's goroutine.
	state      dialogState
	flow       flow
	localTag   string
	remoteTag  string
	local      string // From of our requests, with tag once known
	remote     string // To of our requests
	target     string // remote target: Contact of the peer
	routes     []string
	localSeq   uint32
	remoteSeq  uint32
	localSDP   []byte
	extra      []Header
	contact    string
	pendingOut bool     // a re-INVITE of ours is under way
	pendingIn  *offerIn // a re-INVITE of the peer is under way
	hangup     *cause.Cause

	in    inbound  // incoming.go
	out   outbound // outgoing.go
	timer sessionTimer
}

type dialogState uint8

const (
	early     dialogState = iota
	accepted              // 2xx sent, no ACK yet
	confirmed             // ACK seen or sent
	leaving               // BYE or CANCEL sent
	over
)

func newDialog(u *UA, inbound bool, invite *sip.Request) *Dialog {
	return &Dialog{
		ua: u, invite: invite, inbound: inbound, events: make(chan Event, 64),
		inbox: make(chan func(), 128), done: make(chan struct{}),
	}
}

// begin makes the dialog known under its local tag and starts its goroutine.
func (d *Dialog) begin() bool {
	u := d.ua
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.dialogs[d.key()] = d
	u.wg.Go(d.run)
	return true
}

func (d *Dialog) key() dialogKey { return dialogKey{d.CallID(), d.localTag} }

func (d *Dialog) run() {
	defer close(d.events)
	defer d.forget()
	defer close(d.done)
	for d.state != over {
		f := <-d.inbox
		f()
	}
}

func (d *Dialog) forget() {
	d.ua.mu.Lock()
	defer d.ua.mu.Unlock()
	delete(d.ua.dialogs, d.key())
	if d.inbound {
		delete(d.ua.invites, mergeKey(d.invite))
	}
}

// post has f run on the dialog's goroutine; false means that the dialog is over or does not keep up.
func (d *Dialog) post(f func()) bool {
	select {
	case <-d.done:
		return false
	default:
	}
	select {
	case d.inbox <- f:
		return true
	default:
		return false
	}
}

// after has f run on the dialog's goroutine later.
func (d *Dialog) after(wait time.Duration, f func()) *time.Timer {
	return time.AfterFunc(wait, func() { d.post(f) })
}

// tell gives an event to the owner; one who does not listen loses all but the end.
func (d *Dialog) tell(e Event) {
	if e.Kind != Ended && len(d.events) >= cap(d.events)-1 {
		return
	}
	select {
	case d.events <- e:
	default:
	}
}

// end is the end of the dialog.
func (d *Dialog) end(why cause.Cause) {
	if d.state == over {
		return
	}
	d.state = over
	d.timer.stop()
	d.in.stop()
	if d.hangup != nil {
		why = *d.hangup
	}
	d.tell(Event{Kind: Ended, Cause: why})
}

// abandon ends the dialog without a word.
func (d *Dialog) abandon() { d.end(cause.Cause{Code: cause.Shutdown}) }

// Events are what happens to the dialog, in order. The channel is closed after Ended.
func (d *Dialog) Events() <-chan Event { return d.events }

// CallID is the Call-ID.
func (d *Dialog) CallID() string { return d.invite.CallID().Value() }

// Inbound reports whether the peer called us.
func (d *Dialog) Inbound() bool { return d.inbound }

// Header gives the first value of a header of the INVITE, without case.
func (d *Dialog) Header(name string) string { return value(d.invite, name) }

// SDP is the session description of the INVITE, nil if it had none.
func (d *Dialog) SDP() []byte {
	if isSDP(d.invite) {
		return d.invite.Body()
	}
	return nil
}

// Caller is who calls: the user part and the display name of From.
func (d *Dialog) Caller() (user, name string) {
	f := d.invite.From()
	return f.Address.User, strings.Trim(clean(f.DisplayName), `"`)
}

// Account is the id of the account the call came by or goes by; "" is a trunk.
func (d *Dialog) Account() string {
	if d.account == nil {
		return ""
	}
	return d.account.opt.ID
}

// Peer is the address the signalling comes from.
func (d *Dialog) Peer() netip.AddrPort { return d.flow.remote }

// MediaIP is the address that the peer should be told to send its media to.
func (d *Dialog) MediaIP() netip.Addr { return d.ua.advertised(d.flow, d.account).Addr() }

// requestIn builds a request inside the dialog (RFC 3261, 12.2.1.1).
func (d *Dialog) requestIn(method sip.RequestMethod) *sip.Request {
	var target sip.Uri
	if err := sip.ParseUri(d.target, &target); err != nil {
		target = d.invite.Recipient
	}
	routes := d.routes
	if len(routes) > 0 && !strings.Contains(strings.ToLower(routes[0]), ";lr") { // strict router
		var first sip.Uri
		if _, err := sip.ParseAddressValue(routes[0], &first, &sip.HeaderParams{}); err == nil {
			routes = append(append([]string(nil), routes[1:]...), "<"+d.target+">")
			target = first
		}
	}
	req := sip.NewRequest(method, target)
	d.ua.via(req, d.flow, d.account)
	for _, r := range routes {
		req.AppendHeader(sip.NewHeader("Route", r))
	}
	req.AppendHeader(sip.NewHeader("Max-Forwards", "70"))
	req.AppendHeader(sip.NewHeader("From", d.local))
	req.AppendHeader(sip.NewHeader("To", d.remote))
	req.AppendHeader(sip.NewHeader("Call-ID", d.CallID()))
	if method != sip.ACK {
		d.localSeq++
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: d.localSeq, MethodName: method})
	req.AppendHeader(sip.NewHeader("Contact", d.contact))
	req.AppendHeader(sip.NewHeader("User-Agent", d.ua.opt.UserAgent))
	req.SetBody(nil)
	return req
}

// send sends a request of the dialog and calls on, on the dialog's goroutine, with
// each response (nil: none came). Challenges are answered once.
func (d *Dialog) send(req *sip.Request, on func(*sip.Response)) {
	d.authorize(req)
	d.ua.startClient(req, d.flow, func(res *sip.Response) {
		d.post(func() {
			if res != nil && (res.StatusCode == 401 || res.StatusCode == 407) {
				if again := d.challenged(req, res); again != nil {
					d.localSeq = again.CSeq().SeqNo
					d.ua.startClient(again, d.flow, func(res *sip.Response) { d.post(func() { on(res) }) })
					return
				}
			}
			on(res)
		})
	})
}

func (d *Dialog) authorize(req *sip.Request) {
	if d.account != nil {
		d.account.authorize(req)
	}
}

// challenged builds the request again with credentials, or gives nil.
func (d *Dialog) challenged(req *sip.Request, res *sip.Response) *sip.Request {
	if d.account == nil {
		return nil
	}
	return d.account.answer(req, res, d.flow, max(d.localSeq, req.CSeq().SeqNo)+1)
}

// Hangup ends the dialog, with CANCEL, a refusal or BYE, whichever it takes. Ended follows.
func (d *Dialog) Hangup(why cause.Cause) {
	d.post(func() { d.leave(why) })
}

func (d *Dialog) leave(why cause.Cause) {
	if d.state == over || d.state == leaving {
		return
	}
	d.hangup = &why
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

// bye sends BYE and ends when it is answered, or not.
func (d *Dialog) bye(why cause.Cause) {
	d.state = leaving
	req := d.requestIn(sip.BYE)
	if why.Text != "" && why.Code != cause.Normal {
		set(req, "Reason", reason(why))
	}
	d.send(req, func(res *sip.Response) {
		if res == nil || res.StatusCode >= 200 {
			d.end(why)
		}
	})
}

// reason writes a Reason header (RFC 3326).
func reason(why cause.Cause) string {
	text := strings.NewReplacer(`"`, "'", `\`, "").Replace(clean(why.Text))
	return "Q.850;cause=" + portText(why.Code.Q850()) + `;text="` + text[:min(len(text), 120)] + `"`
}

// Info sends an INFO request; done, which may be nil, learns the status, 0 for none.
func (d *Dialog) Info(contentType string, b []byte, done func(status int)) {
	d.post(func() {
		if d.state != confirmed {
			return
		}
		req := d.requestIn(sip.INFO)
		body(req, clean(contentType), b)
		d.send(req, func(res *sip.Response) {
			switch {
			case done == nil:
			case res == nil:
				done(0)
			case res.StatusCode >= 200:
				done(res.StatusCode)
			}
		})
	})
}
