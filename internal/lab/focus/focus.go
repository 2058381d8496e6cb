// Package focus is a stand-in for Jicofo in tests and the demo. It is written from
// what a real Jicofo was seen to send (captures), in both of its dialects, and
// misbehaves on command. It talks through a Wire, which xmppd or a real server provides.
package focus

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"jigasi/internal/jingle"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/stanza"
)

// A Wire carries stanzas of the focus.
type Wire interface {
	Send(e *stanza.Elem) // from is set by the wire
}

// Options makes a focus.
type Options struct {
	JID    string // full JID: focus@auth.meet.test/focus
	Proxy  string // focus.meet.test, from which conference requests are answered
	XML    bool   // sources as XML even for who can read JSON
	Old    bool   // speaks as Jicofo did in 2021: as XML, sources without names, owners by their address in the room
	Deaf   bool   // offers no telephone-event
	Min    int    // participants for a session; 0 means 2
	Delay  time.Duration
	Bridge *sfu.Bridge // nil: no bridge
	// Moderation is the address of the component that says who may unmute; "" is none.
	Moderation string
	Log        *slog.Logger
}

// A Focus invites the members of rooms. Its methods are safe for concurrent use.
type Focus struct {
	opt  Options
	wire Wire
	in   chan func()
	quit chan struct{}
	done sync.WaitGroup
	once sync.Once

	// Owned by run.
	rooms   map[string]*room
	bridge  *sfu.Bridge
	pending map[string]func(*stanza.Elem)
	next    int
	brewery map[string]*stanza.Elem // gateway's occupant JID -> stats
	restart map[string]int          // nick -> how often it asked for a new session
	node    visitorNode
}

type room struct {
	jid     stanza.JID
	members map[string]*member
	order   []string
	entered bool
	owned   bool           // a member has been made owner
	more    []*stanza.Elem // in our presence, beside the usual
	main    *room          // of a visitor node: the room whose visitors are here
	rules   rules

	recording, mode string // of the recorder that runs
	recorder        *stanza.Elem
}

type member struct {
	nick     string
	real     stanza.JID
	role     string
	json     bool
	video    bool // wants a video content, as browsers do; nothing is in it
	known    bool // features were asked for
	gateway  bool // by its disco
	mutable  bool // likewise
	sid      string
	session  string // bridge-session id
	active   bool
	endpoint *sfu.Endpoint
	sources  []jingle.Source
	queued   []jingle.Source
}

