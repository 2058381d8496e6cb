package xmpp

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/stanza"
)

const (
	domain  = "auth.example.org"
	fullJID = "jigasi@auth.example.org/r1"
	plain   = "<mechanism>PLAIN</mechanism>"
)

// A server plays the other side of one connection, line by line.
type server struct {
	t    *testing.T
	conn net.Conn
	r    *stanza.Reader
	sasl atomic.Int64 // how many <auth/> it was sent
}

// serve gives Options whose connections are answered by play, one goroutine each.
// The test waits for them.
func serve(t *testing.T, play func(s *server)) (Options, *server) {
	t.Helper()
	s := &server{t: t}
	o := Options{
		Domain: domain, User: "jigasi", Password: "pw", AllowPlain: true, Host: "h:1", Timeout: 10 * time.Second,
		dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			done := make(chan struct{})
			t.Cleanup(func() { <-done })
			t.Cleanup(func() { _ = b.Close() })
			s.conn, s.r = b, nil
			go func() {
				defer close(done)
				play(s)
			}()
			return a, nil
		},
	}
	return o, s
}

// open answers a stream header, with features.
func (s *server) open(features string) bool {
	if s.r == nil {
		s.r = stanza.NewReader(s.conn, stanza.Limits{})
	}
	h, err := s.r.Header()
	if err != nil {
		return false
	}
	if to := h.Get("to"); to != domain {
		s.t.Errorf("stream to %q", to)
	}
	return s.say("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' from='%s' id='x' version='1.0'>"+
		"<stream:features>%s</stream:features>", nsStream, domain, features)
}

func (s *server) say(format string, args ...any) bool {
	_, err := fmt.Fprintf(s.conn, format, args...)
	return err == nil
}

// hear reads one element, or gives an empty one at the end.
func (s *server) hear() *stanza.Elem {
	e, err := s.r.Next()
	if err != nil {
		return &stanza.Elem{}
	}
	if e.Is(nsSASL, "auth") {
		s.sasl.Add(1)
	}
	return e
}

// login takes a client in by PLAIN and binds it.
func (s *server) login() bool {
	if !s.open("<mechanisms xmlns='"+nsSASL+"'>"+plain+"</mechanisms>") || !s.hear().Is(nsSASL, "auth") {
		return false
	}
	return s.say("<success xmlns='%s'/>", nsSASL) && s.bind()
}

func (s *server) bind() bool {
	if !s.open("<bind xmlns='" + nsBind + "'/><session xmlns='" + nsSession + "'><optional/></session>") {
		return false
	}
	iq := s.hear()
	return s.say("<iq type='result' id='%s'><bind xmlns='%s'><jid>%s</jid></bind></iq>", iq.Get("id"), nsBind, fullJID)
}

// rest reads until the client is gone, and says goodbye.
func (s *server) rest() {
	for !s.hear().Is("", "") {
	}
	s.say("</stream:stream>")
}

func (s *server) startTLS(cfg *tls.Config) bool {
	if !s.hear().Is(nsTLS, "starttls") || !s.say("<proceed xmlns='%s'/>", nsTLS) {
		return false
	}
	conn := tls.Server(s.conn, cfg)
	if conn.Handshake() != nil {
		return false
	}
	s.conn, s.r = conn, nil
	return true
}

func dial(t *testing.T, o Options) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func iq(typ, to, ns, name string) *stanza.Elem {
	e := stanza.New(nsClient, "iq", "type", typ)
	if to != "" {
		e.Set("to", to)
	}
	return e.Add(stanza.New(ns, name))
}
