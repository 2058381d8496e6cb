package xmppd

import (
	"slices"

	"jigasi/internal/stanza"
)

func (s *Server) isNode(domain string) bool { return slices.Contains(s.opt.Nodes, domain) }

// Visitors is the room of a visitor node where everybody of r is seen; who logged in to the node is a visitor in it, whom
// only the focus sees.
func (r *Room) Visitors(node string) *Room {
	v := r.s.Room(r.jid.Local + "@conference." + node)
	r.mu.Lock()
	r.mirror = v
	r.mu.Unlock()
	v.mu.Lock()
	v.shown = r
	v.mu.Unlock()
	return v
}

// audience is who sees o; it is called with mu held.
func (r *Room) audience(o *occupant) []*occupant {
	if o.role != "visitor" {
		return slices.Clone(r.occupants)
	}
	return slices.DeleteFunc(slices.Clone(r.occupants), func(x *occupant) bool { return x != o && x.nick != "focus" })
}

// reflect shows who comes into a mirror those of the room behind it; it is called with mu held.
func (r *Room) reflect(to *occupant) {
	if r.shown == nil || to.nick == "focus" {
		return
	}
	r.shown.mu.Lock()
	defer r.shown.mu.Unlock()
	for _, o := range r.shown.occupants {
		if o.nick != "focus" {
			r.to(to, r.envelope(o, "", o.presence, false))
		}
	}
}

// mirrored shows a presence of r's to those in its mirror.
func (r *Room) mirrored(o *occupant, typ string, e *stanza.Elem) {
	r.mu.Lock()
	v := r.mirror
	r.mu.Unlock()
	if v == nil || o.nick == "focus" {
		return
	}
	v.mu.Lock()
	everyone := slices.Clone(v.occupants)
	v.mu.Unlock()
	for _, to := range everyone {
		if to.nick != "focus" {
			v.to(to, v.envelope(o, typ, e, false))
		}
	}
}

// Promote answers a visitor's raised hand, as the room of its node passes it on.
func (r *Room) Promote(nick string, allow bool) {
	r.mu.Lock()
	o := r.find(nick)
	r.mu.Unlock()
	if o == nil {
		return
	}
	yes := map[bool]string{true: "true", false: "false"}[allow]
	r.s.deliver(o.real, stanza.New("jabber:client", "iq", "type", "set", "id", r.s.ID(), "from", r.jid.String(), "to", o.real.String()).Add(
		stanza.New("jitsi:visitors", "visitors", "room", r.jid.String()).Add(
			stanza.New("jitsi:visitors", "promotion-response", "allow", yes, "jid", o.real.String(), "username", "promoted"))))
}

// Demote makes a visitor of an occupant.
func (r *Room) Demote(nick string) {
	r.tellFrom("visitors."+r.s.opt.Domain, nick, `{"type":"visitors","action":"demote-request","id":"`+nick+`","actor":"moderator"}`)
}
