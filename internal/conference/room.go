package conference

import (
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// maxMembers bounds what a hostile room can make us remember.
const maxMembers = 10000

// ours reports whether an IQ is for this session; others are refused by the connection.
func (s *Session) ours(iq *stanza.Elem) bool {
	return iq.Kid(jingle.NS, "jingle") != nil
}

// stanza takes what the connection brings.
func (s *Session) stanza(e *stanza.Elem) {
	if s.link == nil {
		return
	}
	switch e.Name.Local {
	case "presence":
		if stanza.ParseJID(e.Get("from")).Bare().Equal(s.opt.Room) {
			s.presenceIn(e)
		}
	case "iq":
		s.jingleIn(e)
	}
}

func (s *Session) presenceIn(e *stanza.Elem) {
	if e.Get("type") == "error" {
		s.refused(e)
		return
	}
	o, ok := meetxml.ParseOccupant(e)
	switch {
	case !ok:
	case o.Nick == s.opt.Nick && (o.Gone || o.Self()):
		s.self(o)
	case o.Nick == s.opt.FocusRes:
		s.focusIn(o)
	case o.Gone:
		s.left(o.Nick)
	default:
		if len(s.who) < maxMembers && !s.who[o.Nick] && o.Nick != s.opt.Nick {
			s.who[o.Nick] = true
			s.count()
			s.settle()
		}
	}
}

func (s *Session) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = len(s.who)
}

// self is our own presence: we are in, or out.
func (s *Session) self(o meetxml.Occupant) {
	if o.Gone {
		if s.joined {
			s.removed(o)
		}
		return
	}
	if s.joined {
		return
	}
	s.joined, s.waiting = true, ""
	s.backoff.Reset()
	s.log.Info("room joined", "others", len(s.who))
	s.tell(Event{Kind: Joined})
	s.state = lonely
	s.settle()
}

// removed is our own leaving that we did not ask for (real.md 24, 25): this is the end.
func (s *Session) removed(o meetxml.Occupant) {
	s.joined = false
	switch {
	case o.Destroyed:
		s.finish(cause.Cause{Code: cause.Destroyed, Text: "the meeting was ended"})
	case o.Has(301):
		s.finish(cause.Cause{Code: cause.Banned, Text: "a moderator banned the phone from the meeting"})
	case o.Has(307) && !o.Has(333), o.Has(321), o.Has(322): // a person, or a change of the room by one
		s.finish(cause.Cause{Code: cause.Kicked, Text: "a moderator removed the phone from the meeting"})
	default: // a fault of the server, or its end
		s.lose(cause.Cause{Code: cause.Lost, Text: "the XMPP server put the phone out of the meeting, and no person did"})
		s.closeLater(s.link)
		s.link = nil
		s.state = lost
		s.wait(min(s.backoff.Next(), 5*time.Second))
	}
}

// focusIn is the presence of who sits in the seat of the focus. Where that is not the one who answered
// the conference request, the focus is not there.
func (s *Session) focusIn(o meetxml.Occupant) {
	if o.Gone {
		if s.focus.present && s.joined {
			s.log.Warn("the focus left the room")
			s.focus.present = false
			s.suspend(cause.Cause{Code: cause.FocusLeft, Text: "the focus left the meeting"})
			s.expect()
		}
		return
	}
	if !s.focus.jid.IsZero() && !o.JID.IsZero() && !o.JID.Bare().Equal(s.focus.jid) {
		s.log.Warn("somebody sits in the seat of the focus who is not the focus", xlog.From, o.JID.Bare().String())
		return
	}
	was := s.focus.present
	s.focus.present, s.focus.noBridge = true, o.NoBridge
	if !was && s.state == invited {
		s.expect() // anew: it has only now a chance to invite us
	}
	if s.joined {
		s.settle()
	}
}

// left is a member who is gone: there is no source-remove (real.md 16).
func (s *Session) left(nick string) {
	if !s.who[nick] {
		return
	}
	delete(s.who, nick)
	s.count()
	var gone []jingle.Source
	for ssrc, src := range s.sources {
		if src.Owner == nick {
			gone = append(gone, src)
			delete(s.sources, ssrc)
		}
	}
	if gone != nil {
		s.tell(Event{Kind: SourcesChanged, Removed: gone})
	}
	if s.state == invited {
		s.settle()
	}
}

// settle decides what a seat without a session waits for.
func (s *Session) settle() {
	if !s.joined || s.state == talking || s.state == entering || s.state == lost {
		return
	}
	switch {
	case s.focus.noBridge:
		s.rest("no_bridge")
	case len(s.who) == 0:
		s.rest("alone")
	case s.state != invited:
		s.expect()
	}
}

// expect waits for a session-initiate.
func (s *Session) expect() {
	s.state, s.expectedAt = invited, time.Now()
	s.wait(s.patience())
}

// patience is how long to wait for a session-initiate before something is done about it.
func (s *Session) patience() time.Duration {
	switch {
	case !s.focus.present:
		return focusReturn
	case !s.returning():
		return s.opt.InviteTimeout
	}
	return newSession
}

// returning reports whether the seat has been in the meeting before: then it does not end
// because an invitation does not come, but joins again.
func (s *Session) returning() bool { return s.talked || !s.lostAt.IsZero() }

// rest waits for people or a bridge, without a limit. What was lost before is no longer
// counted: what is lost from now on has a time of its own to come back.
func (s *Session) rest(text string) {
	if s.state == lonely && s.waiting == text {
		return // the presence of the focus is repeated for all sorts of reasons
	}
	s.state, s.waiting, s.lostAt = lonely, text, time.Time{}
	s.wait(24 * time.Hour)
	s.tell(Event{Kind: Waiting, Text: text})
}

// suspend forgets the session and says so, if there was one.
func (s *Session) suspend(why cause.Cause) {
	if s.lostAt.IsZero() {
		s.lostAt = time.Now()
	}
	s.forgetSession()
	s.tell(Event{Kind: Suspended, Cause: why})
}

func (s *Session) forgetSession() {
	s.offer, s.accepted, s.waiting = nil, false, ""
	clear(s.sources)
}
