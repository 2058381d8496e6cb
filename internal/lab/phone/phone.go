// Package phone is a small telephone for tests and the demo: SIP over UDP and G.711, written
// from RFC 3261, RFC 3264, RFC 3550 and RFC 4733 and not from the gateway's code, so that both
// do not share an error. It calls or is called, says a tone, and remembers what it hears. With
// Opus (RFC 7587) it is as an IVR that mixes by itself: it hears each SSRC of the session apart.
//
// It is not a SIP library: one dialog, one audio stream, no authentication, no registration.
//
// A call has four goroutines: one owns the dialog, one speaks, one listens, one reads RTCP. A socket for SIP
// has one that reads. Hangup (or Close of a Line) ends them and waits for them.
package phone

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"jigasi/internal/xlog"
)

// Options makes a call, or says how calls are taken.
type Options struct {
	Server  netip.AddrPort // the gateway; Listen does not use it
	User    string         // user part of who is called; Listen does not use it
	From    string         // our own number; "" means 1001
	Headers [][2]string    // more headers of the INVITE, or of our 200
	Codec   string         // PCMU, PCMA or opus; "" means both of G.711, PCMU first
	Tone    float64        // in Hz; 0 means we are silent
	DBov    float64        // RMS level of the tone; 0 means -20
	Slow    bool           // Dial: an INVITE without SDP (delayed offer)
	Resend  time.Duration  // until a request or an answer is sent again, T1 of RFC 3261; 0 means 500 ms
	// On is told each step as it happens: "INVITE sent", "180 Ringing", "200 OK",
	// "first sound heard by the phone", "BYE received". It must not call Hangup or Close.
	On  func(event string, at time.Time)
	Log *slog.Logger
}

func (o Options) whole() Options {
	if o.From == "" {
		o.From = "1001"
	}
	if o.DBov == 0 {
		o.DBov = -20
	}
	if o.Resend == 0 {
		o.Resend = t1
	}
	if o.On == nil {
		o.On = func(string, time.Time) {}
	}
	o.Log = xlog.Or(o.Log)
	return o
}

// A Phone is one call. Its methods are safe for concurrent use. Hangup has to be called once in
// the end, also where the other end hung up: it gives everything back.
type Phone struct {
	opt  Options
	sock *socket
	own  bool // the socket is this call's alone
	rtp  *net.UDPConn
	rtcp *net.UDPConn
	dialog
	sound
	apart

	in   chan arrival
	tell chan string
	turn chan string // the codec to change to
	hang chan struct{}
	quit chan struct{}
	up   chan struct{}
	over chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu     sync.Mutex
	ended  string
	status int
	told   []string
}

func newPhone(o Options, s *socket, ip netip.Addr) (*Phone, error) {
	p := &Phone{
		opt: o, sock: s, in: make(chan arrival, 64), tell: make(chan string, 16), turn: make(chan string, 1),
		hang: make(chan struct{}, 1), quit: make(chan struct{}), up: make(chan struct{}), over: make(chan struct{}),
	}
	var err error
	p.rtp, p.rtcp, err = pair(ip)
	return p, err
}

func (p *Phone) start(first func()) {
	p.wg.Go(func() { p.run(first) })
	p.wg.Go(p.listen)
	p.wg.Go(p.talk)
	p.wg.Go(p.readReports)
}

// Dial starts a call and returns at once. Up is closed when it is answered, Over when it has ended.
func Dial(o Options) (*Phone, error) {
	o = o.whole()
	ip, err := localFor(o.Server)
	if err != nil {
		return nil, err
	}
	s, err := open(netip.AddrPortFrom(ip, 0), nil)
	if err != nil {
		return nil, err
	}
	p, err := newPhone(o, s, ip)
	if err != nil {
		_ = s.conn.Close()
		return nil, err
	}
	p.own = true
	uri := fmt.Sprintf("sip:%s@%s", o.User, o.Server)
	p.dialog = dialog{
		callID: random() + "@phone", tag: random(), target: uri, peer: o.Server,
		local: fmt.Sprintf(`"Phone" <sip:%s@%s>;tag=`, o.From, s.addr()), remote: "<" + uri + ">",
	}
	p.local += p.tag
	s.put(p.callID, p)
	s.start()
	p.start(p.call)
	return p, nil
}

