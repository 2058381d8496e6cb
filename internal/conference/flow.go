package conference

import (
	"context"
	"errors"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
	"jigasi/internal/xmpp"
)

// state is where a session stands.
//
//	entering ── in the room ──> lonely (alone, or no bridge: no limit but the call's)
//	    ^                          │ somebody there, bridge there
//	    │ lost connection,         v
//	    │ rejoin               invited? ── session-initiate ──> talking
//	    └────────────────────────  ^                               │ session-terminate,
//	                               └───────────────────────────────┘ focus gone
type state uint8

const (
	entering state = iota // connecting, asking the focus, joining
	lonely                // in the room, nobody to talk to or no bridge
	invited               // in the room, waiting for session-initiate
	talking               // a session is there
	lost                  // not connected, the next try is scheduled
)

// Deadlines.
const (
	enterLimit   = 25 * time.Second
	joinLimit    = 10 * time.Second
	askLimit     = 5 * time.Second  // for one answer of the focus
	newSession   = 20 * time.Second // after a session-terminate; then leave and join again (real.md 22); Jicofo itself waits 15 s for a dead bridge
	maxRejoins   = 3
	focusReturn  = 2 * time.Second
	leaveLimit   = 2 * time.Second
	restartApart = 5 * time.Second // Jicofo's limits on restart requests
	restartMost  = 5               // a minute
)

func (s *Session) run() {
	defer close(s.done)
	defer close(s.events)
	defer func() {
		s.goodbye()
		s.events <- Event{Kind: Over, Cause: s.why}
	}()
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		s.log.Error("panic in a conference session", xlog.Err, why.Err, "stack", string(stack))
		s.why = why
	})
	s.enter()
	for !s.ended {
		var gone <-chan struct{}
		if s.link != nil {
			gone = s.link.Done()
		}
		select {
		case f := <-s.inbox:
			f()
		case f := <-s.asked:
			f()
		case why := <-s.leaving:
			s.finish(why)
		case <-gone:
			s.dropped()
		case <-s.timer.C:
			s.deadline()
		}
	}
}

// beside runs f beside the session's goroutine. A defect that it meets ends this session alone.
func (s *Session) beside(f func()) {
	s.wg.Go(func() {
		defer cause.Recover(func(why cause.Cause, stack []byte) {
			s.log.Error("panic beside a conference session", xlog.Err, why.Err, "stack", string(stack))
			s.post(func() { s.finish(why) })
		})
		f()
	})
}

func (s *Session) goodbye() {
	s.cancel()
	s.timer.Stop()
	if s.link != nil {
		ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
		defer cancel()
		if s.joined {
			_ = s.link.Send(stanza.New("", "presence", "to", s.Occupant().String(), "type", "unavailable"))
		}
		_ = s.link.Close(ctx) // it is over either way
	}
	s.wg.Wait()
	for len(s.events) > cap(s.events)-2 { // make room for the end
		<-s.events
	}
}

func (s *Session) finish(why cause.Cause) {
	if !s.ended {
		s.ended, s.why = true, why
	}
}

func (s *Session) wait(d time.Duration) { s.timer.Reset(d) }

// enter connects, asks the focus and joins, beside the session's goroutine.
func (s *Session) enter() {
	s.state = entering
	s.epoch++
	epoch := s.epoch
	s.wait(enterLimit)
	s.beside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, enterLimit)
		defer cancel()
		r, err := s.connect(ctx, epoch)
		ok := s.post(func() { s.entered(epoch, r, err) })
		if !ok && r.link != nil {
			_ = r.link.Close(ctx)
		}
	})
}

// entry is what connect brings.
type entry struct {
	link   Link
	reply  meetxml.ConferenceReply
	relays []meetxml.Relay
}

func (s *Session) connect(ctx context.Context, epoch int) (entry, error) {
	xo := s.opt.XMPP
	xo.Caps, xo.Ordered = s.caps, true
	xo.Handler = func(e *stanza.Elem) bool {
		if e.Name.Local == "iq" && !s.ours(e) {
			return false
		}
		return s.post(func() {
			if epoch == s.epoch {
				s.stanza(e)
			}
		})
	}
	link, err := s.opt.Dial(ctx, xo)
	if err != nil {
		return entry{}, connectCause(err)
	}
	r := entry{link: link}
	whole := false
	defer func() {
		if !whole { // a panic: nobody else knows of the connection
			_ = link.Close(ctx)
		}
	}()
	if s.opt.Relays {
		r.relays = askRelays(ctx, link, s.opt.XMPP.Domain)
	}
	r.reply, err = s.ask(ctx, link)
	whole = true
	return r, err
}

