// Package app puts the gateway together from its configuration, and is its life: start, drain, stop.
//
// It is the only package beside the commands that reads config: each part gets Options of its
// own here. Nothing is decided in app that a part could decide.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/admin"
	"jigasi/internal/archive"
	"jigasi/internal/bridge"
	"jigasi/internal/call"
	"jigasi/internal/callerid"
	"jigasi/internal/cause"
	"jigasi/internal/codec"
	"jigasi/internal/config"
	"jigasi/internal/control"
	"jigasi/internal/dialplan"
	"jigasi/internal/exchange"
	"jigasi/internal/leg"
	"jigasi/internal/locate"
	"jigasi/internal/media"
	"jigasi/internal/probe"
	"jigasi/internal/prompt"
	"jigasi/internal/queue"
	"jigasi/internal/room"
	"jigasi/internal/rtpport"
	"jigasi/internal/shelf"
	"jigasi/internal/sip"
	"jigasi/internal/twin"
	"jigasi/internal/xlog"
	"jigasi/internal/xmpp"
)

// Options are what is not configuration.
type Options struct {
	Version  string
	Loopback bool // for demo and tests: media may use loopback addresses, and anybody may call where nobody is named
	// OnRequest is called when somebody asks for a graceful shutdown over HTTP. It must not block.
	OnRequest func()
	Away      time.Duration   // how long a phone waits for a meeting that is lost; 0 is what package call says
	Consent   time.Duration   // how long a bridge may leave our checks unanswered; 0 is what package bridge says
	Names     *locate.Locator // finds servers by name; nil asks the system's name servers
	Log       *slog.Logger
}

// An App is the gateway. Its methods are safe for concurrent use.
type App struct {
	cfg      *config.Config
	opt      Options
	log      *slog.Logger
	publicIP netip.Addr
	relayTLS *tls.Config // of TURN servers

	clock     *media.Clock
	strain    strain
	busy      busy
	loop      *twin.Loop
	pool      *rtpport.Pool
	hub       *room.Hub
	plan      dialplan.Plan
	prober    atomic.Pointer[probe.Prober] // nil: no test calls
	sounds    *prompt.Library              // nil: phones are told nothing
	ua        *sip.UA
	exchange  *exchange.Exchange
	breweries control.Breweries
	admin     *admin.Server
	archive   *archive.Archive
	shelf     *shelf.Server // nil: transcripts are not served
	feed      *feed         // nil: no bridge sends us meetings
	speech    speech
	names     *callerid.Service // nil: nobody knows callers
	queue     *queue.Service    // nil: meetings that are not live yet end a call

	transcribers *transcribers // nil: a focus calls none

	totals   totals
	measures *measures
	counts   leg.Counts
	stanzas  xmpp.Counts
	draining atomic.Bool
	once     sync.Once
	panics   atomic.Int64
}

