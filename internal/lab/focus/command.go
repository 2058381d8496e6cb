package focus

import (
	"fmt"
	"math/rand/v2"
	"time"

	"jigasi/internal/jingle"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/stanza"
)

// UseBridge has all new sessions on b; nil means that there is no bridge. The presence in each
// room says so.
func (f *Focus) UseBridge(b *sfu.Bridge) {
	f.sync(func() {
		f.bridge = b
		for _, r := range f.rooms {
			f.show(r.jid)
			f.invite(r)
		}
	})
}

// Move ends the session of everybody in a room as when a bridge is drained, and invites anew.
func (f *Focus) Move(name string, b *sfu.Bridge) {
	f.sync(func() {
		r := f.roomOf(name)
		if r == nil {
			return
		}
		f.bridge = b
		for _, m := range r.members {
			f.terminate(r, m, "success", "moving")
		}
		f.invite(r)
	})
}

// ReplaceTransport moves one member by transport-replace.
func (f *Focus) ReplaceTransport(name, nick string, b *sfu.Bridge) {
	f.sync(func() {
		r := f.roomOf(name)
		if r == nil || r.members[nick] == nil {
			return
		}
		f.bridge = b
		m := r.members[nick]
		if m.endpoint != nil {
			m.endpoint.Close()
		}
		f.offer(r, m, jingle.TransportReplace)
	})
}

// Restarts is how often a member has asked for a new session because its media was lost.
func (f *Focus) Restarts(nick string) (n int) {
	f.sync(func() { n = f.restart[nick] })
	return n
}

// Mute has the focus mute a member, as for a moderator; false is its not-allowed. A gateway that it
// trusts has to say in its disco that it can be muted.
func (f *Focus) Mute(name, nick string) (allowed bool) {
	f.sync(func() {
		if r := f.roomOf(name); r != nil && r.members[nick] != nil {
			m := r.members[nick]
			if allowed = !m.gateway || m.mutable; !allowed {
				return
			}
			f.request(r.jid.With(nick).String(), stanza.New(nsAudio, "mute", "actor", r.jid.With("moderator").String()).WithText("true"), "set", nil)
		}
	})
	return allowed
}

// Show has the focus show more in a room than it does by itself, such as the state of a recorder.
func (f *Focus) Show(name string, more ...*stanza.Elem) {
	f.sync(func() {
		if r := f.roomOf(name); r != nil {
			r.more = more
			f.show(r.jid)
		}
	})
}

// Sources floods a member with made-up sources.
func (f *Focus) Sources(name, nick string, count int) {
	f.sync(func() {
		r := f.roomOf(name)
		if r == nil || r.members[nick] == nil {
			return
		}
		for i := range count {
			f.sources(r, r.members[nick], jingle.SourceAdd, []jingle.Source{{SSRC: rand.Uint32() | 1, Owner: fmt.Sprintf("ghost%d", i), Name: "x-a0", MSID: "a b"}})
		}
	})
}

// Members are the nicks in a room, the focus not counted.
func (f *Focus) Members(name string) []string {
	var out []string
	f.sync(func() {
		if r := f.roomOf(name); r != nil {
			for nick := range r.members {
				out = append(out, nick)
			}
		}
	})
	return out
}

// JoinBrewery enters a brewery, to see its gateways.
func (f *Focus) JoinBrewery(jid string) {
	f.do(func() {
		f.wire.Send(stanza.New("jabber:client", "presence", "to", jid+"/focus").Add(stanza.New("http://jabber.org/protocol/muc", "x")))
	})
}

// Gateways are the brewery presences of the gateways.
func (f *Focus) Gateways() []*stanza.Elem {
	var out []*stanza.Elem
	f.sync(func() {
		for _, e := range f.brewery {
			out = append(out, e.Clone())
		}
	})
	return out
}

// Dial asks a gateway of the brewery to call a number into a room, as for a moderator, and gives the
// answer, nil if there was none in 15 s.
func (f *Focus) Dial(room, to string, headers ...string) *stanza.Elem {
	answer := make(chan *stanza.Elem, 1)
	f.do(func() {
		d := stanza.New("urn:xmpp:rayo:1", "dial", "to", to, "from", "fromnumber").Add(
			stanza.New("", "header", "name", "JvbRoomName", "value", room))
		for i := 0; i+1 < len(headers); i += 2 {
			d.Add(stanza.New("", "header", "name", headers[i], "value", headers[i+1]))
		}
		for at := range f.brewery {
			f.request(at, d, "set", func(res *stanza.Elem) { answer <- res })
			return
		}
		answer <- nil
	})
	select {
	case e := <-answer:
		return e
	case <-time.After(15 * time.Second):
		return nil
	}
}
