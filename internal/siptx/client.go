package siptx

import (
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Client is a client transaction (RFC 3261, 17.1; RFC 6026).
type Client struct {
	layer  *Layer
	key    string
	req    *sip.Request
	raw    []byte
	flow   Flow
	invite bool
	on     func(*sip.Response)

	mu       sync.Mutex
	state    clientState
	interval time.Duration
	resend   *time.Timer
	expire   *time.Timer
}

type clientState uint8

const (
	calling clientState = iota
	proceeding
	completed
	terminated
)

func clientKey(branch string, method sip.RequestMethod) string { return branch + " " + string(method) }

// Send sends a request, which has a Via of its own, and follows the transaction
// to its end. on is called with each response in the order of the wire, on the
// socket's goroutine, and must not block; nil stands for a timeout or a dead flow, and
// is the last call. Responses that only repeat a final one stay here, but every 2xx
// to an INVITE comes up. An INVITE that was answered provisionally waits without end: Stop it.
func (l *Layer) Send(req *sip.Request, f Flow, on func(*sip.Response)) *Client {
	tx := &Client{
		layer: l, key: clientKey(Param(req.Via().Params, "branch"), req.Method), req: req, raw: []byte(req.String()), flow: f,
		invite: req.Method == sip.INVITE, on: on, interval: T1,
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.clients[tx.key] = tx
	}
	l.mu.Unlock()
	if closed || f.Send(tx.raw) != nil {
		tx.expire = time.AfterFunc(0, tx.timeout)
		return tx
	}
	tx.expire = time.AfterFunc(64*T1, tx.timeout) // timers B and F
	if !f.Reliable() {
		tx.resend = time.AfterFunc(T1, tx.again) // timers A and E
	}
	return tx
}

// again is timer A or E.
func (tx *Client) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state != calling && (tx.state != proceeding || tx.invite) {
		return
	}
	_ = tx.flow.Send(tx.raw) // the next turn tries again
	tx.interval *= 2
	if !tx.invite {
		if tx.interval = min(tx.interval, T2); tx.state == proceeding {
			tx.interval = T2
		}
	}
	tx.resend.Reset(tx.interval)
}

func (tx *Client) timeout() {
	tx.mu.Lock()
	late := tx.state < completed
	tx.end()
	tx.mu.Unlock()
	if late {
		tx.layer.tally.add(tx.req.Method, true, 408)
		tx.on(nil)
	}
}

// Stop ends the transaction; what comes for it is stray from now on.
func (tx *Client) Stop() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.end()
}

// Quit stops a transaction that has no final response; others absorb
// repeated ones until their timers end them.
func (tx *Client) Quit() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state < completed {
		tx.end()
	}
}

// end is called with mu held.
func (tx *Client) end() {
	tx.state = terminated
	if tx.resend != nil {
		tx.resend.Stop()
	}
	tx.expire.Stop()
	l := tx.layer
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[tx.key] == tx {
		delete(l.clients, tx.key)
	}
}

func (tx *Client) receive(res *sip.Response) {
	if tx.advance(res) {
		tx.on(res)
	}
}

// advance takes a response in and says whether it goes up.
func (tx *Client) advance(res *sip.Response) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	status := res.StatusCode
	switch {
	case tx.state == terminated:
		return false
	case tx.state == completed:
		if tx.invite && status >= 300 {
			tx.ack(res)
		}
		return tx.invite && status >= 200 && status < 300 // a fork's, or our ACK was lost (RFC 6026)
	case status < 200:
		tx.state = proceeding
		if tx.invite {
			tx.expire.Stop()
		}
		return true
	}
	tx.state = completed
	tx.layer.tally.add(tx.req.Method, true, status)
	if tx.resend != nil {
		tx.resend.Stop()
	}
	wait := T4 // timer K
	if tx.invite {
		wait = 64 * T1 // timers D and M
		if status >= 300 {
			tx.ack(res)
		}
	}
	if tx.flow.Reliable() && (!tx.invite || status >= 300) {
		tx.end()
	} else {
		tx.expire.Reset(wait)
	}
	return true
}

// ack acknowledges a refused INVITE (RFC 3261, 17.1.1.3).
func (tx *Client) ack(res *sip.Response) {
	ack := sip.NewRequest(sip.ACK, tx.req.Recipient)
	ack.AppendHeader(tx.req.Via().Clone())
	for _, r := range Values(tx.req, "Route") {
		ack.AppendHeader(sip.NewHeader("Route", r))
	}
	for _, h := range []string{"Max-Forwards", "From"} {
		ack.AppendHeader(sip.NewHeader(h, Value(tx.req, h)))
	}
	ack.AppendHeader(sip.NewHeader("To", Value(res, "To")))
	ack.AppendHeader(sip.NewHeader("Call-ID", tx.req.CallID().Value()))
	ack.AppendHeader(&sip.CSeqHeader{SeqNo: tx.req.CSeq().SeqNo, MethodName: sip.ACK})
	ack.SetBody(nil)
	_ = tx.flow.Send([]byte(ack.String())) // the final response comes again if this is lost
}
