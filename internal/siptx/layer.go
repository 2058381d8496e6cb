// Package siptx carries SIP messages: it frames and parses them, keeps strangers
// at the door, and runs transactions (RFC 3261, 17 and 18; RFC 6026; RFC 3581;
// RFC 7118 for WebSocket). It knows no call and no dialog: package sip does.
//
// Messages and their parser are those of github.com/emiago/sipgo; what has an
// order or a state is written here. The goroutine that reads a socket parses a
// message, finds its transaction and calls who owns it, before it reads the next:
// the messages of one socket arrive in the order of the wire. Callbacks therefore
// must not block. Each socket and each connection has one goroutine; Close waits for them.
package siptx

import (
	"crypto/tls"
	"errors"
	"jigasi/internal/xlog"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Timers of RFC 3261, table 4.
const (
	T1 = 500 * time.Millisecond
	T2 = 4 * time.Second
	T4 = 5 * time.Second
)

// Limits of the wire. Zero values are those of reliability 3.3.
type Limits struct {
	Transactions int           // server transactions without a final answer; 2000
	Connections  int           // accepted; 1000
	PerIP        int           // accepted from one stranger's address; 10
	First        time.Duration // until the first whole message of a connection; 5 s
	Idle         time.Duration // between messages of a connection that nobody holds; 120 s
	Burst        int           // requests of one stranger in 2 s, before a ban; 16
	Ban          time.Duration // 300 s
	Strangers    int           // requests of all strangers in a second; 1000
}

// Options makes a Layer.
type Options struct {
	TLS    *tls.Config // certificate for TLS listeners, authorities for TLS connections
	Limits Limits
	// Known says who is served apart from the strangers' limits: trunks, registrars. It must be quick.
	Known func(netip.Addr) bool
	// Open serves strangers too, within limits; otherwise they get no answer at all (T06).
	Open bool
	// InDialog says that a dialog of ours has this Call-ID and local tag; who knows it is no stranger.
	InDialog func(callID, tag string) bool
	// Request takes a new request with its transaction. Required.
	Request func(*sip.Request, *Server)
	// ACK takes an ACK to a 2xx. Required.
	ACK func(*sip.Request)
	// DSCP marks what is sent by UDP, and over connections that we accept.
	DSCP int
	// Wire replaces the sockets, for tests in virtual time and simulations.
	Wire Wire
	Log  *slog.Logger
}

// A Wire carries whole messages in place of sockets; Layer.Receive takes what it brings.
type Wire interface {
	Send(network string, from, to netip.AddrPort, b []byte) error
}

// Stats count what is not worth a log line. They only grow.
type Stats struct {
	Malformed, TooLarge, Stray atomic.Int64 // messages
	Headers                    atomic.Int64 // that somebody wanted sent and may not be
	Strangers                  atomic.Int64 // requests of strangers that were dropped
	Banned                     atomic.Int64 // times that a stranger was banned
	Busy                       atomic.Int64 // requests refused because too many are open
	Connections                atomic.Int64 // connections refused
	Panics                     atomic.Int64 // messages that met a defect of ours
}

// ErrClosed says that the layer was closed.
var ErrClosed = errors.New("sip: closed")

// A Layer is the lower half of a user agent. Its methods are safe for concurrent use.
type Layer struct {
	opt   Options
	log   *slog.Logger
	door  *door
	tp    *transport
	stats Stats
	tally tally
	said  xlog.Sometimes
	// unheard is for calls of strangers: whoever sets a gateway up has to see them, and scanners come all day.
	unheard xlog.Sometimes

	mu        sync.Mutex
	clients   map[string]*Client
	servers   map[string]*Server
	pending   int // of servers: without a final answer
	strangers int // of servers
	closed    bool
}

// New makes a layer; Listen opens it.
func New(o Options) *Layer {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.Limits.Transactions, 2000)
	def(&o.Limits.Connections, 1000)
	def(&o.Limits.PerIP, 10)
	def(&o.Limits.Burst, 16)
	def(&o.Limits.Strangers, 1000)
	for p, v := range map[*time.Duration]time.Duration{&o.Limits.First: 5 * time.Second, &o.Limits.Idle: 120 * time.Second, &o.Limits.Ban: 300 * time.Second} {
		if *p == 0 {
			*p = v
		}
	}
	if o.Known == nil {
		o.Known = func(netip.Addr) bool { return false }
	}
	if o.InDialog == nil {
		o.InDialog = func(string, string) bool { return false }
	}
	l := &Layer{
		opt: o, log: xlog.Or(o.Log), clients: map[string]*Client{}, servers: map[string]*Server{},
		door: newDoor(o.Limits), unheard: xlog.Sometimes{Every: time.Minute},
	}
	l.tp = newTransport(l)
	return l
}