// connectCause makes a cause of why there is no connection.
func connectCause(err error) error {
	var auth *xmpp.AuthError
	if errors.As(err, &auth) {
		return cause.Cause{Code: cause.AuthFailed, Err: err, Text: "the XMPP server refuses our login: check user and password of the call account"}
	}
	return cause.Cause{Code: cause.Unavailable, Err: err, Text: "the XMPP server cannot be reached: " + err.Error()}
}

func askRelays(ctx context.Context, link Link, domain string) []meetxml.Relay {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	res, err := link.Request(ctx, stanza.New("", "iq", "type", "get", "to", domain).Add(meetxml.RelayRequest()))
	if err != nil {
		return nil // host candidates have to do
	}
	return meetxml.ParseRelays(res)
}

// ask sends the conference request until the focus is ready. Where the focus does not answer, the
// join goes on: the room may have one already (gateway spec 4.4).
func (s *Session) ask(ctx context.Context, link Link) (meetxml.ConferenceReply, error) {
	req := stanza.New("", "iq", "type", "set", "to", s.opt.Focus.String()).Add(meetxml.ConferenceRequest{Room: s.opt.Room.String()}.Elem())
	var last meetxml.ConferenceReply
	for wait := time.Second; ; wait *= 2 {
		began := time.Now()
		res, err := once(ctx, link, req)
		var refused *xmpp.Error
		switch {
		case errors.As(err, &refused):
			if c, fatal := refusal(refused); fatal {
				return last, c
			}
			s.log.Warn("the focus refused the conference request; joining anyway", "condition", refused.Condition, "text", refused.Text)
			return last, nil
		case err != nil && ctx.Err() != nil:
			return last, cause.Cause{Code: cause.Timeout, Err: err, Text: "the focus " + s.opt.Focus.String() + " does not answer"}
		case errors.Is(err, context.DeadlineExceeded):
			s.log.Warn("the focus does not answer the conference request; asking again", "focus", s.opt.Focus.String())
			continue
		case err != nil:
			return last, nil // the connection is gone, and shows it
		}
		last, _ = meetxml.ParseConferenceReply(res)
		s.log.Info("conference requested", "ready", last.Ready, "ms", time.Since(began).Milliseconds())
		if last.NotLive {
			return last, cause.Cause{Code: cause.NotLive, Text: "the meeting has not started yet"}
		}
		if last.Ready {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, nil
		case <-time.After(wait):
		}
	}
}

// once sends a request and waits askLimit for its answer: one that a dying focus took with it is
// sent again.
func once(ctx context.Context, link Link, req *stanza.Elem) (*stanza.Elem, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	return link.Request(ctx, req)
}

// refusal makes a cause of an error of the focus that joining cannot mend.
func refusal(e *xmpp.Error) (cause.Cause, bool) {
	switch e.Condition {
	case "not-authorized":
		return cause.Cause{Code: cause.Forbidden, Text: "the focus lets nobody without a login create this meeting: wait for its host, or give the gateway a login"}, true
	case "bad-request":
		return cause.Cause{Code: cause.NotFound, Text: "the focus does not accept this room name"}, true
	}
	return cause.Cause{}, false
}

// entered takes what connect brought and joins the room.
func (s *Session) entered(epoch int, r entry, err error) {
	if epoch != s.epoch || s.ended {
		if r.link != nil {
			s.closeLater(r.link)
		}
		return
	}
	if err != nil {
		if r.link != nil {
			s.closeLater(r.link)
		}
		s.failed(cause.Of(err))
		return
	}
	s.link, s.relays = r.link, r.relays
	if !r.reply.FocusJID.IsZero() {
		s.focus.jid = r.reply.FocusJID
	}
	s.join()
}

func (s *Session) closeLater(l Link) {
	s.beside(func() {
		ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
		defer cancel()
		_ = l.Close(ctx) // it is of no use any more
	})
}

