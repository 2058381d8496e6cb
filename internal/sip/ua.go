// Package sip is a user agent (RFC 3261): dialogs, registration, routing of requests.
//
// Package siptx below it carries messages and runs transactions; the library it
// parses with is github.com/emiago/sipgo (docs/adr/0002). What belongs to a dialog
// is put into that dialog's queue and runs on its one goroutine, so it sees the
// messages of one peer in the order of the wire. An account has one goroutine,
// which registers. UA.Close waits for all of them. Session descriptions are bytes:
// package sdp reads them.
//
// Besides RFC 3261: 3262 (PRACK), 3263 (by package locate), 3311 (UPDATE), 3326
// (Reason), 3581 (rport), 4028 (session timers), 5626 (keep-alive), 6026, 7118, 8760.
//
// Read in this order: UA, Dialog, incoming.go, outgoing.go, session.go, hop.go, account.go.
package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"jigasi/internal/cause"
	"jigasi/internal/siptx"
	"jigasi/internal/xlog"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Listener is one address to listen at.
type Listener struct {
	Network string // udp, tcp, tls, ws, wss
	Addr    string // host:port
	// OrAny takes another port where a program has this one: enough for who registers.
	OrAny bool
}

// Limits bound what the network can make the UA keep.
type Limits = siptx.Limits

// Stats count what is not worth a log line. They only grow.
type Stats = siptx.Stats

// Options makes a UA.
type Options struct {
	Listen    []Listener
	TLS       *tls.Config // certificate for TLS listeners, authorities for TLS connections
	Accounts  []Account
	Trunks    []netip.Prefix // peers that may call without registration
	Open      bool           // anybody may call, within Limits
	PublicIP  netip.Addr     // what peers are told; invalid means: learn it from registrars, else the local address
	UserAgent string         // default jigasi
	DSCP      int            // of what is sent
	Limits    Limits

	SessionExpires time.Duration // RFC 4028; 0 means 30 min, negative means no session timers
	Patience       time.Duration // for any answer to a call, where there is another server or way (T42); 0 means 4 s
	Resolver       Resolver      // RFC 3263; nil means package locate with the system's name servers

	// Incoming is called for each new call, on a goroutine of its own. It has to Answer, Reject or Hangup
	// before long, and to read Events. nil refuses all calls.
	Incoming func(*Dialog)
	// Draining says that no new calls are wanted: OPTIONS and INVITE are answered 503.
	Draining func() bool
	// Wire replaces the sockets, for tests in virtual time; UA.Receive takes what it brings.
	Wire siptx.Wire
	Log  *slog.Logger
}

// A UA is a user agent. Its methods are safe for concurrent use.
type UA struct {
	opt   Options
	log   *slog.Logger
	layer *siptx.Layer

	mu       sync.Mutex
	local    []netip.AddrPort
	dialogs  map[dialogKey]*Dialog
	invites  map[string]string // Call-ID, From tag and CSeq -> branch, to find merged requests
	closed   bool
	accounts []*account // never changes
	wg       sync.WaitGroup
	cancel   context.CancelFunc
	ctx      context.Context
}

type dialogKey struct{ callID, localTag string }

// ErrClosed says that the UA was closed.
var ErrClosed = siptx.ErrClosed

// New makes a UA; Start opens it.
func New(o Options) *UA {
	if o.UserAgent == "" {
		o.UserAgent = "jigasi"
	}
	if o.SessionExpires == 0 {
		o.SessionExpires = 30 * time.Minute
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Resolver == nil {
		o.Resolver = defaultResolver()
	}
	if o.Incoming == nil {
		o.Incoming = func(d *Dialog) { d.Reject(cause.Cause{Code: cause.Forbidden}) }
	}
	u := &UA{opt: o, log: xlog.Or(o.Log), dialogs: map[dialogKey]*Dialog{}, invites: map[string]string{}}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.layer = siptx.New(siptx.Options{
		TLS: o.TLS, Limits: o.Limits, Known: u.known, Open: o.Open, DSCP: o.DSCP,
		InDialog: func(callID, tag string) bool { return u.dialog(callID, tag) != nil },
		Request:  u.request, ACK: u.ack, Wire: o.Wire, Log: o.Log,
	})
	for _, a := range o.Accounts {
		u.accounts = append(u.accounts, newAccount(u, a))
	}
	return u
}

// Start opens the listeners and begins to register. It returns when all listen.
func (u *UA) Start() error {
	for _, l := range u.opt.Listen {
		addr, err := u.layer.Listen(l.Network, l.Addr)
		if host, _, _ := net.SplitHostPort(l.Addr); err != nil && l.OrAny && errors.Is(err, syscall.EADDRINUSE) {
			u.log.Warn("another program has the port of SIP: the registrar is told another one; set sip.listen to choose it", "transport", l.Network, xlog.Err, err)
			addr, err = u.layer.Listen(l.Network, net.JoinHostPort(host, "0"))
		}
		if err != nil {
			u.layer.Close()
			return err
		}
		u.mu.Lock()
		u.local = append(u.local, addr)
		u.mu.Unlock()
		u.log.Info("listening for calls", "transport", l.Network, "addr", addr.String())
	}
	for _, a := range u.accounts {
		u.wg.Go(a.run)
	}
	return nil
}

// Local gives the addresses of the listeners, in the order of Options.Listen.
func (u *UA) Local() []netip.AddrPort {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.local)
}

// Stats gives the counters.
func (u *UA) Stats() *Stats { return u.layer.Stats() }

// Calls gives the number of dialogs that are not over.
func (u *UA) Calls() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.dialogs)
}

// Receive takes one whole message of Options.Wire, on the caller's goroutine.
func (u *UA) Receive(b []byte, network string, local, remote netip.AddrPort) {
	u.layer.Receive(b, network, local, remote)
}

// Close unregisters, ends what is left of dialogs with one BYE or refusal that
// nobody waits for, and closes the sockets. Calls should have been hung up before.
// Unregistering ends with ctx; Close returns when all goroutines have ended.
func (u *UA) Close(ctx context.Context) error {
	var wait sync.WaitGroup
	for _, a := range u.accounts {
		wait.Go(func() { a.stop(ctx) })
	}
	wait.Wait()
	u.cancel()
	u.mu.Lock()
	u.closed = true
	for _, d := range u.dialogs {
		d.post(d.abandon)
	}
	u.mu.Unlock()
	u.wg.Wait()
	u.layer.Close()
	return nil
}

func (u *UA) dialog(callID, tag string) *Dialog {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.dialogs[dialogKey{callID, tag}]
}

// known reports whether a peer is no stranger: a trunk, or a registrar of ours.
func (u *UA) known(ip netip.Addr) bool {
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
	return false
}

// ack gives an ACK to its dialog.
func (u *UA) ack(req *sip.Request) {
	d := u.dialog(req.CallID().Value(), siptx.Param(req.To().Params, "tag"))
	if d == nil || !d.offer(func() { d.acked(req) }) {
		u.Stats().Stray.Add(1)
	}
}

// An Answer is a kind of final response.
type Answer = siptx.Answer

// Answers are how many requests were answered how, both ways.
func (u *UA) Answers() map[Answer]int64 { return u.layer.Answers() }

// Transactions gives the number of open client and server transactions.
func (u *UA) Transactions() (clients, servers int) { return u.layer.Open() }