// Stats gives the counters.
func (l *Layer) Stats() *Stats { return &l.stats }

// Open gives the number of open client and server transactions.
func (l *Layer) Open() (clients, servers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.clients), len(l.servers)
}

// Close ends all transactions without a word and closes the sockets.
func (l *Layer) Close() {
	l.mu.Lock()
	l.closed = true
	clients, servers := l.clients, l.servers
	l.clients, l.servers = map[string]*Client{}, map[string]*Server{}
	l.mu.Unlock()
	for _, tx := range clients {
		tx.Stop()
	}
	for _, tx := range servers {
		tx.end()
	}
	l.tp.close()
}

// Receive takes one whole message of a Wire, on the caller's goroutine.
func (l *Layer) Receive(b []byte, network string, local, remote netip.AddrPort) {
	l.handle(b, Flow{network: network, local: local, remote: remote, tp: l.tp})
}

// handle takes one whole message, on the goroutine of its socket. A defect of
// ours that it meets costs this message and no more (T33).
func (l *Layer) handle(raw []byte, f Flow) {
	defer func() {
		if r := recover(); r != nil {
			l.stats.Panics.Add(1)
			l.said.Do(time.Now(), func(n int64) { l.log.Error("a SIP message met a defect of ours", "panic", r, "kept_back", n) })
		}
	}()
	m, h, err := parse(raw)
	if err != nil {
		l.malformed(h, f, err)
		return
	}
	switch m := m.(type) {
	case *sip.Response:
		l.response(m)
	case *sip.Request:
		l.request(m, f)
	}
}

// malformed counts a message that cannot be read, and refuses a request of somebody known.
func (l *Layer) malformed(h head, f Flow, err error) {
	l.stats.Malformed.Add(1)
	l.said.Do(time.Now(), func(n int64) {
		l.log.Warn("a malformed SIP message was dropped", xlog.Peer, f.remote.String(), xlog.Err, err, "kept_back", n)
	})
	var w flaw
	if !errors.As(err, &w) || w.status == 0 || !l.opt.Known(f.remote.Addr()) && !f.Reliable() {
		return
	}
	if b := h.refusal(w); b != nil {
		_ = f.Send(b) // stateless: the peer asks again if it is lost
	}
}

func (l *Layer) response(res *sip.Response) {
	l.mu.Lock()
	tx := l.clients[clientKey(Param(res.Via().Params, "branch"), res.CSeq().MethodName)]
	l.mu.Unlock()
	if tx == nil {
		l.stats.Stray.Add(1)
		return
	}
	tx.receive(res)
}

