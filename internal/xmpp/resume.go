package xmpp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

const (
	nsSM = "urn:xmpp:sm:3"

	resumeLimit = 20 * time.Second       // from the loss of a stream to another one in its place
	resumePause = 500 * time.Millisecond // between two tries
	maxUnacked  = outQueue               // stanzas that the server has not confirmed
	askEvery    = 8                      // stanzas between two questions how many have come
)

// managed is a stream under XEP-0198: when its connection is lost, another one goes on with the same session, and what the
// server has not seen is sent again. Its reader does that; who writes meanwhile is kept waiting by nobody, up to maxUnacked.
type managed struct {
	o      *Options
	ctx    context.Context // done when nothing is to be resumed any more
	cancel context.CancelFunc

	back func() // told when another connection is there, by the reader

	heard uint32 // stanzas that came; of the reader

	s atomic.Pointer[stream] // the latest: whoever drops it waits for nobody

	again   sync.WaitGroup // what is sent again
	writing sync.Mutex     // held while something is written in its order; before mu

	mu      sync.Mutex // held for moments
	away    bool       // it is lost
	off     bool       // the server does not want to manage the session
	id      string     // of the session; "" cannot be resumed
	sent    uint32     // stanzas of ours
	unacked [][]byte
}

// manage asks for the session of a bound stream to be resumable.
func manage(o *Options, s stream) (*managed, error) {
	m := &managed{o: o}
	m.s.Store(&s)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, s.write(s.appendTo(nil, stanza.New(nsSM, "enable", "resume", "true", "max", strconv.Itoa(int(resumeLimit/time.Second)))))
}

func (m *managed) current() stream { return *m.s.Load() }

func (m *managed) open(domain string) error                 { return m.current().open(domain) }
func (m *managed) appendTo(b []byte, e *stanza.Elem) []byte { return m.current().appendTo(b, e) }
func (m *managed) encrypted() bool                          { return m.current().encrypted() }

// end tells the server that the session is over, so that it does not wait for another connection.
func (m *managed) end(ctx context.Context) error {
	m.cancel()
	return m.current().end(ctx)
}

func (m *managed) drop() {
	m.cancel()
	m.current().drop()
}

// write sends a stanza, or keeps it for the connection that comes.
func (m *managed) write(b []byte) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	ask, away, err := m.keep(b)
	if away || err != nil {
		return err
	}
	s := m.current()
	if err = s.write(b); err == nil && ask {
		err = s.write(s.appendTo(nil, stanza.New(nsSM, "r")))
	}
	if err == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id == "" {
		return err
	}
	m.away = true
	s.drop() // the reader sees to it
	return nil
}

// keep notes a stanza until the server confirms it, and reports whether to ask for that.
func (m *managed) keep(b []byte) (ask, away bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return false, false, nil
	}
	if len(m.unacked) >= maxUnacked {
		return false, false, fmt.Errorf("%w: %d stanzas are not confirmed", ErrSlow, maxUnacked)
	}
	m.unacked = append(m.unacked, b)
	m.sent++
	return m.sent%askEvery == 0, m.away, nil
}

// read gives the next stanza, of whatever connection.
func (m *managed) read() (*stanza.Elem, int, error) {
	for {
		s := m.current()
		e, n, err := s.read()
		if lim, ok := errors.AsType[*stanza.LimitError](err); ok && lim.Skipped {
			m.heard++
			return e, n, err
		}
		if err != nil {
			if !m.resume(err) {
				m.again.Wait()
				return nil, n, err
			}
			continue
		}
		switch {
		case e.Is(nsSM, "enabled"):
			m.enabled(e)
		case e.Is(nsSM, "failed"): // it has the feature and does not want it now
			m.enabled(nil)
		case e.Is(nsSM, "r"):
			_ = s.write(s.appendTo(nil, stanza.New(nsSM, "a", "h", strconv.FormatUint(uint64(m.heard), 10)))) // a dead connection shows by itself
		case e.Is(nsSM, "a"):
			m.confirmed(e)
		case e.Name.Space == nsClient:
			m.heard++
			return e, n, nil
		default:
			return e, n, nil
		}
	}
}

