package phone

import "time"

// Change offers another codec in the midst of the call (RFC 3261, 14).
func (p *Phone) Change(codec string) {
	select {
	case p.turn <- codec:
	case <-p.over:
	}
}

func (p *Phone) renew(codec string) {
	if !p.live || p.bye {
		return
	}
	p.opt.Codec = codec
	p.seq = max(p.seq, 1) + 1
	p.renewed = p.seq
	m := p.make("INVITE", p.seq, branch())
	m.body = p.describe(wanted(codec), eventPT, "sendrecv")
	p.insist(m.bytes(), p.hop(), "the new INVITE was not answered")
}

// renewedBy is the answer to it.
func (p *Phone) renewedBy(a arrival) {
	if a.status < 200 {
		return
	}
	p.settle()
	p.sock.send(p.make("ACK", p.renewed, branch()).bytes(), p.hop())
	if f, ok := understand(a.body, wanted(p.opt.Codec)); ok && a.status < 300 {
		p.send(f)
		p.opt.On("the session has changed", time.Now())
	}
}
