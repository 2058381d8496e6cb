package conference

import (
	"cmp"
	"maps"
	"net/url"
	"strings"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

// A meeting can have visitors: they hear it and are not heard (gateway spec 4.11). They sit in rooms of other XMPP servers, the
// visitor nodes, to which the focus sends who is to be one:
//
//	entering ── the reply names a node ──> entering, at the node ──> lonely, invited, talking as ever
//	    ^                                                                │   │
//	    │ a moderator makes a member a visitor: asked for a node <───────│───┘
//	    └── a visitor is promoted: in the main room, without asking <────┘
//
// What is lost at a node begins anew at the main domain: the focus may know a better node by then.

// Visitors says whether a phone may be a visitor. The zero value is never.
type Visitors struct {
	On      bool              // the focus may send the phone to a visitor node
	Wanted  bool              // it is asked to
	Domain  string            // node v1 is v1.DOMAIN; "" means meet.jitsi, as it is everywhere
	Servers map[string]string // node -> host:port or URL, where neither DNS nor the URL of the login leads to it
}

// conferenceRequest asks for the conference of a room; with node, the answer may be a visitor node.
func (s *Session) conferenceRequest(room stanza.JID, node bool) meetxml.ConferenceRequest {
	r := meetxml.ConferenceRequest{Room: room.String()}
	if node && s.opt.Visitors.On {
		r.Properties = map[string]string{"visitors-version": "1"}
		if s.wanted {
			r.Properties["visitor"] = "true"
		}
	}
	return r
}

// nodeDomain is the domain of the visitor node where we are.
func (s *Session) nodeDomain() string {
	return s.node + "." + cmp.Or(s.opt.Visitors.Domain, "meet.jitsi")
}

// domain is the domain whose server we are logged in to.
func (s *Session) domain() string {
	if s.node != "" {
		return s.nodeDomain()
	}
	return s.opt.Domain
}

// rebase puts another domain in place of the meeting's, in a name below it.
func (s *Session) rebase(name, domain string) string {
	if name == s.opt.Domain {
		return domain
	}
	if host, below := strings.CutSuffix(name, "."+s.opt.Domain); below {
		return host + "." + domain
	}
	return name
}

// login is how we log in to where we are going.
func (s *Session) login() xmpp.Options {
	xo := s.opt.XMPP
	switch {
	case s.node != "":
		s.nodeLogin(&xo)
	case s.promoted != "":
		xo.URL = withQuery(xo.URL, "customusername", s.promoted)
	}
	return xo
}

func (s *Session) nodeLogin(xo *xmpp.Options) {
	domain := s.nodeDomain()
	if xo.Anonymous {
		xo.Domain = domain
	} else {
		xo.Domain = s.rebase(xo.Domain, domain)
		if user, at, ok := strings.Cut(xo.User, "@"); ok {
			xo.User = user + "@" + s.rebase(at, domain)
		}
	}
	server := s.opt.Visitors.Servers[s.node]
	switch {
	case strings.Contains(server, "://"):
		xo.URL = server
		if xo.Transport = xmpp.BOSH; strings.HasPrefix(server, "ws") {
			xo.Transport = xmpp.WebSocket
		}
	case server != "":
		xo.Host = server
		if xo.URL != "" {
			xo.URL, xo.Transport = "", xmpp.TCP
		}
	default:
		xo.URL = withQuery(xo.URL, "vnode", s.node)
	}
}

// withQuery adds a parameter to a URL, if there is one.
func withQuery(to, name, value string) string {
	u, err := url.Parse(to)
	if to == "" || err != nil {
		return to
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// visit goes to a visitor node.
func (s *Session) visit(node string) {
	s.log.Info("sent to a visitor node", "node", node)
	s.closeLater(s.link)
	s.link = nil
	s.node, s.direct = node, true
	s.main = stanza.JID{Local: s.opt.Room.Local, Domain: s.rebase(s.opt.Room.Domain, s.nodeDomain())}
	s.room = s.main
	s.presence.Source, s.presence.AudioMuted = "", true // a visitor with a source is refused
	s.seat(s.room.With(s.opt.Nick))
	s.enter()
}

// goHome has the next entry lead to the main domain.
func (s *Session) goHome() {
	if s.node == "" {
		return
	}
	s.node, s.main, s.room = "", s.opt.Room, s.opt.Room
	s.focus = focus{}
	s.presence.Source = s.opt.Nick + "-a0"
	s.seat(s.room.With(s.opt.Nick))
}

// nodeName reports whether the focus names a node that can be part of a domain.
func nodeName(node string) bool {
	return node != "" && len(node) <= 63 && strings.Trim(node, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// learn notes what a domain says of its parts: those of the main domain go on to count at a visitor node.
func (s *Session) learn(k known) {
	if s.node == "" || s.parts == nil {
		s.relays, s.parts = k.relays, k.parts
		return
	}
	maps.Copy(s.parts, k.parts)
	if k.relays != nil {
		s.relays = k.relays
	}
}

// arrived tells the phone when it has become a visitor, or is none any more.
func (s *Session) arrived() {
	if s.visitor == (s.node != "") {
		return
	}
	s.visitor = !s.visitor
	switch {
	case s.visitor:
		s.tell(Event{Kind: Told, Item: news.Visiting})
		if s.opt.Mute {
			s.tell(Event{Kind: Muted, On: true, OK: true, ByRoom: true})
		}
	case s.opt.Mute: // the phone unmutes itself: nobody is heard who does not know it
		s.tell(Event{Kind: Muted, On: true, OK: true, ByRoom: true})
		s.tell(Event{Kind: Told, Item: news.Promoted})
	default:
		s.setMuted(false)
		s.tell(Event{Kind: Told, Item: news.Promoted})
	}
}

// visitorsIn is an IQ about visitors: of the room at a node, which passes on what the main domain says, or of the
// main domain's part itself.
func (s *Session) visitorsIn(iq *stanza.Elem) {
	from := stanza.ParseJID(iq.Get("from"))
	p, ok := meetxml.ParsePromotion(iq)
	switch {
	case iq.Get("type") != "set":
		_ = s.link.ReplyError(iq, "modify", "bad-request", "")
		return
	case !from.Equal(s.room) && !s.isPart(from, "visitors"):
		s.log.Warn("a promotion that is not of the meeting was refused")
		_ = s.link.ReplyError(iq, "auth", "forbidden", "")
		return
	}
	_ = s.link.Reply(iq, nil) // a dead connection shows by itself
	switch {
	case !ok || s.node == "" || !s.joined:
	case !p.Allowed:
		s.log.Info("a moderator does not let the visitor speak")
	case p.Username == "" || len(p.Username) > 256:
		s.log.Warn("a promotion without a usable name was passed over")
	default:
		s.promote(p)
	}
}

// promote moves from the visitor node into the main room, by the name that was given for that.
func (s *Session) promote(p meetxml.Promotion) {
	s.log.Info("the visitor is let into the meeting")
	s.depart(cause.Cause{Code: cause.Lost, Text: "moved from the visitors into the meeting"})
	s.goHome()
	s.promoted, s.direct, s.wanted = p.Username, true, false
	s.presence.RaisedHand = time.Time{} // it was answered
	s.focus.jid = p.Focus
	s.enter()
}

// demote makes a visitor of a member.
func (s *Session) demote(m meetxml.Message) {
	if !s.opt.Visitors.On || s.node != "" || !s.joined || m.Demote != s.opt.Nick {
		return
	}
	s.log.Info("a moderator makes the phone a visitor")
	s.depart(cause.Cause{Code: cause.Lost, Text: "moved from the meeting to the visitors"})
	s.promoted, s.wanted, s.room = "", true, s.main
	s.seat(s.room.With(s.opt.Nick))
	s.enter()
}

// depart leaves the room and the connection for another seat in the same meeting. The phone stays up.
func (s *Session) depart(why cause.Cause) {
	s.lose(why)
	_ = s.link.Send(stanza.New("", "presence", "to", s.Occupant().String(), "type", "unavailable"))
	s.joined = false
	s.closeLater(s.link)
	s.link = nil
}

// unpromoted is a promotion that the main room does not honor: the phone goes back to the visitors.
func (s *Session) unpromoted(why cause.Cause) bool {
	if s.promoted == "" || why.Code != cause.Forbidden {
		return false
	}
	s.log.Warn("the room does not let the promoted visitor in; going back to the visitors", "why", why.String())
	s.promoted, s.wanted, s.state = "", true, lost
	s.wait(s.backoff.Next())
	return true
}

// nodeFailed tries a first entry again at the main domain where a visitor node cannot be entered.
func (s *Session) nodeFailed(why cause.Cause) bool {
	if s.node == "" || !s.lostAt.IsZero() || fatal(why.Code) || s.tries >= maxTries {
		return false
	}
	s.tries++
	s.log.Warn("the visitor node cannot be entered; asking the focus again", "node", s.node, "why", why.String())
	s.state = lost
	s.wait(s.backoff.Next())
	return true
}