// New makes a gateway; Start opens it. The error says what in the configuration cannot be.
func New(cfg *config.Config, o Options) (*App, error) {
	a := &App{cfg: cfg, opt: o, log: xlog.Or(o.Log), hub: room.NewHub(), measures: newMeasures()}
	var err error
	if a.opt.Names == nil {
		if a.opt.Names, err = locate.New(locate.Options{}); err != nil {
			return nil, err
		}
	}
	if a.pool, err = rtpport.NewPool(uint16(cfg.Media.MinPort), uint16(cfg.Media.MaxPort)); err != nil {
		return nil, err
	}
	if a.publicIP, err = publicIP(cfg.PublicIP); err != nil {
		return nil, err
	}
	a.relayTLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if err := trust(a.relayTLS, cfg.Media.TURNTLS, "media.turn_tls"); err != nil {
		return nil, err
	}
	if a.plan, err = plan(cfg); err != nil {
		return nil, err
	}
	if cfg.Sounds.Enabled {
		if a.sounds, err = prompt.Open(cfg.Sounds.Dir); err != nil {
			return nil, err
		}
	}
	if u := cfg.Meeting.CallerInfoURL; u != "" {
		a.names = callerid.New(u)
	}
	if q := cfg.Visitors.Queue; q.URL != "" {
		if a.queue, err = queue.New(queue.Options{URL: q.URL, KeyFile: q.KeyFile, KeyID: q.KeyID, Log: a.log}); err != nil {
			return nil, err
		}
	}
	a.exchange = exchange.New(a.exchangeOptions())
	if cfg.SIP.Enabled {
		so, err := a.sipOptions()
		if err != nil {
			return nil, err
		}
		a.ua = sip.New(so)
	}
	if err := a.newArchive(); err != nil {
		return nil, err
	}
	if a.feed, err = a.newFeed(); err != nil {
		return nil, err
	}
	if a.transcribers, err = a.newTranscribers(); err != nil {
		return nil, err
	}
	if cfg.Admin.Port != 0 {
		if a.admin, err = admin.New(a.adminOptions()); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *App) exchangeOptions() exchange.Options {
	cfg := a.cfg
	return exchange.Options{
		Rules: rules(cfg), ByAccount: accountRules(cfg), MaxCalls: cfg.Limits.Calls, JoinLimit: cfg.Meeting.JoinTimeout, UserAsNick: cfg.Meeting.NickFromUser,
		CallOptions: call.Options{
			MoveLimit: a.opt.Away, RingLimit: cfg.Limits.Ring + ringSlack, WaitLimit: max(waitLimit, cfg.Visitors.Queue.Timeout+waitSlack),
			AnswerAfter: never(cfg.Meeting.AloneAnswer), TellFull: cfg.Sounds.TellFull && cfg.Sounds.Enabled,
		},
		Callee:     a.callee,
		Dialling:   exchange.DialLimits{PerRoom: cfg.DialOut.PerRoom, PerMinute: cfg.DialOut.PerMinute, AtOnce: cfg.DialOut.AtOnce, Longest: cfg.DialOut.Longest},
		Overloaded: a.strain.why,
		Sit:        a.sit, Dial: a.dial, Changed: a.breweries.Changed, Ended: a.ended, Log: a.log,
	}
}

// ringSlack is what a dialled phone has beyond limits.ring to end by itself: its leg gives up after limits.ring
// and says so to the room; the call's own limit is for a leg that does not.
const ringSlack = 10 * time.Second

// waitLimit is how long a call waits for people, at the most; its seat knows for whom, and ends earlier by itself.
const (
	waitLimit = time.Hour
	waitSlack = time.Minute
)

// publicIP reads public_ip; the zero address means: as the registrar sees us, else the local one.
func publicIP(s string) (netip.Addr, error) {
	if s == "" || s == "auto" {
		return netip.Addr{}, nil
	}
	if server, ok := cutSTUN(s); ok {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		ip, err := bridge.Discover(ctx, server)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("public_ip: %w", err)
		}
		return ip, nil
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("public_ip: %q is not auto, an IP address or stun:host", s)
	}
	return ip, nil
}

