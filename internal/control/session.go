package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jigasi/internal/rayo"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
	"jigasi/internal/xmpp"
)

const (
	publishEvery = 5 * time.Second
	joinLimit    = 15 * time.Second
	checkEvery   = 30 * time.Second // the room is asked whether we are in it (XEP-0410)
	checkLimit   = 10 * time.Second
	leaveLimit   = 3 * time.Second
	inQueue      = 256
)

// A session is one connection of a Brewery, owned by its goroutine.
type session struct {
	b      *Brewery
	conn   link
	ctx    context.Context // done with the connection: dials in the air are given up
	policy policy
	in     chan *stanza.Elem
	nick   string
	state  State
	why    error // why we were last put out of the room
	backs  xmpp.Backoff

	joinBy  time.Time // Joining: give up waiting for the room
	joinAt  time.Time // Joining: try again
	checkAt time.Time // Joined
	checked chan error
	failing int // checks in a row that had no answer

	sent   Stats // what the room was last told
	sentAt time.Time
	stale  bool
}

// session connects, joins and serves until the connection is lost or ctx is done.
func (b *Brewery) session(ctx context.Context) error {
	s := &session{
		b: b, in: make(chan *stanza.Elem, inQueue), checked: make(chan error, 1),
		policy: newPolicy(b.o.Room, b.o.Focus), backs: xmpp.Backoff{Max: 6 * time.Second},
	}
	account := b.o.Account
	account.Handler = s.take
	conn, err := b.o.connect(ctx, account)
	if err != nil {
		b.set(Offline, err, stanza.JID{}, stanza.JID{})
		return err
	}
	var over context.CancelFunc
	s.ctx, over = context.WithCancel(ctx)
	s.conn = conn
	s.nick = b.o.Nick
	if s.nick == "" {
		s.nick = conn.JID().Resource
	}
	b.o.Log.Info("brewery connected", "jid", conn.JID().String())
	err = s.run(ctx)
	b.set(Offline, err, stanza.JID{}, stanza.JID{})
	over()
	b.running.Wait() // before the goodbye: what they answer is still sent
	closing, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if closed := conn.Close(closing); err == nil {
		err = closed
	}
	return err
}

// take is the connection's handler. It passes on what concerns the brewery.
func (s *session) take(e *stanza.Elem) bool {
	if e.Is("", "iq") {
		if e.Kid(rayo.NS, "dial") == nil && e.Kid(rayo.NS, "hangup") == nil {
			return false
		}
	} else if smuggled(e) {
		s.b.counts[notRequest].Add(1)
		s.b.stranger(s.b.o.Log.With(xlog.From, e.Get("from")), notRequest)
		return true
	} else if !e.Is("", "presence") || !stanza.ParseJID(e.Get("from")).Bare().Equal(s.b.o.Room) {
		return true // chat and the like
	}
	select {
	case s.in <- e:
		return true
	default:
		return false
	}
}

// run is the session's one wait.
func (s *session) run(ctx context.Context) error {
	s.join()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(s.next()))
		select {
		case e := <-s.in:
			if e.Is("", "presence") {
				s.presence(e)
			} else {
				s.request(e)
			}
		case <-s.b.dirty:
			s.stale = true
		case err := <-s.checked:
			s.verdict(err)
		case <-timer.C:
		case <-s.conn.Done():
			return s.conn.Err()
		case <-ctx.Done():
			s.leave()
			return ctx.Err()
		}
		s.timers(time.Now())
	}
}

