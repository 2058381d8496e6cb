package sip_test

import (
	"bytes"
	"fmt"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

var (
	gateway = netip.MustParseAddrPort("192.0.2.1:5060")
	phoneAt = netip.MustParseAddrPort("192.0.2.2:5060")
	otherAt = netip.MustParseAddrPort("192.0.2.3:5060")
)

// air is a network in virtual time: what is sent arrives a millisecond later, in order.
type air struct {
	mu    sync.Mutex
	ends  map[netip.AddrPort]chan func()
	takes map[netip.AddrPort]func(b []byte, network string, from netip.AddrPort)
	lose  func(from netip.AddrPort, b []byte) bool
	done  sync.WaitGroup
}

func newAir() *air {
	return &air{ends: map[netip.AddrPort]chan func(){}, takes: map[netip.AddrPort]func([]byte, string, netip.AddrPort){}}
}

// join gives an end its place.
func (a *air) join(at netip.AddrPort, take func(b []byte, network string, from netip.AddrPort)) {
	ch := make(chan func(), 10000) // who waits to send would stop the time
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends[at], a.takes[at] = ch, take
	a.done.Go(func() {
		for f := range ch {
			time.Sleep(time.Millisecond)
			f()
		}
	})
}

// Send implements siptx.Wire.
func (a *air) Send(network string, from, to netip.AddrPort, b []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch, take := a.ends[to], a.takes[to]
	if ch == nil || a.lose != nil && a.lose(from, b) {
		return nil
	}
	b = append([]byte(nil), b...)
	ch <- func() { take(b, network, from) }
	return nil
}

func (a *air) close() {
	a.mu.Lock()
	for at, ch := range a.ends {
		close(ch)
		delete(a.ends, at)
	}
	a.mu.Unlock()
	a.done.Wait()
}

// A phone is a peer that says what the test tells it to, and nothing by itself.
type phone struct {
	t     *testing.T
	air   *air
	at    netip.AddrPort
	inbox chan siptx.Message
	since time.Time
	when  time.Duration // of what was received last
	seq   int
	blank atomic.Int32 // keep-alives that are no message
}

func newPhone(t *testing.T, a *air, at netip.AddrPort) *phone {
	p := &phone{t: t, air: a, at: at, inbox: make(chan siptx.Message, 1000), since: time.Now()}
	a.join(at, func(b []byte, _ string, _ netip.AddrPort) {
		if len(bytes.TrimSpace(b)) == 0 {
			p.blank.Add(1)
			return
		}
		m, err := siptx.Parse(b)
		if err != nil {
			t.Errorf("the gateway wrote what cannot be read: %v\n%s", err, b)
			return
		}
		p.inbox <- m
	})
	return p
}

// crlf ends lines as SIP does.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func (p *phone) send(text string) {
	if err := p.air.Send("udp", p.at, gateway, []byte(crlf(text))); err != nil {
		p.t.Fatal(err)
	}
}

// request sends a request; the fields come before the usual ones.
func (p *phone) request(method, fields, body string) (branch string) {
	p.seq++
	return p.requestAs(method, fields, body, p.seq, fmt.Sprintf("z9hG4bK%s%d", p.at.Addr(), p.seq))
}

func (p *phone) requestAs(method, fields, body string, seq int, branch string) string {
	usual := fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=%s\nFrom: <sip:phone@%s>;tag=p1\nCall-ID: c1\nMax-Forwards: 70\nCSeq: %d %s\n", p.at, branch, p.at, seq, method)
	if !strings.Contains(fields, "Contact:") {
		usual += fmt.Sprintf("Contact: <sip:phone@%s>\n", p.at)
	}
	if !strings.Contains("\n"+fields, "\nTo:") {
		usual += "To: <sip:room@192.0.2.1>\n"
	}
	if body != "" && !strings.Contains(fields, "Content-Type:") {
		usual += "Content-Type: application/sdp\n"
	}
	p.send(fmt.Sprintf("%s sip:room@192.0.2.1 SIP/2.0\n%s%sContent-Length: %d\n\n%s", method, fields, usual, len(crlf(body)), body))
	return branch
}

// any gives the next message.
func (p *phone) any() siptx.Message {
	p.t.Helper()
	select {
	case m := <-p.inbox:
		p.when = time.Since(p.since)
		return m
	case <-time.After(2 * time.Hour):
		p.t.Fatal("nothing came")
		return nil
	}
}

// status waits for a response, which has to have a status.
func (p *phone) status(want int) *gosip.Response {
	p.t.Helper()
	m := p.any()
	res, ok := m.(*gosip.Response)
	if !ok || res.StatusCode != want {
		p.t.Fatalf("waiting for %d, there came\n%s", want, show(m))
	}
	return res
}

// method waits for a request of a method.
func (p *phone) method(want string) *gosip.Request {
	p.t.Helper()
	m := p.any()
	req, ok := m.(*gosip.Request)
	if !ok || string(req.Method) != want {
		p.t.Fatalf("waiting for %s, there came\n%s", want, show(m))
	}
	return req
}

// quiet checks that nothing has come.
func (p *phone) quiet() {
	p.t.Helper()
	time.Sleep(50 * time.Millisecond)
	synctest.Wait()
	select {
	case m := <-p.inbox:
		p.t.Fatalf("unexpectedly there came\n%s", show(m))
	default:
	}
}