// never makes a duration of which 0 means never one of which negative does.
func never(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// Start opens the gateway. It returns when all listen; accounts and breweries connect in their
// own time.
func (a *App) Start() error {
	panicked := func(v any, stack []byte) {
		a.panics.Add(1)
		a.log.Error("panic in the media path: one call lost its sound", "panic", v, "stack", string(stack))
	}
	a.clock, a.loop = media.NewClock(panicked), twin.NewLoop(panicked)
	a.strain.start(a.cfg.Limits.Overload, a.clock.Stats, func() int { return a.exchange.Stats().Calls }, a.breweries.Changed, a.log)
	if a.admin != nil {
		if err := a.admin.Start(); err != nil {
			a.closeMedia()
			return fmt.Errorf("the HTTP interface: %w", taken(err, "admin.port"))
		}
		a.log.Info("serving HTTP", "addr", a.admin.Addr().String())
	}
	if err := a.startArchive(); err != nil {
		a.closeAdmin(context.Background())
		a.closeMedia()
		return err
	}
	if err := a.feed.start(a); err != nil {
		a.speech.close()
		a.closeArchive(context.Background())
		a.closeAdmin(context.Background())
		a.closeMedia()
		return err
	}
	if a.ua != nil {
		if err := a.ua.Start(); err != nil {
			a.feed.close(context.Background(), a)
			a.speech.close()
			a.closeArchive(context.Background())
			a.closeAdmin(context.Background())
			a.closeMedia()
			return taken(err, "sip.listen")
		}
	}
	for _, b := range a.cfg.Breweries {
		if err := a.addBrewery(b); err != nil {
			a.log.Error("a brewery cannot be joined", "brewery", b.ID, xlog.Err, err)
		}
	}
	a.startProbe()
	a.warnOfTrust()
	a.log.Info("gateway started", "version", a.opt.Version, "config", a.cfg.Path, "opus", codec.OpusBuild(), "accounts", len(a.cfg.SIP.Accounts), "breweries", len(a.cfg.Breweries))
	return nil
}

// SIPAddrs are the addresses that take calls, in the order of sip.listen.
func (a *App) SIPAddrs() []netip.AddrPort {
	if a.ua == nil {
		return nil
	}
	return a.ua.Local()
}

// AdminAddr is where the HTTP interface listens, "" if there is none.
func (a *App) AdminAddr() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.Addr().String()
}

// Calls are the running calls.
func (a *App) Calls() []exchange.Record { return a.exchange.Calls() }

// Exchange is the owner of all calls.
func (a *App) Exchange() *exchange.Exchange { return a.exchange }

// PortsInUse is how many pairs of RTP ports are taken.
func (a *App) PortsInUse() int { return a.pool.InUse() }

// Registrations tells how each SIP account stands.
func (a *App) Registrations() []sip.Registration {
	if a.ua == nil {
		return nil
	}
	return a.ua.Registrations()
}

// Breweries tells how each brewery stands.
func (a *App) Breweries() map[string]control.Status { return a.breweries.Status() }

// Drain takes no new calls and waits until those that run have ended, and meetings that are transcribed, or ctx is done.
func (a *App) Drain(ctx context.Context) error {
	a.draining.Store(true)
	a.log.Info("draining: no new calls", "calls", a.exchange.Stats().Calls)
	fed := make(chan error, 1)
	go func() { fed <- a.feed.drain(ctx) }()
	return errors.Join(a.exchange.Drain(ctx), <-fed, a.archive.Drain(ctx)) // the transcripts of what has ended
}

// Close hangs up what runs and closes all, within ctx.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	a.once.Do(func() {
		a.draining.Store(true)
		if p := a.prober.Load(); p != nil {
			p.Close()
		}
		var said sync.WaitGroup
		said.Go(func() { a.feed.close(ctx, a) })
		errs = append(errs, a.exchange.Close(ctx), a.breweries.Close(ctx))
		if a.ua != nil {
			errs = append(errs, a.ua.Close(ctx))
		}
		said.Wait()
		a.speech.close()
		a.closeArchive(ctx)
		a.closeAdmin(ctx)
		a.closeMedia()
		a.log.Info("gateway stopped")
	})
	return errors.Join(errs...)
}

func (a *App) closeMedia() {
	a.strain.close()
	a.clock.Close()
	a.loop.Close()
}

func (a *App) closeAdmin(ctx context.Context) {
	if a.admin != nil {
		_ = a.admin.Close(ctx) // requests that do not end are cut
	}
}

// Refusing reports whether new calls are refused.
func (a *App) Refusing() bool { return a.draining.Load() }

// HangupAll ends the calls that are left after a drain.
func (a *App) HangupAll() {
	for _, c := range a.exchange.Calls() {
		a.exchange.Hangup(c.ID, cause.Cause{Code: cause.Shutdown, Text: "the gateway was stopped"})
	}
}
