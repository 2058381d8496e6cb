package xmpp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/stanza"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestDialRequestClose(t *testing.T) {
	got := make(chan *stanza.Elem, 8)
	o, _ := serve(t, func(s *server) {
		if !s.login() {
			return
		}
		q := s.hear()
		s.say("<message from='a@b/T・☎'><body>hi</body></message><iq type='result' id='%s' from='%s'><query xmlns='x'/></iq>", q.Get("id"), q.Get("to"))
		s.rest()
	})
	o.Handler = func(e *stanza.Elem) bool { got <- e; return true }
	c := dial(t, o)
	if c.JID().String() != fullJID {
		t.Errorf("bound %v", c.JID())
	}
	ctx := within(t)
	ask := iq("get", "focus.example.org", "x", "query")
	r, err := c.Request(ctx, ask)
	if err != nil || !r.Kids[0].Is("x", "query") || ask.Has("id") {
		t.Errorf("answer %v, %v; asked %v", r, err, ask)
	}
	if m := <-got; m.Kid("", "body").Text != "hi" {
		t.Errorf("handler got %v", m)
	}
	if err := c.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if !errors.Is(c.Err(), ErrClosed) || !errors.Is(c.Send(ask), ErrClosed) {
		t.Errorf("after close: %v", c.Err())
	}
	<-c.Done()
	if _, err := c.Request(ctx, ask); !errors.Is(err, ErrClosed) {
		t.Errorf("request after close: %v", err)
	}
}

func TestRequestInsideHandler(t *testing.T) {
	o, _ := serve(t, func(s *server) {
		s.login()
		s.say("<iq type='set' id='a=/+' from='room@muc/focus'><dial xmlns='d'/></iq>")
		q := s.hear()
		s.say("<iq type='result' id='%s' from='%s'/>", q.Get("id"), q.Get("to"))
		if r := s.hear(); r.Get("id") != "a=/+" || r.Get("type") != "result" || r.Get("to") != "room@muc/focus" || r.Kid("d", "ref") == nil {
			t.Errorf("answered %v", r)
		}
		s.rest()
	})
	conn := make(chan *Conn, 1)
	handled := make(chan error, 1)
	o.Handler = func(e *stanza.Elem) bool {
		c := <-conn
		if _, err := c.Request(context.Background(), iq("get", "x.org", "q", "query")); err != nil {
			handled <- err
			return true
		}
		handled <- c.Reply(e, stanza.New("d", "ref"))
		return true
	}
	c := dial(t, o)
	conn <- c
	if err := <-handled; err != nil {
		t.Error(err)
	}
	_ = c.Close(within(t))
}

func TestAnswersKeepTheirPlace(t *testing.T) {
	const before = 50
	o, _ := serve(t, func(s *server) {
		s.login()
		q := s.hear()
		s.say("%s<iq type='result' id='%s' from='%s'/>", strings.Repeat("<message/>", before), q.Get("id"), q.Get("to"))
		s.rest()
	})
	var handled atomic.Int64
	o.Ordered, o.Handler = true, func(*stanza.Elem) bool {
		<-time.After(time.Millisecond)
		handled.Add(1)
		return true
	}
	c := dial(t, o)
	if _, err := c.Request(within(t), iq("get", "x.org", "q", "query")); err != nil || handled.Load() != before {
		t.Errorf("%v; the answer came after %d of %d stanzas were handled", err, handled.Load(), before)
	}
	_ = c.Close(within(t))
}

