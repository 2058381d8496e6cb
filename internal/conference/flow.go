package conference

import (
	"cmp"
	"context"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// state is where a session stands.
//
//	entering ── in the room ──> lonely (alone, or no bridge: no limit but the call's;
//	    ^                          │    without a bridge it comes anew each minute)
//	    │                          │ somebody there, bridge there
//	    │ lost connection,         v
//	    │ rejoin               invited? ── session-initiate ──> talking
//	    └────────────────────────  ^                               │ session-terminate,
//	                               └───────────────────────────────┘ focus gone
type state uint8

const (
	entering state = iota // connecting, asking the focus, joining
	knocking              // in the lobby, or on the way into it (door.go)
	asking                // the room wants a password, the phone is asked (door.go)
	queued                // the meeting is not live yet, nothing is connected (live.go)
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
	maxTries     = 3 // of a join that is refused, beside the first
	focusReturn  = 2 * time.Second
	focusSearch  = 10 * time.Second // the same, while the old session goes on
	bridgeReturn = 65 * time.Second // without a bridge; Jicofo uses one that failed again after a minute, but only for who comes then
	leaveLimit   = 2 * time.Second
	aloneAfter   = 15 * time.Second // in the room with nobody else: the phone is told
	restartApart = 5 * time.Second  // Jicofo's limits on restart requests
	restartMost  = 5                // a minute
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
	s.introduce()
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
		case <-s.empty:
			s.emptied()
		case <-s.alone:
			s.alone = nil
			if s.joined && len(s.who) == 0 {
				s.tell(Event{Kind: Told, Item: news.Alone})
			}
		}
	}
}

// introduce has the room see who the phone is, as soon as that is known.
func (s *Session) introduce() {
	if s.opt.Caller == nil {
		return
	}
	s.beside(func() {
		name, avatar, email := s.opt.Caller(s.ctx)
		s.post(func() {
			was := s.presence
			s.presence.Nick = cmp.Or(name, was.Nick)
			s.presence.Avatar, s.presence.Email = cmp.Or(avatar, was.Avatar), cmp.Or(email, was.Email)
			if s.presence.Nick != was.Nick || s.presence.Avatar != was.Avatar || s.presence.Email != was.Email {
				s.show()
			}
		})
	})
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
		s.leaveLobby(false)
		if s.joined {
			if s.presence.Transcription == "ON" { // else clients take our end for a failure
				s.presence.Transcription = "OFF"
				s.show()
			}
			_ = s.link.Send(stanza.New("", "presence", "to", s.Occupant().String(), "type", "unavailable"))
		}
		_ = s.link.Close(ctx) // it is over either way
	}
	s.wg.Wait()
	s.link = nil
	for len(s.inbox) > 0 { // a connection that came too late is among it, and closed
		(<-s.inbox)()
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

// dropped is the loss of the connection.
func (s *Session) dropped() {
	err := s.link.Err()
	s.log.Warn("the XMPP connection was lost", xlog.Err, err)
	s.link = nil
	if s.state == entering && !s.joined && s.lostAt.IsZero() {
		s.finish(cause.Cause{Code: cause.Unavailable, Err: err, Text: "the XMPP connection was lost while joining: look at the XMPP server and the network to it"})
		return
	}
	s.lose(cause.Cause{Code: cause.Lost, Err: err, Text: "the XMPP connection was lost"})
	s.leaveLobby(true)
	s.joined = false
	s.state = lost
	s.wait(min(s.backoff.Next(), 5*time.Second))
}

// lose forgets all that hangs on being in the room, and says so.
func (s *Session) lose(why cause.Cause) {
	s.forgetRoom()
	s.tell(Event{Kind: Suspended, Cause: why})
}

func (s *Session) forgetRoom() {
	if s.lostAt.IsZero() {
		s.lostAt = time.Now()
	}
	s.forgetSession()
	clear(s.who)
	s.noteNobody()
	s.count()
	s.focus.present = false
}

// rejoin leaves the room and comes again as the same occupant.
func (s *Session) rejoin(why string) {
	if s.rejoined++; s.rejoined > maxRejoins {
		s.finish(cause.Cause{Code: cause.NoInvite, Text: "the focus sends no session, also after joining again: look at Jicofo's log"})
		return
	}
	s.lose(cause.Cause{Code: cause.Lost, Text: why})
	s.comeAgain(why)
}

func (s *Session) comeAgain(why string) {
	s.log.Warn("leaving the room to join it again", "why", why)
	_ = s.link.Send(stanza.New("", "presence", "to", s.Occupant().String(), "type", "unavailable"))
	s.forgetRoom()
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
	case knocking:
		s.finish(cause.Cause{Code: cause.LobbyDenied, Text: "nobody let the caller in from the lobby in time"})
	case asking:
		s.finish(cause.Cause{Code: cause.PasswordNeeded, Text: "the meeting has a password, and the phone gave none in time"})
	case queued:
		s.notLive()
	case lonely:
		switch {
		case !s.focus.noBridge:
		case len(s.who) == 0:
			s.wait(bridgeReturn)
		default:
			s.comeAgain("there was no bridge for a minute") // nothing is suspended: there was no session
		}
	case talking:
		s.orphan()
	}
}

// orphan asks for a focus while there is none, and leaves a session that the new one does not replace.
func (s *Session) orphan() {
	switch {
	case !s.orphaned:
	case !s.focus.present && s.node != "": // it can be asked for at the main domain only
		s.suspend(cause.Cause{Code: cause.FocusLeft, Text: "the focus left the visitor node"})
		s.rejoin("the focus left the visitor node")
	case !s.focus.present:
		s.askAgain()
		s.wait(focusSearch)
	default:
		s.suspend(cause.Cause{Code: cause.FocusLeft, Text: "the focus left the meeting"})
		s.rejoin("the focus came back and sends no session")
	}
}

// uninvited is called when the focus sends no session although it should.
func (s *Session) uninvited() {
	switch {
	case !s.focus.present && s.lostAt.IsZero() && time.Since(s.expectedAt) > s.opt.InviteTimeout:
		s.finish(cause.Cause{Code: cause.NoInvite, Text: "the focus did not come into the room: is Jicofo running?"})
	case !s.focus.present && !s.lostAt.IsZero() && time.Since(s.lostAt) > s.opt.ReturnTimeout:
		s.finish(cause.Cause{Code: cause.FocusLeft, Text: "the focus left the meeting and did not return"})
	case !s.focus.present && s.node != "":
		s.rejoin("the focus is not at the visitor node")
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
	link, request := s.link, s.conferenceRequest(s.room, false).Elem()
	s.beside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		_, _ = s.ask(ctx, link, request) // its presence tells
	})
}
