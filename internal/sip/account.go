package sip

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"jigasi/internal/digest"
	"jigasi/internal/xlog"
)

// An Account is a login at a SIP server.
type Account struct {
	ID        string // names it in logs and for Dial
	User      string // user part of the address of record
	Domain    string // its domain
	AuthUser  string // digest user; "" means User
	Password  xlog.Secret
	Realms    []string // that may challenge; none means any
	Name      string   // display name
	Registrar string   // host; "" means Domain
	Port      int      // 0 means by DNS, or the default
	Transport string   // udp, tcp, tls; "" means by DNS
	Proxy     string   // outbound proxy, host or host:port; "" means none

	NoRegister bool          // a trunk that is called and calls without registration
	Expires    time.Duration // to ask for; 0 means 600 s
	KeepAlive  time.Duration // OPTIONS, or CRLF with CRLF set; 0 means none
	CRLF       bool
}

// account is an Account at work. One goroutine (run) registers.
type account struct {
	ua     *UA
	opt    Account
	digest *digest.Client
	callID string
	quit   chan struct{}
	over   chan struct{}
	once   sync.Once

	mu         sync.Mutex
	registered bool
	status     string
	public     netip.AddrPort // as the registrar sees us
	servers    map[netip.Addr]struct{}
	seq        uint32
	flow       flow
}

func newAccount(u *UA, o Account) *account {
	if o.AuthUser == "" {
		o.AuthUser = o.User
	}
	if o.Registrar == "" {
		o.Registrar = o.Domain
	}
	if o.Expires == 0 {
		o.Expires = 600 * time.Second
	}
	return &account{
		ua: u, opt: o, callID: token() + "@jigasi", quit: make(chan struct{}), over: make(chan struct{}),
		digest:  digest.New(digest.Login{User: o.AuthUser, Password: o.Password.Reveal(), Realms: o.Realms}),
		servers: map[netip.Addr]struct{}{}, status: "not registered yet",
	}
}

// A Registration is how an account stands.
type Registration struct {
	Account    string
	Registered bool
	Status     string         // in words
	Public     netip.AddrPort // as the server sees us; invalid if it does not say
}

// Registrations tells how each account stands.
func (u *UA) Registrations() []Registration {
	all := make([]Registration, len(u.accounts))
	for i, a := range u.accounts {
		a.mu.Lock()
		all[i] = Registration{a.opt.ID, a.registered || a.opt.NoRegister, a.status, a.public}
		a.mu.Unlock()
	}
	return all
}

func (u *UA) account(id string) *account {
	for _, a := range u.accounts {
		if id == "" || a.opt.ID == id {
			return a
		}
	}
	return nil
}

// accountOf finds the account a request came by: by its user, else by its server.
func (u *UA) accountOf(req *sip.Request, f flow) *account {
	for _, a := range u.accounts {
		if a.knows(f.remote.Addr()) && strings.EqualFold(a.opt.User, req.Recipient.User) {
			return a
		}
	}
	for _, a := range u.accounts {
		if a.knows(f.remote.Addr()) {
			return a
		}
	}
	return nil
}

func (a *account) aor() string { return "sip:" + a.opt.User + "@" + a.opt.Domain }

func (a *account) knows(ip netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.servers[ip]
	return ok
}

func (a *account) learned() netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.public
}

// nextHop is where requests of this account go.
func (a *account) nextHop(to sip.Uri) (host string, port int, transport string, secure bool) {
	secure = strings.EqualFold(a.opt.Transport, "tls")
	if a.opt.Proxy != "" {
		host, p, ok := strings.Cut(a.opt.Proxy, ":")
		if ok {
			port = leadingInt(p)
		}
		return host, port, a.opt.Transport, secure
	}
	if a.opt.NoRegister && a.opt.Registrar == "" {
		return to.Host, to.Port, a.opt.Transport, secure
	}
	return a.opt.Registrar, a.opt.Port, a.opt.Transport, secure
}