// TestT03_AnswersOnlyFromTheAsked: other senders, late and second answers are not taken.
func TestT03_AnswersOnlyFromTheAsked(t *testing.T) {
	for _, tt := range []struct {
		to       string
		stranger []string // their answers must not count
		right    string
	}{
		{"focus@auth.example.org/focus", []string{"", "guest@example.org/x", "focus@auth.example.org", "focus@auth.example.org/Focus", "auth.example.org", "focus@auth.example.org/focus2"}, "Focus@AUTH.example.org/focus"},
		{"room@muc.example.org/focus", []string{"", "room@muc.example.org/guest", "room@muc.example.org", "room2@muc.example.org/focus"}, "room@muc.example.org/focus"},
		{"muc.example.org", []string{"", "room@muc.example.org", "guest@example.org/muc.example.org", "auth.example.org"}, "muc.example.org"},
		{domain, []string{"guest@" + domain, fullJID}, ""},
		{domain, []string{"example.org"}, domain},
		{"", []string{"guest@" + domain + "/x", "example.org"}, ""},
		{"", []string{"jigasi@" + domain + "/r2"}, "jigasi@" + domain},
	} {
		o, _ := serve(t, func(s *server) {
			s.login()
			q := s.hear()
			id := q.Get("id")
			for _, from := range tt.stranger {
				f := " from='" + from + "'"
				if from == "" {
					f = ""
				}
				s.say("<iq type='result' id='%s'%s><forged/></iq><iq type='error' id='%s'%s><error type='cancel'/></iq>", id, f, id, f)
			}
			s.say("<iq xmlns:e='urn:evil' type='result' id='%s' e:from='%s' from='evil@x'><forged/></iq>", id, tt.right)
			f := " from='" + tt.right + "'"
			if tt.right == "" {
				f = ""
			}
			s.say("<iq type='result' id='wrong'%s><forged/></iq>", f)
			s.say("<iq type='result' id='%s'%s><right/></iq><iq type='result' id='%s'%s><second/></iq>", id, f, id, f)
			s.rest()
		})
		o.Handler = func(e *stanza.Elem) bool { t.Errorf("handler got %v", e); return false }
		c := dial(t, o)
		r, err := c.Request(within(t), iq("get", tt.to, "x", "query"))
		if err != nil || r.Kid("", "right") == nil {
			t.Errorf("to %q: %v, %v", tt.to, r, err)
		}
		_ = c.Close(within(t))
		if n, want := c.Stats().Strays, int64(2*len(tt.stranger)+3); n != want {
			t.Errorf("to %q: %d strays counted, want %d", tt.to, n, want)
		}
	}
}

