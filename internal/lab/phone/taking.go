package phone

import (
	"fmt"
	"slices"
	"time"
)

// ring begins a call to us.
func (p *Phone) ring(t Taking) {
	p.take = t
	p.lastSeq, _ = p.asked.cseq()
	p.opt.On("INVITE received", time.Now())
	r := p.asked.answer(180, p.tag)
	r.add("Contact", p.contact())
	p.last = r.bytes()
	p.sock.send(p.last, p.source)
	if t.Rings >= 0 {
		p.answerAt.Reset(t.Rings)
	}
}

// answer picks up, or refuses, after it has rung.
func (p *Phone) answer() {
	if p.Ended() != "" || p.live || p.last != nil && p.again != nil {
		return
	}
	if p.take.Status != 200 {
		p.refuse(p.take.Status)
		return
	}
	body := ""
	if p.asked.body == "" {
		body = p.describe(wanted(p.opt.Codec), eventPT, "sendrecv")
	} else {
		f, ok := understand(p.asked.body, wanted(p.opt.Codec))
		if !ok {
			p.refuse(488)
			return
		}
		body = p.describe([]uint8{f.pt}, f.event, mirror(f))
		p.send(f)
	}
	p.live = true
	p.setStatus(200)
	p.accept(p.asked, body, p.opt.Headers)
	p.opt.On("200 OK sent", time.Now())
}

// accept answers an INVITE with 200 until the ACK comes (RFC 3261, 13.3.1.4).
func (p *Phone) accept(m message, body string, headers [][2]string) {
	r := m.answer(200, p.tag)
	r.add("Contact", p.contact())
	r.headers = append(r.headers, headers...)
	r.body = body
	p.last, p.acked = r.bytes(), false
	p.lastSeq, _ = m.cseq()
	p.insist(p.last, p.source, "the 200 was not acknowledged")
}

// mirror is the direction that answers the other end's (RFC 3264, 6.1).
func mirror(f flow) string {
	switch f.direction {
	case "sendonly":
		return "recvonly"
	case "recvonly":
		return "sendonly"
	case "inactive":
		return "inactive"
	}
	return "sendrecv"
}

// refuse ends a call to us before it is answered.
func (p *Phone) refuse(status int) {
	p.answerAt.Stop()
	p.setStatus(status)
	p.last = p.asked.answer(status, p.tag).bytes()
	p.insist(p.last, p.source, "the refusal was not acknowledged")
	p.opt.On(fmt.Sprintf("%d %s sent", status, reasons[status]), time.Now())
	p.bye = true
}

// request is a request of the other end.
func (p *Phone) request(a arrival) {
	switch a.method {
	case "ACK":
		p.ack(a)
	case "INVITE":
		p.invited(a)
	case "CANCEL":
		p.cancelled(a)
	case "BYE":
		p.sock.send(a.answer(200, p.tag).bytes(), a.from)
		if p.Ended() == "" {
			p.settle()
			p.opt.On("BYE received", time.Now())
			why := "the other end hung up"
			if r := a.get("Reason"); r != "" {
				why += ": " + r
			}
			p.end(why)
		}
	case "INFO":
		p.informed(a)
		p.agree(a)
	case "UPDATE":
		if a.body != "" {
			p.changed(a, func(body string) {
				r := a.answer(200, p.tag)
				r.add("Contact", p.contact())
				r.body = body
				p.sock.send(r.bytes(), a.from)
			})
			return
		}
		fallthrough
	case "OPTIONS", "NOTIFY":
		p.agree(a)
	default:
		p.sock.send(a.answer(405, p.tag).bytes(), a.from)
	}
}

func (p *Phone) agree(a arrival) {
	r := a.answer(200, p.tag)
	r.add("Contact", p.contact())
	p.sock.send(r.bytes(), a.from)
}

// ack ends the repetition of our final answer.
func (p *Phone) ack(a arrival) {
	if seq, _ := a.cseq(); seq != p.lastSeq || p.acked {
		return
	}
	p.acked = true
	if !p.bye || !p.live {
		p.settle()
	}
	if !p.live {
		switch {
		case p.asked.method == "" || !p.bye:
		case p.Status() == 487:
			p.end("the caller gave up")
		default:
			p.end(fmt.Sprintf("refused with %d", p.Status()))
		}
		return
	}
	if f, ok := understand(a.body, wanted(p.opt.Codec)); ok { // the answer to our offer
		p.send(f)
	}
	select {
	case <-p.up:
	default:
		if p.asked.method != "" {
			close(p.up)
		}
	}
	if p.leaving {
		p.leave()
	}
}

// invited is an INVITE within the call: the first one again, or a new one.
func (p *Phone) invited(a arrival) {
	seq, _ := a.cseq()
	switch {
	case seq == p.lastSeq && p.last != nil:
		p.sock.send(p.last, a.from)
	case !p.live || p.bye:
		p.sock.send(a.answer(481, p.tag).bytes(), a.from)
	default:
		p.source = a.from
		if c := uriOf(a.get("Contact")); c != "" {
			p.target = c
		}
		p.changed(a, func(body string) { p.accept(a.message, body, nil) })
	}
}

// changed takes a new offer; an empty one asks for ours.
func (p *Phone) changed(a arrival, reply func(body string)) {
	if a.body == "" {
		reply(p.describe(wanted(p.opt.Codec), eventPT, "sendrecv"))
		return
	}
	f, ok := understand(a.body, wanted(p.opt.Codec))
	if !ok {
		p.last = a.answer(488, p.tag).bytes()
		p.lastSeq, _ = a.cseq()
		p.sock.send(p.last, a.from)
		return
	}
	p.send(f)
	p.opt.On("new session description", time.Now())
	reply(p.describe([]uint8{f.pt}, f.event, mirror(f)))
}

// cancelled: the caller gave up while we ring (RFC 3261, 9.2).
func (p *Phone) cancelled(a arrival) {
	p.sock.send(a.answer(200, p.tag).bytes(), a.from)
	if p.live || p.asked.method == "" || p.bye || p.Ended() != "" || !slices.Equal(a.all("Call-ID"), p.asked.all("Call-ID")) {
		return
	}
	p.opt.On("CANCEL received", time.Now())
	p.refuse(487)
}
