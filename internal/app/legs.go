package app

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/codec"
	"jigasi/internal/conference"
	"jigasi/internal/config"
	"jigasi/internal/exchange"
	"jigasi/internal/leg"
	"jigasi/internal/meetleg"
	"jigasi/internal/meetxml"
	"jigasi/internal/rtpport"
	"jigasi/internal/scribeleg"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
	"jigasi/internal/xmpp"
)

// sit makes the seat of a call.
func (a *App) sit(_ context.Context, p exchange.Place) exchange.Seat {
	if p.Transcriber {
		return a.transcribe(p)
	}
	cfg := a.cfg
	co := a.conference(p, a.callLogin(p))
	co.EmptyTimeout = cfg.Meeting.EmptyTimeout
	co.LobbyTimeout, co.PasswordTimeout, co.Mute = cfg.Meeting.LobbyTimeout, cfg.Meeting.PasswordWait, cfg.Meeting.Mute
	co.Presence.Status, co.Presence.Features = "Initializing Call", features(cfg)
	co.Visitors = conference.Visitors{On: cfg.Visitors.Enabled, Wanted: p.Visitor, Domain: cfg.Visitors.Domain, Servers: cfg.Visitors.Servers}
	if a.names != nil {
		co.Caller = a.caller(p)
	}
	if co.LiveTimeout = cfg.Visitors.Queue.Timeout; a.queue != nil && cfg.Visitors.Enabled {
		co.Live = a.queue.Live
	}
	return meetleg.Join(meetleg.Options{
		Conference: co, Hub: a.hub, Opus: opusOptions(cfg), Outgoing: p.Outgoing, FEC: cfg.Media.Opus.FEC, Gate: cfg.Media.Opus.DTX, Counts: &a.counts, Log: p.Log, Bridge: a.bridgeOptions(),
	})
}

func features(cfg *config.Config) []string {
	f := []string{meetxml.FeatureJigasi, meetxml.FeatureDTMF}
	if cfg.Meeting.Mute {
		f = append(f, meetxml.FeatureAudioMute)
	}
	return f
}

func relays(cfg *config.Config) []bridge.Relay {
	var out []bridge.Relay
	for _, server := range cfg.Media.STUN {
		out = append(out, bridge.Relay{URL: "stun:" + server})
	}
	for _, t := range cfg.Media.TURN {
		scheme, transport := "turn", "udp"
		switch t.Transport {
		case "tcp":
			transport = "tcp"
		case "tls":
			scheme, transport = "turns", "tcp"
		}
		out = append(out, bridge.Relay{URL: scheme + ":" + t.Server + "?transport=" + transport, User: t.User, Password: t.Password.Reveal()})
	}
	return out
}

func opusOptions(cfg *config.Config) codec.OpusOptions {
	o := codec.OpusOptions{Bitrate: cfg.Media.Opus.Bitrate * 1000}
	if cfg.Media.Opus.Complexity > 0 {
		o.Complexity = cfg.Media.Opus.Complexity
	}
	return o
}

// callLogin is how a call logs in: as configured, with the meeting's domain and URL.
func (a *App) callLogin(p exchange.Place) xmpp.Options {
	o := a.xmppOptions(a.cfg.XMPP)
	if o.Domain == "" {
		o.Domain = p.Domain
	}
	if p.Anonymous {
		o.User, o.Password, o.Anonymous = "", "", true
		o.Domain = cmp.Or(a.cfg.XMPP.Domain, p.Domain)
	}
	if p.BOSH != "" {
		o.URL, o.Transport = p.BOSH, urlTransport(p.BOSH)
	}
	if p.Token != "" && p.UserID != "" {
		o.User = p.UserID
		if _, domain, ok := strings.Cut(p.UserID, "@"); ok { // the login is in the user's domain, as everywhere
			o.Domain = domain
		}
	}
	if a.cfg.XMPP.UniqueUser && o.User != "" {
		local, domain, _ := strings.Cut(o.User, "@")
		o.User = local + "-" + p.Nick + "@" + domain
	}
	o.Resource = p.Nick
	o.Software, o.Version = "Jigasi", a.opt.Version
	return o
}

// xmppOptions translates a login.
func (a *App) xmppOptions(x config.XMPP) xmpp.Options {
	o := xmpp.Options{
		Domain: x.Domain, Host: x.Server, Transport: xmpp.TCP, User: x.User, Password: x.Password, Anonymous: x.Anonymous(), Resource: x.Resource,
		AllowPlain: x.Plaintext, Ping: x.Ping, Resume: x.Resume, Names: a.opt.Names, Counts: &a.stanzas, Log: a.log,
		TLS: xmpp.TLSOptions{CAFile: x.TLS.CAFile, PinSHA256: x.TLS.PinSHA256, ServerName: x.TLS.ServerName, TrustAll: x.TLS.TrustAll},
	}
	if o.Ping == 0 {
		o.Ping = -1
	}
	if _, domain, ok := strings.Cut(x.User, "@"); ok && o.Domain == "" {
		o.Domain = domain
	}
	switch {
	case x.URL != "":
		o.URL, o.Transport = x.URL, urlTransport(x.URL)
	case x.DirectTLS:
		o.Transport = xmpp.TLS
	}
	return o
}

func urlTransport(u string) string {
	if strings.HasPrefix(u, "ws") {
		return xmpp.WebSocket
	}
	return xmpp.BOSH
}

