package xmppd

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"

	"jigasi/internal/stanza"
)

const nsUser = "http://jabber.org/protocol/muc#user"

// A Room is one MUC room.
type Room struct {
	s   *Server
	jid stanza.JID

	mu        sync.Mutex
	occupants []*occupant // in the order of their coming
	password  string
	max       int
	banned    map[string]bool
	lobby     bool
	members   map[string]bool // who was let in, by bare JID
	mirror    *Room           // for visitors, who see everybody here
	shown     *Room           // the room whose mirror this is
}

type occupant struct {
	nick     string
	real     stanza.JID
	role     string
	aff      string
	presence *stanza.Elem
}

// Room gives a room, made if it is not there.
func (s *Server) Room(name string) *Room {
	jid := stanza.ParseJID(name)
	if jid.Local == "" {
		jid = stanza.JID{Local: name, Domain: s.MUC()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[jid.String()]
	if r == nil {
		r = &Room{s: s, jid: jid, banned: map[string]bool{}}
		s.rooms[jid.String()] = r
	}
	return r
}

// SetPassword protects the room from now on.
func (r *Room) SetPassword(p string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.password = p
}

// SetMax limits the occupants, the focus not counted; 0 is no limit.
func (r *Room) SetMax(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.max = n
}

// Nicks are the occupants now.
func (r *Room) Nicks() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, len(r.occupants))
	for i, o := range r.occupants {
		out[i] = o.nick
	}
	return out
}

// Presence is the last presence of an occupant, or nil.
func (r *Room) Presence(nick string) *stanza.Elem {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.find(nick); o != nil {
		return o.presence.Clone()
	}
	return nil
}

// Kick removes an occupant; with ban it may not come back.
func (r *Room) Kick(nick, reason string, ban bool) {
	r.mu.Lock()
	o := r.find(nick)
	if o == nil {
		r.mu.Unlock()
		return
	}
	code := "307"
	if ban {
		code = "301"
		r.banned[o.real.Bare().String()] = true
	}
	r.remove(o)
	// A real server tells all in one turn; here others act at once, so who is kicked reads it before them.
	everyone := append([]*occupant{o}, r.occupants...)
	r.mu.Unlock()
	for _, to := range everyone {
		p := r.envelope(o, "unavailable", stanza.New("jabber:client", "presence"), to == o, code)
		item := p.Kid(nsUser, "x").Kid("", "item")
		item.Set("role", "none").Add(stanza.New("", "actor", "nick", "moderator"), stanza.New("", "reason").WithText(reason))
		r.to(to, p)
	}
}

// Destroy ends the room for all.
func (r *Room) Destroy(reason string) { r.close("", reason) }

// close ends the room for all; alternate is where it goes on, if it does.
func (r *Room) close(alternate, reason string) {
	r.mu.Lock()
	everyone := r.occupants
	r.occupants = nil
	r.mu.Unlock()
	for _, o := range everyone {
		p := r.envelope(o, "unavailable", stanza.New("jabber:client", "presence"), true)
		d := stanza.New("", "destroy").Add(stanza.New("", "reason").WithText(reason))
		if alternate != "" {
			d.Set("jid", alternate)
		}
		p.Kid(nsUser, "x").Add(d)
		r.to(o, p)
	}
}

// find and remove are called with mu held.
func (r *Room) find(nick string) *occupant {
	for _, o := range r.occupants {
		if o.nick == nick {
			return o
		}
	}
	return nil
}

func (r *Room) byReal(j stanza.JID) *occupant {
	for _, o := range r.occupants {
		if o.real.Equal(j) {
			return o
		}
	}
	return nil
}

func (r *Room) remove(o *occupant) {
	r.occupants = slices.DeleteFunc(r.occupants, func(x *occupant) bool { return x == o })
}

func (r *Room) to(o *occupant, e *stanza.Elem) {
	e.Set("to", o.real.String())
	r.s.deliver(o.real, e)
}

// envelope is a presence of o as another occupant gets it.
func (r *Room) envelope(o *occupant, typ string, content *stanza.Elem, self bool, codes ...string) *stanza.Elem {
	p := stanza.New("jabber:client", "presence", "from", r.jid.With(o.nick).String())
	if typ != "" {
		p.Set("type", typ)
	}
	for _, k := range content.Kids {
		if k.Name.Space != "http://jabber.org/protocol/muc" && k.Name.Space != nsUser {
			p.Kids = append(p.Kids, k.Clone())
		}
	}
	x := stanza.New(nsUser, "x").Add(stanza.New("", "item", "affiliation", o.aff, "role", o.role, "jid", o.real.String()))
	for _, c := range codes {
		x.Add(stanza.New("", "status", "code", c))
	}
	if self {
		x.Add(stanza.New("", "status", "code", "100"), stanza.New("", "status", "code", "110"))
	}
	return p.Add(x)
}

