package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"jigasi/internal/admin"
	"jigasi/internal/codec"
	"jigasi/internal/config"
	"jigasi/internal/control"
	"jigasi/internal/exchange"
	"jigasi/internal/stanza"
)

// totals are sums over calls that have ended.
type totals struct {
	calls, seconds atomic.Int64
	byCause        [64]atomic.Int64
}

// ended takes what is known of a call at its end.
func (a *App) ended(d exchange.Detail) {
	t := &a.totals
	t.calls.Add(1)
	t.seconds.Add(int64(d.Lasted.Seconds()))
	t.byCause[int(d.Cause.Code)%len(t.byCause)].Add(1)
	a.measures.take(d)
}

func (a *App) adminOptions() admin.Options {
	cfg := a.cfg.Admin
	o := admin.Options{
		Host: cfg.Host, Port: cfg.Port, Token: cfg.Token, Version: a.opt.Version, Build: codec.OpusBuild(),
		Checks: a.checks(), Stats: a.adminStats, Sessions: a.sessions, Calls: callREST{a.exchange}, Breweries: breweryREST{a}, Metrics: []func() []admin.Sample{a.metrics}, Log: a.log,
	}
	if cfg.Shutdown && a.opt.OnRequest != nil {
		o.Shutdown = a.opt.OnRequest
	}
	if cfg.CertFile != "" {
		o.Port = cfg.TLSPort
		if cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile); err == nil {
			o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
		} else {
			a.log.Error("the certificate of the HTTP interface cannot be read", "err", err)
		}
	}
	return o
}

// checks are what has to work (T36).
func (a *App) checks() []admin.Check {
	var out []admin.Check
	if a.ua != nil {
		out = append(out, admin.Check{Name: "sip", Gateway: true, Err: func() error {
			a.ua.Probe(context.Background()) // its time is bounded
			for _, r := range a.ua.Registrations() {
				if !r.Registered {
					return fmt.Errorf("SIP account %s: %w: %s", r.Account, errNotRegistered, r.Status)
				}
			}
			return nil
		}})
	}
	out = append(out, admin.Check{Name: "brewery", Err: func() error { // those added over HTTP as well
		for id, s := range a.breweries.Status() {
			if s.State != control.Joined {
				return fmt.Errorf("brewery %s is %s: %w", id, s.State, orUnknown(s.Err))
			}
		}
		return nil
	}})
	if c, ok := a.probeCheck(); ok {
		out = append(out, c)
	}
	if c, ok := a.feedCheck(); ok {
		out = append(out, c)
	}
	if c, ok := a.shelfCheck(); ok {
		out = append(out, c)
	}
	return append(out, admin.Check{Name: "clock", Alive: true, Err: func() error {
		if n := a.panics.Load(); n > 100 {
			return fmt.Errorf("%d panics on the clock", n)
		}
		return nil
	}})
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("not there yet")
	}
	return err
}

func (a *App) adminStats() admin.Stats {
	s, c := a.exchange.Stats(), &a.counts
	return admin.Stats{
		Conferences: s.Conferences, Participants: s.Participants, ConferenceSizes: s.Sizes, StressLevel: a.stress(s), Draining: s.Draining,
		ConferencesCompleted: a.totals.calls.Load(), ParticipantsTotal: c.People.Load(), ConferenceSeconds: a.totals.seconds.Load(),
		CallsWithDroppedMedia: c.QuietCalls.Load(), DroppedMedia: c.Quiet.Load(), CallsWithConnectionFailed: c.LoginFailed.Load(),
		CallsWaiting: c.Waited.Load(), CallsReconnected: c.Returned.Load(), CallsMigrated: c.Moved.Load(),
		CallsWithoutBridgeMedia: c.Unheard.Load(), CallsWithoutHeartbeat: c.NoHeartbeat.Load(),
		Transcriber: a.speech.stats(),
	}
}

// stress is 0 for a gateway that is idle and 1 for one that is full: by its calls, and by what the machine bears.
func (a *App) stress(s exchange.Stats) float64 {
	stress := 0.0
	if a.cfg.Limits.Threshold > 0 {
		stress = float64(s.Conferences) / a.cfg.Limits.Threshold
	}
	if a.cfg.Limits.Overload > 0 {
		stress = max(stress, a.cpu())
	}
	if a.strain.why() != "" { // the focus chooses another gateway
		stress = max(stress, 1)
	}
	return stress
}

func (a *App) sessions() []admin.Session {
	var out []admin.Session
	for _, c := range a.exchange.Calls() {
		out = append(out, admin.Session{Name: c.Peer, Nick: c.Occupant.Resource})
	}
	return out
}

// addBrewery starts a brewery.
func (a *App) addBrewery(b config.Brewery) error {
	r := rules(a.cfg)
	if b.Domain != "" {
		r.DomainBase = b.Domain
	}
	if len(b.MUCPrefixes) > 0 {
		r.MUCPrefixes = b.MUCPrefixes
	}
	if b.CallURL != "" {
		r.BOSHPattern = b.CallURL
	}
	login := a.xmppOptions(b.XMPP)
	login.Software, login.Version = "Jigasi", a.opt.Version
	o := control.Options{
		Account: login, Room: stanza.ParseJID(b.Room).Bare(), Focus: control.Focus{Nick: a.cfg.Meeting.Focus, Guests: guests(a.cfg, b)}, Rules: &r, BOSH: b.CallURL,
		Stats: a.breweryStats, Dial: a.exchange.Dial, Log: a.log,
		Hangup: a.exchange.HangupOccupant,
	}
	for _, jid := range a.cfg.Allowed(b) {
		o.Focus.Allowed = append(o.Focus.Allowed, stanza.ParseJID(jid))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return a.breweries.Add(ctx, b.ID, o)
}

// guests are the domains where anybody may log in: a focus has its account elsewhere.
func guests(cfg *config.Config, b config.Brewery) []string {
	out := []string{}
	for _, d := range []string{cfg.Meeting.Domain, b.Domain} {
		if d != "" {
			out = append(out, d, "guest."+d)
		}
	}
	if cfg.XMPP.Anonymous() {
		out = append(out, cfg.XMPP.Domain)
	}
	return out
}

func (a *App) breweryStats() control.Stats {
	s := a.exchange.Stats()
	return control.Stats{
		Conferences: s.Conferences, Participants: s.Participants, Draining: s.Draining || a.draining.Load(), Stress: a.stress(s),
		Region: a.cfg.Meeting.Region, Version: a.opt.Version, SIP: a.cfg.SIP.Enabled, Transcription: a.transcribers != nil,
	}
}

// breweryREST is the breweries as the HTTP interface changes them.
type breweryREST struct{ a *App }

func (r breweryREST) Add(_ context.Context, id string, props map[string]string) error {
	b, _, err := config.ReadBrewery(id, props, r.a.cfg.XMPP.TLS)
	if err != nil {
		return err
	}
	return r.a.addBrewery(b)
}

func (r breweryREST) Remove(ctx context.Context, id string) bool {
	return r.a.breweries.Remove(ctx, id)
}

func (r breweryREST) List() []string { return r.a.breweries.List() }
