// Package sip is a user agent (RFC 3261): transports, transactions, dialogs, registration.
//
// Messages and their parser are those of github.com/emiago/sipgo; everything
// that has an order or a state is written here (docs/adr/0002). The reader of a
// socket parses and finds the transaction; what belongs to a dialog is posted to
// that dialog's own goroutine, so it sees the messages of one peer in the order of the
// wire. Session descriptions are bytes: package sdp reads them.
//
// Read in this order: UA, Dialog, incoming.go, outgoing.go, transaction.go.
package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"jigasi/internal/xlog"
)

// A Listener is one address to listen at.
type Listener struct {
	Network string // udp, tcp, tls
	Addr    string // host:port
}

// Options makes a UA.
type Options struct {
	Listen    []Listener
	TLS       *tls.Config // certificate for TLS listeners, authorities for TLS connections
	Accounts  []Account
	Trunks    []netip.Prefix // peers that may call without registration
	Open      bool           // anybody may call
	PublicIP  netip.Addr     // what peers are told; invalid means: learn it from registrars, else the local address
	UserAgent string         // default jigasi

	SessionExpires  time.Duration // RFC 4028; 0 means 30 min, negative means no session timers
	MaxTransactions int           // open server transactions; 0 means 2000
	Resolver        Resolver      // RFC 3263; nil means addresses and names by the system's resolver

	// Incoming is called for each new call, on a goroutine of its own. It has to Answer, Reject or Hangup.
	Incoming func(*Dialog)
	// Draining says that no new calls are wanted: OPTIONS and INVITE are answered 503.
	Draining func() bool
	Log      *slog.Logger
}

// Stats count what is not worth a log line. They only grow.
type Stats struct {
	Malformed, TooLarge, Refused, Stray, Busy, Unknown atomic.Int64
}

// A Target is one place to send a request to.
type Target struct {
	Network    string
	Addr       netip.AddrPort
	ServerName string // to check a certificate against
}

// A Resolver finds where a URI's requests go (RFC 3263), in order of preference.
type Resolver interface {
	Targets(ctx context.Context, host string, port int, transport string, secure bool) ([]Target, error)
}

// A UA is a user agent. Its methods are safe for concurrent use.
type UA struct {
	opt   Options
	log   *slog.Logger
	tp    *transport
	stats Stats

	mu       sync.Mutex
	clients  map[string]*clientTx
	servers  map[string]*serverTx
	dialogs  map[dialogKey]*Dialog
	invites  map[string]string // Call-ID, From tag and CSeq -> branch, to find merged requests
	accounts []*account
	closed   bool
	wg       sync.WaitGroup
	local    []netip.AddrPort
	cancel   context.CancelFunc
	ctx      context.Context
	said     xlog.Sometimes
}

type dialogKey struct{ callID, localTag string }

// allow lists the methods that are understood.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY"

// New makes a UA; Start opens it.
func New(o Options) *UA {
	if o.UserAgent == "" {
		o.UserAgent = "jigasi"
	}
	if o.SessionExpires == 0 {
		o.SessionExpires = 30 * time.Minute
	}
	if o.MaxTransactions == 0 {
		o.MaxTransactions = 2000
	}
	if o.Resolver == nil {
		o.Resolver = systemResolver{}
	}
	u := &UA{
		opt: o, log: xlog.Or(o.Log), clients: map[string]*clientTx{}, servers: map[string]*serverTx{},
		dialogs: map[dialogKey]*Dialog{}, invites: map[string]string{},
	}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.tp = newTransport(o.TLS, &u.stats, u.handle)
	for _, a := range o.Accounts {
		u.accounts = append(u.accounts, newAccount(u, a))
	}
	return u
}

// Start opens the listeners and begins to register. It returns when all listen.
func (u *UA) Start() error {
	for _, l := range u.opt.Listen {
		addr, err := u.tp.listen(l.Network, l.Addr)
		if err != nil {
			u.tp.close()
			return err
		}
		u.local = append(u.local, addr)
		u.log.Info("listening for calls", "transport", l.Network, "addr", addr.String())
	}
	for _, a := range u.accounts {
		u.wg.Go(a.run)
	}
	return nil
}

// Local gives the addresses of the listeners, in the order of Options.Listen.
func (u *UA) Local() []netip.AddrPort { return u.local }

// Stats gives the counters.
func (u *UA) Stats() *Stats { return &u.stats }

