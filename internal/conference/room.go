package conference

import (
	"slices"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/rayo"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// maxMembers bounds what a hostile room can make us remember.
const maxMembers = 10000

// ours reports whether an IQ is for this session; others are refused by the connection.
func (s *Session) ours(iq *stanza.Elem) bool {
	return iq.Kid(jingle.NS, "jingle") != nil || iq.Kid(rayo.NS, "hangup") != nil || s.opt.Mute && meetxml.IsMute(iq) || s.opt.Visitors.On && meetxml.IsVisitors(iq)
}

// stanza takes what the connection brings.
func (s *Session) stanza(e *stanza.Elem) {
	if s.link == nil {
		return
	}
	switch from := stanza.ParseJID(e.Get("from")).Bare(); {
	case e.Name.Local == "presence" && from.Equal(s.room):
		s.presenceIn(e)
	case e.Name.Local == "presence" && from.Equal(s.lobby):
		s.lobbyIn(e)
	case e.Name.Local == "message":
		s.messageIn(e)
	case e.Name.Local != "iq":
	case meetxml.IsMute(e):
		s.muteIn(e)
	case e.Kid(rayo.NS, "hangup") != nil:
		s.hangup(e)
	case meetxml.IsVisitors(e):
		s.visitorsIn(e)
	default:
		s.jingleIn(e)
	}
}

// hangup is the wish of a moderator to be rid of the phone: browsers send it to the address by
// which the dial was answered, which is our seat (conference spec 6.3).
func (s *Session) hangup(iq *stanza.Elem) {
	from := stanza.ParseJID(iq.Get("from"))
	focus := from.Resource == s.opt.FocusRes && s.focus.present
	switch {
	case iq.Get("type") != "set":
		s.refuse(iq, "modify", "bad-request", "")
	case !s.joined || !from.Bare().Equal(s.room) || !focus && s.who[from.Resource].role != "moderator":
		s.log.Warn("somebody who is no moderator wanted to hang up", xlog.From, from.Resource)
		s.refuse(iq, "auth", "forbidden", "only moderators hang up")
	default:
		_ = s.link.Reply(iq, nil) // a dead connection shows by itself
		if s.opt.Transcriber {
			s.tell(Event{Kind: Dismissed}) // it has last words
			return
		}
		s.finish(cause.Cause{Code: cause.Kicked, Text: "a moderator hung up"})
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
		if s.focus.present { // and nobody else in its seat
			s.recorded(meetxml.ParseRecording(e))
		}
	case o.Gone:
		s.left(o.Nick)
	default:
		s.heed(e, o)
		_, known := s.who[o.Nick]
		is := member{role: o.Role, phone: o.Jigasi && slices.Contains(s.opt.Trusted, o.JID.Domain)}
		switch {
		case known:
			s.who[o.Nick] = is
			s.watchEmpty()
		case o.Nick == s.opt.Nick:
		case len(s.who) >= maxMembers:
			s.opt.XMPP.Counts.Full.Add(1)
		default:
			s.who[o.Nick] = is
			s.met.Add(1)
			s.count()
			s.settle()
			if s.joined {
				s.tell(Event{Kind: Told, Item: news.MemberJoined})
			}
		}
	}
}

func (s *Session) count() {
	s.mu.Lock()
	s.members = len(s.who)
	s.mu.Unlock()
	s.watchEmpty()
}

// watchEmpty begins to wait for the end when nobody but phones is there, and stops when somebody is.
func (s *Session) watchEmpty() {
	switch {
	case s.opt.EmptyTimeout <= 0 || s.peopled():
		s.empty = nil
	case s.empty == nil:
		s.empty = time.After(s.opt.EmptyTimeout)
	}
}

// emptied is the end of that wait.
func (s *Session) emptied() {
	if s.empty = nil; s.joined && !s.peopled() {
		s.finish(cause.Cause{Code: cause.Deserted, Text: "nobody but phones was in the meeting for " + s.opt.EmptyTimeout.String() + " (meeting.empty_timeout)"})
	}
}

// peopled reports whether somebody is there who is no phone.
func (s *Session) peopled() bool {
	for _, m := range s.who {
		if !m.phone {
			return true
		}
	}
	return false
}

// self is our own presence: we are in, or out.
func (s *Session) self(o meetxml.Occupant) {
	if o.Gone {
		if s.joined {
			s.removed(o)
		}
		return
	}
	s.role(o)
	if s.joined {
		return
	}
	if o.Has(201) && !s.focus.present && s.lostAt.IsZero() && s.tries < maxTries {
		_ = s.link.Send(stanza.New("", "presence", "to", s.Occupant().String(), "type", "unavailable"))
		s.again("the room was empty: its focus had left it, or never came")
		return
	}
	s.joined, s.waiting = true, ""
	if !s.opt.Transcriber {
		s.alone = time.After(aloneAfter)
	}
	s.watchEmpty()
	s.seats++
	s.noteHere()
	s.askRoom()
	s.backoff.Reset()
	s.log.Info("room joined", "others", len(s.who))
	s.tell(Event{Kind: Joined})
	if !s.liveBy.IsZero() {
		s.liveBy = time.Time{}
		s.tell(Event{Kind: Told, Item: news.Live})
	}
	s.arrived()
	s.unmoderated()
	s.state = lonely
	s.settle()
}

// removed is our own leaving that we did not ask for (real.md 24, 25): this is the end.
func (s *Session) removed(o meetxml.Occupant) {
	s.joined = false
	switch {
	case o.Destroyed && !s.room.Equal(s.main):
		s.move(s.main) // a breakout room is closed
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
			s.focusGone()
		}
		return
	}
	if !s.focus.jid.IsZero() && !o.JID.IsZero() && !o.JID.Bare().Equal(s.focus.jid) {
		s.log.Warn("somebody sits in the seat of the focus who is not the focus", xlog.From, o.JID.Bare().String())
		return
	}
	was := s.focus.present
	s.focus.present, s.focus.noBridge = true, o.NoBridge
	switch {
	case was:
	case s.state == invited:
		s.expect() // anew: it has only now a chance to invite us
	case s.orphaned:
		s.wait(newSession) // it knows nothing of the old one
	}
	if s.joined {
		s.settle()
	}
}