// New makes a focus; Deliver gives it stanzas.
func New(o Options, w Wire) *Focus {
	if o.Min == 0 {
		o.Min = 2
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Focus{
		opt: o, wire: w, in: make(chan func(), 4096), quit: make(chan struct{}), rooms: map[string]*room{},
		bridge: o.Bridge, pending: map[string]func(*stanza.Elem){}, brewery: map[string]*stanza.Elem{},
		restart: map[string]int{},
	}
	f.done.Go(f.run)
	return f
}

func (f *Focus) run() {
	for {
		select {
		case fn := <-f.in:
			fn()
		case <-f.quit:
			for _, r := range f.rooms {
				for _, m := range r.members {
					m.close()
				}
			}
			return
		}
	}
}

func (m *member) close() {
	if m.endpoint != nil {
		m.endpoint.Close()
		m.endpoint = nil
	}
	m.sid, m.active = "", false
}

// Close ends the focus without leaving its rooms.
func (f *Focus) Close() {
	f.once.Do(func() { close(f.quit) })
	f.done.Wait()
}

// Deliver takes a stanza for the focus. It does not block.
func (f *Focus) Deliver(e *stanza.Elem) { f.do(func() { f.stanza(e) }) }

func (f *Focus) do(fn func()) {
	select {
	case f.in <- fn:
	case <-f.quit:
	}
}

// sync runs fn on the focus' goroutine and waits for it.
func (f *Focus) sync(fn func()) {
	ok := make(chan struct{})
	f.do(func() { fn(); close(ok) })
	select {
	case <-ok:
	case <-f.quit:
	}
}

// id is long base64 with all that may stand in it, as Jicofo's are.
func (f *Focus) id() string {
	f.next++
	return fmt.Sprintf("Zm9jdXM+/%d=%x==", f.next, rand.Uint32())
}

func (f *Focus) request(to string, payload *stanza.Elem, typ string, answer func(*stanza.Elem)) {
	id := f.id()
	if answer != nil {
		f.pending[id] = answer
	}
	f.wire.Send(stanza.New("jabber:client", "iq", "type", typ, "id", id, "to", to).Add(payload))
}

func (f *Focus) stanza(e *stanza.Elem) {
	switch e.Name.Local {
	case "presence":
		f.presence(e)
	case "message":
		f.told(e)
	case "iq":
		switch e.Get("type") {
		case "result", "error":
			if fn := f.pending[e.Get("id")]; fn != nil {
				delete(f.pending, e.Get("id"))
				fn(e)
			}
		default:
			f.iq(e)
		}
	}
}

func (f *Focus) reply(e *stanza.Elem, payload *stanza.Elem) {
	f.wire.Send(stanza.New("jabber:client", "iq", "type", "result", "id", e.Get("id"), "to", e.Get("from")).Add(payload))
}

func (f *Focus) fail(e *stanza.Elem, condition string) {
	f.wire.Send(stanza.New("jabber:client", "iq", "type", "error", "id", e.Get("id"), "to", e.Get("from")).Add(
		stanza.New("", "error", "type", "cancel").Add(stanza.New("urn:ietf:params:xml:ns:xmpp-stanzas", condition))))
}

const nsFocus = "http://jitsi.org/protocol/focus"

func (f *Focus) iq(e *stanza.Elem) {
	if c := e.Kid(nsFocus, "conference"); c != nil {
		jid := stanza.ParseJID(c.Get("room"))
		if f.rooms[jid.String()] == nil {
			f.rooms[jid.String()] = &room{jid: jid, members: map[string]*member{}}
			f.show(jid)
		}
		f.opt.Log.Debug("conference request", "room", jid.String())
		if f.redirected(e, c) {
			return
		}
		bare := stanza.ParseJID(f.opt.JID).Bare().String()
		f.reply(e, stanza.New(nsFocus, "conference", "ready", "true", "room", jid.String(), "focusjid", bare).Add(
			stanza.New("", "property", "value", "false", "name", "authentication"), stanza.New("", "property", "value", "true", "name", "sipGatewayEnabled")))
		return
	}
	from := stanza.ParseJID(e.Get("from"))
	if r := f.rooms[from.Bare().String()]; r != nil && r.members[from.Resource] != nil {
		m := r.members[from.Resource]
		if e.Kid("urn:xmpp:jingle:1", "jingle") != nil {
			f.jingle(r, m, e)
			return
		}
		if f.asked(r, m, e) {
			return
		}
	}
	f.fail(e, "service-unavailable")
}

// show sends the presence of the focus in a room, whole.
func (f *Focus) show(jid stanza.JID) {
	p := stanza.New("jabber:client", "presence", "to", jid.With("focus").String())
	if r := f.rooms[jid.String()]; r != nil && !r.entered {
		r.entered = true
		p.Add(stanza.New("http://jabber.org/protocol/muc", "x"))
	}
	p.Add(
		stanza.New("http://jitsi.org/jitmeet/etherpad", "etherpad").WithText(jid.Local),
		stanza.New(nsFocus, "conference-properties").Add(stanza.New("", "property", "value", "true", "key", "support-terminate-restart")))
	if f.bridge == nil {
		p.Add(stanza.New(nsFocus, "bridgeNotAvailable"))
	}
	if r := f.rooms[jid.String()]; r != nil {
		for _, e := range append(r.more, r.recorder) {
			p.Add(e.Clone())
		}
	}
	f.wire.Send(p)
}

func (f *Focus) presence(e *stanza.Elem) {
	from := stanza.ParseJID(e.Get("from"))
	if s := e.Kid("http://jitsi.org/protocol/colibri", "stats"); s != nil || f.brewery[from.String()] != nil {
		if e.Get("type") == "unavailable" {
			delete(f.brewery, from.String())
		} else if s != nil {
			f.brewery[from.String()] = e
		}
		return
	}
	r := f.rooms[from.Bare().String()]
	if r == nil || from.Resource == "focus" || from.Resource == "" {
		return
	}
	m := r.members[from.Resource]
	if e.Get("type") == "unavailable" {
		if m != nil {
			m.close()
			delete(r.members, from.Resource)
			f.alone(r)
		}
		return
	}
	item := e.Kid("http://jabber.org/protocol/muc#user", "x").Kid("", "item")
	if m != nil {
		m.role = item.Get("role")
	}
	if m == nil {
		m = &member{nick: from.Resource, role: item.Get("role")}
		m.real = stanza.ParseJID(item.Get("jid"))
		r.members[from.Resource] = m
		r.order = append(r.order, from.Resource)
		c := e.Kid("http://jabber.org/protocol/caps", "c")
		q := stanza.New("http://jabber.org/protocol/disco#info", "query")
		if c != nil {
			q.Set("node", c.Get("node")+"#"+c.Get("ver"))
		}
		f.request(from.String(), q, "get", func(res *stanza.Elem) { f.features(r, m, res) })
		f.promote(r, m, e)
	}
}

// promote makes the first member who is no gateway an owner, as Jicofo does by default.
func (f *Focus) promote(r *room, m *member, presence *stanza.Elem) {
	for _, v := range presence.Kid("", "features").All("", "feature") {
		if v.Get("var") == "http://jitsi.org/protocol/jigasi" {
			return
		}
	}
	if !r.owned && r.main == nil {
		r.owned = true
		f.request(r.jid.String(), stanza.New("http://jabber.org/protocol/muc#admin", "query").Add(
			stanza.New("", "item", "affiliation", "owner", "jid", m.real.Bare().String())), "set", nil)
	}
}

func (f *Focus) features(r *room, m *member, res *stanza.Elem) {
	m.known = true
	audio := false
	for _, v := range res.Kid("", "query").All("", "feature") {
		switch v.Get("var") {
		case "http://jitsi.org/json-encoded-sources":
			m.json = !f.opt.XML && !f.opt.Old
		case "urn:xmpp:jingle:apps:rtp:audio":
			audio = true
		case "urn:xmpp:jingle:apps:rtp:video":
			m.video = true
		case "http://jitsi.org/protocol/jigasi":
			m.gateway = true
		case "http://jitsi.org/protocol/audio-mute":
			m.mutable = true
		}
	}
	if audio {
		f.invite(r)
	}
}

// alone ends the session of who is left alone, after a while.
func (f *Focus) alone(r *room) {
	if len(f.around(r)) != 1 {
		return
	}
	time.AfterFunc(20*time.Second, func() {
		f.do(func() {
			if len(f.around(r)) == 1 {
				for _, m := range r.members {
					f.terminate(r, m, "expired", "Idle session timeout")
				}
			}
		})
	})
}

// roomOf finds a room by its name.
func (f *Focus) roomOf(name string) *room {
	for _, r := range f.rooms {
		if strings.EqualFold(r.jid.Local, name) {
			return r
		}
	}
	return nil
}
