package phone

import (
	"slices"
	"strings"
)

const (
	jsonKind = "application/json"
	maxTold  = 1000
)

// Tell says something in JSON by SIP INFO, as the machine of a provider does that asks its callers
// for a password. It is sent once the call is answered, and once only.
func (p *Phone) Tell(body string) {
	select {
	case p.tell <- body:
	case <-p.over:
	}
}

// Told is what the other end has said in JSON by SIP INFO.
func (p *Phone) Told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.told)
}

func (p *Phone) inform(body string) {
	if !p.live || p.bye {
		return
	}
	p.seq++
	m := p.make("INFO", p.seq, branch())
	m.kind, m.body = jsonKind, body
	p.sock.send(m.bytes(), p.hop())
}

// informed notes what an INFO says; a repeated one says it again.
func (p *Phone) informed(a arrival) {
	if !strings.EqualFold(a.get("Content-Type"), jsonKind) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) < maxTold {
		p.told = append(p.told, a.body)
	}
}
