package xmppd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"jigasi/internal/stanza"
)

const nsSM = "urn:xmpp:sm:3"

// managed is what XEP-0198 has a server remember of a session.
type managed struct {
	smu     sync.Mutex // guards conn, too
	id      string     // "" is not managed
	in      int        // stanzas that came
	sent    int
	unacked [][]byte
	take    chan taken
}

// taken is another connection for a session.
type taken struct {
	conn net.Conn
	r    *stanza.Reader
	h    int
}

// errTaken ends a client whose connection goes on under another one.
var errTaken = errors.New("the session was resumed")

// cut closes the connection.
func (c *client) cut() {
	c.smu.Lock()
	defer c.smu.Unlock()
	_ = c.conn.Close()
}

// put writes a stanza, and keeps it where it may have to be said again.
func (c *client) put(b []byte) bool {
	c.smu.Lock()
	defer c.smu.Unlock()
	if c.id != "" {
		c.unacked = append(c.unacked, b)
		c.sent++
	}
	_, err := c.conn.Write(b)
	return err == nil || c.id != ""
}

// manage takes what is not a stanza, and counts those that are.
func (c *client) manage(e *stanza.Elem) bool {
	c.smu.Lock()
	defer c.smu.Unlock()
	switch {
	case e.Is(nsSM, "enable") && c.s.opt.Hold > 0:
		c.id, c.take = c.s.ID(), make(chan taken)
		_, _ = fmt.Fprintf(c.conn, `<enabled xmlns='%s' id='%s' resume='true'/>`, nsSM, c.id)
	case e.Is(nsSM, "r"):
		_, _ = fmt.Fprintf(c.conn, `<a xmlns='%s' h='%d'/>`, nsSM, c.in)
	case e.Is(nsSM, "a"):
		h, _ := strconv.Atoi(e.Get("h"))
		c.confirmed(h)
	default:
		c.in++
		return false
	}
	return true
}

// confirmed is called with smu held.
func (c *client) confirmed(h int) {
	if n := h - (c.sent - len(c.unacked)); n > 0 && n <= len(c.unacked) {
		c.unacked = c.unacked[n:]
	}
}

// resume hands the connection to the client that has the session.
func (c *client) resume(e *stanza.Elem, r *stanza.Reader) error {
	h, _ := strconv.Atoi(e.Get("h"))
	c.s.mu.Lock()
	var old *client
	for _, other := range c.s.clients {
		other.smu.Lock()
		if other.id != "" && other.id == e.Get("previd") {
			old = other
		}
		other.smu.Unlock()
	}
	c.s.mu.Unlock()
	if old != nil {
		old.cut() // it may not know yet that its own is lost
		select {
		case old.take <- taken{c.conn, r, h}:
			return errTaken
		case <-time.After(5 * time.Second):
		case <-c.s.quit:
		}
	}
	_, _ = fmt.Fprintf(c.conn, `<failed xmlns='%s'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`, nsSM)
	return errors.New("no such session")
}

// hold waits for another connection when one is lost, and goes on by it.
func (c *client) hold(err error) {
	for c.id != "" && !errors.Is(err, io.EOF) {
		limit := time.NewTimer(c.s.opt.Hold)
		select {
		case next := <-c.take:
			limit.Stop()
			c.smu.Lock()
			c.conn = next.conn
			c.confirmed(next.h)
			_, _ = fmt.Fprintf(c.conn, `<resumed xmlns='%s' previd='%s' h='%d'/>`, nsSM, c.id, c.in)
			for _, b := range c.unacked {
				_, _ = c.conn.Write(b) // a dead one shows by itself
			}
			c.smu.Unlock()
			err = c.listen(next.r)
		case <-limit.C:
			return
		case <-c.s.quit:
			limit.Stop()
			return
		}
	}
}
