package control

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/exchange"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	brewery = "jigasibrewery@internal.auth.meet.localhost"
	focus   = brewery + "/focus"
	self    = brewery + "/g1"
	dialIQ  = "<dial xmlns='urn:xmpp:rayo:1' from='fromnumber' to='+15551234'><header name='JvbRoomName' value='beta@conference.meet.localhost'/></dial>"
)

// A fakeLink is a connection without a server: the test is the server.
type fakeLink struct {
	handler func(*stanza.Elem) bool
	sent    chan *stanza.Elem
	done    chan struct{}
	jid     stanza.JID

	mu    sync.Mutex
	err   error
	ping  error // what the room answers to a self-ping
	asked int
}

func (l *fakeLink) JID() stanza.JID       { return l.jid }
func (l *fakeLink) Done() <-chan struct{} { return l.done }

func (l *fakeLink) Send(e *stanza.Elem) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.sent <- e
	return nil
}

func (l *fakeLink) Request(ctx context.Context, _ *stanza.Elem) (*stanza.Elem, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return nil, l.ping
}

func (l *fakeLink) Reply(iq, payload *stanza.Elem) error {
	return l.Send(stanza.New("jabber:client", "iq", "type", "result", "id", iq.Get("id"), "to", iq.Get("from")).Add(payload))
}

func (l *fakeLink) ReplyError(iq *stanza.Elem, typ, condition, text string, _ ...*stanza.Elem) error {
	return l.Send(stanza.New("jabber:client", "iq", "type", "error", "id", iq.Get("id"), "to", iq.Get("from")).Add(
		stanza.New("", "error", "type", typ).Add(stanza.New("urn:ietf:params:xml:ns:xmpp-stanzas", condition)).WithText(text)))
}

func (l *fakeLink) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *fakeLink) Close(context.Context) error {
	l.cut(xmpp.ErrClosed)
	return nil
}

func (l *fakeLink) cut(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.done)
	}
}

func (l *fakeLink) answerPings(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ping = err
}

func (l *fakeLink) pings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// A stage is a Brewery on fake links, in virtual time.
type stage struct {
	t     *testing.T
	b     *Brewery
	links chan *fakeLink
	*fakeLink

	mu    sync.Mutex
	stats Stats
	down  error // what connecting gives
	dials []exchange.Request
}

// play runs a test in virtual time on a brewery that is connected, but not joined.
func play(t *testing.T, set func(*Options), f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, links: make(chan *fakeLink, 1000), stats: Stats{SIP: true, Version: "1.0"}}
		o := s.options()
		if set != nil {
			set(&o)
		}
		b, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		s.b = b
		s.next()
		f(s)
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func (s *stage) options() Options {
	return Options{
		Room: stanza.ParseJID("JigasiBrewery@internal.auth.meet.localhost"), Nick: "g1",
		Stats: func() Stats { s.mu.Lock(); defer s.mu.Unlock(); return s.stats },
		Dial: func(_ context.Context, r exchange.Request) (exchange.Dialled, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dials = append(s.dials, r)
			return exchange.Dialled{ID: "1", Occupant: stanza.ParseJID("beta@conference.meet.localhost/12345678")}, nil
		},
		connect: func(_ context.Context, x xmpp.Options) (link, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.down != nil {
				return nil, s.down
			}
			l := &fakeLink{
				handler: x.Handler, sent: make(chan *stanza.Elem, 100), done: make(chan struct{}),
				jid: stanza.JID{Local: "jigasi", Domain: "auth.meet.localhost", Resource: x.Resource},
			}
			s.links <- l
			return l, nil
		},
	}
}

// next takes the next connection as the current one.
func (s *stage) next() {
	s.t.Helper()
	select {
	case s.fakeLink = <-s.links:
	case <-time.After(time.Hour):
		s.t.Fatal("does not connect")
	}
}

// hear gives the next stanza that the brewery sends, within an hour of virtual time.
func (s *stage) hear() *stanza.Elem {
	s.t.Helper()
	select {
	case e := <-s.sent:
		return e
	case <-time.After(time.Hour):
		s.t.Fatal("says nothing")
		return nil
	}
}

// quiet fails if anything is said within d.
func (s *stage) quiet(d time.Duration) {
	s.t.Helper()
	select {
	case e := <-s.sent:
		s.t.Errorf("says %v", e)
	case <-time.After(d):
	}
}

// say delivers a stanza to the brewery, and waits until it has been dealt with.
func (s *stage) say(xml string) bool {
	s.t.Helper()
	e, err := stanza.Parse([]byte(xml), stanza.Limits{})
	if err != nil {
		s.t.Fatalf("%s: %v", xml, err)
	}
	taken := s.handler(e)
	synctest.Wait()
	return taken
}

// join plays the room letting the brewery in.
func (s *stage) join() *stanza.Elem {
	s.t.Helper()
	e := s.hear()
	if e.Kid(nsMUC, "x") == nil || e.Kid(nsStats, "stats") == nil || e.Get("type") != "" {
		s.t.Errorf("joins by %v", e)
	}
	s.say("<presence from='" + focus + "'><x xmlns='" + nsMUCUser + "'><item affiliation='owner' jid='focus@auth.meet.localhost/focus' role='moderator'/></x></presence>")
	s.say("<presence from='" + e.Get("to") + "'><x xmlns='" + nsMUCUser + "'><item jid='x@y/z' role='participant'/><status code='110'/></x></presence>")
	return e
}

func (s *stage) change(f func(*Stats)) {
	s.mu.Lock()
	f(&s.stats)
	s.mu.Unlock()
	s.b.Changed()
	synctest.Wait()
}

// condition is the error of an answer, "" for a result.
func condition(e *stanza.Elem) string {
	if e.Get("type") == "result" {
		return ""
	}
	return xmpp.ErrorOf(e).Condition
}

var errDown = errors.New("connection refused")
