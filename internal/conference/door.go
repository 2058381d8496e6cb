package conference

import (
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// A room can have a door: a lobby, in which somebody of the meeting lets people in (conference
// spec 5.2), and a password. Both are states of a session that has not joined:
//
//	entering ── registration-required ──> knocking ── invited, or the lobby is gone ──> entering
//	    │                                    │  └─ put out, or the meeting ends: over
//	    └── not-authorized ──> asking        └─ a password is given ──> entering
//	               └─ a password is given ──> entering
const (
	lobbyJoinLimit = 10 * time.Second
	maxPasswords   = 3
)

// knock enters the lobby that a refused join names.
func (s *Session) knock(lobby stanza.JID) {
	s.log.Info("the meeting has a lobby; knocking")
	s.state, s.lobby, s.inLobby = knocking, lobby, false
	s.wait(lobbyJoinLimit)
	_ = s.link.Send(stanza.New("", "presence", "to", lobby.With(s.opt.Nick).String()).Add(
		stanza.New(meetxml.NSMUC, "x"), stanza.New(meetxml.NSNick, "nick").WithText(s.presence.Nick)))
}

// lobbyIn is a presence out of the lobby.
func (s *Session) lobbyIn(e *stanza.Elem) {
	if s.state != knocking {
		return
	}
	if e.Get("type") == "error" {
		s.turnedAway(cause.Cause{Code: cause.LobbyDenied, Text: "the meeting's lobby refuses the phone"})
		return
	}
	o, ok := meetxml.ParseOccupant(e)
	switch {
	case !ok || o.Nick != s.opt.Nick || !o.Gone && !o.Self():
	case !o.Gone && !s.inLobby:
		s.inLobby = true
		s.seat(s.lobby.With(s.opt.Nick))
		s.wait(s.opt.LobbyTimeout)
		s.tell(Event{Kind: Joined})
		s.tell(Event{Kind: Waiting, Text: InLobby})
		s.tell(Event{Kind: Told, Item: news.LobbyEntered})
	case o.Gone && o.Destroyed && o.Alternate.Bare().Equal(s.room):
		s.letIn("", true) // the lobby was switched off
	case o.Gone && o.Destroyed:
		s.turnedAway(cause.Cause{Code: cause.Destroyed, Text: "the meeting ended while the caller waited in its lobby"})
	case o.Gone && s.inLobby:
		s.turnedAway(cause.Cause{Code: cause.LobbyDenied, Text: "a moderator did not let the caller in"})
	}
}

// turnedAway ends the session from the lobby.
func (s *Session) turnedAway(why cause.Cause) {
	s.inLobby = false
	s.finish(why)
}

// invitationIn is a message of the room itself: an invitation lets us in.
func (s *Session) invitationIn(e *stanza.Elem) {
	if s.state != knocking {
		return
	}
	if pw, ok := meetxml.ParseInvitation(e); ok {
		s.letIn(pw, false)
	}
}

// letIn goes from the lobby into the room.
func (s *Session) letIn(pw xlog.Secret, gone bool) {
	s.log.Info("let in from the lobby")
	if pw != "" {
		s.opt.Password = pw
	}
	s.tell(Event{Kind: Told, Item: news.LobbyGranted})
	s.leaveLobby(gone)
	s.state = entering
	s.join()
}

func (s *Session) leaveLobby(gone bool) {
	if s.inLobby && !gone && s.link != nil {
		_ = s.link.Send(stanza.New("", "presence", "to", s.lobby.With(s.opt.Nick).String(), "type", "unavailable"))
	}
	s.inLobby = false
	s.seat(s.room.With(s.opt.Nick))
}

// askPassword waits for the phone to give a password, if the operator wants that and it has tries left.
func (s *Session) askPassword() bool {
	if s.opt.PasswordTimeout == 0 || s.passwords >= maxPasswords {
		return false
	}
	if len(s.given) > 0 {
		pw := s.given[0]
		s.given = s.given[1:]
		s.try(pw)
		return true
	}
	s.state = asking
	s.wait(s.opt.PasswordTimeout)
	s.tell(Event{Kind: Waiting, Text: NeedsPassword})
	return true
}

// GivePassword tries to enter with a password that the phone gave. What comes while another one is tried, or before the
// room has refused us, is tried if that one does not open it. Once in the room, it does nothing.
func (s *Session) GivePassword(pw xlog.Secret) {
	s.want(func() {
		switch {
		case (s.state == asking || s.state == knocking) && s.link != nil:
			s.try(pw)
		case s.state == entering && s.lostAt.IsZero() && len(s.given) < maxPasswords:
			s.given = append(s.given, pw)
		default:
			s.log.Warn("a password of the phone is not needed")
		}
	})
}

// try enters with a password.
func (s *Session) try(pw xlog.Secret) {
	s.passwords++
	s.opt.Password = pw
	s.leaveLobby(false)
	s.state = entering
	s.join()
}
