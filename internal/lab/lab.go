// Package lab is a meeting in one process: an XMPP server, a focus, a bridge and people. Tests
// run the gateway against it, and `jigasi demo` shows it. It is written from the specification
// and from captures of the real ones, never from the gateway's code, so that both do not share an error.
package lab

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/focus"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/lab/xmppd"
	"jigasi/internal/stanza"
)

// Domain of every lab.
const Domain = "meet.test"

// Node is the domain of the visitor node v1.
const Node = "v1." + Domain

// Brewery is the room of the gateways.
const Brewery = "jigasibrewery@internal.auth." + Domain

// TextOf is what a child of an element says, such as the status in a presence; "" where either is not there.
func TextOf(e *stanza.Elem, name string) string {
	if k := e.Kid("", name); k != nil {
		return k.Text
	}
	return ""
}

// Options makes a meeting.
type Options struct {
	XML  bool // the focus sends sources as XML
	Old  bool // the focus speaks as an old Jicofo
	Deaf bool // the focus offers no telephone-event
	// Hold is how long the server keeps a session whose connection is lost (XEP-0198); 0 is not at all.
	Hold  time.Duration
	Users map[string]string
	Log   *slog.Logger
}

// A Meeting is a running lab.
type Meeting struct {
	XMPP   *xmppd.Server
	Focus  *focus.Focus
	Bridge *sfu.Bridge
	opt    Options

	mu   sync.Mutex
	bots []*bot.Bot
}

// wire is the stanzas of one entity.
type wire struct {
	s   *xmppd.Server
	jid string
}

func (w wire) Send(e *stanza.Elem) { w.s.Send(w.jid, e) }

// Start begins a lab.
func Start(o Options) (*Meeting, error) {
	if o.Users == nil {
		o.Users = map[string]string{"jigasi@auth." + Domain: "secret"}
	}
	s, err := xmppd.Start(xmppd.Options{Domain: Domain, Users: o.Users, Nodes: []string{Node}, Hold: o.Hold})
	if err != nil {
		return nil, err
	}
	b, err := sfu.New()
	if err != nil {
		s.Close()
		return nil, err
	}
	m := &Meeting{XMPP: s, Bridge: b, opt: o}
	m.StartFocus()
	return m, nil
}

const focusJID = "focus@auth." + Domain + "/focus"

// StartFocus starts a focus, at the beginning or after StopFocus.
func (m *Meeting) StartFocus() {
	m.Focus = focus.New(focus.Options{JID: focusJID, XML: m.opt.XML, Old: m.opt.Old, Deaf: m.opt.Deaf, Bridge: m.Bridge, Log: m.opt.Log}, wire{m.XMPP, focusJID})
	m.XMPP.Attach(focusJID, m.Focus.Deliver)
	f := m.Focus
	m.XMPP.Attach(proxy, func(e *stanza.Elem) { m.throughProxy(f, e) })
	m.Focus.JoinBrewery(Brewery)
}

// proxy is the component that stands for the focus: it hands conference requests on under an
// address of its own that names the asker, and the answers back.
const proxy = "focus." + Domain

func (m *Meeting) throughProxy(f *focus.Focus, e *stanza.Elem) {
	if asker := stanza.ParseJID(e.Get("to")).Resource; asker != "" {
		e.Set("to", asker)
		m.XMPP.Send(proxy, e)
		return
	}
	e.Set("from", proxy+"/"+e.Get("from"))
	f.Deliver(e)
}

// StopFocus ends the focus, and its occupants leave.
func (m *Meeting) StopFocus() {
	m.Focus.Close()
	m.XMPP.Detach(proxy)
	m.XMPP.Detach(focusJID)
}

// Join has a person join a room, saying a tone in Hz.
func (m *Meeting) Join(room string, hz float64) *bot.Bot {
	nick := fmt.Sprintf("%08x", rand.Uint32())
	jid := nick + "@" + Domain + "/bot"
	m.mu.Lock()
	defer m.mu.Unlock()
	ready := make(chan struct{})
	var b *bot.Bot
	m.XMPP.Attach(jid, func(e *stanza.Elem) {
		<-ready
		b.Deliver(e)
	})
	w := &deferred{wire: wire{m.XMPP, jid}}
	b = bot.Join(bot.Options{
		Room: stanza.JID{Local: room, Domain: m.XMPP.MUC()}, Nick: nick, Name: fmt.Sprintf("%.0f Hz", hz), JID: jid, Tone: hz, Log: m.opt.Log,
	}, w)
	close(ready)
	w.open()
	m.bots = append(m.bots, b)
	// The focus is asked for by whoever comes first.
	m.XMPP.Send(jid, stanza.New("jabber:client", "iq", "type", "set", "id", m.XMPP.ID(), "to", "focus."+Domain).Add(
		stanza.New("http://jitsi.org/protocol/focus", "conference", "room", room+"@"+m.XMPP.MUC())))
	return b
}

// deferred sends once the entity is whole, in the order in which it is said.
type deferred struct {
	wire
	mu      sync.Mutex
	whole   bool
	waiting []*stanza.Elem
}

func (d *deferred) Send(e *stanza.Elem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.whole {
		d.waiting = append(d.waiting, e)
		return
	}
	d.wire.Send(e)
}

// open sends what waits.
func (d *deferred) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole = true
	for _, e := range d.waiting {
		d.wire.Send(e)
	}
}

// Close ends all.
func (m *Meeting) Close() {
	m.mu.Lock()
	bots := m.bots
	m.bots = nil
	m.mu.Unlock()
	for _, b := range bots {
		b.Leave()
	}
	m.Focus.Close()
	m.XMPP.Close()
}