// Up is closed when the call is answered: on the 200 we get, or on the ACK of ours.
func (p *Phone) Up() <-chan struct{} { return p.up }

// Over is closed when the call has ended.
func (p *Phone) Over() <-chan struct{} { return p.over }

// Ended says why the call ended; "" while it lives.
func (p *Phone) Ended() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Status is the final status of the INVITE: 200, 486 and so on; 0 as long as there is none.
func (p *Phone) Status() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Invite gives a header of the INVITE that was received; "" for a call of ours.
func (p *Phone) Invite(header string) string {
	if p.asked.method == "" {
		return ""
	}
	return p.asked.get(header)
}

// Hangup ends the call with BYE, CANCEL or a refusal, whichever fits, waits for the other end's
// answer as long as ctx lives, and gives everything back. The error is ctx's if no answer came.
func (p *Phone) Hangup(ctx context.Context) error {
	var err error
	p.once.Do(func() {
		p.hang <- struct{}{}
		select {
		case <-p.over:
		case <-ctx.Done():
			err = ctx.Err()
		}
		close(p.quit)
		_ = p.rtp.Close()
		_ = p.rtcp.Close()
		p.wg.Wait()
		p.sock.drop(p.callID)
		if p.own {
			p.sock.close()
		}
	})
	return err
}

// A Line takes calls.
type Line struct {
	opt     Options
	take    Taking
	sock    *socket
	calls   chan *Phone
	closing chan struct{}
	once    sync.Once
}

// Taking is how a line takes calls.
type Taking struct {
	At     netip.AddrPort // where to listen; the zero value is a free port of 127.0.0.1
	Rings  time.Duration  // how long it rings; negative means for ever
	Status int            // how it then answers: 486 and so on; 0 means 200
}

// Listen takes calls until Close.
func Listen(t Taking, o Options) (*Line, error) {
	if !t.At.IsValid() {
		t.At = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if t.Status == 0 {
		t.Status = 200
	}
	l := &Line{opt: o.whole(), take: t, calls: make(chan *Phone, 100), closing: make(chan struct{})}
	var err error
	if l.sock, err = open(t.At, l.called); err != nil {
		return nil, err
	}
	l.sock.start()
	return l, nil
}

// Addr is where the line listens.
func (l *Line) Addr() netip.AddrPort { return l.sock.addr() }

// URI is what to call.
func (l *Line) URI() string { return fmt.Sprintf("sip:%s@%s", l.opt.From, l.Addr()) }

// Calls gives each call as it begins to ring. At most 100 wait there; more are answered 503.
func (l *Line) Calls() <-chan *Phone { return l.calls }

// Close hangs up all calls and stops listening.
func (l *Line) Close(ctx context.Context) {
	l.once.Do(func() {
		close(l.closing)
		for _, p := range l.sock.list() {
			_ = p.Hangup(ctx) // whoever does not answer is left alone
		}
		l.sock.close()
		gone, cancel := context.WithCancel(ctx)
		cancel()
		for _, p := range l.sock.list() { // came while we closed: there is no socket to tell them
			_ = p.Hangup(gone)
		}
	})
}

// called is an INVITE, on the socket's goroutine.
func (l *Line) called(m message, from netip.AddrPort) {
	select {
	case <-l.closing:
		l.sock.send(m.answer(503, random()).bytes(), from)
		return
	default:
	}
	if len(l.calls) == cap(l.calls) {
		l.sock.send(m.answer(503, random()).bytes(), from)
		return
	}
	p, err := newPhone(l.opt, l.sock, l.Addr().Addr())
	if err != nil {
		l.sock.send(m.answer(500, random()).bytes(), from)
		return
	}
	p.dialog = answering(m, from)
	l.sock.put(p.callID, p)
	p.start(func() { p.ring(l.take) })
	l.calls <- p // there is room: nobody else sends
}
