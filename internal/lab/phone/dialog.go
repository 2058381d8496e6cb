package phone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Timers of RFC 3261, 17.
const (
	t1     = 500 * time.Millisecond
	t2     = 4 * time.Second
	giveUp = 64 * t1
)

// dialog is the call's SIP state. After the call has started only its goroutine touches it.
type dialog struct {
	callID, tag   string
	local, remote string   // From and To of our requests
	target        string   // request URI of our requests
	routes        []string // Route of our requests
	peer          netip.AddrPort
	seq           int

	asked   message // the INVITE that called us
	source  netip.AddrPort
	branch  string // of our INVITE
	heard   bool   // any answer to our INVITE
	live    bool   // answered, and not over
	acked   bool   // our 200 was acknowledged
	leaving bool   // Hangup was called
	bye     bool   // BYE or CANCEL is on its way
	last    []byte // our last answer to the INVITE, or to a new one
	lastSeq int    // of that INVITE
	version int    // of our SDP
	renewed int    // CSeq of the INVITE by which we change the session

	again  []byte // sent until it is answered
	to     netip.AddrPort
	wait   time.Duration
	sends  *time.Timer
	expiry time.Time
	failed string // why the call is over when it never is

	answerAt *time.Timer // when it has rung long enough
	take     Taking
}

// answering begins the dialog of a call to us (RFC 3261, 12.1.1).
func answering(m message, from netip.AddrPort) dialog {
	tag := random()
	d := dialog{
		callID: m.get("Call-ID"), tag: tag, local: m.get("To") + ";tag=" + tag, remote: m.get("From"),
		target: uriOf(m.get("Contact")), asked: m, source: from, peer: from,
	}
	for _, v := range m.all("Record-Route") {
		for r := range strings.SplitSeq(v, ",") {
			d.routes = append(d.routes, strings.TrimSpace(r))
		}
	}
	return d
}