func (m *managed) enabled(e *stanza.Elem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = 0
	if r := e.Get("resume"); r == "true" || r == "1" {
		m.id = e.Get("id")
	}
	if m.id == "" {
		m.off, m.unacked = true, nil
	}
}

// confirmed forgets what the server says has come.
func (m *managed) confirmed(e *stanza.Elem) {
	h, err := strconv.ParseUint(e.Get("h"), 10, 32)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(uint32(h))
}

// forget is called with mu held. What was never sent cannot have come.
func (m *managed) forget(h uint32) {
	first := m.sent - uint32(len(m.unacked))
	if n := h - first; n <= uint32(len(m.unacked)) {
		clear(m.unacked[:n])
		m.unacked = m.unacked[n:]
	}
}

// resume takes another connection in place of one that is lost, and reports whether the session goes on.
func (m *managed) resume(why error) bool {
	m.mu.Lock()
	id := m.id
	m.away = true
	m.current().drop()
	m.mu.Unlock()
	if id == "" || m.ctx.Err() != nil || errors.Is(why, stanza.ErrMalformed) || errors.Is(why, ErrProtocol) {
		return false
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, resumeLimit)
	defer cancel()
	for {
		s, h, err := resumed(ctx, m.o, id, m.heard)
		switch {
		case err == nil:
			m.goOn(s, h)
			m.back()
			m.o.Log.Info("the XMPP session goes on by another connection", "after_ms", time.Since(began).Milliseconds(), xlog.Err, why)
			return true
		case errors.Is(err, errNoSession):
			m.o.Log.Debug("the XMPP session is gone", xlog.Err, err)
			return false
		}
		if _, refused := errors.AsType[*AuthError](err); refused {
			return false
		}
		select {
		case <-time.After(resumePause):
		case <-ctx.Done():
			return false
		}
	}
}

// goOn sends again what the server has not seen, beside the reader. Nobody else writes meanwhile.
func (m *managed) goOn(s stream, h uint32) {
	m.writing.Lock()
	m.mu.Lock()
	m.s.Store(&s)
	m.forget(h)
	again := slices.Clone(m.unacked)
	m.away = false
	m.mu.Unlock()
	if m.ctx.Err() != nil { // dropped before it was there
		s.drop()
	}
	m.again.Go(func() {
		defer m.writing.Unlock()
		for _, b := range again {
			if s.write(b) != nil {
				s.drop() // lost too: the reader sees to it
				return
			}
		}
	})
}

// renew gives up a connection that says nothing, and reports whether another one may come in its place.
func (m *managed) renew() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() == nil && m.id != "" && !m.away {
		m.away = true
		m.current().drop()
	}
	return m.ctx.Err() == nil && m.id != ""
}

// errNoSession says that the server does not know the session any more.
var errNoSession = errors.New("the session cannot be resumed")

// resumed logs in anew and asks for a session, of which so many stanzas have come; h is how many of ours the server has seen.
func resumed(ctx context.Context, o *Options, id string, heard uint32) (s stream, h uint32, err error) {
	if s, err = connect(ctx, o); err != nil {
		return nil, 0, err
	}
	d := &dialer{ctx: ctx, o: o, s: s, resume: stanza.New(nsSM, "resume", "previd", id, "h", strconv.FormatUint(uint64(heard), 10))}
	stop := context.AfterFunc(ctx, s.drop)
	err = d.negotiate()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.drop()
		return nil, 0, err
	}
	return s, d.seen, nil
}

// again asks for the session.
func (d *dialer) again() error {
	if err := d.send(d.resume); err != nil {
		return err
	}
	e, err := d.read()
	if err != nil {
		return err
	}
	h, err := strconv.ParseUint(e.Get("h"), 10, 32)
	if !e.Is(nsSM, "resumed") || err != nil {
		return errNoSession
	}
	d.seen = uint32(h)
	return nil
}
