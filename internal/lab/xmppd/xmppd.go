// Package xmppd is a small XMPP server for tests and the demo: streams over
// TCP on loopback with SASL PLAIN and ANONYMOUS, rooms (XEP-0045), and entities that live in
// the same process (a focus, bots). It is written from the RFCs and from what Prosody was
// seen to do, and it is no server for anybody else.
package xmppd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/stanza"
)

// Options makes a server.
type Options struct {
	Domain string            // meet.test; rooms are at conference.meet.test, components where they say
	Users  map[string]string // user@domain -> password; empty lets any anonymous client in only
	Hold   time.Duration     // how long a session whose connection is lost waits for another one (XEP-0198); 0 does not offer it
	Addr   string            // to listen at; "" means 127.0.0.1:0
	Nodes  []string          // domains of visitor nodes
}

// A Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	opt  Options
	lis  net.Listener
	done sync.WaitGroup
	next atomic.Uint64

	mu      sync.Mutex
	closed  bool
	quit    chan struct{}
	clients map[string]*client            // full JID
	local   map[string]func(*stanza.Elem) // full JID or domain -> entity in this process
	rooms   map[string]*Room
}

// Start listens.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{opt: o, lis: l, quit: make(chan struct{}), clients: map[string]*client{}, local: map[string]func(*stanza.Elem){}, rooms: map[string]*Room{}}
	s.done.Go(func() { s.accept(l) })
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lis.Addr().String()
}

// Domain is the server's domain.
func (s *Server) Domain() string { return s.opt.Domain }

// MUC is the domain of the rooms.
func (s *Server) MUC() string { return "conference." + s.opt.Domain }

// Close ends all streams.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	close(s.quit)
	for _, c := range s.clients {
		c.cut()
	}
	l := s.lis
	s.mu.Unlock()
	_ = l.Close()
	s.done.Wait()
}

// DropAll cuts all client connections, as a restart would.
func (s *Server) DropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		c.cut()
	}
}

// Stop is the server going away: it refuses connections and cuts those that are there. Entities of this
// process and what they know of rooms stay.
func (s *Server) Stop() {
	s.mu.Lock()
	l := s.lis
	s.mu.Unlock()
	_ = l.Close()
	s.DropAll()
}

// Resume listens again where it did before Stop. Somebody's outgoing connection may have had the port meanwhile: it
// waits for 5 s until it is free.
func (s *Server) Resume() error {
	l, err := net.Listen("tcp", s.Addr())
	for try := 0; err != nil && try < 50; try++ {
		<-time.After(100 * time.Millisecond)
		l, err = net.Listen("tcp", s.Addr())
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(errors.New("closed"), l.Close())
	}
	s.lis = l
	s.done.Go(func() { s.accept(l) })
	return nil
}

// Clients is how many streams are bound.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// Attach makes an entity of this process known under a full JID or a domain. deliver is called with
// each stanza for it, on the sender's goroutine: it must not block.
func (s *Server) Attach(jid string, deliver func(*stanza.Elem)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.local[jid] = deliver
}

// Detach ends an entity: it leaves its rooms.
func (s *Server) Detach(jid string) {
	s.mu.Lock()
	delete(s.local, jid)
	s.mu.Unlock()
	s.gone(stanza.ParseJID(jid))
}

// Send routes a stanza of an entity of this process.
func (s *Server) Send(from string, e *stanza.Elem) {
	e.Set("from", from)
	s.route(stanza.ParseJID(from), e)
}

// ID makes an id for an IQ.
func (s *Server) ID() string { return fmt.Sprintf("x%d", s.next.Add(1)) }

// route brings a stanza to where it goes. from is the true sender.
func (s *Server) route(from stanza.JID, e *stanza.Elem) {
	to := stanza.ParseJID(e.Get("to"))
	switch {
	case e.Get("to") == "" || to.Equal(stanza.JID{Domain: s.opt.Domain}) || to.Local == "" && s.isNode(to.Domain):
		s.server(e)
	case to.Domain == s.MUC() || to.Domain == s.Lobby() || to.Domain == "breakout."+s.opt.Domain || strings.HasPrefix(to.Domain, "internal.") || strings.HasPrefix(to.Domain, "conference."):
		s.muc(from, to, e)
	default:
		if !s.deliver(to, e) && e.Name.Local == "iq" && (e.Get("type") == "get" || e.Get("type") == "set") {
			s.bounce(e, "service-unavailable")
		}
	}
}

// deliver gives a stanza to a client or an entity; false means that there is none.
func (s *Server) deliver(to stanza.JID, e *stanza.Elem) bool {
	s.mu.Lock()
	c := s.clients[to.String()]
	f := s.local[to.String()]
	if f == nil {
		f = s.local[to.Domain]
	}
	s.mu.Unlock()
	switch {
	case c != nil:
		c.send(e)
		return true
	case f != nil:
		f(e.Clone())
		return true
	}
	return false
}

// bounce answers an IQ with an error.
func (s *Server) bounce(e *stanza.Elem, condition string) {
	r := stanza.New("jabber:client", "iq", "type", "error", "id", e.Get("id"), "from", e.Get("to"), "to", e.Get("from"))
	r.Add(stanza.New("", "error", "type", "cancel").Add(stanza.New("urn:ietf:params:xml:ns:xmpp-stanzas", condition)))
	s.deliver(stanza.ParseJID(e.Get("from")), r)
}

