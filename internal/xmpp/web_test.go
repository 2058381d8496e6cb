package xmpp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/stanza"

	"github.com/coder/websocket"
)

// script answers elements as a small server does, for the transports over HTTP.
type script struct {
	mu       sync.Mutex
	loggedIn bool
	got      []string
}

// features are what follows the start of a stream.
func (s *script) features() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	inner := "<mechanisms xmlns='" + nsSASL + "'><mechanism>ANONYMOUS</mechanism></mechanisms>"
	if s.loggedIn {
		inner = "<bind xmlns='" + nsBind + "'/>"
	}
	return "<stream:features xmlns:stream='" + nsStream + "'>" + inner + "</stream:features>"
}

func (s *script) answer(e *stanza.Elem) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, e.Name.Local)
	switch {
	case e.Is(nsSASL, "auth"):
		s.loggedIn = true
		return "<success xmlns='" + nsSASL + "'/>"
	case e.Kid(nsBind, "bind") != nil:
		return fmt.Sprintf("<iq xmlns='%s' type='result' id='%s'><bind xmlns='%s'><jid>%s</jid></bind></iq>", nsClient, e.Get("id"), nsBind, fullJID)
	case e.Is(nsClient, "iq"):
		return fmt.Sprintf("<iq xmlns='%s' type='result' id='%s' from='%s'/>", nsClient, e.Get("id"), e.Get("to"))
	}
	return ""
}

func (s *script) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, " ")
}