// authorize adds credentials that are known already.
func (a *account) authorize(req *sip.Request) {
	for _, h := range a.attempt(req).Headers() {
		req.RemoveHeader(h.Name)
		req.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
}

func (a *account) attempt(req *sip.Request) *digest.Attempt {
	return a.digest.Start(digest.Request{Method: string(req.Method), URI: req.Recipient.String(), Body: req.Body()})
}

// take notes the challenges of a response; an error means that trying again is no use.
func (a *account) take(res *sip.Response, tried bool) error {
	kind, ok := digest.KindOf(res.StatusCode)
	if !ok {
		return digest.ErrMalformed
	}
	at := a.digest.Start(digest.Request{Method: string(res.CSeq().MethodName)})
	if tried {
		at.Headers() // what was sent is refused, unless the nonce is stale
	}
	return at.Challenged(kind, values(res, kind.ChallengeHeader()))
}

// answer builds a request again with credentials, or gives nil.
func (a *account) answer(req *sip.Request, res *sip.Response, f flow, seq uint32) *sip.Request {
	tried := req.GetHeader("Authorization") != nil || req.GetHeader("Proxy-Authorization") != nil
	if a.take(res, tried) != nil {
		return nil
	}
	again := req.Clone()
	again.RemoveHeader("Via")
	again.RemoveHeader("Authorization")
	again.RemoveHeader("Proxy-Authorization")
	again.RemoveHeader("CSeq")
	again.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: req.Method})
	a.ua.viaFirst(again, f, a)
	a.authorize(again)
	return again
}

// viaFirst puts a Via before the other headers.
func (u *UA) viaFirst(req *sip.Request, f flow, acc *account) {
	u.via(req, f, acc)
	v := req.Via()
	req.RemoveHeader("Via")
	req.PrependHeader(v)
}

// run registers, refreshes and tries again without end.
func (a *account) run() {
	defer close(a.over)
	if a.opt.NoRegister {
		a.learnServers()
		<-a.quit
		return
	}
	failures := 0
	for {
		granted, err := a.register(a.ua.ctx, a.opt.Expires)
		wait := granted * 9 / 10
		if err != nil {
			failures++
			wait = a.backoff(failures, err)
		} else {
			failures = 0
		}
		a.note(err)
		if !a.pause(wait, err == nil) {
			return
		}
	}
}

// backoff is how long to wait after a failure: from 2 s on, doubled, at most a
// minute; with wrong credentials five, so that no server locks the account.
func (a *account) backoff(failures int, err error) time.Duration {
	if refused(err) {
		return 5 * time.Minute
	}
	return min(time.Minute, time.Second<<min(failures, 6))
}

// pause waits for the next registration and keeps the way to the server open meanwhile.
func (a *account) pause(wait time.Duration, registered bool) bool {
	next := time.NewTimer(max(wait, time.Second))
	defer next.Stop()
	var alive <-chan time.Time
	if a.opt.KeepAlive > 0 && registered {
		t := time.NewTicker(a.opt.KeepAlive)
		defer t.Stop()
		alive = t.C
	}
	for {
		select {
		case <-a.quit:
			return false
		case <-next.C:
			return true
		case <-alive:
			if !a.keepAlive() {
				return true
			}
		}
	}
}

func (a *account) note(err error) {
	a.mu.Lock()
	was := a.registered
	a.registered = err == nil
	a.status = "registered"
	if err != nil {
		a.status = err.Error()
	}
	a.mu.Unlock()
	switch {
	case err != nil:
		a.ua.log.Warn("SIP registration failed", xlog.Account, a.opt.ID, xlog.Err, err)
	case !was:
		a.ua.log.Info("SIP account registered", xlog.Account, a.opt.ID, "seen_as", a.learned().String())
	}
}

// learnServers resolves the servers of a trunk account, whose requests are let in.
func (a *account) learnServers() {
	host, port, transport, secure := a.nextHop(sip.Uri{})
	if host == "" {
		return
	}
	targets, err := a.ua.opt.Resolver.Targets(a.ua.ctx, host, port, transport, secure)
	if err != nil {
		a.note(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range targets {
		a.servers[t.Addr.Addr()] = struct{}{}
	}
}

// stop unregisters and waits for the account's goroutine.
func (a *account) stop(ctx context.Context) {
	a.once.Do(func() { close(a.quit) })
	select {
	case <-a.over:
	case <-ctx.Done():
		return
	}
	a.mu.Lock()
	registered := a.registered
	a.registered = false
	a.mu.Unlock()
	if registered {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, _ = a.register(ctx, 0) // the binding expires by itself if this fails
	}
}
