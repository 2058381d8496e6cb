package xmpp

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/stanza"
)

const smFeature = "<sm xmlns='" + nsSM + "'/>"

// bindManaged takes a client in, and manages its session.
func (s *server) bindManaged() bool {
	if !s.open("<mechanisms xmlns='"+nsSASL+"'>"+plain+"</mechanisms>") || !s.hear().Is(nsSASL, "auth") || !s.say("<success xmlns='%s'/>", nsSASL) {
		return false
	}
	if !s.open("<bind xmlns='" + nsBind + "'/>" + smFeature) {
		return false
	}
	iq := s.hear()
	if !s.say("<iq type='result' id='%s'><bind xmlns='%s'><jid>%s</jid></bind></iq>", iq.Get("id"), nsBind, fullJID) {
		return false
	}
	e := s.hear()
	if !e.Is(nsSM, "enable") || e.Get("resume") != "true" {
		s.t.Errorf("asks for %v", e)
	}
	return s.say("<enabled xmlns='%s' id='some-id' resume='true' max='60'/>", nsSM)
}

// asked logs a client in that wants its session back, and gives how many stanzas it has seen.
func (s *server) asked() string {
	if !s.open("<mechanisms xmlns='"+nsSASL+"'>"+plain+"</mechanisms>") || !s.hear().Is(nsSASL, "auth") || !s.say("<success xmlns='%s'/>", nsSASL) {
		return ""
	}
	if !s.open("<bind xmlns='" + nsBind + "'/>" + smFeature) {
		return ""
	}
	e := s.hear()
	if !e.Is(nsSM, "resume") || e.Get("previd") != "some-id" {
		s.t.Errorf("asks for %v", e)
	}
	return e.Get("h")
}

func body(e *stanza.Elem) string {
	if b := e.Kid("", "body"); b != nil {
		return b.Text
	}
	return "<" + e.Name.Local + ">"
}

func message(n int) *stanza.Elem {
	return stanza.New(nsClient, "message", "to", "a@b").Add(stanza.New("", "body").WithText(fmt.Sprint(n)))
}

// TestResumption: a connection that is lost, falls silent or takes nothing is replaced; what either side has missed is said
// again, once, and in its order. The session is the same. Time is virtual: the limit of silence is ten seconds.
func TestResumption(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"lost", "silent", "stuck"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { resumption(t, end) })
		})
	}
}

func resumption(t *testing.T, end string) {
	var connections atomic.Int32
	got := make(chan string, 100)
	over := make(chan struct{})
	o, _ := serve(t, resuming(end, &connections, got, over))
	defer close(over)
	o.Resume = true
	if end != "lost" {
		o.Ping = 200 * time.Millisecond
	}
	handled := make(chan string, 100)
	o.Handler = func(e *stanza.Elem) bool {
		handled <- body(e)
		return true
	}
	c := dial(t, o)
	for n := range 3 {
		_ = c.Send(message(n))
	}
	for _, want := range []string{"0", "1", "2"} {
		if g := <-got; g != want {
			t.Errorf("first %s, want %s", g, want)
		}
	}
	for began := time.Now(); connections.Load() < 2; time.Sleep(time.Millisecond) {
		if c.Err() != nil || time.Since(began) > time.Minute {
			t.Fatalf("no second connection: %v", c.Err())
		}
	}
	_ = c.Send(message(3))
	for _, want := range []string{"2", "3"} {
		if g := <-got; g != want {
			t.Errorf("then %s, want %s", g, want)
		}
	}
	for _, want := range []string{"one", "two", "three"} {
		if g := <-handled; g != want {
			t.Errorf("handled %s, want %s", g, want)
		}
	}
	if _, err := c.Request(context.Background(), iq("get", "a@b", "x", "y")); err != nil {
		t.Error(err)
	}
	if c.JID().String() != fullJID || c.Err() != nil {
		t.Errorf("%v, %v", c.JID(), c.Err())
	}
	if err := c.Close(context.Background()); err != nil || connections.Load() != 3 {
		t.Errorf("%v after %d connections", err, connections.Load())
	}
}

