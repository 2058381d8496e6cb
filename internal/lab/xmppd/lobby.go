package xmppd

import (
	"jigasi/internal/stanza"
)

// Lobby is where the lobbies are.
func (s *Server) Lobby() string { return "lobby." + s.opt.Domain }

// SetLobby gives the room a lobby, or takes it away: who waits is sent into the room then.
func (r *Room) SetLobby(on bool) {
	r.mu.Lock()
	r.lobby = on
	r.mu.Unlock()
	if !on {
		r.waiting().close(r.jid.String(), "")
	}
}

// waiting is the room's lobby.
func (r *Room) waiting() *Room { return r.s.Room(r.jid.Local + "@" + r.s.Lobby()) }

// Waiting are the nicks in the lobby.
func (r *Room) Waiting() []string { return r.waiting().Nicks() }

// Admit lets somebody in from the lobby, with an invitation from the room.
func (r *Room) Admit(nick string) {
	l := r.waiting()
	l.mu.Lock()
	o := l.find(nick)
	l.mu.Unlock()
	if o == nil {
		return
	}
	r.mu.Lock()
	if r.members == nil {
		r.members = map[string]bool{}
	}
	r.members[o.real.Bare().String()] = true
	r.mu.Unlock()
	r.s.deliver(o.real, stanza.New("jabber:client", "message", "from", r.jid.String(), "to", o.real.String()).Add(
		stanza.New(nsUser, "x").Add(stanza.New("", "invite", "from", r.jid.With("moderator").String()))))
}

// Deny puts somebody out of the lobby.
func (r *Room) Deny(nick string) { r.waiting().Kick(nick, "not today", false) }

// Moderate tells an occupant what the moderation component has to say to it.
func (r *Room) Moderate(nick, json string) {
	r.tellFrom("avmoderation."+r.s.opt.Domain, nick, json)
}

// Metadata tells an occupant the state of the room.
func (r *Room) Metadata(nick, json string) { r.tellFrom("metadata."+r.s.opt.Domain, nick, json) }

// Send sends an occupant to another room, as a moderator does with breakout rooms.
func (r *Room) Send(nick, room string) {
	r.tellFrom("breakout."+r.s.opt.Domain, nick, `{"type":"breakout_rooms","event":"features/breakout-rooms/move-to-room","roomJid":"`+room+`"}`)
}

func (r *Room) tellFrom(component, nick, json string) {
	r.mu.Lock()
	o := r.find(nick)
	r.mu.Unlock()
	if o != nil {
		r.to(o, stanza.New("jabber:client", "message", "from", component).Add(
			stanza.New("http://jitsi.org/jitmeet", "json-message", "room", r.jid.String()).WithText(json)))
	}
}

// components are the parts that the main domain names (disco#info).
func (s *Server) components() []*stanza.Elem {
	var out []*stanza.Elem
	for typ, name := range map[string]string{"av_moderation": "avmoderation.", "room_metadata": "metadata.", "lobbyrooms": "lobby.", "breakout_rooms": "breakout.", "visitors": "visitors."} {
		out = append(out, stanza.New("", "identity", "category", "component", "type", typ, "name", name+s.opt.Domain))
	}
	return out
}
