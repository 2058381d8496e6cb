package xmpp

import (
	"context"
	"errors"
	"testing"
	"time"

	"jigasi/internal/stanza"
)

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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
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
	select {
	case <-c.Done():
	default:
		t.Error("not done")
	}
	if _, err := c.Request(ctx, ask); !errors.Is(err, ErrClosed) {
		t.Errorf("request after close: %v", err)
	}
}