// server answers what is for the server itself.
func (s *Server) server(e *stanza.Elem) {
	if e.Name.Local != "iq" || e.Get("type") == "result" || e.Get("type") == "error" {
		return
	}
	from := e.Get("to")
	if from == "" {
		from = s.opt.Domain
	}
	r := stanza.New("jabber:client", "iq", "type", "result", "id", e.Get("id"), "from", from, "to", e.Get("from"))
	switch {
	case e.Kid("urn:xmpp:ping", "ping") != nil, e.Kid("urn:ietf:params:xml:ns:xmpp-session", "session") != nil:
	case e.Kid("http://jabber.org/protocol/disco#info", "query") != nil:
		r.Add(stanza.New("http://jabber.org/protocol/disco#info", "query").Add(stanza.New("", "identity", "category", "server", "type", "im")).Add(s.components()...))
	default:
		s.bounce(e, "service-unavailable")
		return
	}
	s.deliver(stanza.ParseJID(e.Get("from")), r)
}

// client is one stream.
type client struct {
	s    *Server
	conn net.Conn
	jid  stanza.JID
	out  chan []byte
	end  chan struct{}
	managed
}

func (s *Server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.done.Go(func() {
			c := &client{s: s, conn: conn, out: make(chan []byte, 4096), end: make(chan struct{})}
			err := c.serve() // the end of a stream is no news
			if errors.Is(err, errTaken) {
				return // its connection goes on under another client
			}
			c.hold(err)
			close(c.end)
			c.cut()
			if c.jid.Resource != "" {
				s.mu.Lock()
				delete(s.clients, c.jid.String())
				s.mu.Unlock()
				s.gone(c.jid)
			}
		})
	}
}

func (c *client) send(e *stanza.Elem) {
	b := e.Append(nil, "jabber:client")
	select {
	case c.out <- b:
	default:
		c.cut() // reads nothing any more
	}
}

const streams = "http://etherx.jabber.org/streams"

func (c *client) serve() error {
	r := stanza.NewReader(c.conn, stanza.Limits{})
	user := ""
	for user == "" {
		h, err := c.open(r, `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>ANONYMOUS</mechanism></mechanisms>`)
		if err != nil {
			return err
		}
		auth, err := r.Next()
		if err != nil {
			return err
		}
		if user = c.login(auth, h.Get("to")); user == "" {
			_, _ = io.WriteString(c.conn, `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure></stream:stream>`)
			return errors.New("login refused")
		}
		if _, err := io.WriteString(c.conn, `<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`); err != nil {
			return err
		}
	}
	r = stanza.NewReader(c.conn, stanza.Limits{})
	features := `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>`
	if c.s.opt.Hold > 0 {
		features += `<sm xmlns='` + nsSM + `'/>`
	}
	if _, err := c.open(r, features); err != nil {
		return err
	}
	if err := c.bind(r, user); err != nil {
		return err
	}
	c.s.done.Go(c.write)
	return c.listen(r)
}

// listen takes stanzas until the stream ends.
func (c *client) listen(r *stanza.Reader) error {
	for {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if c.manage(e) {
			continue
		}
		e.Set("from", c.jid.String())
		c.s.route(c.jid, e)
	}
}

func (c *client) open(r *stanza.Reader, features string) (*stanza.Elem, error) {
	h, err := r.Header()
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(c.conn, `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' id='%s' from='%s' version='1.0'><stream:features>%s</stream:features>`,
		streams, c.s.ID(), c.s.opt.Domain, features)
	return h, err
}

// login gives the address that an <auth/> to a domain stands for, or "".
func (c *client) login(auth *stanza.Elem, domain string) string {
	if !c.s.isNode(domain) {
		domain = c.s.opt.Domain
	}
	switch auth.Get("mechanism") {
	case "ANONYMOUS":
		return c.s.ID() + "@" + domain
	case "PLAIN":
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(auth.Text))
		f := strings.Split(string(raw), "\x00")
		if err != nil || len(f) != 3 {
			return ""
		}
		for jid, password := range c.s.opt.Users {
			if (jid == f[1] || strings.HasPrefix(jid, f[1]+"@")) && password == f[2] {
				return jid
			}
		}
	}
	return ""
}

func (c *client) bind(r *stanza.Reader, user string) error {
	iq, err := r.Next()
	if err != nil {
		return err
	}
	if iq.Is(nsSM, "resume") {
		return c.resume(iq, r)
	}
	res := ""
	if b := iq.Kid("urn:ietf:params:xml:ns:xmpp-bind", "bind"); b != nil {
		if k := b.Kid("", "resource"); k != nil {
			res = k.Text
		}
	}
	if res == "" {
		res = c.s.ID()
	}
	c.jid = stanza.ParseJID(user).With(res)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.closed {
		return errors.New("closed")
	}
	if old := c.s.clients[c.jid.String()]; old != nil {
		old.cut()
	}
	c.s.clients[c.jid.String()] = c
	c.send(stanza.New("jabber:client", "iq", "type", "result", "id", iq.Get("id")).Add(
		stanza.New("urn:ietf:params:xml:ns:xmpp-bind", "bind").Add(stanza.New("", "jid").WithText(c.jid.String()))))
	return nil
}

func (c *client) write() {
	for {
		select {
		case b := <-c.out:
			if !c.put(b) {
				return
			}
		case <-c.end:
			return
		}
	}
}
