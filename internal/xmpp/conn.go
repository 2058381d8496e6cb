package xmpp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

const (
	outQueue = 256  // stanzas waiting to be written; each call has a queue
	inQueue  = 2048 // stanzas waiting for the Handler
	inBytes  = 16 << 20

	pingLimit  = 10 * time.Second
	closeLimit = 2 * time.Second // for the server's goodbye
)

// A Conn is a bound connection. Its methods are safe for concurrent use.
type Conn struct {
	o   *Options
	s   stream
	jid stanza.JID

	ctx     context.Context // done as soon as the connection is of no use; its cause is why
	cancel  context.CancelCauseFunc
	closing chan struct{} // closed by Close: write what is queued, then say goodbye
	once    sync.Once
	ended   chan struct{} // closed by the reader
	done    chan struct{} // closed after the last stanza was handled
	running sync.WaitGroup

	out    chan []byte
	in     chan *inbound // of pointers: each call has this queue, and it is empty nearly always
	waits  atomic.Int64  // bytes in in
	seen   atomic.Int64  // when the server was last heard, in ns since began
	began  time.Time
	counts counters
	large  xlog.Sometimes

	mu      sync.Mutex
	pending map[string]*waiter // nil when the connection is over
}

type inbound struct {
	e    *stanza.Elem
	size int
	err  error   // from a BOSH stream's loop
	to   *waiter // whom the answer e is for, where answers keep their place among stanzas
}

type counters struct{ in, out, strays, oversize, malformed, unanswered atomic.Int64 }

// Stats count stanzas since the connection began.
type Stats struct {
	In, Out    int64
	Strays     int64 // answers nobody asked for, or from somebody else
	Oversize   int64 // larger than the limits, passed over
	Malformed  int64 // IQs without id or of no type
	Unanswered int64 // requests left without an answer, because too much waited already
}

// start makes a Conn of a stream that is bound.
func start(o *Options, s stream, jid stanza.JID) *Conn {
	c := &Conn{
		o: o, s: s, jid: jid,
		closing: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{}),
		out: make(chan []byte, outQueue), in: make(chan *inbound, inQueue),
		began: time.Now(), pending: map[string]*waiter{},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if m, ok := s.(*managed); ok {
		m.back = c.alive
	}
	c.running.Go(c.read)
	c.running.Go(c.handle)
	c.running.Go(c.write)
	return c
}

// JID is the full address that the server has bound.
func (c *Conn) JID() stanza.JID { return c.jid }

// Done is closed when the connection has ended and its last stanza was handled.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended, or nil while it lives. After Close it is ErrClosed.
func (c *Conn) Err() error { return context.Cause(c.ctx) }

// Stats counts.
func (c *Conn) Stats() Stats {
	n := &c.counts
	return Stats{
		In: n.in.Load(), Out: n.out.Load(), Strays: n.strays.Load(), Oversize: n.oversize.Load(),
		Malformed: n.malformed.Load(), Unanswered: n.unanswered.Load(),
	}
}

// Send queues e, which is encoded before Send returns. It does not block: a
// server that takes nothing ends the connection.
func (c *Conn) Send(e *stanza.Elem) error {
	select {
	case <-c.ctx.Done():
		return c.Err()
	case <-c.closing:
		return ErrClosed
	default:
	}
	select {
	case c.out <- c.s.appendTo(nil, e):
		return nil
	default:
		c.fail(fmt.Errorf("%w: %d stanzas wait for the server", ErrSlow, outQueue))
		return c.Err()
	}
}

