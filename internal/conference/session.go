package conference

import (
	"cmp"
	"context"
	"errors"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
	"jigasi/internal/xmpp"
)

// maxSources bounds the streams of a session (T11).
const maxSources = 2000

// jingleIn is a Jingle IQ of anybody.
func (s *Session) jingleIn(iq *stanza.Elem) {
	m, err := jingle.Parse(iq)
	if err != nil {
		s.refuse(iq, "modify", "bad-request", "")
		return
	}
	if !s.fromFocus(iq) {
		s.log.Warn("a Jingle request that is not of the focus was refused", "action", m.Action)
		s.refuse(iq, "auth", "forbidden", "Only calls from focus allowed")
		return
	}
	opening := m.Action == jingle.SessionInitiate || m.Action == jingle.TransportReplace
	switch {
	case m.Action == jingle.SessionInitiate && s.offer != nil && s.offer.SID == m.SID:
		s.refuse(iq, "cancel", "service-unavailable", "")
		return
	case !opening && (s.offer == nil || s.offer.SID != m.SID):
		s.refuse(iq, "cancel", "item-not-found", "", jingle.UnknownSession())
		return
	case iq.Get("type") != "set":
		s.refuse(iq, "modify", "bad-request", "")
		return
	}
	_ = s.link.Reply(iq, nil) // a dead connection shows by itself
	s.act(m, iq.Get("from"))
}

// refuse answers a request that is not granted, and counts it.
func (s *Session) refuse(iq *stanza.Elem, typ, condition, text string, more ...*stanza.Elem) {
	s.opt.XMPP.Counts.Forbidden.Add(1)
	_ = s.link.ReplyError(iq, typ, condition, text, more...) // a dead connection shows by itself
}

// fromFocus reports whether an IQ comes from the seat of the focus while it sits there.
func (s *Session) fromFocus(iq *stanza.Elem) bool {
	return s.focus.present && stanza.ParseJID(iq.Get("from")).Equal(s.room.With(s.opt.FocusRes))
}

func (s *Session) act(m *jingle.Message, from string) {
	switch m.Action {
	case jingle.SessionInitiate, jingle.TransportReplace:
		s.offered(m, from)
	case jingle.TransportInfo:
		if m.Transport != nil && m.Transport.ICEGeneration > 0 {
			s.restart("connectivity-error") // an ICE restart in place is not spoken here
		} else if m.Transport != nil {
			s.tell(Event{Kind: Trickled, Candidates: m.Transport.Candidates})
		}
	case jingle.SourceAdd:
		if added := s.take(m.Sources); added != nil {
			s.tell(Event{Kind: SourcesChanged, Added: added})
		}
	case jingle.SourceRemove:
		var gone []jingle.Source
		for _, src := range m.Sources {
			if have, ok := s.sources[src.SSRC]; ok {
				gone = append(gone, have)
				delete(s.sources, src.SSRC)
			}
		}
		if gone != nil {
			s.tell(Event{Kind: SourcesChanged, Removed: gone})
		}
	case jingle.SessionTerminate:
		s.terminated(m)
	}
	s.noteSources()
}

// take notes sources and gives those that are people's: the bridge's own never sends.
func (s *Session) take(list []jingle.Source) []jingle.Source {
	var added []jingle.Source
	for _, src := range list {
		if src.Owner == "jvb" || src.Owner == "" || src.Owner == s.opt.Nick {
			continue
		}
		if len(s.sources) >= maxSources {
			s.opt.XMPP.Counts.Full.Add(1)
			continue
		}
		s.sources[src.SSRC] = src
		added = append(added, src)
	}
	return added
}

func (s *Session) offered(m *jingle.Message, from string) {
	if m.Transport == nil {
		s.log.Warn("an offer of the focus has no transport")
		return
	}
	s.forgetSession()
	o := &Offer{
		SID: m.SID, Nick: s.opt.Nick, Seat: s.seats, Transport: *m.Transport, LevelID: m.Exts[jingle.LevelURI], Relays: s.relays, Visitor: s.node != "",
		Replaces: m.Action == jingle.TransportReplace, initiator: m.Initiator, from: from, bridge: m.BridgeSession, message: m,
	}
	for _, p := range m.Payloads {
		switch p.Name {
		case "opus":
			o.Opus = p
		case "telephone-event":
			if o.EventPT == 0 || p.Clockrate == 8000 {
				o.EventPT, o.EventClock = p.ID, cmp.Or(p.Clockrate, 8000)
			}
		}
	}
	if o.Opus.ID == 0 {
		if !o.Replaces {
			s.finish(cause.Cause{Code: cause.NoCodec, Text: "the focus offers no audio by Opus: look at the codecs of Jicofo"})
			return
		}
		o.Opus = jingle.Payload{ID: 111, Name: "opus", Clockrate: 48000, Channels: 2}
	}
	o.Sources = s.take(m.Sources)
	s.offer, s.state = o, talking
	s.wait(24 * time.Hour)
	s.log.Info("session offered", "sid", m.SID, "sources", len(o.Sources), "bridge_session", m.BridgeSession)
	s.tell(Event{Kind: Offered, Offer: o})
	if s.offers++; m.StartMuted && s.opt.Mute && s.offers == 1 {
		s.startMuted()
	}
}

