package conference

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	room   = "alpha@conference.meet.localhost"
	me     = room + "/0cb96be6"
	us     = "guest@meet.localhost/x"
	focusI = "focus@auth.meet.localhost/focus" // who the focus really is
)

// A fakeLink is a connection without a server: the test is the server.
type fakeLink struct {
	opt    xmpp.Options
	sent   chan *stanza.Elem
	done   chan struct{}
	jid    stanza.JID
	answer func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error)

	scripted bool // what the room answers about itself is part of the script

	mu  sync.Mutex
	err error
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

func (l *fakeLink) Request(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	if iq.Kid("http://jabber.org/protocol/disco#info", "query") != nil { // asked beside all else: not part of the script
		switch iq.Get("to") {
		case "meet.localhost":
			return parts(), nil
		case room:
			if !l.scripted {
				return stanza.New("jabber:client", "iq", "type", "result", "from", room), nil
			}
		case "v1.meet.jitsi", nodeRoom, breakoutRoom: // a visitor node has none
			return stanza.New("jabber:client", "iq", "type", "result", "from", iq.Get("to")), nil
		}
	}
	if err := l.Send(iq); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-l.done:
			cancel(l.Err())
		case <-ctx.Done():
		}
	}()
	res, err := l.answer(ctx, iq)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return res, err
}

func (l *fakeLink) Reply(iq, payload *stanza.Elem) error {
	return l.Send(stanza.New("jabber:client", "iq", "type", "result", "id", iq.Get("id"), "to", iq.Get("from")).Add(payload))
}

func (l *fakeLink) ReplyError(iq *stanza.Elem, typ, condition, text string, more ...*stanza.Elem) error {
	x := stanza.New("", "error", "type", typ).Add(stanza.New("urn:ietf:params:xml:ns:xmpp-stanzas", condition)).Add(more...)
	return l.Send(stanza.New("jabber:client", "iq", "type", "error", "id", iq.Get("id"), "to", iq.Get("from")).Add(x))
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

// parts is what the main domain says of its components.
func parts() *stanza.Elem {
	q := stanza.New("http://jabber.org/protocol/disco#info", "query")
	for typ, at := range map[string]string{"av_moderation": "avmoderation.meet.localhost", "room_metadata": "meta.data.localhost", "lobbyrooms": "lobby.meet.localhost"} {
		q.Add(stanza.New("", "identity", "category", "component", "type", typ, "name", at))
	}
	return stanza.New("jabber:client", "iq", "type", "result", "from", "meet.localhost").Add(q)
}

// A stage is a Session on fake links, in virtual time.
type stage struct {
	t     *testing.T
	s     *Session
	links chan *fakeLink
	*fakeLink

	mu     sync.Mutex
	down   error // what connecting gives
	answer func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error)
	ended  bool
	asked  bool // what the room answers about itself is part of the script
}

// play runs a test in virtual time on a session that connects.
func play(t *testing.T, set func(*Options), f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, links: make(chan *fakeLink, 1000), answer: ready}
		o := Options{
			XMPP: xmpp.Options{Domain: "meet.localhost"}, Room: stanza.ParseJID(room), Nick: "0cb96be6",
			Focus:    stanza.JID{Domain: "focus.meet.localhost"},
			Presence: meetxml.Presence{Nick: "+49301234xx", StatsID: "jigasi", Version: "Jigasi 2", Status: "Initializing Call", Features: []string{meetxml.FeatureJigasi}},
			Dial:     s.dial,
		}
		if set != nil {
			set(&o)
		}
		s.asked = o.Transcriber
		s.s = Join(o)
		defer func() { // also after a Fatal
			s.s.Leave(cause.Cause{Code: cause.Normal, Text: "the test ends"})
			var last Event
			for e := range s.s.Events() {
				last = e
			}
			<-s.s.Done()
			if !s.ended && last.Kind != Over {
				t.Errorf("the last event is %+v", last)
			}
		}()
		f(s)
	})
}

func (s *stage) dial(_ context.Context, x xmpp.Options) (Link, error) {
	time.Sleep(time.Millisecond) // of the virtual kind: a test has said by then how it answers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	l := &fakeLink{
		scripted: s.asked, opt: x, sent: make(chan *stanza.Elem, 10000), done: make(chan struct{}), jid: stanza.ParseJID(us),
		answer: func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
			s.mu.Lock()
			f := s.answer
			s.mu.Unlock()
			return f(ctx, iq)
		},
	}
	s.links <- l
	return l, nil
}

