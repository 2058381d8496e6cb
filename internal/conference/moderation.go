package conference

import (
	"context"
	"time"

	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
)

// Who may speak (gateway spec 4.9, conference spec 5.1 to 5.4). The room's moderators mute anybody; nobody but the phone
// itself unmutes it, and while moderation is on only with permission.

// muteLimit is how long the focus has for its answer to a mute request of ours.
const muteLimit = 15 * time.Second

// moderation is what a session knows of it.
type moderation struct {
	on        bool // who is no moderator needs permission
	approved  bool // we have it
	moderator bool // we are one
}

func (m moderation) mayUnmute() bool { return !m.on || m.approved || m.moderator }

// mayUnmute reports whether the phone may be heard if it wants to.
func (s *Session) mayUnmute() bool { return s.node == "" && s.moderation.mayUnmute() }

// muteIn is a mute request of anybody.
func (s *Session) muteIn(iq *stanza.Elem) {
	on, ok := meetxml.ParseMute(iq)
	if !ok || !s.fromFocus(iq) || iq.Get("type") != "set" {
		s.refuse(iq, "cancel", "item-not-found", "")
		return
	}
	_ = s.link.Reply(iq, nil) // a dead connection shows by itself
	if on {                   // nobody can unmute another one
		s.log.Info("muted by the meeting")
		s.mutedByRoom()
	}
}

// mutedByRoom silences the phone, which is told.
func (s *Session) mutedByRoom() {
	s.setMuted(true)
	s.tell(Event{Kind: Muted, On: true, OK: true, ByRoom: true})
}

func (s *Session) setMuted(on bool) {
	raised := s.presence.RaisedHand.UnixMilli() > 0
	if s.presence.AudioMuted == on && !raised {
		return
	}
	s.presence.AudioMuted = on
	if !on && raised {
		s.presence.RaisedHand = time.UnixMilli(0)
	}
	s.show()
}

// AskMute is the phone's wish to be silent or to be heard. A Muted event with id answers it.
func (s *Session) AskMute(on bool, id string) {
	s.want(func() {
		switch {
		case !on && s.node != "": // asks to be promoted; what comes of it is another seat
			s.raiseHand()
		case !on && !s.moderation.mayUnmute():
			s.raiseHand()
			s.tell(Event{Kind: Muted, On: true, ID: id})
		case s.moderation.on && s.link != nil && s.joined && s.node == "":
			s.askFocus(on, id)
		default:
			s.setMuted(on)
			s.tell(Event{Kind: Muted, On: on, OK: true, ID: id})
		}
	})
}

// SetMuted notes what the phone has done by itself: that it is silent, or can be heard. A Muted event says what
// follows, if it may be so.
func (s *Session) SetMuted(on bool) {
	s.want(func() {
		if on || s.mayUnmute() {
			s.setMuted(on)
			s.tell(Event{Kind: Muted, On: on, OK: true, Known: true})
		}
	})
}

// askFocus has the focus confirm a change while moderation is on.
func (s *Session) askFocus(on bool, id string) {
	link, epoch := s.link, s.epoch
	iq := stanza.New("", "iq", "type", "set", "to", s.room.With(s.opt.FocusRes).String()).Add(meetxml.MuteRequest(s.Occupant(), on))
	s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, muteLimit)
		defer cancel()
		_, err := link.Request(ctx, iq)
		s.post(func() {
			if epoch != s.epoch {
				return
			}
			if err == nil {
				s.setMuted(on)
			}
			s.tell(Event{Kind: Muted, On: on, OK: err == nil, ID: id})
		})
	})
}

// RaiseHand asks the moderators for permission to speak.
func (s *Session) RaiseHand() { s.want(s.raiseHand) }

func (s *Session) raiseHand() {
	s.presence.RaisedHand = time.Now()
	s.show()
	s.tell(Event{Kind: Told, Item: news.HandRaised})
}

// messageIn is a message: of the room, or of a part of the server.
func (s *Session) messageIn(e *stanza.Elem) {
	from := stanza.ParseJID(e.Get("from"))
	if from.Equal(s.room) {
		s.invitationIn(e)
		if roomChanged(e) && s.joined {
			s.askRoom()
		}
		return
	}
	m, ok := meetxml.ParseMessage(e)
	switch {
	case !ok:
		if e.Kid(meetxml.NSMeet, "json-message") != nil {
			s.opt.XMPP.Counts.Malformed.Add(1)
		}
		return
	case !s.isPart(from, m.Type) || !s.aboutUs(m.Room):
		if usualParts[m.Type] != "" { // people send each other other things
			s.opt.XMPP.Counts.Forbidden.Add(1)
		}
		return
	}
	switch m.Type {
	case "av_moderation":
		s.moderated(m)
	case "room_metadata":
		s.metadata(m)
		s.noteData(e.Kid(meetxml.NSMeet, "json-message").Text)
	case "breakout_rooms":
		s.breakout(m)
	case "visitors":
		s.demote(m)
	}
}