func (s *script) websocket(t *testing.T, after string) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("room") != "myroom" {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"xmpp"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.CloseNow() }()
		say := func(x string) { _ = c.Write(r.Context(), websocket.MessageText, []byte(x)) }
		for {
			_, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			e, err := stanza.Parse(b, stanza.Limits{})
			switch {
			case err != nil:
				t.Errorf("client sends %q: %v", b, err)
			case e.Is(nsFraming, "open"):
				say("<open xmlns='" + nsFraming + "' from='" + domain + "'/>")
				say(s.features())
			case e.Is(nsFraming, "close"):
				say("<close xmlns='" + nsFraming + "'/>")
			default:
				if x := s.answer(e); x != "" {
					say(x)
				}
				if e.Is(nsClient, "presence") {
					say(after)
				}
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

// A boshServer holds one request until there is something to say.
type boshServer struct {
	*script
	t    *testing.T
	mu   sync.Mutex
	turn *sync.Cond
	rid  uint64
	held chan string // the answer to the request that waits
	fail int         // answers that are lost on the way
	last string
}

func (b *boshServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	rd := stanza.NewReader(bytes.NewReader(raw), stanza.Limits{})
	body, err := rd.Header()
	if err != nil || !body.Is(nsBody, "body") {
		b.t.Errorf("client sends %q", raw)
		return
	}
	rid, _ := strconv.ParseUint(body.Get("rid"), 10, 64)
	b.mu.Lock()
	if b.turn == nil {
		b.turn = sync.NewCond(&b.mu)
	}
	for b.rid != 0 && rid > b.rid+1 { // two requests may overtake each other
		b.turn.Wait()
	}
	if rid == b.rid { // sent again: answered again
		again := b.last
		b.mu.Unlock()
		_, _ = io.WriteString(w, again)
		return
	}
	b.rid = rid
	b.turn.Broadcast()
	var say string
	attrs := ""
	switch {
	case !body.Has("sid"):
		attrs, say = " sid='s&lt;1' wait='60' hold='1' requests='2'", b.features()
	case body.Get("sid") != "s<1":
		b.t.Errorf("sid %q", body.Get("sid"))
	case strings.Contains(string(raw), "xmpp:restart='true'"):
		say = b.features()
	}
	for e, err := rd.Next(); err == nil; e, err = rd.Next() {
		say += b.answer(e)
	}
	if body.Get("type") == "terminate" {
		attrs = " type='terminate'"
	}
	answer := func(x string) string {
		return "<body xmlns='" + nsBody + "'" + attrs + ">" + x + "</body>"
	}
	if b.held != nil { // a second request frees the first
		b.held <- "<body xmlns='" + nsBody + "'/>"
		b.held = nil
	}
	if say == "" && attrs == "" {
		b.hold(w, r)
		return
	}
	b.last = answer(say)
	lose := b.fail > 0 && b.heard() != ""
	if lose {
		b.fail--
	}
	b.mu.Unlock()
	if lose {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, answer(say))
}

// hold lets the request wait for the next one. It unlocks b.mu.
func (b *boshServer) hold(w http.ResponseWriter, r *http.Request) {
	wait := make(chan string, 1)
	b.held = wait
	b.mu.Unlock()
	select {
	case x := <-wait:
		_, _ = io.WriteString(w, x)
	case <-r.Context().Done():
	}
}

func TestWebTransports(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  func(t *testing.T, s *script) Options
	}{
		{"websocket", func(t *testing.T, s *script) Options {
			return Options{Transport: WebSocket, URL: "ws" + strings.TrimPrefix(s.websocket(t, "<x xmlns='y'/>").URL, "http") + "/?room=myroom"}
		}},
		{"bosh", func(t *testing.T, s *script) Options {
			srv := httptest.NewServer(&boshServer{script: s, t: t})
			t.Cleanup(srv.Close)
			return Options{Transport: BOSH, URL: srv.URL}
		}},
		{"bosh, answers lost", func(t *testing.T, s *script) Options {
			srv := httptest.NewServer(&boshServer{script: s, t: t, fail: 1})
			t.Cleanup(srv.Close)
			return Options{Transport: BOSH, URL: srv.URL}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{}
			o := tt.opt(t, s)
			o.Domain, o.Anonymous, o.AllowPlain, o.Timeout = domain, true, true, 5*time.Second
			c := dial(t, o)
			if c.JID().String() != fullJID {
				t.Error(c.JID())
			}
			for range 3 {
				if _, err := c.Request(within(t), iq("get", "x.org", "x", "query")); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 {
				_ = c.Send(stanza.New("", "message", "to", "a@b").Add(stanza.New("", "body").WithText("x")))
			}
			if err := c.Close(within(t)); err != nil {
				t.Error(err)
			}
			if want := "auth iq iq iq iq" + strings.Repeat(" message", 20); s.heard() != want {
				t.Errorf("server heard %q", s.heard())
			}
		})
	}
}

// TestT12_WebSocketBomb: a message that is too deep is passed over, one that is too long ends it.
func TestT12_WebSocketBomb(t *testing.T) {
	for _, tt := range []struct {
		bomb    string
		survive bool
	}{
		{strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000), true},
		{"<a>" + strings.Repeat("x", 2<<20) + "</a>", true},
		{"<a>" + strings.Repeat("x", 9<<20) + "</a>", false},
		{"", true},
		{"<a/><b/>", false},
		{"<a>", false},
	} {
		s := &script{}
		srv := s.websocket(t, tt.bomb)
		c := dial(t, Options{Domain: domain, Anonymous: true, AllowPlain: true, Transport: WebSocket, URL: "ws" + srv.URL[4:] + "/?room=myroom"})
		_ = c.Send(stanza.New("", "presence"))
		_, err := c.Request(within(t), iq("get", "x.org", "x", "query"))
		if (err == nil) != tt.survive {
			t.Errorf("%.10q: %v", tt.bomb, err)
		}
		_ = c.Close(within(t))
	}
}

func TestWebRefusals(t *testing.T) {
	answers := map[string]string{
		"/terminate": "<body xmlns='" + nsBody + "' type='terminate' condition='host-unknown'/>",
		"/end":       "<body xmlns='" + nsBody + "' type='terminate'/>",
		"/nosid":     "<body xmlns='" + nsBody + "'/>",
		"/html":      "<html><body>no</body></html>",
		"/broken":    "<body xmlns='" + nsBody + "' sid='1'><a></body>",
		"/empty":     "",
		"/bomb":      "<body xmlns='" + nsBody + "' sid='1'>" + strings.Repeat(" ", 9<<20) + "</body>",
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/terminate", http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.WriteString(w, answers[r.URL.Path])
	}))
	defer srv.Close()
	for path, want := range map[string]error{
		"/terminate": &StreamError{}, "/end": ErrClosed, "/nosid": ErrProtocol, "/html": ErrProtocol, "/broken": stanza.ErrMalformed,
		"/empty": ErrClosed, "/bomb": &stanza.LimitError{}, "/redirect": httpError{},
	} {
		_, err := Dial(context.Background(), Options{Domain: domain, Anonymous: true, AllowPlain: true, Transport: BOSH, URL: srv.URL + path, Timeout: 5 * time.Second})
		var ok bool
		switch want.(type) {
		case *StreamError:
			_, ok = errors.AsType[*StreamError](err)
		case *stanza.LimitError:
			_, ok = errors.AsType[*stanza.LimitError](err)
		case httpError:
			_, ok = errors.AsType[httpError](err)
		default:
			ok = errors.Is(err, want)
		}
		if !ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := Dial(context.Background(), Options{Domain: domain, Anonymous: true, AllowPlain: true, Transport: WebSocket, URL: "ws" + srv.URL[4:] + "/html"})
	if err == nil {
		t.Error("WebSocket to a web page")
	}
}

// TestT04_WebTLS: the certificate of a web transport is checked against the URL's host.
func TestT04_WebTLS(t *testing.T) {
	var asked bool
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	for _, o := range []Options{
		{Transport: BOSH, URL: srv.URL}, {Transport: WebSocket, URL: "wss" + srv.URL[5:]},
	} {
		o.Domain, o.Anonymous, o.Timeout = domain, true, 5*time.Second
		if _, err := Dial(context.Background(), o); err == nil || asked {
			t.Errorf("%s: %v", o.Transport, err)
		}
	}
}