func (l *Layer) request(req *sip.Request, f Flow) {
	invite := serverKey(req, sip.INVITE)
	key := serverKey(req, req.Method)
	l.mu.Lock()
	tx, call := l.servers[key], l.servers[invite]
	l.mu.Unlock()
	switch {
	case req.Method == sip.ACK:
		if call != nil && call.refused() {
			call.acked()
		} else {
			l.opt.ACK(req)
		}
		return
	case tx != nil:
		tx.retransmitted()
		return
	}
	stranger := !l.opt.Known(f.remote.Addr())
	if stranger && (req.Method != sip.CANCEL || call == nil) && !l.admit(req, f) {
		l.stats.Strangers.Add(1)
		if req.Method == sip.INVITE && !l.opt.Open {
			l.unheard.Do(time.Now(), func(more int64) {
				l.log.Warn("a call was dropped without an answer: it comes neither from a registrar of ours nor from a network in sip.trunks",
					xlog.Peer, f.remote.String(), "more", more)
			})
		}
		return
	}
	f = l.back(req, f)
	if req.Method == sip.CANCEL {
		l.cancel(req, f, call)
		return
	}
	l.open(key, req, f, stranger)
}

// admit says whether a stranger's request is looked at.
func (l *Layer) admit(req *sip.Request, f Flow) bool {
	if tag := Param(req.To().Params, "tag"); tag != "" && l.opt.InDialog(req.CallID().Value(), tag) {
		return true
	}
	if !l.opt.Open {
		return false
	}
	ok, banned := l.door.let(f.remote.Addr(), time.Now())
	if banned {
		l.stats.Banned.Add(1)
		l.said.Do(time.Now(), func(int64) {
			l.log.Warn("a stranger asks too often and is not answered for a while; list it in sip.trunks if it may", xlog.Peer, f.remote.String())
		})
	}
	return ok
}

// maxAnswered is how many server transactions that are answered are kept for
// retransmissions, as a multiple of those that are not: 500 calls a second make 32 000.
const maxAnswered = 20

// open makes a server transaction and hands the request up.
func (l *Layer) open(key string, req *sip.Request, f Flow, stranger bool) {
	tx := &Server{layer: l, key: key, req: req, flow: f, invite: req.Method == sip.INVITE, Tag: Token(), stranger: stranger}
	l.mu.Lock()
	limit := l.opt.Limits.Transactions
	full := l.pending >= limit || len(l.servers) >= maxAnswered*limit || stranger && (l.pending >= limit/2 || l.strangers >= limit)
	switch {
	case l.servers[key] != nil || l.closed: // the same request over two sockets
		l.mu.Unlock()
		return
	case full:
		l.mu.Unlock()
		l.stats.Busy.Add(1)
		res := Respond(req, 503, tx.Tag)
		Set(res, "Retry-After", "5")
		_ = f.Send([]byte(res.String())) // stateless
		return
	}
	l.servers[key] = tx
	l.pending++
	if stranger {
		l.strangers++
	}
	l.mu.Unlock()
	tx.begin()
	l.opt.Request(req, tx)
}

// cancel answers a CANCEL and tells the INVITE that it is for (RFC 3261, 9.2).
func (l *Layer) cancel(req *sip.Request, f Flow, call *Server) {
	if call == nil {
		_ = f.Send([]byte(Respond(req, 481, Token()).String())) // stateless
		return
	}
	call.cancel(func() {
		_ = f.Send([]byte(Respond(req, 200, call.Tag).String())) // the peer asks again if this is lost
	})
}

// back notes the real source in the topmost Via and gives the flow that
// responses take (RFC 3261, 18.2.1 and 18.2.2; RFC 3581): back to the source,
// and over UDP to the port that the Via names unless it has rport. What a
// peer writes as maddr, received or rport has no say.
func (l *Layer) back(req *sip.Request, f Flow) Flow {
	via := req.Via()
	ip := f.remote.Addr()
	if HasParam(via.Params, "rport") {
		setParam(&via.Params, "rport", strconv.Itoa(int(f.remote.Port())))
		setParam(&via.Params, "received", ip.String())
		return f
	}
	if strings.Trim(via.Host, "[]") != ip.String() || HasParam(via.Params, "received") {
		setParam(&via.Params, "received", ip.String())
	}
	if f.network == "udp" {
		port := via.Port
		if port == 0 {
			port = 5060
		}
		f.remote = netip.AddrPortFrom(ip, uint16(port))
	}
	return f
}