// next is the first time at which something is to be done.
func (s *session) next() time.Time {
	at := time.Now().Add(time.Hour)
	for _, t := range []time.Time{s.joinBy, s.joinAt, s.checkAt} {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	if s.stale && s.state == Joined {
		if t := s.sentAt.Add(publishEvery); t.Before(at) {
			at = t
		}
	}
	return at
}

func (s *session) timers(now time.Time) {
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	switch {
	case due(s.joinBy):
		s.out(fmt.Errorf("the room did not let us in within %v", joinLimit))
	case due(s.joinAt):
		s.join()
	case due(s.checkAt):
		s.check()
	}
	if s.stale && s.state == Joined {
		s.publish(now)
	}
}

// join asks for entry, with the stats at once.
func (s *session) join() {
	s.state = Joining
	s.joinAt, s.joinBy, s.checkAt = time.Time{}, time.Now().Add(joinLimit), time.Time{}
	s.b.set(Joining, s.why, s.conn.JID(), stanza.JID{})
	s.send(s.b.o.Stats(), stanza.New(nsMUC, "x"))
}

// out notes that we are not in the room, and when to try again.
func (s *session) out(why error) {
	wait := s.backs.Next()
	s.state = Joining
	s.joinBy, s.checkAt, s.joinAt = time.Time{}, time.Time{}, time.Now().Add(wait)
	s.b.restarts.Add(1)
	s.why = why
	s.b.set(Joining, why, s.conn.JID(), stanza.JID{})
	s.b.o.Log.Warn("brewery left", xlog.Err, why, "again_in", wait.Round(time.Millisecond).String())
}

// send tells the room the stats. Every presence is whole: the room keeps only the last.
func (s *session) send(stats Stats, more ...*stanza.Elem) {
	p := stanza.New("", "presence", "to", s.b.o.Room.With(s.nick).String()).Add(more...)
	p.Add(stats.Elem(), s.b.o.Account.Caps().Elem())
	_ = s.conn.Send(p) // a connection that fails ends the session by Done
	s.sent, s.sentAt, s.stale = stats, time.Now(), false
}

// publish sends the stats if they differ, at most every 5 s unless it is urgent.
func (s *session) publish(now time.Time) {
	stats := s.b.o.Stats()
	switch {
	case stats == s.sent:
		s.stale = false
	case now.Sub(s.sentAt) >= publishEvery || stats.urgent(s.sent):
		s.send(stats)
	}
}

func (s *session) leave() {
	_ = s.conn.Send(stanza.New("", "presence", "type", "unavailable", "to", s.b.o.Room.With(s.nick).String()))
}

// presence is what the room says: who is the focus, whether we are in.
func (s *session) presence(e *stanza.Elem) {
	from := stanza.ParseJID(e.Get("from"))
	x := e.Kid(nsMUCUser, "x")
	if e.Get("type") == "error" {
		s.refused(e, from)
		return
	}
	s.policy.seen(from, e)
	mine := from.Resource == s.nick
	for _, st := range x.All(nsMUCUser, "status") {
		mine = mine || st.Get("code") == "110"
	}
	switch {
	case !mine || s.state == Joining && s.joinBy.IsZero():
	case e.Get("type") == "unavailable":
		s.out(errors.New("the room has removed us" + whyRemoved(x)))
	case e.Get("type") == "":
		s.entered(from)
	}
}

func (s *session) entered(from stanza.JID) {
	if from.Resource != "" {
		s.nick = from.Resource // the room may give another
	}
	if s.state == Joined {
		return
	}
	s.state, s.joinBy, s.joinAt, s.failing = Joined, time.Time{}, time.Time{}, 0
	s.checkAt = time.Now().Add(checkEvery)
	s.stale = true // what changed meanwhile
	s.why = nil
	s.b.set(Joined, nil, s.conn.JID(), s.b.o.Room.With(s.nick))
	s.b.o.Log.Info("brewery joined", "nick", s.nick)
}

// refused is an error to our own presence.
func (s *session) refused(e *stanza.Elem, from stanza.JID) {
	if s.state != Joining || from.Resource != "" && from.Resource != s.nick {
		return
	}
	err := xmpp.ErrorOf(e)
	if err.Condition == "conflict" { // a ghost of ours, or somebody else
		s.nick = s.conn.JID().Resource + "-" + suffix()
	}
	s.out(fmt.Errorf("the room refuses us: %w", err))
}

func whyRemoved(x *stanza.Elem) string {
	why := ""
	for _, st := range x.All(nsMUCUser, "status") {
		switch st.Get("code") {
		case "301":
			why = ": banned"
		case "307":
			why = ": kicked"
		case "321", "322":
			why = ": no longer a member"
		case "332":
			why = ": the service stops"
		}
	}
	if x.Kid(nsMUCUser, "destroy") != nil {
		why = ": destroyed"
	}
	return why
}

// check asks whether we are still in the room: a room service that was restarted
// has forgotten us and does not say so (XEP-0410).
func (s *session) check() {
	s.checkAt = time.Time{}
	ping := stanza.New("", "iq", "type", "get", "to", s.b.o.Room.With(s.nick).String()).Add(stanza.New("urn:xmpp:ping", "ping"))
	s.b.running.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, checkLimit)
		defer cancel()
		_, err := s.conn.Request(ctx, ping)
		s.checked <- err // holds one, and one is asked for at a time
	})
}

func (s *session) verdict(err error) {
	if s.state != Joined {
		return
	}
	s.checkAt = time.Now().Add(checkEvery)
	answer, _ := errors.AsType[*xmpp.Error](err)
	switch {
	case err == nil:
		s.failing = 0
		s.backs.Reset()
	case answer == nil:
		if s.failing++; s.failing == 2 {
			s.out(errors.New("the room does not answer"))
		}
	case answer.Condition == "service-unavailable", answer.Condition == "feature-not-implemented":
		s.failing = 0
	default: // not-acceptable, item-not-found, and the errors of a lost service
		s.out(fmt.Errorf("the room has lost us: %w", answer))
	}
}
