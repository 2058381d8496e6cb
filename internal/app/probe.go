package app

import (
	"context"
	"errors"

	"jigasi/internal/admin"
	"jigasi/internal/leg"
	"jigasi/internal/probe"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
)

// startProbe begins to make test calls, if the operator has named a number for them.
func (a *App) startProbe() {
	h := a.cfg.Health
	if h.SIPURI == "" || a.ua == nil {
		return
	}
	a.prober.Store(probe.Start(probe.Options{
		Dial: a.dialTest, Ready: a.registered, Interval: h.Interval, Stale: h.Timeout, Log: a.log.With("test_call", true),
	}))
}

func (a *App) registered() bool {
	for _, r := range a.ua.Registrations() {
		if !r.Registered {
			return false
		}
	}
	return true
}

// dialTest makes the phone of a test call: by the first account, without its prefix, and for no room.
func (a *App) dialTest(ctx context.Context) (leg.Phone, error) {
	acc := a.accountOr("")
	acc.Prefix = ""
	to := sipURI(acc, a.cfg.Health.SIPURI)
	o := a.phoneOptions(acc, a.log.With("test_call", true))
	o.Sounds = nil
	l, err := sipleg.Dial(o, a.ua.MediaIP(ctx, acc.ID, to), func(offer []byte, hasty bool) (*sip.Dialog, error) {
		return a.ua.Dial(ctx, sip.DialOptions{Account: acc.ID, To: to, Name: acc.DisplayName, SDP: offer, Hasty: hasty})
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// probeCheck is the health of test calls; ok is false where there are none.
func (a *App) probeCheck() (c admin.Check, ok bool) {
	return admin.Check{Name: "call", Err: func() error {
		if p := a.prober.Load(); p != nil {
			return p.Err()
		}
		return errors.New("no test call has been made yet")
	}}, a.cfg.Health.SIPURI != "" && a.ua != nil
}
