package sip

import (
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Timers of RFC 3261, table 4.
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
	t4 = 5 * time.Second
)

// clientTx is a client transaction (RFC 3261, 17.1). Responses are given to
// on in the order of the wire; on must not block. nil stands for a timeout or a dead flow.
type clientTx struct {
	ua     *UA
	key    string
	req    *sip.Request
	raw    []byte
	flow   flow
	invite bool
	on     func(*sip.Response)

	mu       sync.Mutex
	state    txState
	interval time.Duration
	resend   *time.Timer
	expire   *time.Timer
}

type txState uint8

const (
	calling txState = iota
	proceeding
	completed
	terminated
)

func clientKey(branch string, method sip.RequestMethod) string { return branch + " " + string(method) }

// start sends the request and follows the transaction to its end.
func (u *UA) startClient(req *sip.Request, f flow, on func(*sip.Response)) *clientTx {
	branch := param(req.Via().Params, "branch")
	tx := &clientTx{
		ua: u, key: clientKey(branch, req.Method), req: req, raw: []byte(req.String()), flow: f,
		invite: req.Method == sip.INVITE, on: on, interval: t1,
	}
	u.mu.Lock()
	u.clients[tx.key] = tx
	u.mu.Unlock()
	tx.mu.Lock()
	defer tx.mu.Unlock()
	err := f.send(tx.raw)
	tx.expire = time.AfterFunc(64*t1, tx.timeout) // timers B and F
	if err != nil {
		tx.expire.Reset(0)
		return tx
	}
	if !f.reliable() {
		tx.resend = time.AfterFunc(t1, tx.again) // timers A and E
	}
	return tx
}

func (tx *clientTx) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state == calling || tx.state == proceeding && !tx.invite {
		_ = tx.flow.send(tx.raw) // the next timer tries again
		tx.interval *= 2
		if !tx.invite {
			tx.interval = min(tx.interval, t2)
			if tx.state == proceeding {
				tx.interval = t2
			}
		}
		tx.resend.Reset(tx.interval)
	}
}

func (tx *clientTx) timeout() {
	tx.mu.Lock()
	late := tx.state < completed
	tx.end()
	tx.mu.Unlock()
	if late {
		tx.on(nil)
	}
}

// end is called with mu held.
func (tx *clientTx) end() {
	tx.state = terminated
	if tx.resend != nil {
		tx.resend.Stop()
	}
	tx.expire.Stop()
	tx.ua.mu.Lock()
	delete(tx.ua.clients, tx.key)
	tx.ua.mu.Unlock()
}

func (tx *clientTx) receive(res *sip.Response) {
	tx.mu.Lock()
	status := res.StatusCode
	switch {
	case tx.state == terminated:
		tx.mu.Unlock()
		return
	case tx.state == completed:
		if tx.invite && status >= 300 {
			tx.ack(res)
		}
		up := tx.invite && status < 300 && status >= 200 // RFC 6026: 2xx of forks and retransmissions pass
		tx.mu.Unlock()
		if up {
			tx.on(res)
		}
		return
	case status < 200:
		tx.state = proceeding
		if tx.invite {
			tx.expire.Stop()
		}
	default:
		tx.state = completed
		if tx.resend != nil {
			tx.resend.Stop()
		}
		wait := t4 // timer K
		if tx.invite {
			wait = 64 * t1 // timers D and M
			if status >= 300 {
				tx.ack(res)
			}
		}
		if tx.flow.reliable() && !(tx.invite && status < 300) {
			tx.end()
		} else {
			tx.expire.Reset(wait)
		}
	}
	tx.mu.Unlock()
	tx.on(res)
}

