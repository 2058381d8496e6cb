package sip

import (
	"context"
	"errors"
	"fmt"
	"jigasi/internal/digest"
	"jigasi/internal/siptx"
	"jigasi/internal/xlog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// An Account is a login at a SIP server.
type Account struct {
	ID        string // names it in logs and for Dial
	User      string // user part of the address of record
	Domain    string // its domain
	AuthUser  string // digest user; "" means User
	Password  xlog.Secret
	Realms    []string // that may challenge; none means the first that does
	Name      string   // display name
	Registrar string   // host; "" means Domain
	Port      int      // 0 means by DNS, or the default
	Transport string   // udp, tcp, tls; "" means by DNS
	Proxy     string   // outbound proxy, host or host:port; "" means none

	NoRegister       bool          // a trunk that is called and calls without registration
	CallUnregistered bool          // calls may be made while it is not registered
	Expires          time.Duration // to ask for; 0 means 600 s
	KeepAlive        time.Duration // OPTIONS, or CRLF with CRLF set; 0 means none
	CRLF             bool
	Refresh          time.Duration  // register anew so often, as a keep-alive; 0 means when the registration runs out
	Headers          []StaticHeader // on every request
}

// A StaticHeader is one that an account adds to its requests.
type StaticHeader struct {
	Header
	Method string // only on requests of this method; "" means all
}

// account is an Account at work. One goroutine (run) registers.
type account struct {
	ua     *UA
	opt    Account
	digest *digest.Client
	callID string
	quit   chan struct{}
	over   chan struct{}
	ctx    context.Context // of what run waits for; cancelled by stop
	cancel context.CancelFunc
	again  chan struct{} // one that asks to register now
	once   sync.Once

	mu         sync.Mutex
	registered bool
	status     string
	public     netip.AddrPort // as the registrar sees us
	servers    map[netip.Addr]struct{}
	seq        uint32
	flow       siptx.Flow // of the registration, held
	there      presence
	bound      string // Contact that is registered
}

// maxServers bounds the addresses of one account's servers that are remembered.
const maxServers = 64

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
	a := &account{
		ua: u, opt: o, callID: siptx.Token() + "@jigasi", quit: make(chan struct{}), over: make(chan struct{}), again: make(chan struct{}, 1),
		digest:  digest.New(digest.Login{User: o.AuthUser, Password: o.Password.Reveal(), Realms: o.Realms}),
		servers: map[netip.Addr]struct{}{}, status: "not registered yet",
	}
	a.ctx, a.cancel = context.WithCancel(u.ctx)
	return a
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
		all[i] = Registration{a.opt.ID, a.registered && !a.there.silent || a.opt.NoRegister, a.status, a.public}
		if a.registered && a.there.silent {
			all[i].Status = errSilent.Error() + " any more"
		}
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
func (u *UA) accountOf(req *sip.Request, f siptx.Flow) *account {
	for _, a := range u.accounts {
		if a.knows(f.Remote().Addr()) && strings.EqualFold(a.opt.User, req.Recipient.User) {
			return a
		}
	}
	for _, a := range u.accounts {
		if a.knows(f.Remote().Addr()) {
			return a
		}
	}
	return nil
}

func (a *account) aor() string { return "sip:" + a.opt.User + "@" + a.opt.Domain }

// mayCall reports whether the account can place calls.
func (a *account) mayCall() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.registered || a.opt.NoRegister || a.opt.CallUnregistered
}

// meets notes an address of the account's servers. mu is held.
func (a *account) meets(ip netip.Addr) {
	if _, ok := a.servers[ip]; ok || len(a.servers) < maxServers {
		a.servers[ip] = struct{}{}
	}
}

// decorate adds the account's own headers to a request.
func (a *account) decorate(req *sip.Request) {
	for _, h := range a.opt.Headers {
		if h.Method == "" || strings.EqualFold(h.Method, string(req.Method)) {
			for _, x := range extras([]Header{h.Header}) {
				siptx.Set(req, x.Name, x.Value)
			}
		}
	}
}

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
		if h, p, err := net.SplitHostPort(a.opt.Proxy); err == nil {
			return h, siptx.Leading(p), a.opt.Transport, secure
		}
		return a.opt.Proxy, 0, a.opt.Transport, secure
	}
	if a.opt.NoRegister && a.opt.Registrar == "" {
		return to.Host, to.Port, a.opt.Transport, secure
	}
	return a.opt.Registrar, a.opt.Port, a.opt.Transport, secure
}

// run registers, refreshes and tries again without end.
func (a *account) run() {
	defer close(a.over)
	if a.opt.NoRegister {
		for a.pause(a.learnServers(), false) != stopped {
		}
		return
	}
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.flow.Release()
		a.flow = siptx.Flow{}
	}()
	if !a.turn() {
		return
	}
	failures := 0
	var lost time.Time
	for {
		granted, err := a.register(a.ctx, a.opt.Expires)
		if a.opt.Refresh > 0 {
			granted = min(granted, a.opt.Refresh)
		}
		wait := granted * 9 / 10
		if err != nil {
			failures++
			wait = a.backoff(failures, err)
		} else {
			failures = 0
		}
		a.note(err)
		switch a.pause(wait, err == nil) {
		case stopped:
			return
		case cut:
			// At once, but of a server that closes each connection not without end.
			if since := time.Since(lost); since < lossEvery && a.pause(lossEvery-since, false) == stopped || !a.turn() {
				return
			}
			failures, lost = -1, time.Now()
		case due:
		}
	}
}

func (a *account) note(err error) {
	if a.ctx.Err() != nil {
		return // given up, not failed
	}
	a.mu.Lock()
	was := a.registered
	a.registered = err == nil
	a.status, a.there.unheard = "registered", false
	if err != nil {
		var answer statusError
		a.status, a.there.unheard = err.Error(), !errors.As(err, &answer)
	} else {
		a.there.silent = false
	}
	a.mu.Unlock()
	switch {
	case err != nil:
		a.ua.log.Warn("SIP registration failed", xlog.Account, a.opt.ID, xlog.Err, err)
	case !was:
		as := "" // a registrar that does not say
		if at := a.learned(); at.IsValid() {
			as = at.String()
		}
		a.ua.log.Info("SIP account registered", xlog.Account, a.opt.ID, "seen_as", as)
	}
}

// learnServers resolves the servers of a trunk account, whose requests are let in. It gives the time
// until they are looked up again.
func (a *account) learnServers() time.Duration {
	host, port, transport, secure := a.nextHop(sip.Uri{})
	if host == "" {
		return time.Hour
	}
	targets, err := a.ua.opt.Resolver.Targets(a.ctx, host, port, transport, secure)
	if err != nil {
		a.note(fmt.Errorf("the server %s (registrar or proxy of the account) cannot be found: %w", host, err))
		return 30 * time.Second
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = "ready, without registration"
	for _, t := range targets {
		a.meets(t.Addr.Addr())
	}
	return 5 * time.Minute
}

// stopPatience is how long a registration that is under way may take to succeed, so that it can be taken back.
const stopPatience = time.Second

// stop unregisters and waits for the account's goroutine.
func (a *account) stop(ctx context.Context) {
	a.once.Do(func() { close(a.quit) })
	enough := time.AfterFunc(stopPatience, a.cancel)
	defer enough.Stop()
	defer a.cancel()
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