func (s *Session) join() {
	p := s.presence.Elem(s.Occupant())
	x := stanza.New(meetxml.NSMUC, "x")
	if s.opt.Password != "" {
		x.Add(stanza.New("", "password").WithText(s.opt.Password.Reveal()))
	}
	p.Kids = append([]*stanza.Elem{x}, p.Kids...)
	s.wait(joinLimit)
	_ = s.link.Send(p) // a dead connection shows by itself
}

// failed is a try to enter that failed: the first one ends the session, a later one is tried again.
func (s *Session) failed(why cause.Cause) {
	if s.lostAt.IsZero() || fatal(why.Code) || time.Since(s.lostAt) > s.opt.ReturnTimeout {
		if !s.lostAt.IsZero() && !fatal(why.Code) {
			why = cause.Cause{Code: cause.Lost, Text: "the connection to the meeting was lost and did not come back: " + why.String(), Err: why.Err}
		}
		s.finish(why)
		return
	}
	s.state = lost
	s.wait(min(s.backoff.Next(), 5*time.Second))
}

// fatal reports whether trying again cannot help.
func fatal(c cause.Code) bool {
	switch c {
	case cause.AuthFailed, cause.Forbidden, cause.Banned, cause.PasswordNeeded, cause.NotFound, cause.LobbyDenied, cause.NotLive:
		return true
	}
	return false
}

// dropped is the loss of the connection.
func (s *Session) dropped() {
	err := s.link.Err()
	s.log.Warn("the XMPP connection was lost", xlog.Err, err)
	s.link = nil
	if !s.joined && s.lostAt.IsZero() {
		s.finish(cause.Cause{Code: cause.Unavailable, Err: err, Text: "the XMPP connection was lost while joining"})
		return
	}
	s.lose(cause.Cause{Code: cause.Lost, Err: err, Text: "the XMPP connection was lost"})
	s.joined = false
	s.state = lost
	s.wait(min(s.backoff.Next(), 5*time.Second))
}

// lose forgets all that hangs on being in the room, and says so.
func (s *Session) lose(why cause.Cause) {
	if s.lostAt.IsZero() {
		s.lostAt = time.Now()
	}
	s.forgetSession()
	clear(s.who)
	s.count()
	s.focus.present = false
	s.tell(Event{Kind: Suspended, Cause: why})
}

// rejoin leaves the room and comes again as the same occupant.
func (s *Session) rejoin(why string) {
	if s.rejoined++; s.rejoined > maxRejoins {
		s.finish(cause.Cause{Code: cause.NoInvite, Text: "the focus sends no session, also after joining again: look at Jicofo's log"})
		return
	}
	s.log.Warn("leaving the room to join it again", "why", why)
	_ = s.link.Send(stanza.New("", "presence", "to", s.Occupant().String(), "type", "unavailable"))
	s.lose(cause.Cause{Code: cause.Lost, Text: why})
	s.joined = false
	s.closeLater(s.link)
	s.link = nil
	s.enter()
}

// deadline is called when a state has lasted too long.
func (s *Session) deadline() {
	switch s.state {
	case entering:
		if s.link == nil {
			return // connect has a deadline of its own
		}
		s.closeLater(s.link)
		s.link = nil
		s.failed(cause.Cause{Code: cause.Timeout, Text: "the room did not let us in: is the focus in it?"})
	case lost:
		s.enter()
	case invited:
		s.uninvited()
	case lonely, talking:
	}
}

// uninvited is called when the focus sends no session although it should.
func (s *Session) uninvited() {
	switch {
	case !s.focus.present && s.lostAt.IsZero() && time.Since(s.expectedAt) > s.opt.InviteTimeout:
		s.finish(cause.Cause{Code: cause.NoInvite, Text: "the focus did not come into the room: is Jicofo running?"})
	case !s.focus.present && !s.lostAt.IsZero() && time.Since(s.lostAt) > s.opt.ReturnTimeout:
		s.finish(cause.Cause{Code: cause.FocusLeft, Text: "the focus left the meeting and did not return"})
	case !s.focus.present:
		s.askAgain()
		s.wait(focusReturn)
	case !s.returning():
		s.finish(cause.Cause{Code: cause.NoInvite, Text: "No invite from conference focus"})
	default:
		s.rejoin("the focus sends no new session")
	}
}

// askAgain repeats the conference request for a focus that left.
func (s *Session) askAgain() {
	link := s.link
	s.beside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		_, _ = s.ask(ctx, link) // its presence tells
	})
}