// ack acknowledges a final response that is no 2xx (RFC 3261, 17.1.1.3).
func (tx *clientTx) ack(res *sip.Response) {
	ack := sip.NewRequest(sip.ACK, tx.req.Recipient)
	ack.AppendHeader(tx.req.Via().Clone())
	ack.AppendHeader(sip.NewHeader("Max-Forwards", "70"))
	for _, r := range tx.req.GetHeaders("Route") {
		ack.AppendHeader(sip.NewHeader("Route", r.Value()))
	}
	ack.AppendHeader(sip.NewHeader("From", tx.req.From().Value()))
	ack.AppendHeader(sip.NewHeader("To", value(res, "To")))
	ack.AppendHeader(sip.NewHeader("Call-ID", value(tx.req, "Call-ID")))
	ack.AppendHeader(&sip.CSeqHeader{SeqNo: tx.req.CSeq().SeqNo, MethodName: sip.ACK})
	ack.SetBody(nil)
	_ = tx.flow.send([]byte(ack.String())) // the final response comes again if this is lost
}

// serverTx is a server transaction (RFC 3261, 17.2).
type serverTx struct {
	ua     *UA
	key    string
	req    *sip.Request
	flow   flow
	invite bool
	tag    string // our To tag for responses outside a dialog

	// onAck and onCancel are set before the transaction is visible to others. onGone says that
	// no ACK came for a final response.
	onCancel, onGone func()

	mu       sync.Mutex
	last     []byte // latest response
	final    int    // its status if final
	acked    bool
	interval time.Duration
	resend   *time.Timer
	expire   *time.Timer
}

// serverKey names the transaction of a request (RFC 3261, 17.2.3); a branch without the cookie
// is of a client of RFC 2543, whose transactions are told apart by more.
func serverKey(req *sip.Request, method sip.RequestMethod) string {
	via := req.Via()
	branch := param(via.Params, "branch")
	sent := strings.ToLower(via.Host)
	if strings.HasPrefix(branch, magic) {
		return strings.Join([]string{branch, sent, portText(via.Port), string(method)}, " ")
	}
	return strings.Join([]string{
		value(req, "Call-ID"), param(req.From().Params, "tag"), value(req, "CSeq"), sent, portText(via.Port), string(method),
	}, " ")
}

// respond sends a response and keeps it for retransmissions. After a final
// response it does nothing.
func (tx *serverTx) respond(res *sip.Response) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.final != 0 {
		return
	}
	tx.last = []byte(res.String())
	_ = tx.flow.send(tx.last) // the peer asks again if this is lost
	if res.StatusCode < 200 {
		return
	}
	tx.final = res.StatusCode
	switch {
	case !tx.invite:
		if tx.flow.reliable() {
			tx.remove()
			return
		}
		tx.expire = time.AfterFunc(64*t1, tx.end) // timer J
	case tx.final < 300: // 2xx is the dialog's to repeat (13.3.1.4)
		tx.expire = time.AfterFunc(64*t1, tx.end) // timer L of RFC 6026
	default:
		tx.interval = t1
		if !tx.flow.reliable() {
			tx.resend = time.AfterFunc(t1, tx.again) // timer G
		}
		tx.expire = time.AfterFunc(64*t1, tx.end) // timer H
	}
}

func (tx *serverTx) status(code int) { tx.respond(respond(tx.req, code, tx.tag)) }

func (tx *serverTx) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.acked || tx.final == 0 {
		return
	}
	_ = tx.flow.send(tx.last) // the next timer tries again
	tx.interval = min(2*tx.interval, t2)
	tx.resend.Reset(tx.interval)
}

// retransmitted answers a request that came again.
func (tx *serverTx) retransmitted() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.last != nil && !(tx.invite && tx.final >= 200 && tx.final < 300) {
		_ = tx.flow.send(tx.last) // the peer asks again if this is lost
	}
}

// ackReceived ends the repetition of a refusal.
func (tx *serverTx) ackReceived() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.acked = true
	if tx.resend != nil {
		tx.resend.Stop()
	}
	if tx.expire != nil {
		tx.expire.Reset(t4) // timer I
	}
}

func (tx *serverTx) end() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.remove()
}

// remove is called with mu held.
func (tx *serverTx) remove() {
	if tx.resend != nil {
		tx.resend.Stop()
	}
	if tx.expire != nil {
		tx.expire.Stop()
	}
	tx.ua.mu.Lock()
	delete(tx.ua.servers, tx.key)
	tx.ua.mu.Unlock()
}