func TestT03_LateAnswer(t *testing.T) {
	late := make(chan struct{})
	o, _ := serve(t, func(s *server) {
		s.login()
		q := s.hear()
		<-late
		s.say("<iq type='result' id='%s' from='%s'/>", q.Get("id"), q.Get("to"))
		s.rest()
	})
	c := dial(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Request(ctx, iq("get", "x.org", "x", "query")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(late)
	_ = c.Close(within(t))
	if c.Stats().Strays != 1 || len(c.pending) != 0 {
		t.Errorf("%+v, %d pending", c.Stats(), len(c.pending))
	}
}

func TestErrorAnswer(t *testing.T) {
	o, _ := serve(t, func(s *server) {
		s.login()
		q := s.hear()
		s.say("<iq type='error' id='%s' from='%s'><error type='cancel'><not-acceptable xmlns='%s'/><text xmlns='%s'>no</text><session-invalid xmlns='f'/></error></iq>",
			q.Get("id"), q.Get("to"), nsStanzas, nsStanzas)
		s.rest()
	})
	c := dial(t, o)
	_, err := c.Request(within(t), iq("set", "focus.x", "f", "conference"))
	e, _ := errors.AsType[*Error](err)
	if e == nil || e.Type != "cancel" || e.Condition != "not-acceptable" || e.Text != "no" || !e.AppSpecific.Is("f", "session-invalid") {
		t.Errorf("%#v", err)
	}
	if e.Error() != "cancel/not-acceptable: no" {
		t.Error(e.Error())
	}
}

// TestT02_NoContentEndsTheSession: whatever stands in an address or a body is passed on,
// and what cannot be taken is passed over.
func TestT02_NoContentEndsTheSession(t *testing.T) {
	var in []string
	const block = 64
	for r := rune(0x20); r < 0x20000; r += block { // planes 0 and 1
		var nick strings.Builder
		for c := r; c < r+block; c++ {
			if c < 0xD800 || c > 0xDFFF && c != 0xFFFE && c != 0xFFFF && c != 0x1FFFE && c != 0x1FFFF {
				fmt.Fprintf(&nick, "&#x%x;", c)
			}
		}
		in = append(in, "<presence from='room@muc/"+nick.String()+"'/>")
	}
	for _, nick := range []string{"a·b", "Tanaka・Taro", "ㄱ", "ᄀ", "ـ", "١۱", "͵a", "👩‍👩‍👧", strings.Repeat("x", 5000), "", "/", "@", "a/b@c"} {
		in = append(in, "<presence from='room@muc/"+nick+"'/>", "<message from='"+nick+"@conference.my_host/"+nick+"' to=''/>", "<message from='"+nick+"'/>")
	}
	in = append(in,
		"<iq/>", "<iq type='get'/>", "<iq type='set' id='x'/>", "<iq type='get' id='1' from=''><a/><b/></iq>", "<iq type='x' id='y'/>",
		"<iq type='set' id='é' from='..'><x xmlns='y'/></iq>", "<iq type='result' id='none'/>", "<iq type='error'/>",
		"<presence type='error' from='x'/>", "<presence type='?'/>", "<unknown xmlns='urn:u'/>", "<message xmlns='urn:u'/>",
		"<message>"+strings.Repeat("<a>", 70)+strings.Repeat("</a>", 70)+"</message>",
		"<message"+attributes(70)+"/>", "<message><body>&#xD;&#9;&amp;<![CDATA[<!-- ]]&gt; ]]></body></message>",
		"<p:message xmlns:p='jabber:client' xmlns:q='urn:q' q:type='x'/>", "<é/>", "<message xmlns:é='urn:u'><é:é/></message>", " \t\r\n ",
	)
	o, _ := serve(t, func(s *server) {
		s.login()
		go s.rest() // what is answered
		for _, x := range in {
			if !s.say("%s", x) {
				t.Errorf("ended by %.80q", x)
				return
			}
		}
		s.say("<message id='last'/>")
	})
	last := make(chan struct{})
	var seen atomic.Int64
	o.Handler = func(e *stanza.Elem) bool {
		seen.Add(1)
		if e.Get("id") == "last" {
			close(last)
		}
		return false
	}
	c := dial(t, o)
	select {
	case <-last:
	case <-c.Done():
		t.Fatalf("ended: %v", c.Err())
	case <-time.After(20 * time.Second):
		t.Fatal("the last stanza does not come")
	}
	if st := c.Stats(); st.Oversize != 2 || seen.Load() < 2040 {
		t.Errorf("%d seen, %+v", seen.Load(), st)
	}
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d=''", i)
	}
	return b.String()
}

// TestT02_BrokenXMLEndsTheSession: and nothing but broken XML does, with a reason and without a panic.
func TestT02_BrokenXMLEndsTheSession(t *testing.T) {
	for _, x := range []string{
		"<a b=c/>", "<a b/>", "<a <b/>", "<a:b:c xmlns:a='u'/>", "<a>&#0;</a>", "<a>\xc0\xbc</a>", "<![CDATA[x]]><a/>", "<a><?x y?></a>", "<a><!-- x --></a>",
		"<a>&unknown;</a>", "<a><!DOCTYPE b></a>", "<p:a/>x", "<a></a >x", "<?xml version='1.0' encoding='UTF-16'?><a/>", "<a xmlns:e='' e:b='c'/>", "<a b='<'/>x", "<1a/>",
		"<a></b>", "<!-- x -->", "<!DOCTYPE a>", "<?pi x?>", "<a>&x;</a>", "<a b='1' b='2'/>", "<a>\xff</a>", "text", "<a><!ENTITY x 'y'></a>",
		"</stream:stream>", "<stream:error><policy-violation xmlns='" + nsStreams + "'/></stream:error>",
	} {
		o, _ := serve(t, func(s *server) { s.login(); s.say("%s", x); s.rest() })
		c := dial(t, o)
		select {
		case <-c.Done():
		case <-time.After(5 * time.Second):
			t.Errorf("%q does not end it", x)
		}
		if c.Err() == nil {
			t.Errorf("%q: no reason", x)
		}
	}
}

// TestT12_BombHitsOneStream: 100 000 nested elements end neither stream.
func TestT12_BombHitsOneStream(t *testing.T) {
	ping := func(s *server) {
		for q := s.hear(); q.Is(nsClient, "iq"); q = s.hear() {
			s.say("<iq type='result' id='%s' from='%s'/>", q.Get("id"), q.Get("to"))
		}
		s.say("</stream:stream>")
	}
	a, _ := serve(t, func(s *server) {
		s.login()
		go func() {
			s.say("%s", strings.Repeat("<a>", 100_000)+strings.Repeat("</a>", 100_000))
		}()
		ping(s)
	})
	b, _ := serve(t, func(s *server) { s.login(); ping(s) })
	for _, c := range []*Conn{dial(t, b), dial(t, a)} {
		if _, err := c.Request(within(t), iq("get", "x.org", nsPing, "ping")); err != nil {
			t.Error(err)
		}
		_ = c.Close(within(t))
	}
}

func TestBuiltinAnswers(t *testing.T) {
	caps := Caps{Node: "urn:n", Identities: []Identity{{"client", "phone", "", "gw"}}, Features: []string{"f1"}}
	for _, tt := range []struct{ ask, want string }{
		{"<iq type='get' id='1' from='x'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq xmlns='jabber:client' type='result' id='1' to='x'/>"},
		{"<iq type='get' id='&lt;=/'><query xmlns='" + nsInfo + "'/></iq>", "<iq xmlns='jabber:client' type='result' id='&lt;=/'><query xmlns='" + nsInfo + "'><identity category='client' type='phone' name='gw'/><feature var='f1'/></query></iq>"},
		{"<iq type='get' id='1'><query node='urn:n#abc' xmlns='" + nsInfo + "'/></iq>", "node='urn:n#abc'"},
		{"<iq type='get' id='1'><query node='other' xmlns='" + nsInfo + "'/></iq>", "item-not-found"},
		{"<iq type='get' id='1'><query xmlns='" + nsItems + "'/></iq>", "type='result'"},
		{"<iq type='get' id='1'><query xmlns='jabber:iq:version'/></iq>", "<name>jigasi</name><version>1</version>"},
		{"<iq type='set' id='1' from='a/b'><x xmlns='y'/></iq>", "<iq xmlns='jabber:client' type='error' id='1' to='a/b'><error type='cancel'><service-unavailable xmlns='" + nsStanzas + "'/></error></iq>"},
		{"<iq type='set' id='1'/>", "bad-request"},
	} {
		o, _ := serve(t, func(s *server) {
			s.login()
			s.say("%s", tt.ask)
			if e := s.hear(); !strings.Contains(e.String(), tt.want) {
				t.Errorf("%s\n got %v\nwant %s", tt.ask, e, tt.want)
			}
			s.rest()
		})
		o.Caps, o.Software, o.Version = func() Caps { return caps }, "jigasi", "1"
		c := dial(t, o)
		for c.Stats().Out == 0 && c.Err() == nil {
			<-time.After(time.Millisecond)
		}
		_ = c.Close(within(t))
	}
}

func TestFloodOfRequests(t *testing.T) {
	o, _ := serve(t, func(s *server) {
		s.login()
		for i := range inQueue - 1 { // as many as may wait for a slow Handler; and reads nothing
			s.say("<iq type='get' id='%d' from='evil@x'><ping xmlns='urn:xmpp:ping'/></iq>", i)
		}
		s.say("<message/>")
		s.rest()
	})
	through := make(chan struct{})
	o.Handler = func(*stanza.Elem) bool { close(through); return true }
	c := dial(t, o)
	select {
	case <-through:
	case <-c.Done():
		t.Fatal(c.Err())
	}
	if err := c.Send(stanza.New("", "presence")); err != nil || c.Stats().Unanswered == 0 {
		t.Errorf("%v, %+v", err, c.Stats())
	}
}

func TestQueuesAreBounded(t *testing.T) {
	t.Run("out", func(t *testing.T) {
		o, _ := serve(t, func(s *server) { s.login() })
		c := dial(t, o)
		var err error
		for i := 0; i < 2*outQueue && err == nil; i++ {
			err = c.Send(stanza.New("", "presence"))
		}
		if !errors.Is(err, ErrSlow) {
			t.Error(err)
		}
	})
	t.Run("in", func(t *testing.T) {
		o, _ := serve(t, func(s *server) {
			s.login()
			for s.say("%s", strings.Repeat("<message/>", 100)) {
			}
		})
		stop := make(chan struct{})
		o.Handler = func(*stanza.Elem) bool { <-stop; return true }
		c := dial(t, o)
		<-c.ctx.Done()
		close(stop)
		if !errors.Is(c.Err(), ErrSlow) {
			t.Error(c.Err())
		}
	})
}

func TestPanicInHandler(t *testing.T) {
	o, _ := serve(t, func(s *server) { s.login(); s.say("<message/>"); s.rest() })
	o.Handler = func(*stanza.Elem) bool { panic("x") }
	c := dial(t, o)
	<-c.Done()
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Error(err)
	}
}
