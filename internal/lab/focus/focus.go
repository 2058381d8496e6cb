// Package focus is a stand-in for Jicofo in tests and the demo. It is written from
// what a real Jicofo was seen to send (captures), in both of its dialects, and
// misbehaves on command. It talks through a Wire, which xmppd or a real server provides.
package focus

import (
	"encoding/json"
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
	Min    int    // participants for a session; 0 means 2
	Delay  time.Duration
	Bridge *sfu.Bridge // nil: no bridge
	Log    *slog.Logger
}

// A Focus invites the members of rooms. Its methods are safe for concurrent use.
type Focus struct {
	opt  Options
	wire Wire
	in   chan func()
	quit chan struct{}
	done sync.WaitGroup

	// Owned by run.
	rooms   map[string]*room
	bridge  *sfu.Bridge
	pending map[string]func(*stanza.Elem)
	next    int
	brewery map[string]*stanza.Elem // gateway's occupant JID -> stats
}

type room struct {
	jid     stanza.JID
	members map[string]*member
	order   []string
}

type member struct {
	nick     string
	real     stanza.JID
	json     bool
	known    bool // features were asked for
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
	close(f.quit)
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
		bare := stanza.ParseJID(f.opt.JID).Bare().String()
		f.reply(e, stanza.New(nsFocus, "conference", "ready", "true", "room", jid.String(), "focusjid", bare).Add(
			stanza.New("", "property", "value", "false", "name", "authentication"), stanza.New("", "property", "value", "true", "name", "sipGatewayEnabled")))
		return
	}
	from := stanza.ParseJID(e.Get("from"))
	if e.Kid("urn:xmpp:jingle:1", "jingle") != nil {
		if r := f.rooms[from.Bare().String()]; r != nil && r.members[from.Resource] != nil {
			f.jingle(r, r.members[from.Resource], e)
			return
		}
	}
	f.fail(e, "service-unavailable")
}