// focusGone keeps a session whose focus has left: the bridge goes on without one, and the phone hears and is
// heard. The next focus sends a new session.
func (s *Session) focusGone() {
	s.log.Warn("the focus left the room")
	s.focus.present = false
	if s.state == talking {
		s.orphaned = true
		s.wait(focusReturn)
		if s.node != "" {
			s.wait(focusSearch)
		}
		return
	}
	s.suspend(cause.Cause{Code: cause.FocusLeft, Text: "the focus left the meeting"})
	s.expect()
}

// left is a member who is gone: there is no source-remove (real.md 16).
func (s *Session) left(nick string) {
	if _, known := s.who[nick]; !known {
		return
	}
	delete(s.who, nick)
	s.count()
	s.noteGone(nick)
	if s.joined {
		s.tell(Event{Kind: Told, Item: news.MemberLeft})
	}
	var gone []jingle.Source
	for ssrc, src := range s.sources {
		if src.Owner == nick {
			gone = append(gone, src)
			delete(s.sources, ssrc)
		}
	}
	if gone != nil {
		s.noteSources()
		s.tell(Event{Kind: SourcesChanged, Removed: gone})
	}
	if s.deserted() {
		s.finish(cause.Cause{Code: cause.Deserted, Text: "nobody but phones is left in the meeting"})
		return
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
	case !s.focus.present && s.node != "":
		return focusSearch
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

// rest waits for people or a bridge, without an end. What was lost before is no longer
// counted: what is lost from now on has a time of its own to come back.
func (s *Session) rest(text string) {
	if s.state == lonely && s.waiting == text {
		return // the presence of the focus is repeated for all sorts of reasons
	}
	s.state, s.waiting, s.lostAt = lonely, text, time.Time{}
	s.wait(24 * time.Hour)
	if s.focus.noBridge {
		s.wait(bridgeReturn)
	}
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
	s.offer, s.accepted, s.orphaned, s.waiting = nil, false, false, ""
	clear(s.sources)
	s.noteSources()
}

// deserted reports whether the call should end because there is nobody to talk to (gateway spec 4.10): the operator
// wants it so, or a lobby keeps everybody out whom only a member could let in.
func (s *Session) deserted() bool {
	return s.joined && (s.opt.LeaveEmpty || s.lobbyOn) && !s.peopled()
}
