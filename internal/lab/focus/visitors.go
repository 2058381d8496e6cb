package focus

import (
	"jigasi/internal/stanza"
)

// visitorNode is where the focus sends visitors.
type visitorNode struct {
	name, domain string
	full         bool // the main rooms are: everybody who can is a visitor
	queue        bool // meetings are not live yet for visitors
}

// SendVisitors has who asks for a visitor's seat sent to a node; with all, everybody who can be one.
func (f *Focus) SendVisitors(name, domain string, all bool) {
	f.sync(func() { f.node.name, f.node.domain, f.node.full = name, domain, all })
}

// SetLive says whether meetings are live for those who can be visitors.
func (f *Focus) SetLive(on bool) { f.sync(func() { f.node.queue = !on }) }

// redirected answers a conference request of somebody who has to go elsewhere, or to wait.
func (f *Focus) redirected(e, c *stanza.Elem) bool {
	able, wants := false, false
	for _, p := range c.All("", "property") {
		able = able || p.Get("name") == "visitors-version"
		wants = wants || p.Get("name") == "visitor" && p.Get("value") == "true"
	}
	answer := stanza.New(nsFocus, "conference", "room", c.Get("room"))
	switch {
	case !able:
		return false
	case f.node.queue:
		f.reply(e, answer.Set("ready", "false").Add(stanza.New("", "property", "name", "live", "value", "false")))
		return true
	case f.node.name == "" || !wants && !f.node.full:
		return false
	}
	main := f.rooms[stanza.ParseJID(c.Get("room")).String()]
	jid := stanza.JID{Local: main.jid.Local, Domain: "conference." + f.node.domain}
	if f.rooms[jid.String()] == nil {
		f.rooms[jid.String()] = &room{jid: jid, members: map[string]*member{}, main: main}
		f.show(jid)
	}
	f.reply(e, answer.Set("ready", "true").Set("vnode", f.node.name).Set("focusjid", stanza.ParseJID(f.opt.JID).Bare().String()))
	return true
}

// around are r's members and those who hear the same meeting elsewhere.
func (f *Focus) around(r *room) map[*member]*room {
	main := r
	if r.main != nil {
		main = r.main
	}
	all := map[*member]*room{}
	for _, x := range f.rooms {
		if x == main || x.main == main {
			for _, m := range x.members {
				all[m] = x
			}
		}
	}
	return all
}

// conference is the bridge's name of a room's meeting.
func (r *room) conference() string {
	if r.main != nil {
		return r.main.jid.String()
	}
	return r.jid.String()
}