// resuming plays a server that loses the first connection, or says nothing more on it, or does not even read from it until
// over; fails the second, and gives the session back on the third.
func resuming(end string, connections *atomic.Int32, got chan<- string, over <-chan struct{}) func(latest *server) {
	return func(latest *server) {
		s := &server{t: latest.t, conn: latest.conn}
		n := connections.Add(1)
		if n == 1 {
			if !s.bindManaged() {
				return
			}
			s.say("<message from='x@y'><body>one</body></message><message from='x@y'><body>two</body></message>")
			for range 3 {
				got <- body(s.hear())
			}
			s.say("<r xmlns='%s'/>", nsSM)
			if a := s.hear(); !a.Is(nsSM, "a") || a.Get("h") != "2" {
				s.t.Errorf("confirms %v", a)
			}
			switch end {
			case "silent":
				for !s.hear().Is("", "") {
				}
			case "stuck":
				<-over
			}
			_ = s.conn.Close()
			return
		}
		if n == 2 { // one that fails
			_ = s.conn.Close()
			return
		}
		if h := s.asked(); h != "2" {
			s.t.Errorf("connection %d has seen %q stanzas", n, h)
		}
		s.say("<resumed xmlns='%s' previd='some-id' h='2'/>", nsSM) // the third did not arrive
		for {
			switch e := s.hear(); {
			case e.Is(nsClient, "message"):
				if got <- body(e); body(e) == "3" {
					s.say("<message from='x@y'><body>three</body></message>")
				}
			case e.Is(nsClient, "iq"):
				s.say("<iq type='result' id='%s' from='%s'/>", e.Get("id"), e.Get("to"))
			case e.Is(nsSM, "r"):
				s.say("<a xmlns='%s' h='4'/>", nsSM)
			case e.Is("", ""):
				s.say("</stream:stream>")
				return
			}
		}
	}
}

// TestNoResumption: where the server has forgotten the session, does not want to manage it, or the login is refused, the
// connection ends as it always did.
func TestNoResumption(t *testing.T) {
	for name, second := range map[string]func(s *server){
		"forgotten": func(s *server) {
			s.asked()
			s.say("<failed xmlns='%s'><item-not-found xmlns='%s'/></failed>", nsSM, nsStanzas)
		},
		"refused": func(s *server) {
			s.open("<mechanisms xmlns='" + nsSASL + "'>" + plain + "</mechanisms>")
			s.hear()
			s.say("<failure xmlns='%s'><not-authorized/></failure>", nsSASL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int32
			o, _ := serve(t, func(latest *server) {
				s := &server{t: latest.t, conn: latest.conn}
				if connections.Add(1) == 1 {
					s.bindManaged()
				} else {
					second(s)
				}
				_ = s.conn.Close()
			})
			o.Resume = true
			c := dial(t, o)
			select {
			case <-c.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("the connection does not end")
			}
			if n := connections.Load(); n > 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
	t.Run("not wanted", func(t *testing.T) {
		o, _ := serve(t, func(s *server) {
			s.open("<mechanisms xmlns='" + nsSASL + "'>" + plain + "</mechanisms>")
			s.hear()
			s.say("<success xmlns='%s'/>", nsSASL)
			s.open("<bind xmlns='" + nsBind + "'/>" + smFeature)
			e := s.hear()
			s.say("<iq type='result' id='%s'><bind xmlns='%s'><jid>%s</jid></bind></iq>", e.Get("id"), nsBind, fullJID)
			s.hear()
			s.say("<failed xmlns='%s'/>", nsSM)
			s.rest()
		})
		o.Resume = true
		c := dial(t, o)
		for n := range 3 * maxUnacked {
			for c.Send(message(n)) != nil {
				if err := c.Err(); err != nil && !strings.Contains(err.Error(), "wait for the server") {
					t.Fatal(err)
				}
				t.Fatal(c.Err())
			}
			for len(c.out) > outQueue/2 {
				time.Sleep(time.Millisecond)
			}
		}
	})
}