// Close writes what is queued, says goodbye and waits until all is over. It
// waits at most until ctx is done, and 2 s, for the server's goodbye.
// It must not be called by the Handler.
func (c *Conn) Close(ctx context.Context) error {
	c.once.Do(func() { close(c.closing) })
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	select {
	case <-c.ended:
	case <-ctx.Done():
	}
	c.fail(ErrClosed)
	c.running.Wait()
	if err := c.Err(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// fail ends the connection; the first reason stays.
func (c *Conn) fail(err error) {
	c.cancel(err)
	c.s.drop()
}

// read passes stanzas on and answers to those who wait. It never waits for the
// Handler, so that a Request inside it is answered.
func (c *Conn) read() {
	defer close(c.in)
	defer c.forget()
	defer close(c.ended)
	defer cause.Recover(c.broke)
	for {
		e, size, err := c.s.read()
		c.alive()
		if lim, ok := errors.AsType[*stanza.LimitError](err); ok && lim.Skipped {
			c.counts.oversize.Add(1)
			c.o.Counts.Oversize.Add(1)
			c.large.Do(time.Now(), func(skipped int64) {
				c.o.Log.Warn("stanza passed over: too large", "limit", lim.What, "more", skipped)
			})
			continue
		}
		if err == nil {
			err = streamError(e)
		}
		if err != nil {
			if unreadable(err) {
				c.o.Counts.Broken.Add(1)
			}
			c.fail(ended(err))
			return
		}
		c.counts.in.Add(1)
		if c.route(e) {
			continue
		}
		if c.waits.Add(int64(size)) > inBytes || !c.queue(&inbound{e: e, size: size}) {
			c.o.Counts.Broken.Add(1)
			c.fail(fmt.Errorf("%w: %d stanzas wait for the handler", ErrSlow, len(c.in)))
			return
		}
	}
}

// alive notes that the server was heard.
func (c *Conn) alive() { c.seen.Store(int64(time.Since(c.began))) }

// unreadable reports an end that what was sent has brought about, and not the network.
func unreadable(err error) bool {
	if _, ok := errors.AsType[*stanza.LimitError](err); ok {
		return true
	}
	return errors.Is(err, ErrProtocol) || errors.Is(err, stanza.ErrMalformed) || errors.Is(err, stanza.ErrRestricted)
}

func (c *Conn) queue(in *inbound) bool {
	select {
	case c.in <- in:
		return true
	default:
		return false
	}
}

// handle runs the Handler over what was read, to the last.
func (c *Conn) handle() {
	defer close(c.done)
	for in := range c.in {
		c.waits.Add(-int64(in.size))
		if in.to != nil {
			in.to.answer <- in.e
			continue
		}
		c.serve(in.e)
	}
}

func (c *Conn) serve(e *stanza.Elem) {
	defer cause.Recover(c.broke)
	if !c.builtin(e) && !c.o.Handler(e) {
		c.decline(e)
	}
}

// broke ends a connection that met a defect of ours: it costs no other, and not the process.
func (c *Conn) broke(why cause.Cause, stack []byte) {
	c.o.Log.Error("panic on an XMPP connection", xlog.Err, why.Err, "stack", string(stack))
	c.fail(fmt.Errorf("panic on an XMPP connection: %w", why.Err))
}

// write owns the sending side and the watch over a silent server.
func (c *Conn) write() {
	defer cause.Recover(c.broke)
	var tick <-chan time.Time
	if c.o.Ping > 0 {
		t := time.NewTicker(max(min(c.o.Ping, pingLimit)/2, time.Millisecond))
		defer t.Stop()
		tick = t.C
	}
	pinged := false
	for {
		select {
		case b := <-c.out:
			c.put(b)
		case <-tick:
			pinged = c.watch(pinged)
		case <-c.closing:
			c.goodbye()
			return
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Conn) put(b []byte) {
	if err := c.s.write(b); err != nil {
		c.fail(fmt.Errorf("write: %w", err))
		return
	}
	c.counts.out.Add(1)
}

// watch pings a server that has been silent, once, and gives it up if it stays so.
func (c *Conn) watch(pinged bool) bool {
	silent := time.Since(c.began) - time.Duration(c.seen.Load())
	switch {
	case silent < c.o.Ping:
		return false
	case silent >= c.o.Ping+pingLimit:
		if m, ok := c.s.(*managed); ok && m.renew() {
			c.alive()
			return false
		}
		c.fail(fmt.Errorf("%w: silent for %v", ErrSilent, silent.Round(time.Second)))
	case !pinged:
		ping := stanza.New(nsClient, "iq", "type", "get", "to", c.o.Domain, "id", newID()).Add(stanza.New(nsPing, "ping"))
		c.put(c.s.appendTo(nil, ping))
	}
	return true
}

// goodbye writes what is queued and ends the stream.
func (c *Conn) goodbye() {
	for {
		select {
		case b := <-c.out:
			c.put(b)
			continue
		default:
		}
		break
	}
	ctx, cancel := context.WithTimeout(c.ctx, closeLimit)
	defer cancel()
	if err := c.s.end(ctx); err != nil {
		c.o.Log.Debug("XMPP goodbye", xlog.Err, err)
	}
}

// newID makes an id that nobody can guess: 130 bits.
func newID() string { return rand.Text() }