func (s *stage) answers(f func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func (s *stage) connecting(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// ready answers as a focus that is there and agrees to all.
func ready(_ context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	res := stanza.New("jabber:client", "iq", "type", "result", "from", iq.Get("to"))
	if c := iq.Kid(meetxml.NSFocus, "conference"); c != nil {
		res.Add(stanza.New(meetxml.NSFocus, "conference", "room", c.Get("room"), "ready", "true", "focusjid", "focus@auth.meet.localhost"))
	}
	return res, nil
}

// refusing answers requests about what by an error, and all others.
func refusing(what string, e *xmpp.Error) func(context.Context, *stanza.Elem) (*stanza.Elem, error) {
	return func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
		if kind(iq) == what {
			return nil, e
		}
		return ready(ctx, iq)
	}
}

func silent(ctx context.Context, _ *stanza.Elem) (*stanza.Elem, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

var errDown = errors.New("connection refused")

// next takes the next connection as the current one.
func (s *stage) next() {
	s.t.Helper()
	select {
	case s.fakeLink = <-s.links:
	case <-time.After(time.Hour):
		s.t.Fatal("does not connect")
	}
}

// hear gives the next stanza that the session sends, within an hour of virtual time.
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

// hears wants the next stanza to be of that kind.
func (s *stage) hears(want string) *stanza.Elem {
	s.t.Helper()
	e := s.hear()
	if kind(e) != want {
		s.t.Fatalf("says %v, want %s", e, want)
	}
	return e
}

// quiet wants nothing to be said or to happen for d.
func (s *stage) quiet(d time.Duration) {
	s.t.Helper()
	limit := time.NewTimer(d)
	defer limit.Stop()
	for {
		select {
		case e := <-s.sent:
			s.t.Fatalf("says %v", e)
		case e := <-s.s.Events():
			if !comingOrGoing(e) {
				s.t.Fatalf("tells %+v", e)
			}
		case <-s.links:
			s.t.Fatal("connects again")
		case <-limit.C:
			return
		}
	}
}

// comingOrGoing is news of members, which most scripts pass over.
func comingOrGoing(e Event) bool {
	return e.Kind == Told && (e.Item == news.MemberJoined || e.Item == news.MemberLeft || e.Item == news.Alone)
}

// kind names what a stanza is, for scripts: "conference", "session-accept", "join", "result", …
func kind(e *stanza.Elem) string {
	switch {
	case e.Kid(jingle.NS, "jingle") != nil:
		return e.Kid(jingle.NS, "jingle").Get("action")
	case e.Kid(meetxml.NSFocus, "conference") != nil && e.Get("type") == "set":
		return "conference"
	case e.Kid("", "services") != nil:
		return "services"
	case meetxml.IsMute(e) && e.Get("type") == "set":
		return "mute"
	case e.Name.Local == "iq":
		return e.Get("type")
	case e.Kid(meetxml.NSMUC, "x") != nil:
		return "join"
	case e.Get("type") == "unavailable":
		return "leave"
	}
	return e.Name.Local
}

// say delivers a stanza to the session, and waits until it has been dealt with.
func (s *stage) say(xml string) bool {
	s.t.Helper()
	e, err := stanza.Parse([]byte(xml), stanza.Limits{})
	if err != nil {
		s.t.Fatalf("%s: %v", xml, err)
	}
	taken := s.opt.Handler(e)
	synctest.Wait()
	return taken
}

// event gives what the session tells next, which has to be of that kind.
func (s *stage) event(want Kind) Event {
	s.t.Helper()
	select {
	case e, ok := <-s.s.Events():
		if ok && comingOrGoing(e) {
			return s.event(want)
		}
		if !ok || e.Kind != want {
			s.t.Fatalf("tells %d %+v (open: %v), want kind %d", e.Kind, e, ok, want)
		}
		s.ended = e.Kind == Over
		return e
	case <-time.After(100 * time.Hour):
		s.t.Fatalf("tells nothing, want kind %d", want)
		return Event{}
	}
}

// over wants the end, for that reason.
func (s *stage) over(want cause.Code) cause.Cause {
	s.t.Helper()
	e := s.event(Over)
	if e.Cause.Code != want {
		s.t.Errorf("ends because of %v (%s), want %v", e.Cause.Code, e.Cause, want)
	}
	if _, open := <-s.s.Events(); open {
		s.t.Error("something follows the end")
	}
	return e.Cause
}