// aboutUs reports whether what a part says of a room concerns us.
func (s *Session) aboutUs(room string) bool {
	r := stanza.ParseJID(room).Bare()
	return room == "" || r.Equal(s.room) || s.node != "" && r.Equal(s.opt.Room)
}

// usualParts are the usual names of what a server has beside its rooms, by the type of their messages.
var usualParts = map[string]string{"av_moderation": "avmoderation.", "room_metadata": "metadata.", "breakout_rooms": "breakout.", "visitors": "visitors."}

// isPart reports whether a message of that type may come from there.
func (s *Session) isPart(from stanza.JID, typ string) bool {
	part, ok := s.parts[typ]
	if !ok {
		usual := usualParts[typ]
		part = stanza.JID{Domain: usual + s.opt.Domain}
		ok = usual != ""
	}
	return ok && from.Bare().Equal(part)
}

func (s *Session) moderated(m meetxml.Message) {
	was := s.moderation
	switch {
	case m.Enabled != nil:
		s.moderation.on = *m.Enabled
		if !*m.Enabled {
			s.moderation.approved = false
		}
	case m.Approved:
		s.moderation.approved = true
	case m.Removed:
		s.moderation.approved = false
	}
	s.permission(was)
	if s.moderation.on && !was.on && s.offer == nil && s.opt.Mute && !s.moderation.mayUnmute() {
		s.mutedByRoom() // the focus mutes only who is there when it begins
	}
}

// unmoderated forgets what was so in the room before: the one that is entered says if it is so there.
func (s *Session) unmoderated() {
	was := s.moderation
	s.moderation.on, s.moderation.approved = false, false
	s.permission(was)
}

// permission tells the phone what has changed in what it may do.
func (s *Session) permission(was moderation) {
	now := s.moderation
	switch {
	case now.moderator && was.moderator:
	case now.on != was.on || now.moderator != was.moderator && now.on:
		item := news.ModerationOff
		if now.on && !now.moderator {
			item = news.ModerationOn
		}
		s.tell(Event{Kind: Told, Item: item})
	case now.approved && !was.approved:
		s.tell(Event{Kind: Told, Item: news.MayUnmute})
	case was.approved && !now.approved:
		s.tell(Event{Kind: Told, Item: news.MayNotUnmute})
	}
}

// role is what our own presence says of us.
func (s *Session) role(o meetxml.Occupant) {
	was := s.moderation
	if o.Affiliation == "owner" && !was.moderator && len(s.who) == 0 {
		s.log.Warn("the phone was made the owner of the room, so no person will be: the focus does not trust the domain of our login (jicofo.xmpp.trusted-domains)")
	}
	s.moderation.moderator = o.Role == "moderator" || o.Affiliation == "owner" || o.Affiliation == "admin"
	s.permission(was)
}

// metadata is the state of the room that its members see.
func (s *Session) metadata(m meetxml.Message) {
	if m.StartMuted && s.opt.Mute && s.offers == 0 {
		s.startMuted()
	}
	if m.Lobby != nil {
		s.lobbyOn = *m.Lobby
	}
	if m.Transcribing != s.transcribing {
		s.transcribing = m.Transcribing
		s.tell(Event{Kind: Told, Item: either(m.Transcribing, news.TranscriptionOn, news.TranscriptionOff)})
	}
}

// startMuted silences the phone at the beginning of its first session.
func (s *Session) startMuted() {
	if !s.presence.AudioMuted {
		s.log.Info("the meeting wants people to start muted")
		s.mutedByRoom()
	}
}

// recorded notes what the focus says of recorders.
func (s *Session) recorded(r meetxml.Recording) {
	if !r.Known || r.On == s.recording.On {
		return
	}
	if !r.On {
		r.Streaming = s.recording.Streaming // the end of what began
	}
	s.recording = r
	on, off := news.RecordingOn, news.RecordingOff
	if r.Streaming {
		on, off = news.StreamingOn, news.StreamingOff
	}
	s.tell(Event{Kind: Told, Item: either(r.On, on, off)})
}

func either(first bool, a, b news.Item) news.Item {
	if first {
		return a
	}
	return b
}
