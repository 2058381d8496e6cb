package conference

import (
	"context"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
)

// breakout is a message of the breakout rooms: a moderator sends the phone to one of them, or back
// (conference spec 5.6).
func (s *Session) breakout(m meetxml.Message) {
	to := m.MoveTo
	part, ok := s.parts["breakout_rooms"]
	if !ok {
		part = stanza.JID{Domain: "breakout." + s.opt.Domain}
	}
	if !s.joined || to.Local == "" || to.Equal(s.room) || to.Domain != part.Domain && !to.Equal(s.main) || s.node != "" {
		return
	}
	s.move(to)
}

// move leaves the room for another, with the same nick on the same connection. The phone stays up.
func (s *Session) move(to stanza.JID) {
	s.log.Info("moving to another room of the meeting", "to", to.Local)
	if s.joined {
		_ = s.link.Send(stanza.New("", "presence", "to", s.Occupant().String(), "type", "unavailable").Add(stanza.New("", "status").WithText("switch_room")))
	}
	s.lose(cause.Cause{Code: cause.Lost, Text: "moved to another room of the meeting"})
	s.joined, s.room, s.state = false, to, entering
	s.focus = focus{jid: s.focus.jid}
	s.seat(to.With(s.opt.Nick))
	link, request := s.link, s.conferenceRequest(to, false).Elem()
	s.wait(enterLimit)
	s.beside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, enterLimit)
		defer cancel()
		_, err := s.ask(ctx, link, request)
		s.post(func() {
			if s.link != link || !s.room.Equal(to) || s.ended {
				return
			}
			if err != nil {
				s.closeLater(link)
				s.link = nil
				s.failed(cause.Of(err))
				return
			}
			s.join()
		})
	})
}