// accept answers the offer (conference spec 3.4): the payload types and extension ids are those of the offer.
func (s *Session) accept(o *Offer, t jingle.Transport, own jingle.Source) {
	if s.offer != o || s.link == nil {
		return // another offer or loss came between
	}
	action := jingle.SessionAccept
	if o.Replaces {
		action = jingle.TransportAccept
	}
	m := &jingle.Message{
		Action: action, SID: o.SID, Initiator: o.initiator, Responder: s.link.JID().String(), HasAudio: true,
		Payloads: []jingle.Payload{{ID: o.Opus.ID, Name: "opus", Clockrate: 48000, Channels: 2, Params: o.Opus.Params}},
		Exts:     map[string]uint8{}, Transport: &t, Receive: o.Visitor,
	}
	if own.SSRC != 0 && !o.Visitor {
		m.Sources = []jingle.Source{own}
	}
	if o.EventPT != 0 {
		m.Payloads = append(m.Payloads, jingle.Payload{ID: o.EventPT, Name: "telephone-event", Clockrate: o.EventClock, Channels: 1})
	}
	if o.LevelID != 0 {
		m.Exts[jingle.LevelURI] = o.LevelID
	}
	s.request(o, m, func(err error) {
		if err != nil {
			s.log.Warn("the focus refused our session-accept", xlog.Err, err)
			s.suspend(cause.Cause{Code: cause.MediaFailed, Err: err, Text: "the focus refused our side of the session: look at Jicofo's log"})
			s.state = invited
			s.rejoin("the focus refused our session-accept")
			return
		}
		s.accepted, s.talked, s.rejoined, s.lostAt = true, true, 0, time.Time{}
		s.backoff.Reset()
	})
}

// request sends a Jingle request about an offer; done runs on the session's goroutine if the
// connection is still the same.
func (s *Session) request(o *Offer, m *jingle.Message, done func(error)) {
	link, epoch := s.link, s.epoch
	iq := stanza.New("", "iq", "type", "set", "to", o.from).Add(m.Elem())
	s.beside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 15*time.Second)
		defer cancel()
		_, err := link.Request(ctx, iq)
		s.post(func() {
			if epoch == s.epoch && s.link != nil && s.offer == o {
				done(err)
			}
		})
	})
}

// restart asks for a new session within Jicofo's limits (real.md 21); beyond them, or
// where it is refused, the room is left and joined again.
func (s *Session) restart(reason string) {
	if s.offer == nil || s.link == nil {
		return
	}
	now := time.Now()
	recent := s.restarts[:0]
	for _, t := range s.restarts {
		if now.Sub(t) < time.Minute {
			recent = append(recent, t)
		}
	}
	s.restarts = recent
	o := s.offer
	if n := len(recent); o.bridge == "" || n >= restartMost || n > 0 && now.Sub(recent[n-1]) < restartApart {
		s.suspend(cause.Cause{Code: cause.Lost, Text: "the bridge was lost again"})
		s.rejoin("restarted too often")
		return
	}
	s.restarts = append(s.restarts, now)
	m := &jingle.Message{Action: jingle.SessionTerminate, SID: o.SID, Initiator: o.initiator, Reason: reason, Text: "ICE FAILED", BridgeSession: o.bridge, Restart: true}
	s.log.Warn("asking the focus for a new session", "reason", reason)
	s.request(o, m, func(err error) {
		var refused *xmpp.Error
		if errors.As(err, &refused) || err != nil {
			s.suspend(cause.Cause{Code: cause.Lost, Err: err, Text: "the focus refused a restart"})
			s.rejoin("the focus refused a restart")
			return
		}
		s.suspend(cause.Cause{Code: cause.Lost, Text: "the bridge was lost"})
		s.expect()
	})
}

// terminated is a session-terminate of the focus: not a hang-up, but a wait for another session (real.md 20, 23, 24).
func (s *Session) terminated(m *jingle.Message) {
	s.log.Info("the focus ended the session", "reason", m.Reason, "text", m.Text)
	s.suspend(cause.Cause{Code: cause.Lost, Text: "the focus ended the session: " + m.Reason + " " + m.Text})
	s.state = lonely
	s.settle()
}
