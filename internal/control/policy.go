package control

import (
	"strings"

	"jigasi/internal/rayo"
	"jigasi/internal/stanza"
)

// Focus says who may ask for calls: a call costs money, so nobody else may.
type Focus struct {
	// Nick is the focus's name in the brewery; "" means focus.
	Nick string
	// Allowed are the addresses that may dial.
	//
	// The brewery's own address, which is what ALLOWED_JID usually holds, stands for
	// its occupant Nick; with a resource, for that occupant. Any other address
	// stands for that sender, a full one exactly and a bare one with any resource,
	// and for the occupant Nick if the room says that this is who it really is.
	//
	// None means the brewery's address. Naming the focus itself is stricter: then
	// another gateway's account cannot take the nick and dial.
	Allowed []stanza.JID
	// Guests are domains where anybody may log in. An occupant from there is not the
	// focus, whatever its nick: the real one may be away, and its name free.
	Guests []string
}

// A policy is Focus, and who the room says that its occupants are.
type policy struct {
	room    stanza.JID
	nick    string
	allowed []stanza.JID
	guests  []string
	real    stanza.JID // of the occupant called nick, as last seen
}

func newPolicy(room stanza.JID, f Focus) policy {
	p := policy{room: room, nick: f.Nick, allowed: f.Allowed, guests: f.Guests}
	if p.nick == "" {
		p.nick = "focus"
	}
	if len(p.allowed) == 0 {
		p.allowed = []stanza.JID{room}
	}
	return p
}

// seen takes notice of presence in the brewery.
func (p *policy) seen(from stanza.JID, presence *stanza.Elem) {
	if from.Resource != p.nick {
		return
	}
	p.real = stanza.JID{}
	if presence.Get("type") == "" {
		p.real = stanza.ParseJID(presence.Kid(nsMUCUser, "x").Kid(nsMUCUser, "item").Get("jid"))
	}
}

// mayDial reports whether a sender, as its server has stamped it, may dial.
func (p *policy) mayDial(from stanza.JID) bool {
	occupant := from.Bare().Equal(p.room)
	for _, a := range p.allowed {
		switch {
		case a.Bare().Equal(p.room):
			nick := a.Resource
			if nick == "" {
				nick = p.nick
			}
			if occupant && from.Resource == nick && !(nick == p.nick && p.guest()) {
				return true
			}
		case occupant:
			if from.Resource == p.nick && matches(a, p.real) {
				return true
			}
		case matches(a, from):
			return true
		}
	}
	return false
}

// guest reports whether the occupant called nick comes from where anybody may log in.
func (p *policy) guest() bool {
	for _, d := range p.guests {
		if d != "" && strings.EqualFold(d, p.real.Domain) {
			return true
		}
	}
	return false
}

// matches reports whether j is a, or one of a's resources where a is bare.
func matches(a, j stanza.JID) bool {
	if a.IsZero() || j.IsZero() {
		return false
	}
	return a.Equal(j) || a.Resource == "" && a.Equal(j.Bare())
}

// A reason is why a dial was refused.
type reason uint8

const (
	forbidden  reason = iota // by somebody who may not
	forged                   // with two senders
	notRequest               // in a message, in presence, in an IQ that asks for nothing
	malformed
	crowded // too many wait already
	unable  // this gateway does not do that
	full    // or draining
	noRoom
	failed // everything later: see the call's own end
	late   // no answer in time
	reasons
)

// String is the reason as a metric label.
func (r reason) String() string {
	return [...]string{
		"forbidden", "forged", "not_request", "malformed", "crowded", "unable", "full", "no_room", "failed", "late", "?",
	}[min(r, reasons)]
}

// smuggled reports whether a dial is anywhere in e: in a message, forwarded,
// delayed, in a carbon. None is obeyed; those who try are counted.
func smuggled(e *stanza.Elem) bool {
	if e.Is(rayo.NS, "dial") {
		return true
	}
	for _, k := range e.Kids {
		if smuggled(k) {
			return true
		}
	}
	return false
}

// twoSenders reports whether e has more than one from, in whatever namespace. The
// reader lets none through; this is for whoever builds stanzas in another way.
func twoSenders(e *stanza.Elem) bool {
	n := 0
	for _, a := range e.Attr {
		if a.Name.Local == "from" {
			n++
		}
	}
	return n > 1
}