// Close unregisters, ends what is left of dialogs without a word and closes the
// sockets. Calls should have been hung up before.
func (u *UA) Close(ctx context.Context) error {
	for _, a := range u.accounts {
		a.stop(ctx)
	}
	u.cancel()
	u.mu.Lock()
	u.closed = true
	for _, tx := range u.clients {
		u.wg.Go(tx.end1)
	}
	for _, tx := range u.servers {
		u.wg.Go(tx.end)
	}
	for _, d := range u.dialogs {
		d.post(d.abandon)
	}
	u.mu.Unlock()
	u.wg.Wait()
	u.tp.close()
	return nil
}

// end1 ends a transaction whose owner does not care any more.
func (tx *clientTx) end1() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.end()
}

// handle takes one whole message off a socket, on the socket's goroutine.
func (u *UA) handle(raw []byte, f flow) {
	m, err := parse(raw)
	if err != nil {
		u.malformed(f, err.Error())
		return
	}
	m.SetSource(f.remote.String())
	m.SetTransport(strings.ToUpper(f.network))
	switch m := m.(type) {
	case *sip.Response:
		u.response(m, f)
	case *sip.Request:
		u.request(m, f)
	}
}

func (u *UA) malformed(f flow, why string) {
	u.stats.Malformed.Add(1)
	u.said.Do(time.Now(), func(n int64) {
		u.log.Warn("a malformed SIP message was dropped", xlog.Peer, f.remote.String(), "why", why, "dropped_before", n)
	})
}

func (u *UA) response(res *sip.Response, f flow) {
	if why := check(res); why != "" {
		u.malformed(f, why)
		return
	}
	u.mu.Lock()
	tx := u.clients[clientKey(param(res.Via().Params, "branch"), res.CSeq().MethodName)]
	u.mu.Unlock()
	if tx == nil {
		u.stats.Stray.Add(1)
		return
	}
	tx.receive(res)
}

func (u *UA) request(req *sip.Request, f flow) {
	if !u.allowed(f.remote.Addr()) {
		u.stats.Refused.Add(1) // not a word: an answer would help to scan, and to amplify
		return
	}
	if why := check(req); why != "" {
		u.malformed(f, why)
		if req.Method != sip.ACK && req.Via() != nil && req.From() != nil && req.To() != nil && req.CallID() != nil && req.CSeq() != nil {
			_ = f.send([]byte(respond(req, 400, token()).String())) // stateless: nothing of it is kept
		}
		return
	}
	u.stamp(req, f)
	switch req.Method {
	case sip.ACK:
		u.ack(req)
		return
	case sip.CANCEL:
		u.cancelled(req, f)
		return
	}
	key := serverKey(req, req.Method)
	u.mu.Lock()
	if tx := u.servers[key]; tx != nil {
		u.mu.Unlock()
		tx.retransmitted()
		return
	}
	if len(u.servers) >= u.opt.MaxTransactions || u.closed {
		u.mu.Unlock()
		u.stats.Busy.Add(1)
		res := respond(req, 503, token())
		set(res, "Retry-After", "5")
		_ = f.send([]byte(res.String())) // stateless
		return
	}
	tx := &serverTx{ua: u, key: key, req: req, flow: f, invite: req.Method == sip.INVITE, tag: token()}
	u.servers[key] = tx
	u.mu.Unlock()
	u.dispatch(req, tx)
}

// stamp notes the real source in the topmost Via (RFC 3261, 18.2.1; RFC 3581).
func (u *UA) stamp(req *sip.Request, f flow) {
	via := req.Via()
	if hasParam(via.Params, "rport") {
		via.Params.Add("rport", strconv.Itoa(int(f.remote.Port())))
		via.Params.Add("received", f.remote.Addr().String())
	} else if via.Host != f.remote.Addr().String() {
		via.Params.Add("received", f.remote.Addr().String())
	}
}

// dispatch gives a new request to its dialog, or treats it as one outside of any.
func (u *UA) dispatch(req *sip.Request, tx *serverTx) {
	if v := req.SipVersion; v != "" && v != "SIP/2.0" {
		tx.status(505)
		return
	}
	if tag := param(req.To().Params, "tag"); tag != "" {
		u.mu.Lock()
		d := u.dialogs[dialogKey{req.CallID().Value(), tag}]
		u.mu.Unlock()
		if d == nil || !d.post(func() { d.request(req, tx) }) {
			tx.status(481)
		}
		return
	}
	if refused := u.outside(req, tx); refused {
		return
	}
	u.invite(req, tx)
}