// incoming hands a SIP call to the exchange.
func (a *App) incoming(d *sip.Dialog) {
	user, name := d.Caller()
	if name == "" {
		name = user
	}
	acc := a.account(d.Account())
	name = shownName(cmp.Or(acc.CallerName, a.cfg.Meeting.CallerName), name)
	a.exchange.Incoming(exchange.Caller{
		Header: d.Header, Account: d.Account(), ID: d.CallID(), Name: name, User: user,
		Accept: func(log *slog.Logger) (leg.Phone, error) {
			l, err := sipleg.Accept(d, a.phoneOptions(acc, log))
			if err != nil {
				return nil, err
			}
			return l, nil
		},
		Refuse: func(why cause.Cause) { d.Reject(why) },
	})
}

// account finds an account by its name; the zero value is a call of none.
func (a *App) account(id string) config.SIPAccount {
	for _, acc := range a.cfg.SIP.Accounts {
		if acc.ID == id {
			return acc
		}
	}
	return config.SIPAccount{}
}

// goneAfter is how long nothing at all may come from a phone, whatever the operator wants of silent ones.
const goneAfter = time.Minute

func (a *App) phoneOptions(acc config.SIPAccount, log *slog.Logger) sipleg.Options {
	m, s := a.cfg.Media, a.cfg.Sounds
	if len(acc.Codecs) > 0 {
		m.Codecs = acc.Codecs
	}
	m.SRTP = cmp.Or(acc.SRTP, m.SRTP)
	return sipleg.Options{
		RTP: rtpport.Options{
			Pool: a.pool, Clock: a.clock, Loop: a.loop, Opus: opusOptions(a.cfg), FEC: m.Opus.FEC, Forward: acc.Forward,
			Silence: never(m.Silence), Gone: max(goneAfter, m.Silence), DSCP: m.DSCP,
		},
		PTime: m.PTime, MinKey: m.DigitMS, Keys: keyWay(acc.DTMF), KeysToMeeting: acc.DTMFToMeeting,
		Codecs: sdp.Codecs(m.Codecs...), SRTP: srtpPolicy(m.SRTP), Suites: m.Suites, PublicIP: a.publicIP, HangupOnSilence: m.HangSilent, Log: log,
		Sounds: a.sounds, Language: cmp.Or(acc.Language, s.Language), NoAnnouncements: !s.Announce, Chimes: s.Chimes, Heartbeat: acc.Heartbeat, Counts: &a.counts,
	}
}

func keyWay(s string) sipleg.KeyWay {
	switch s {
	case "rtp":
		return sipleg.KeysRTP
	case "info":
		return sipleg.KeysInfo
	case "inband":
		return sipleg.KeysTones
	}
	return sipleg.KeysAuto
}

func srtpPolicy(s string) sdp.Policy {
	switch s {
	case "optional":
		return sdp.Optional
	case "required":
		return sdp.Required
	}
	return sdp.Off
}

// dial makes the phone of an outgoing call: the INVITE goes out when the meeting is ready.
func (a *App) dial(ctx context.Context, r exchange.Request, p exchange.Place) (leg.Phone, error) {
	if p.Transcriber && a.transcribers != nil {
		return scribeleg.NewNobody(), nil
	}
	if a.ua == nil {
		return nil, cause.Cause{Code: cause.Unavailable, Text: "calling phones is switched off: set sip.enabled"}
	}
	routes, err := a.plan.Route(r.To)
	if err != nil {
		return nil, err
	}
	acc := a.accountOr(routes[0].Account)
	ip := a.ua.MediaIP(ctx, acc.ID, sipURI(acc, routes[0].Number))
	ways := make([]sipleg.Way, len(routes))
	for i, way := range routes {
		ways[i] = a.way(ctx, a.accountOr(way.Account), way.Number, p)
	}
	o := a.phoneOptions(acc, p.Log)
	o.Typed = p.Keys.Reveal()
	l, err := sipleg.Dial(o, ip, ways...)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// accountOr finds an account by its name; without a name it is the first one, if there is any.
func (a *App) accountOr(id string) config.SIPAccount {
	if id == "" && len(a.cfg.SIP.Accounts) > 0 {
		return a.cfg.SIP.Accounts[0]
	}
	return a.account(id)
}

// way calls a number by an account.
func (a *App) way(ctx context.Context, acc config.SIPAccount, number string, p exchange.Place) sipleg.Way {
	o := sip.DialOptions{
		Account: acc.ID, To: sipURI(acc, number), Name: acc.DisplayName, Timeout: a.cfg.Limits.Ring,
		Headers: []sip.Header{{Name: roomHeader(acc), Value: p.Room.String()}},
	}
	for _, h := range p.Headers {
		o.Headers = append(o.Headers, sip.Header{Name: h.Name, Value: h.Value})
	}
	return func(offer []byte, hasty bool) (*sip.Dialog, error) {
		o.SDP, o.Hasty = offer, hasty
		return a.ua.Dial(ctx, o)
	}
}

func roomHeader(acc config.SIPAccount) string {
	if acc.Headers.Room != "" {
		return acc.Headers.Room
	}
	return "Jitsi-Conference-Room"
}

// sipURI makes an address of what somebody wants dialled (gateway spec 3.5, without its loss of
// capital letters).
func sipURI(acc config.SIPAccount, to string) string {
	to = strings.TrimSpace(acc.Prefix + strings.TrimSpace(to))
	low := strings.ToLower(to)
	for _, scheme := range []string{"tel:", "callto:", "sips:", "sip:"} {
		if strings.HasPrefix(low, scheme) {
			to = to[len(scheme):]
			break
		}
	}
	if !strings.Contains(to, "@") {
		to = strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("+-_.!~*'()&=$,;?/#", c) {
				return c
			}
			return -1
		}, to)
		_, domain, _ := strings.Cut(acc.URI, "@")
		if domain == "" {
			return "sip:" + to
		}
		to += "@" + domain
	}
	return "sip:" + to
}
