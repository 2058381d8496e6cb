package xmpp

import (
	"context"
	"errors"
	"strings"

	"jigasi/internal/stanza"
)

// A waiter waits for the answer to one request.
type waiter struct {
	to     stanza.JID
	answer chan *stanza.Elem // holds one
}

// Request sends an IQ of type get or set under an id of its own and waits for the
// answer, which counts only if it comes from whom was asked (RFC 6120, 8.1.2.1).
// An answer of type error is returned as *Error beside the stanza. iq is
// not changed. The Handler may call Request, unless Options.Ordered.
func (c *Conn) Request(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	w := &waiter{to: stanza.ParseJID(iq.Get("to")), answer: make(chan *stanza.Elem, 1)}
	id := newID()
	c.mu.Lock()
	if c.pending == nil {
		c.mu.Unlock()
		return nil, c.Err()
	}
	c.pending[id] = w
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}()
	sent := *iq
	sent.Attr = append(iq.Attr[:0:0], iq.Attr...)
	if err := c.Send(sent.Set("id", id)); err != nil {
		return nil, err
	}
	select {
	case e := <-w.answer:
		if e.Get("type") == "error" {
			return e, ErrorOf(e)
		}
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.ctx.Done():
		return nil, c.Err()
	}
}

// forget lets everybody who waits go.
func (c *Conn) forget() {
	c.mu.Lock()
	c.pending = nil
	c.mu.Unlock()
}

// route hands answers to those who wait and reports whether the stanza is dealt
// with. Answers that nobody asked for are dropped: whoever sent them hopes that
// somebody takes them.
func (c *Conn) route(e *stanza.Elem) bool {
	if !e.Is(nsClient, "iq") {
		return false
	}
	id := e.Get("id")
	switch e.Get("type") {
	case "result", "error":
	case "get", "set":
		if id == "" {
			c.counts.malformed.Add(1)
			c.o.Counts.Malformed.Add(1)
		}
		return id == ""
	default:
		c.counts.malformed.Add(1)
		c.o.Counts.Malformed.Add(1)
		return true
	}
	c.mu.Lock()
	w := c.pending[id]
	if w != nil && c.mayAnswer(w.to, e.Get("from")) {
		delete(c.pending, id)
		c.mu.Unlock()
		if !c.o.Ordered || !c.queue(&inbound{e: e, to: w}) {
			w.answer <- e
		}
		return true
	}
	c.mu.Unlock()
	c.counts.strays.Add(1)
	c.o.Counts.Strays.Add(1)
	return true
}

// mayAnswer reports whether a stanza from an address answers a request to an
// address. Only the server can send without an address of its own, so that is
// taken for it and for the account, which the server answers for.
func (c *Conn) mayAnswer(to stanza.JID, from string) bool {
	account := c.jid.Bare()
	if from == "" {
		return to.IsZero() || to.Equal(account) || to.Equal(stanza.JID{Domain: c.o.Domain}) || to.Equal(stanza.JID{Domain: c.jid.Domain})
	}
	f := stanza.ParseJID(from)
	if to.IsZero() {
		return f.Equal(account) || f.Equal(c.jid) || f.Equal(stanza.JID{Domain: c.jid.Domain})
	}
	return f.Equal(to)
}

// Reply answers iq with a result that holds payload, which may be nil. The id is
// given back byte for byte: a room has rewritten it and swallows any other.
func (c *Conn) Reply(iq, payload *stanza.Elem) error {
	return c.Send(answer(iq, "result").Add(payload))
}

// ReplyError answers iq with an error of a type (cancel, auth, modify, wait) and a
// condition of RFC 6120, 8.3.3. text may be empty; more are elements of other namespaces.
func (c *Conn) ReplyError(iq *stanza.Elem, typ, condition, text string, more ...*stanza.Elem) error {
	return c.Send(refusal(iq, typ, condition, text, more...))
}

func answer(iq *stanza.Elem, typ string) *stanza.Elem {
	e := stanza.New(nsClient, "iq", "type", typ, "id", iq.Get("id"))
	if from := iq.Get("from"); from != "" {
		e.Set("to", from)
	}
	return e
}

func refusal(iq *stanza.Elem, typ, condition, text string, more ...*stanza.Elem) *stanza.Elem {
	x := stanza.New("", "error", "type", typ).Add(stanza.New(nsStanzas, condition))
	if text != "" {
		x.Add(stanza.New(nsStanzas, "text").WithText(text))
	}
	return answer(iq, "error").Add(x.Add(more...))
}

// builtin answers what every entity has to answer.
func (c *Conn) builtin(e *stanza.Elem) bool {
	typ := e.Get("type")
	if !e.Is(nsClient, "iq") || typ != "get" && typ != "set" {
		return false
	}
	if len(e.Kids) != 1 {
		c.counts.malformed.Add(1)
		c.o.Counts.Malformed.Add(1)
		c.auto(refusal(e, "modify", "bad-request", ""))
		return true
	}
	q := e.Kids[0]
	switch {
	case typ != "get":
		return false
	case q.Is(nsPing, "ping"):
		c.auto(answer(e, "result"))
	case q.Is(nsInfo, "query"):
		c.info(e, q.Get("node"))
	case q.Is(nsItems, "query"):
		c.auto(answer(e, "result").Add(stanza.New(nsItems, "query")))
	case q.Is(nsVersion, "query") && c.o.Software != "":
		c.auto(answer(e, "result").Add(stanza.New(nsVersion, "query").Add(
			stanza.New("", "name").WithText(c.o.Software), stanza.New("", "version").WithText(c.o.Version))))
	default:
		return false
	}
	return true
}

func (c *Conn) info(iq *stanza.Elem, node string) {
	caps := c.o.Caps()
	if node != "" && !strings.HasPrefix(node, caps.Node+"#") {
		c.auto(refusal(iq, "cancel", "item-not-found", ""))
		return
	}
	q := caps.Info()
	if node != "" {
		q.Set("node", node)
	}
	c.auto(answer(iq, "result").Add(q))
}

// decline refuses a request that nobody knows (RFC 6120, 8.4).
func (c *Conn) decline(e *stanza.Elem) {
	if typ := e.Get("type"); e.Is(nsClient, "iq") && (typ == "get" || typ == "set") {
		c.o.Counts.Unknown.Add(1)
		c.auto(refusal(e, "cancel", "service-unavailable", ""))
	}
}

// auto sends an answer that strangers can ask for at will. It leaves half the
// queue to what the program has to say itself.
func (c *Conn) auto(e *stanza.Elem) {
	if len(c.out) > outQueue/2 {
		c.counts.unanswered.Add(1)
		c.o.Counts.Unanswered.Add(1)
		return
	}
	if err := c.Send(e); err != nil && !errors.Is(err, ErrClosed) {
		c.counts.unanswered.Add(1)
		c.o.Counts.Unanswered.Add(1)
	}
}