func show(m siptx.Message) string {
	switch m := m.(type) {
	case *gosip.Request:
		return m.String()
	case *gosip.Response:
		return m.String()
	}
	return ""
}

// respond answers a request of the gateway.
func (p *phone) respond(req *gosip.Request, status int, fields, body string) {
	res := siptx.Respond(req, status, "")
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\n", status, siptx.Reason(status))
	for _, name := range []string{"Via", "From", "Call-ID", "CSeq"} {
		for _, v := range siptx.Values(res, name) {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	to := siptx.Value(req, "To")
	if status > 100 && !strings.Contains(to, "tag=") && !strings.Contains("\n"+fields, "\nTo:") {
		to += ";tag=p1"
	}
	if !strings.Contains("\n"+fields, "\nTo:") {
		fmt.Fprintf(&b, "To: %s\n", to)
	}
	if !strings.Contains(fields, "Contact:") {
		fmt.Fprintf(&b, "Contact: <sip:phone@%s>\n", p.at)
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\n")
	}
	fmt.Fprintf(&b, "%sContent-Length: %d\n\n%s", fields, len(crlf(body)), body)
	p.send(b.String())
}

// scene is a gateway and a phone in virtual time.
type scene struct {
	*testing.T
	ua    *sip.UA
	phone *phone
	air   *air
	calls chan *sip.Dialog
}

// play runs a test in virtual time, and checks that nothing is left of it.
func play(t *testing.T, o sip.Options, f func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t, air: newAir(), calls: make(chan *sip.Dialog, 20)}
		o.Wire = s.air
		if len(o.Listen) == 0 {
			o.Listen = []sip.Listener{{Network: "udp", Addr: gateway.String()}}
		}
		if len(o.Trunks) == 0 && !o.Open && len(o.Accounts) == 0 {
			o.Trunks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}
		o.Incoming = func(d *sip.Dialog) { s.calls <- d }
		s.ua = sip.New(o)
		s.air.join(gateway, func(b []byte, network string, from netip.AddrPort) { s.ua.Receive(b, network, gateway, from) })
		s.phone = newPhone(t, s.air, phoneAt)
		if err := s.ua.Start(); err != nil {
			t.Fatal(err)
		}
		defer s.air.close()
		defer func() {
			ctx, cancel := contextFor(2 * time.Second)
			defer cancel()
			_ = s.ua.Close(ctx)
			synctest.Wait()
		}()
		f(s)
	})
}

// empty checks that no call and no transaction is left.
func (s *scene) empty() {
	s.Helper()
	time.Sleep(40 * time.Second)
	if n := s.ua.Calls(); n != 0 {
		s.Errorf("%d dialogs are left", n)
	}
	if c, sv := s.ua.Transactions(); c+sv != 0 {
		s.Errorf("%d client and %d server transactions are left", c, sv)
	}
}

// up brings a call of the phone up and gives the gateway's tag.
func (s *scene) up(fields string) (d *sip.Dialog, tag string) {
	s.Helper()
	s.phone.request("INVITE", fields, offer)
	s.phone.status(100)
	d = <-s.calls
	d.Answer([]byte(offer))
	ok := s.phone.status(200)
	tag = siptx.Param(ok.To().Params, "tag")
	s.phone.ack(tag, "")
	wait(s.T, d, sip.Confirmed)
	return d, tag
}

// ack acknowledges the request that was sent last.
func (p *phone) ack(tag, body string) {
	p.requestAs("ACK", "To: <sip:room@192.0.2.1>;tag="+tag+"\n", body, p.seq, fmt.Sprintf("z9hG4bKack%d", p.seq))
}

// ackRefusal acknowledges the refusal of the request that was sent last.
func (p *phone) ackRefusal(tag string) {
	p.requestAs("ACK", "To: <sip:room@192.0.2.1>;tag="+tag+"\n", "", p.seq, fmt.Sprintf("z9hG4bK%s%d", p.at.Addr(), p.seq))
}

// in sends a request inside the call.
func (p *phone) in(method, tag, fields, body string) {
	p.request(method, "To: <sip:room@192.0.2.1>;tag="+tag+"\n"+fields, body)
}

// dial begins a call of the gateway to the phone.
func (s *scene) dial(o sip.DialOptions) (*sip.Dialog, *gosip.Request) {
	s.Helper()
	if o.To == "" {
		o.To = "sip:phone@" + phoneAt.String()
	}
	o.SDP = []byte(offer)
	d, err := s.ua.Dial(s.Context(), o)
	if err != nil {
		s.Fatal(err)
	}
	return d, s.phone.method("INVITE")
}

// answered brings a call of the gateway up.
func (s *scene) answered(fields string) (*sip.Dialog, *gosip.Request) {
	s.Helper()
	d, invite := s.dial(sip.DialOptions{})
	s.phone.respond(invite, 200, fields, offer)
	s.phone.method("ACK")
	wait(s.T, d, sip.Answered)
	return d, invite
}

// wait waits in virtual time for an event, passing over progress.
func wait(t *testing.T, d *sip.Dialog, kind sip.EventKind) sip.Event {
	t.Helper()
	for e := range d.Events() {
		if e.Kind == kind {
			return e
		}
		if e.Kind != sip.Progress {
			t.Fatalf("event %d (%v), waiting for %d", e.Kind, e.Cause, kind)
		}
	}
	t.Fatalf("the dialog is over, waiting for event %d", kind)
	return sip.Event{}
}
