package app

import (
	"context"
	"strings"
	"time"

	"jigasi/internal/admin"
	"jigasi/internal/bridge"
	"jigasi/internal/conference"
	"jigasi/internal/exchange"
	"jigasi/internal/meetxml"
	"jigasi/internal/recognize"
	"jigasi/internal/scribeleg"
	"jigasi/internal/stanza"
	"jigasi/internal/translate"
	"jigasi/internal/words"
	"jigasi/internal/xmpp"
)

// transcribers is what all sessions have in common that a focus calls a transcriber for.
type transcribers struct {
	translator translate.Translator // nil is none
	counts     scribeleg.Counts
}

// newTranscribers makes it, where transcribers are to be called.
func (a *App) newTranscribers() (*transcribers, error) {
	c := a.cfg.Transcription
	if !c.Enabled {
		return nil, nil // nobody is
	}
	t := &transcribers{}
	var err error
	if c.Translation.Service != "none" {
		if t.translator, err = words.Translator(c); err != nil {
			return nil, err
		}
	}
	return t, a.speech.open(c, a.log)
}

// transcribe makes the seat of a transcriber.
func (a *App) transcribe(p exchange.Place) exchange.Seat {
	cfg := a.cfg
	c := cfg.Transcription
	co := a.conference(p, a.transcriberLogin(p))
	co.Mute = cfg.Meeting.Mute && cfg.SIP.Enabled // as Jigasi: a transcriber alone says nothing of it
	co.Presence.Status = ""
	return scribeleg.Join(scribeleg.Options{
		Conference: co, Bridge: a.bridgeOptions(), RoomURL: roomURL(p), Language: c.Language, Gate: c.Gate, Translator: a.transcribers.translator,
		Captions: c.Captions, Chat: c.Chat, Identities: c.Identities, EmptyLimit: never(c.Empty), EndLimit: c.LastWords,
		Counts: &a.transcribers.counts, Words: &a.speech.counts, Log: p.Log,
		Service: func(context.Context) (recognize.Service, func(), error) {
			return a.speech.room(p.Room.String()), func() {}, nil
		},
		Keep: func(start time.Time) scribeleg.Keeper { return a.archive.Open(p.Room.String(), start) },
	})
}

// conference is what the seats of phones and of transcribers have in common.
func (a *App) conference(p exchange.Place, login xmpp.Options) conference.Options {
	cfg := a.cfg
	co := conference.Options{
		XMPP: login, Room: p.Room, Domain: p.Domain, Nick: p.Nick, Focus: stanza.JID{Domain: cfg.Meeting.Focus + "." + p.Domain}, FocusRes: cfg.Meeting.Focus,
		Password: p.Password, InviteTimeout: never(cfg.Meeting.InviteTimeout), Relays: len(cfg.Media.TURN) == 0,
		LeaveEmpty: cfg.Meeting.LeaveEmpty, Trusted: cfg.Meeting.TrustedDomains,
		Presence: meetxml.Presence{Nick: p.Name, StatsID: cfg.Meeting.StatsID, Region: cfg.Meeting.Region, Version: "Jigasi " + a.opt.Version},
	}
	for _, h := range p.Headers {
		co.Presence.Initiator = append(co.Presence.Initiator, meetxml.Header{Name: h.Name, Value: h.Value})
	}
	return co
}

func (a *App) bridgeOptions() bridge.Options {
	m := a.cfg.Media
	return bridge.Options{
		PortMin: uint16(m.MinPort), PortMax: uint16(m.MaxPort), PublicIP: a.publicIP, Loopback: a.opt.Loopback, Loop: a.loop, Relays: relays(a.cfg), RelayTLS: a.relayTLS, DSCP: m.DSCP, ConsentLimit: a.opt.Consent,
	}
}

// transcriberLogin is how a transcriber logs in: to the hidden domain, by an account of its own where there is one.
func (a *App) transcriberLogin(p exchange.Place) xmpp.Options {
	c := a.cfg.Transcription
	if c.User == "" {
		return a.callLogin(p)
	}
	p.Anonymous = false
	o := a.callLogin(p)
	o.User, o.Password, o.Anonymous = c.User, c.Password, false
	if _, domain, ok := strings.Cut(c.User, "@"); ok {
		o.Domain = domain
	}
	return o
}

// roomURL is the address of a room in a browser.
func roomURL(p exchange.Place) string {
	path := p.Room.Local
	if p.Tenant != "" {
		path = p.Tenant + "/" + path
	}
	return "https://" + p.Domain + "/" + path
}

// metrics are those of transcribers that are called into rooms. None bears a word, or the name of a meeting.
func (t *transcribers) metrics() []admin.Sample {
	if t == nil {
		return nil
	}
	c := &t.counts
	const dropped, droppedHelp = "jigasi_transcriber_dropped_total", "Packets of speakers that were not heard, by reason."
	return []admin.Sample{
		gauge("jigasi_transcriber_sessions", "Transcribers in rooms, or on their way.", float64(c.Sessions.Load())),
		count("jigasi_transcriber_ended_total", "Transcribers that have left in peace.", c.Ended.Load()),
		count("jigasi_transcriber_failed_total", "Transcribers that ended otherwise.", c.Failed.Load()),
		count("jigasi_transcriber_incomplete_total", "Transcriptions of which something did not arrive where it belongs.", c.Missing.Load()),
		count("jigasi_transcriber_concealed_total", "Packets that never came and were covered.", c.Concealed.Load()),
		count(dropped, droppedHelp, c.Unheard.Load(), label("reason", "unheard")),
		count(dropped, droppedHelp, c.Damaged.Load(), label("reason", "damaged")),
		count(dropped, droppedHelp, c.Late.Load(), label("reason", "late")),
	}
}