// muc takes what is sent to a room or to an occupant.
func (s *Server) muc(from, to stanza.JID, e *stanza.Elem) {
	r := s.Room(to.Bare().String())
	switch e.Name.Local {
	case "presence":
		r.presence(from, to.Resource, e)
	case "iq":
		r.iq(from, to, e)
	case "message":
		r.message(from, e)
	}
}

func (r *Room) presence(from stanza.JID, nick string, e *stanza.Elem) {
	if e.Get("type") == "unavailable" {
		r.leave(from)
		return
	}
	r.mu.Lock()
	o := r.byReal(from)
	if o == nil {
		if why := r.refusal(from, nick, e); why != "" {
			r.mu.Unlock()
			p := stanza.New("jabber:client", "presence", "type", "error", "from", r.jid.With(nick).String(), "to", from.String())
			x := stanza.New("", "error", "type", "auth").Add(stanza.New("urn:ietf:params:xml:ns:xmpp-stanzas", why))
			if why == "registration-required" {
				x.Add(stanza.New("http://jitsi.org/jitmeet", "lobbyroom").WithText(r.jid.Local + "@" + r.s.Lobby()))
			}
			p.Add(x)
			r.s.deliver(from, p)
			return
		}
		o = &occupant{nick: nick, real: from, role: "participant", aff: "none"}
		if r.s.isNode(from.Domain) {
			o.role = "visitor"
		}
		if nick == "focus" {
			o.role, o.aff = "moderator", "owner"
		}
		for _, other := range r.occupants {
			if other.role != "visitor" || nick == "focus" {
				r.to(o, r.envelope(other, "", other.presence, false))
			}
		}
		r.reflect(o)
		r.occupants = append(r.occupants, o)
	}
	o.presence = e.Clone()
	everyone := r.audience(o)
	r.mu.Unlock()
	for _, to := range everyone {
		r.to(to, r.envelope(o, "", e, to == o))
	}
	r.mirrored(o, "", e)
}

// refusal says why somebody may not come in, or "".
func (r *Room) refusal(from stanza.JID, nick string, e *stanza.Elem) string {
	given := ""
	if p := e.Kid("http://jabber.org/protocol/muc", "x").Kid("", "password"); p != nil {
		given = p.Text
	}
	people := 0
	for _, o := range r.occupants {
		if o.nick != "focus" {
			people++
		}
	}
	switch {
	case r.banned[from.Bare().String()]:
		return "forbidden"
	case r.find(nick) != nil:
		return "conflict"
	case nick != "focus" && r.password != "" && given != r.password:
		return "not-authorized"
	case nick != "focus" && r.lobby && !r.members[from.Bare().String()] && (r.password == "" || given != r.password):
		return "registration-required"
	case nick != "focus" && r.max > 0 && people >= r.max:
		return "service-unavailable"
	}
	return ""
}

func (r *Room) leave(from stanza.JID) {
	r.mu.Lock()
	o := r.byReal(from)
	if o == nil {
		r.mu.Unlock()
		return
	}
	r.remove(o)
	everyone := append(r.audience(o), o)
	o.role = "none"
	r.mu.Unlock()
	for _, to := range everyone {
		r.to(to, r.envelope(o, "unavailable", stanza.New("", "presence"), to == o))
	}
	r.mirrored(o, "unavailable", stanza.New("", "presence"))
}

// gone takes an entity out of all rooms.
func (s *Server) gone(j stanza.JID) {
	s.mu.Lock()
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	for _, r := range rooms {
		r.leave(j)
	}
}

// iq carries an IQ from occupant to occupant. As in Prosody, the id is rewritten to one that names
// the sender, and an answer has to bear just that.
func (r *Room) iq(from, to stanza.JID, e *stanza.Elem) {
	r.mu.Lock()
	sender, target := r.byReal(from), r.find(to.Resource)
	r.mu.Unlock()
	request := e.Get("type") == "get" || e.Get("type") == "set"
	if sender == nil || target == nil {
		if request {
			r.s.bounce(e, "item-not-found")
		}
		return
	}
	id := e.Get("id")
	out := e.Clone()
	if request {
		out.Set("id", base64.StdEncoding.EncodeToString([]byte(from.String()+"\x00"+id+"\x00"+strconv.Itoa(len(id)))))
	} else {
		raw, err := base64.StdEncoding.DecodeString(id)
		f := strings.Split(string(raw), "\x00")
		if err != nil || len(f) != 3 || f[0] != target.real.String() {
			return // swallowed
		}
		out.Set("id", f[1])
	}
	out.Set("from", r.jid.With(sender.nick).String())
	r.to(target, out)
}

func (r *Room) message(from stanza.JID, e *stanza.Elem) {
	r.mu.Lock()
	sender := r.byReal(from)
	everyone := slices.Clone(r.occupants)
	r.mu.Unlock()
	if sender == nil || e.Get("type") != "groupchat" {
		return
	}
	for _, o := range everyone {
		m := e.Clone()
		m.Set("from", r.jid.With(sender.nick).String())
		r.to(o, m)
	}
}
