package siptx

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Server is a server transaction (RFC 3261, 17.2; RFC 6026). Its methods are
// safe for concurrent use.
type Server struct {
	Tag string // for the To of responses outside a dialog

	layer    *Layer
	key      string
	flow     Flow
	invite   bool
	stranger bool

	mu        sync.Mutex
	req       *sip.Request // nil after the final response: what is kept for 32 s should be small
	last      []byte       // latest response
	final     int          // its status if final
	ackSeen   bool
	gone      bool
	cancelled bool
	onCancel  func()
	onRespond func(status int)
	interval  time.Duration
	resend    *time.Timer
	expire    *time.Timer
}

// serverKey names the transaction of a request (RFC 3261, 17.2.3). A branch without the
// cookie, or with nothing behind it, is of a client of RFC 2543, whose transactions are told apart by more.
func serverKey(req *sip.Request, method sip.RequestMethod) string {
	via := req.Via()
	branch := Param(via.Params, "branch")
	sent := strings.ToLower(via.Host) + " " + strconv.Itoa(via.Port)
	if strings.HasPrefix(branch, Magic) && len(branch) > len(Magic) {
		return branch + " " + sent + " " + string(method)
	}
	return strings.Join([]string{
		"2543", req.CallID().Value(), Param(req.From().Params, "tag"), strconv.FormatUint(uint64(req.CSeq().SeqNo), 10),
		branch, sent, req.Recipient.String(), string(method),
	}, " ")
}

// Flow is where the request came from and responses go to.
func (tx *Server) Flow() Flow { return tx.flow }

// Stranger reports that the request is of nobody known.
func (tx *Server) Stranger() bool { return tx.stranger }

// begin bounds the life of a transaction that nobody answers; for an INVITE that is the dialog's to do.
func (tx *Server) begin() {
	if !tx.invite {
		tx.mu.Lock()
		defer tx.mu.Unlock()
		tx.expire = time.AfterFunc(64*T1, tx.end)
	}
}

// OnCancel sets what a CANCEL brings about; at once if it has come already.
func (tx *Server) OnCancel(f func()) {
	tx.mu.Lock()
	now := tx.cancelled
	if tx.final == 0 {
		tx.onCancel = f
	}
	tx.mu.Unlock()
	if now {
		f()
	}
}

// cancel notes that a CANCEL has come, after which nothing provisional is sent, answers it,
// and then brings about what it brings about.
func (tx *Server) cancel(answer func()) {
	tx.mu.Lock()
	f := tx.onCancel
	tx.cancelled = true
	tx.mu.Unlock()
	answer()
	if f != nil {
		f()
	}
}

// OnRespond has f told the status of each response, but not of one sent again. f must not block.
func (tx *Server) OnRespond(f func(status int)) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.final == 0 {
		tx.onRespond = f
	}
}

// Respond sends a response and keeps it for retransmissions. After a final
// response it does nothing; nor, after a CANCEL, with a provisional one, which would
// tell a caller that has given up that it rings.
func (tx *Server) Respond(res *sip.Response) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.final != 0 || tx.gone || tx.cancelled && res.StatusCode < 200 {
		return
	}
	if tx.onRespond != nil {
		tx.onRespond(res.StatusCode)
	}
	tx.last = []byte(res.String())
	_ = tx.flow.Send(tx.last) // the peer asks again if this is lost
	if res.StatusCode < 200 {
		return
	}
	tx.final = res.StatusCode
	tx.layer.tally.add(tx.req.Method, false, tx.final)
	tx.req, tx.onCancel, tx.onRespond = nil, nil, nil
	tx.layer.mu.Lock()
	tx.layer.pending--
	tx.layer.mu.Unlock()
	if tx.expire != nil {
		tx.expire.Stop()
	}
	switch {
	case !tx.invite && tx.flow.Reliable():
		tx.remove()
		return
	case tx.invite && tx.final >= 300:
		tx.interval = T1
		// A stranger may not be who the address says: it is answered as often as it asks (T06).
		if !tx.flow.Reliable() && !tx.stranger {
			tx.resend = time.AfterFunc(T1, tx.again) // timer G
		}
	}
	tx.expire = time.AfterFunc(64*T1, tx.end) // timers H, J and L; a 2xx to an INVITE is the dialog's to repeat
}

// Status responds with nothing but a status.
func (tx *Server) Status(code int) {
	tx.mu.Lock()
	req := tx.req
	tx.mu.Unlock()
	if req != nil {
		tx.Respond(Respond(req, code, tx.Tag))
	}
}

// again is timer G.
func (tx *Server) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.ackSeen || tx.gone {
		return
	}
	_ = tx.flow.Send(tx.last) // the next turn tries again
	tx.interval = min(2*tx.interval, T2)
	tx.resend.Reset(tx.interval)
}

// retransmitted answers a request that came again; a 2xx to an INVITE is repeated by its dialog alone.
func (tx *Server) retransmitted() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	accepted := tx.invite && tx.final >= 200 && tx.final < 300
	if tx.last != nil && !tx.ackSeen && !accepted {
		_ = tx.flow.Send(tx.last) // the peer asks again if this is lost
	}
}

func (tx *Server) refused() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.final >= 300
}

// acked ends the repetition of a refusal.
func (tx *Server) acked() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.ackSeen || tx.gone {
		return
	}
	tx.ackSeen = true
	if tx.resend != nil {
		tx.resend.Stop()
	}
	if tx.flow.Reliable() {
		tx.remove()
	} else {
		tx.expire.Reset(T4) // timer I
	}
}

func (tx *Server) end() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.remove()
}

// remove is called with mu held.
func (tx *Server) remove() {
	if tx.gone {
		return
	}
	tx.gone = true
	for _, t := range []*time.Timer{tx.resend, tx.expire} {
		if t != nil {
			t.Stop()
		}
	}
	l := tx.layer
	l.mu.Lock()
	defer l.mu.Unlock()
	if tx.final == 0 {
		l.pending--
	}
	if l.servers[tx.key] == tx {
		delete(l.servers, tx.key)
		if tx.stranger {
			l.strangers--
		}
	}
}

// End forgets an INVITE that never gets a final response, because its call is abandoned.
func (tx *Server) End() { tx.end() }
