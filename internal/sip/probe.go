package sip

import (
	"context"
	"errors"
	"sync"
	"time"

	"jigasi/internal/siptx"
	"jigasi/internal/xlog"

	"github.com/emiago/sipgo/sip"
)

// What came of an OPTIONS holds for probeFresh; a server has probePatience to answer.
const (
	probeFresh    = 2 * time.Second
	probePatience = 2 * time.Second
)

// errSilent is why a registration failed at a server that said nothing.
var errSilent = errors.New("the server does not answer")

// presence is what is known of an account's server besides its answers to REGISTER. mu of the account holds it.
type presence struct {
	answers bool          // it has answered an OPTIONS once, so silence means something
	silent  bool          // it did not answer the last one
	asked   time.Time     // when the last was over
	asking  chan struct{} // closed when the one that is under way is over; nil if none is
	unheard bool          // the last REGISTER met silence, not a refusal
}

// Probe asks the server of each registering account by OPTIONS whether it is there: at most once in two
// seconds, however many ask. It returns when all have answered, and after two seconds at the latest;
// Registrations then tells what came of it. A server that has never answered an OPTIONS is not judged by it.
// Who was silent when it was asked to register and answers now is asked to register again at once.
func (u *UA) Probe(ctx context.Context) {
	var wg sync.WaitGroup
	for _, a := range u.accounts {
		if !a.opt.NoRegister {
			wg.Go(func() { a.probe(ctx) })
		}
	}
	wg.Wait()
}

func (a *account) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	a.mu.Lock()
	f, running := a.flow, a.there.asking
	switch {
	case running != nil:
		a.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
		}
		return
	case time.Since(a.there.asked) < probeFresh:
		a.mu.Unlock()
		return
	}
	done := make(chan struct{})
	a.there.asking = done
	a.mu.Unlock()
	there := a.ask(ctx, f)
	a.mu.Lock()
	a.there.asking, a.there.asked = nil, time.Now()
	a.mu.Unlock()
	close(done)
	a.heard(there)
}

// ask sends an OPTIONS on the way of the registration, or opens that way anew, and reports whether the server is there.
func (a *account) ask(ctx context.Context, f siptx.Flow) bool {
	if !f.Alive() {
		f = a.way(ctx)
	}
	if !f.Alive() {
		return false
	}
	req := a.requestOut(f, sip.OPTIONS, siptx.Token()+"@jigasi", 1)
	a.ua.capabilities(req)
	_, err := a.exchange(ctx, f, req)
	return err == nil // any answer counts
}

// way opens a way to the first of the account's servers that can be reached; a Flow that is not alive means none.
func (a *account) way(ctx context.Context) siptx.Flow {
	host, port, transport, secure := a.nextHop(sip.Uri{})
	targets, err := a.ua.opt.Resolver.Targets(ctx, host, port, transport, secure)
	if err != nil {
		return siptx.Flow{}
	}
	for _, t := range targets {
		if f, err := a.ua.layer.Connect(ctx, t.Network, t.Addr, t.ServerName); err == nil {
			return f
		}
	}
	return siptx.Flow{}
}

// heard notes whether the server answered an OPTIONS.
func (a *account) heard(there bool) {
	a.mu.Lock()
	was := a.there.silent
	a.there.answers = a.there.answers || there
	a.there.silent = a.there.answers && !there
	now, again := a.there.silent, there && a.there.unheard && !a.registered
	a.mu.Unlock()
	switch {
	case now && !was:
		a.ua.log.Warn("the SIP server does not answer any more", xlog.Account, a.opt.ID)
	case was && !now:
		a.ua.log.Info("the SIP server answers again", xlog.Account, a.opt.ID)
	}
	if again {
		select {
		case a.again <- struct{}{}:
		default:
		}
	}
}