// show sends the presence of the focus in a room, whole.
func (f *Focus) show(jid stanza.JID) {
	p := stanza.New("jabber:client", "presence", "to", jid.With("focus").String()).Add(
		stanza.New("http://jabber.org/protocol/muc", "x"),
		stanza.New("http://jitsi.org/jitmeet/etherpad", "etherpad").WithText(jid.Local),
		stanza.New(nsFocus, "conference-properties").Add(stanza.New("", "property", "value", "true", "key", "support-terminate-restart")))
	if f.bridge == nil {
		p.Add(stanza.New(nsFocus, "bridgeNotAvailable"))
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
	if m == nil {
		m = &member{nick: from.Resource}
		m.real = stanza.ParseJID(e.Kid("http://jabber.org/protocol/muc#user", "x").Kid("", "item").Get("jid"))
		r.members[from.Resource] = m
		r.order = append(r.order, from.Resource)
		c := e.Kid("http://jabber.org/protocol/caps", "c")
		q := stanza.New("http://jabber.org/protocol/disco#info", "query")
		if c != nil {
			q.Set("node", c.Get("node")+"#"+c.Get("ver"))
		}
		f.request(from.String(), q, "get", func(res *stanza.Elem) { f.features(r, m, res) })
	}
}

func (f *Focus) features(r *room, m *member, res *stanza.Elem) {
	m.known = true
	audio := false
	for _, v := range res.Kid("", "query").All("", "feature") {
		switch v.Get("var") {
		case "http://jitsi.org/json-encoded-sources":
			m.json = !f.opt.XML
		case "urn:xmpp:jingle:apps:rtp:audio":
			audio = true
		}
	}
	if audio {
		f.invite(r)
	}
}

// alone ends the session of who is left alone, after a while.
func (f *Focus) alone(r *room) {
	if len(r.members) != 1 {
		return
	}
	time.AfterFunc(20*time.Second, func() {
		f.do(func() {
			if len(r.members) == 1 {
				for _, m := range r.members {
					f.terminate(r, m, "expired", "Idle session timeout")
				}
			}
		})
	})
}

// invite sends session-initiate to all who have none, once there are enough of them.
func (f *Focus) invite(r *room) {
	if f.bridge == nil || len(r.members) < f.opt.Min {
		return
	}
	for _, nick := range r.order {
		if m := r.members[nick]; m != nil && m.known && m.sid == "" {
			m.sid = fmt.Sprintf("%x", rand.Uint64())
			if f.opt.Delay > 0 {
				time.AfterFunc(f.opt.Delay, func() { f.do(func() { f.offer(r, m, jingle.SessionInitiate) }) })
			} else {
				f.offer(r, m, jingle.SessionInitiate)
			}
		}
	}
}

func (f *Focus) offer(r *room, m *member, action string) {
	if r.members[m.nick] != m || f.bridge == nil {
		return
	}
	ep, err := f.bridge.Endpoint(r.jid.String(), m.nick)
	if err != nil {
		f.opt.Log.Warn("no endpoint", "err", err)
		return
	}
	m.endpoint, m.active, m.queued = ep, false, nil
	m.session = fmt.Sprintf("%x-%x", rand.Uint32(), rand.Uint32())
	t := ep.Local()
	msg := &jingle.Message{
		Action: action, SID: m.sid, Initiator: f.opt.JID, HasAudio: true, BridgeSession: m.session, Transport: &t,
		Payloads: []jingle.Payload{
			{ID: 111, Name: "opus", Clockrate: 48000, Channels: 2, Params: map[string]string{"minptime": "10", "useinbandfec": "1"}},
			{ID: 126, Name: "telephone-event", Clockrate: 8000, Channels: 1},
		},
		Exts: map[string]uint8{jingle.LevelURI: 1, "urn:ietf:params:rtp-hdrext:sdes:mid": 10},
	}
	all := []jingle.Source{{SSRC: 1180214522, Owner: "jvb", Name: "jvb-a0", MSID: "mixedmslabel mixedlabelaudio0"}}
	for _, o := range r.members {
		if o != m {
			all = append(all, o.sources...)
		}
	}
	var js *stanza.Elem
	if m.json {
		js = jsonSources(all)
	} else {
		msg.Sources = all
	}
	e := msg.Elem().Add(js)
	f.request(r.jid.With(m.nick).String(), e, "set", nil)
}

// jsonSources is Jicofo's compact form.
func jsonSources(list []jingle.Source) *stanza.Elem {
	type source struct {
		S uint32 `json:"s"`
		N string `json:"n,omitempty"`
		M string `json:"m,omitempty"`
	}
	byOwner := map[string][]any{}
	audio := map[string][]source{}
	for _, s := range list {
		audio[s.Owner] = append(audio[s.Owner], source{s.SSRC, s.Name, s.MSID})
	}
	for o, a := range audio {
		byOwner[o] = []any{[]any{}, []any{}, a}
	}
	b, err := json.Marshal(map[string]any{"sources": byOwner})
	if err != nil {
		return nil
	}
	return stanza.New("http://jitsi.org/jitmeet", "json-message").WithText(string(b))
}

func (f *Focus) jingle(r *room, m *member, e *stanza.Elem) {
	msg, err := jingle.Parse(e)
	if err != nil || msg.SID != m.sid || m.sid == "" {
		f.fail(e, "bad-request")
		return
	}
	switch msg.Action {
	case jingle.SessionAccept, jingle.TransportAccept:
		f.reply(e, nil)
		f.accepted(r, m, msg)
	case jingle.TransportInfo:
		f.reply(e, nil)
		if msg.Transport != nil && m.endpoint != nil {
			m.endpoint.AddCandidates(msg.Transport.Candidates)
		}
	case jingle.SessionTerminate:
		if msg.BridgeSession != m.session {
			f.fail(e, "item-not-found")
			return
		}
		f.reply(e, nil)
		f.withdraw(r, m)
		m.close()
		if msg.Restart {
			f.invite(r)
		}
	case jingle.SessionInfo:
		f.reply(e, nil)
	default:
		f.fail(e, "feature-not-implemented")
	}
}

func (f *Focus) accepted(r *room, m *member, msg *jingle.Message) {
	if msg.Transport == nil || m.endpoint == nil {
		return
	}
	m.sources = nil
	for _, s := range msg.Sources {
		s.Owner = m.nick
		m.sources = append(m.sources, s)
		m.endpoint.AddSource(s.SSRC)
	}
	m.active = true
	nick := m.nick
	m.endpoint.Connect(*msg.Transport, func(err error) {
		if err != nil {
			f.opt.Log.Debug("endpoint not connected", "nick", nick, "err", err)
		}
	})
	for _, o := range r.members {
		if o != m {
			f.sources(r, o, jingle.SourceAdd, m.sources)
		}
	}
	f.sources(r, m, jingle.SourceAdd, m.queued)
	m.queued = nil
}

// sources tells o that sources came or went, or queues it until o has accepted.
func (f *Focus) sources(r *room, o *member, action string, list []jingle.Source) {
	if len(list) == 0 || o.sid == "" {
		return
	}
	if !o.active {
		if action == jingle.SourceAdd {
			o.queued = append(o.queued, list...)
		}
		return
	}
	msg := &jingle.Message{Action: action, SID: o.sid}
	e := msg.Elem()
	if o.json {
		e.Add(jsonSources(list))
	} else {
		msg.Sources = list
		e = msg.Elem()
	}
	f.request(r.jid.With(o.nick).String(), e, "set", nil)
}

// withdraw tells the others that m's sources are gone while m stays.
func (f *Focus) withdraw(r *room, m *member) {
	for _, o := range r.members {
		if o != m {
			f.sources(r, o, jingle.SourceRemove, m.sources)
		}
	}
	m.sources = nil
}

func (f *Focus) terminate(r *room, m *member, reason, text string) {
	if m.sid == "" {
		return
	}
	msg := &jingle.Message{Action: jingle.SessionTerminate, SID: m.sid, Reason: reason, Text: text}
	f.request(r.jid.With(m.nick).String(), msg.Elem(), "set", nil)
	f.withdraw(r, m)
	m.close()
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