// run owns the dialog.
func (p *Phone) run(first func()) {
	p.sends, p.answerAt = stopped(), stopped()
	defer p.sends.Stop()
	defer p.answerAt.Stop()
	first()
	for {
		turn := p.turn
		if p.again != nil { // one thing after the other
			turn = nil
		}
		select {
		case <-p.quit:
			p.end("given up")
			return
		case <-p.hang:
			p.leaving = true
			p.leave()
		case a := <-p.in:
			if a.status != 0 {
				p.response(a)
			} else {
				p.request(a)
			}
		case body := <-p.tell:
			p.inform(body)
		case codec := <-turn:
			p.renew(codec)
		case <-p.answerAt.C:
			p.answer()
		case <-p.sends.C:
			p.repeat()
		}
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// insist sends a message now and again until settle; if that never comes the call is over.
func (p *Phone) insist(b []byte, to netip.AddrPort, failed string) {
	p.again, p.to, p.wait, p.expiry, p.failed = b, to, p.opt.Resend, time.Now().Add(giveUp), failed
	p.sock.send(b, to)
	p.sends.Reset(p.wait)
}

func (p *Phone) settle() {
	p.again = nil
	p.sends.Stop()
}

func (p *Phone) repeat() {
	switch {
	case p.again == nil:
	case time.Now().After(p.expiry):
		p.settle()
		p.end(p.failed)
	default:
		p.sock.send(p.again, p.to)
		p.wait *= 2
		if p.heard || p.asked.method != "" { // only an INVITE's pauses double without limit
			p.wait = min(p.wait, t2)
		}
		p.sends.Reset(p.wait)
	}
}

// make begins a request of ours, of this CSeq.
func (p *Phone) make(method string, seq int, branch string) message {
	m := message{method: method, uri: p.target}
	at := p.sock.addr()
	m.add("Via", fmt.Sprintf("SIP/2.0/UDP %s;branch=%s;rport", at, branch))
	m.add("Max-Forwards", "70")
	m.add("From", p.local)
	m.add("To", p.remote)
	m.add("Call-ID", p.callID)
	m.add("CSeq", fmt.Sprintf("%d %s", seq, method))
	m.add("Contact", p.contact())
	for _, r := range p.routes {
		m.add("Route", r)
	}
	return m
}

func (p *Phone) contact() string { return fmt.Sprintf("<sip:%s@%s>", p.opt.From, p.sock.addr()) }

// hop is where requests in the dialog go (RFC 3261, 12.2.1.1).
func (p *Phone) hop() netip.AddrPort {
	next := p.target
	if len(p.routes) > 0 {
		next = uriOf(p.routes[0])
	}
	if at, ok := place(next); ok {
		return at
	}
	return p.peer
}

func (p *Phone) call() {
	p.seq, p.branch = 1, branch()
	m := p.make("INVITE", p.seq, p.branch)
	m.headers = append(m.headers, p.opt.Headers...)
	if !p.opt.Slow {
		m.body = p.describe(wanted(p.opt.Codec), eventPT, "sendrecv")
	}
	p.opt.On("INVITE sent", time.Now())
	p.insist(m.bytes(), p.peer, "no answer to the INVITE")
}

func (p *Phone) describe(pts []uint8, event uint8, direction string) string {
	p.version++
	at, _ := netip.ParseAddrPort(p.rtp.LocalAddr().String()) // it is one
	return describe(at, p.version, pts, event, direction)
}

// leave ends the call in the way its state asks for.
func (p *Phone) leave() {
	switch {
	case p.Ended() != "" || p.bye:
	case p.live && p.asked.method != "" && !p.acked: // BYE has to wait for the ACK (RFC 3261, 15)
	case p.live:
		p.bye = true
		p.seq++
		p.insist(p.make("BYE", p.seq, branch()).bytes(), p.hop(), "hung up, and BYE was not answered")
	case p.asked.method != "":
		p.refuse(603)
	case p.heard: // CANCEL needs a provisional answer first (RFC 3261, 9.1)
		p.bye = true
		p.insist(p.make("CANCEL", p.seq, p.branch).bytes(), p.peer, "hung up, and CANCEL was not answered")
	}
}

// response is an answer to a request of ours.
func (p *Phone) response(a arrival) {
	seq, method := a.cseq()
	final := a.status >= 200
	switch {
	case method == "BYE" && final && p.bye && seq == p.seq:
		p.settle()
		p.end("hung up")
	case method == "CANCEL" && final:
		p.settle() // 487 follows to the INVITE
	case method == "INVITE" && p.renewed != 0 && seq == p.renewed:
		p.renewedBy(a)
	case method != "INVITE" || p.asked.method != "":
	case a.status < 200:
		p.progress(a)
	case a.status < 300:
		p.answered(a)
	default:
		p.refused(a)
	}
}

func (p *Phone) progress(a arrival) {
	if p.live || p.Ended() != "" {
		return
	}
	if !p.heard {
		p.heard = true
		p.settle()
	}
	if a.status > 100 {
		p.early(a)
		p.opt.On(fmt.Sprintf("%d %s", a.status, a.reason), time.Now())
	}
	if p.leaving {
		p.leave()
	}
}

// early takes the sound of an answer before the call is answered.
func (p *Phone) early(a arrival) {
	if f, ok := understand(a.body, wanted(p.opt.Codec)); ok && !p.opt.Slow {
		p.send(f)
	}
}

func (p *Phone) answered(a arrival) {
	first := !p.live && p.Ended() == ""
	if first {
		p.heard, p.live = true, true
		if !p.bye {
			p.settle()
		}
		p.remote = a.get("To")
		if c := uriOf(a.get("Contact")); c != "" {
			p.target = c
		}
		p.routes = a.all("Record-Route")
		slices.Reverse(p.routes)
	}
	ack := p.make("ACK", 1, branch()) // again with each repeated 200 (RFC 3261, 13.2.2.4)
	f, ok := understand(a.body, wanted(p.opt.Codec))
	if p.opt.Slow && ok {
		ack.body = p.describe([]uint8{f.pt}, f.event, "sendrecv")
	}
	p.sock.send(ack.bytes(), p.hop())
	if !first {
		return
	}
	p.setStatus(a.status)
	if ok {
		p.send(f)
	}
	p.opt.On(fmt.Sprintf("%d %s", a.status, a.reason), time.Now())
	close(p.up)
	if p.leaving { // the 200 crossed our CANCEL
		p.bye = false
		p.leave()
	} else if !ok {
		p.leaving = true
		p.leave()
	}
}

func (p *Phone) refused(a arrival) {
	ack := p.make("ACK", 1, p.branch) // hop by hop: as the INVITE (RFC 3261, 17.1.1.3)
	for i := range ack.headers {
		if ack.headers[i][0] == "To" {
			ack.headers[i][1] = a.get("To")
		}
	}
	p.sock.send(ack.bytes(), p.peer)
	if p.Ended() != "" || p.live {
		return
	}
	p.settle()
	p.setStatus(a.status)
	text := fmt.Sprintf("%d %s", a.status, a.reason)
	p.opt.On(text, time.Now())
	if p.leaving && a.status == 487 {
		text = "hung up"
	}
	p.end(text)
}

func (p *Phone) setStatus(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// end notes why the call is over.
func (p *Phone) end(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != "" {
		return
	}
	p.ended = why
	p.live = false
	p.freeze(time.Now())
	p.opt.Log.Debug("the phone's call is over", "why", why)
	close(p.over)
}