// outside answers requests that belong to no dialog; false means an INVITE to be taken.
func (u *UA) outside(req *sip.Request, tx *serverTx) bool {
	draining := u.opt.Draining != nil && u.opt.Draining()
	if scheme := strings.ToLower(req.Recipient.Scheme); scheme != "sip" && scheme != "sips" && scheme != "tel" {
		tx.status(416)
		return true
	}
	if mf := req.MaxForwards(); mf != nil && mf.Val() == 0 && req.Method != sip.OPTIONS {
		tx.status(483)
		return true
	}
	switch req.Method {
	case sip.INVITE:
	case sip.OPTIONS:
		status := 200
		if draining {
			status = 503
		}
		res := respond(req, status, tx.tag)
		u.capabilities(res)
		tx.respond(res)
		return true
	case sip.BYE, sip.INFO, sip.UPDATE, sip.PRACK:
		tx.status(481)
		return true
	case sip.SUBSCRIBE, sip.PUBLISH, sip.NOTIFY:
		tx.status(489)
		return true
	case sip.REFER:
		tx.status(603)
		return true
	case sip.MESSAGE, sip.REGISTER:
		res := respond(req, 405, tx.tag)
		set(res, "Allow", allow)
		tx.respond(res)
		return true
	default:
		tx.status(501)
		return true
	}
	if bad := unsupported(req); bad != "" {
		res := respond(req, 420, tx.tag)
		set(res, "Unsupported", bad)
		tx.respond(res)
		return true
	}
	if draining {
		res := respond(req, 503, tx.tag)
		set(res, "Retry-After", "30")
		tx.respond(res)
		return true
	}
	return false
}

// capabilities adds what this side understands.
func (u *UA) capabilities(m message) {
	set(m, "Allow", allow)
	set(m, "Accept", sdpType+", application/json, application/dtmf-relay")
	set(m, "Supported", "timer, 100rel")
	set(m, "User-Agent", u.opt.UserAgent)
}

// unsupported names the required extensions that are not spoken here.
func unsupported(req *sip.Request) string {
	var bad []string
	for _, v := range values(req, "Require") {
		for _, o := range strings.Split(v, ",") {
			switch o = strings.TrimSpace(o); strings.ToLower(o) {
			case "", "timer", "100rel":
			default:
				bad = append(bad, clean(o))
			}
		}
	}
	return strings.Join(bad, ", ")
}

// ack gives an ACK to the refused INVITE it belongs to, or to the dialog.
func (u *UA) ack(req *sip.Request) {
	u.mu.Lock()
	tx := u.servers[serverKey(req, sip.INVITE)]
	d := u.dialogs[dialogKey{req.CallID().Value(), param(req.To().Params, "tag")}]
	u.mu.Unlock()
	switch {
	case tx != nil && tx.refused():
		tx.ackReceived()
	case d != nil:
		d.post(func() { d.acked(req) })
	default:
		u.stats.Stray.Add(1)
	}
}

func (tx *serverTx) refused() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.final >= 300
}

// cancelled answers a CANCEL and tells the INVITE it belongs to (RFC 3261, 9.2).
func (u *UA) cancelled(req *sip.Request, f flow) {
	u.mu.Lock()
	tx := u.servers[serverKey(req, sip.INVITE)]
	u.mu.Unlock()
	if tx == nil {
		_ = f.send([]byte(respond(req, 481, token()).String())) // stateless
		return
	}
	_ = f.send([]byte(respond(req, 200, tx.tag).String())) // repeated by the peer if lost
	if tx.onCancel != nil {
		tx.onCancel()
	}
}

// allowed reports whether a peer may talk to us: anybody, a trunk, a registrar
// of ours, or who is in a dialog with us anyway.
func (u *UA) allowed(ip netip.Addr) bool {
	if u.opt.Open || len(u.opt.Trunks) == 0 && len(u.accounts) == 0 {
		return true
	}
	for _, p := range u.opt.Trunks {
		if p.Contains(ip) {
			return true
		}
	}
	for _, a := range u.accounts {
		if a.knows(ip) {
			return true
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, d := range u.dialogs {
		if d.flow.remote.Addr() == ip {
			return true
		}
	}
	return false
}

func portText(p int) string { return strconv.Itoa(p) }

// ErrClosed says that the UA was closed.
var ErrClosed = errors.New("sip: the user agent is closed")
