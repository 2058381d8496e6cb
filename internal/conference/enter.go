package conference

import (
	"context"
	"errors"
	"strings"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

// enter connects, asks the focus and joins, beside the session's goroutine.
func (s *Session) enter() {
	if !s.direct {
		s.goHome()
	}
	t := trip{epoch: s.epoch + 1, login: s.login(), domain: s.domain()}
	if !s.direct {
		t.request = s.conferenceRequest(s.room, s.room.Equal(s.main)).Elem()
	}
	s.state, s.direct = entering, false
	s.epoch++
	s.wait(enterLimit)
	s.beside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, enterLimit)
		defer cancel()
		r, err := s.connect(ctx, t)
		ok := s.post(func() { s.entered(t.epoch, r, err) })
		if !ok && r.link != nil {
			_ = r.link.Close(ctx)
		}
	})
}

// trip is where an entry leads.
type trip struct {
	epoch   int
	login   xmpp.Options
	domain  string
	request *stanza.Elem // to the focus; nil: it is not asked
}

// entry is what connect brings.
type entry struct {
	link  Link
	reply meetxml.ConferenceReply
	known known
}

// known is what the main domain says of itself.
type known struct {
	relays []meetxml.Relay
	parts  meetxml.Components
}

func (s *Session) connect(ctx context.Context, t trip) (entry, error) {
	xo := t.login
	xo.Caps, xo.Ordered = s.caps, true
	xo.Handler = func(e *stanza.Elem) bool {
		if e.Name.Local == "iq" && !s.ours(e) {
			return false
		}
		return s.post(func() {
			if t.epoch == s.epoch {
				s.stanza(e)
			}
		})
	}
	link, err := s.opt.Dial(ctx, xo)
	if err != nil {
		s.unlinked.Add(1)
		return entry{}, s.connectCause(err)
	}
	r := entry{link: link}
	whole := false
	defer func() {
		if !whole { // a panic: nobody else knows of the connection
			_ = link.Close(ctx)
		}
	}()
	about := s.askDomain(ctx, link, t.domain)
	if t.request != nil {
		r.reply, err = s.ask(ctx, link, t.request)
	}
	r.known = <-about
	whole = true
	return r, err
}

// connectCause makes a cause of why there is no connection.
func (s *Session) connectCause(err error) error {
	var auth *xmpp.AuthError
	if errors.As(err, &auth) {
		account := "xmpp"
		if s.opt.Transcriber {
			account = "transcription, else xmpp,"
		}
		return cause.Cause{Code: cause.AuthFailed, Err: err, Text: "the XMPP server refuses our login: check user and password below " + account + " in the configuration"}
	}
	return cause.Cause{Code: cause.Unavailable, Err: err, Text: "the XMPP server cannot be reached: " + err.Error()}
}

// askDomain asks beside the conference request what is good to know, and goes on without where
// there is no answer.
func (s *Session) askDomain(ctx context.Context, link Link, domain string) <-chan known {
	out := make(chan known, 1)
	query := func(what *stanza.Elem) *stanza.Elem {
		res, err := link.Request(ctx, stanza.New("", "iq", "type", "get", "to", domain).Add(what))
		if err != nil {
			return nil
		}
		return res
	}
	s.beside(func() {
		defer close(out)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		var k known
		if s.opt.Relays {
			res := query(meetxml.RelayRequest())
			if res == nil {
				res = query(meetxml.OldRelayRequest())
			}
			k.relays = meetxml.ParseRelays(res)
		}
		k.parts = meetxml.ParseComponents(query(meetxml.ComponentsRequest()))
		out <- k
	})
	return out
}

// ask sends the conference request until the focus is ready. Where the focus does not answer, the
// join goes on: the room may have one already (gateway spec 4.4).
func (s *Session) ask(ctx context.Context, link Link, request *stanza.Elem) (meetxml.ConferenceReply, error) {
	to := s.opt.Focus
	req := stanza.New("", "iq", "type", "set", "to", to.String()).Add(request)
	var last meetxml.ConferenceReply
	for wait := time.Second; ; wait *= 2 {
		began := time.Now()
		res, err := once(ctx, link, req)
		var refused *xmpp.Error
		switch {
		case errors.As(err, &refused) && to != s.opt.FocusUser && nobodyThere(refused):
			to = s.opt.FocusUser
			if s.noProxy.CompareAndSwap(false, true) {
				s.log.Info("nobody passes our conference request on; asking the focus itself", "focus", to.String())
			}
			req.Set("to", to.String())
			continue
		case errors.As(err, &refused):
			if c, fatal := refusal(refused); fatal {
				return last, c
			}
			s.refusedRequest(refused)
			return last, nil
		case err != nil && ctx.Err() != nil:
			return last, cause.Cause{Code: cause.Timeout, Err: err, Text: "the focus " + to.String() + " does not answer: is Jicofo running, and is that its address (meeting.focus)?"}
		case errors.Is(err, context.DeadlineExceeded):
			s.log.Warn("the focus does not answer the conference request; asking again", "focus", to.String())
			continue
		case err != nil:
			return last, nil // the connection is gone, and shows it
		}
		s.refusals.Store(0)
		last, _ = meetxml.ParseConferenceReply(res)
		s.log.Info("conference requested", "ready", last.Ready, "ms", time.Since(began).Milliseconds())
		if last.NotLive {
			return last, cause.Cause{Code: cause.NotLive, Text: "the meeting has not started yet"}
		}
		if last.Ready || last.Vnode != "" {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, nil
		case <-time.After(wait):
		}
	}
}

// refusedRequest says that the focus does not take our request: the first time, and then less and less often.
func (s *Session) refusedRequest(e *xmpp.Error) {
	n := s.refusals.Add(1)
	switch {
	case n&(n-1) != 0:
	case nobodyThere(e):
		s.log.Warn("the focus is not there; going on without: look whether Jicofo runs, and is logged in at the XMPP server", "focus", s.opt.Focus.String(), "condition", e.Condition, "times", n)
	default:
		s.log.Warn("the focus refused the conference request; going on without", "condition", e.Condition, "text", e.Text, "times", n)
	}
}

// once sends a request and waits askLimit for its answer: one that a dying focus took with it is
// sent again.
func once(ctx context.Context, link Link, req *stanza.Elem) (*stanza.Elem, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	return link.Request(ctx, req)
}

// nobodyThere reports whether an error says that the one asked does not exist: a server without
// Jitsi's client proxy has no component in front of the focus.
func nobodyThere(e *xmpp.Error) bool {
	switch e.Condition {
	case "service-unavailable", "item-not-found", "remote-server-not-found", "remote-server-timeout":
		return true
	}
	return false
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
		if c := cause.Of(err); c.Code != cause.NotLive || s.opt.Live == nil {
			s.failed(c)
		} else {
			s.queue()
		}
		return
	}
	s.link = r.link
	s.learn(r.known)
	if !r.reply.FocusJID.IsZero() {
		s.focus.jid = r.reply.FocusJID
	}
	switch node := r.reply.Vnode; {
	case node == "" || !s.opt.Visitors.On:
	case !nodeName(node):
		s.log.Warn("the focus names a visitor node that cannot be; joining the main room")
		s.focus.jid = stanza.JID{} // it is that node's
	default:
		s.visit(node)
		return
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
	if s.unpromoted(why) || s.nodeFailed(why) {
		return
	}
	if !s.room.Equal(s.main) {
		s.log.Warn("the breakout room cannot be entered; going back to the main room", "why", why.String())
		s.room = s.main
		s.seat(s.room.With(s.opt.Nick))
		s.state = lost
		s.wait(s.backoff.Next())
		return
	}
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

// refused is a refused join.
func (s *Session) refused(e *stanza.Elem) {
	if s.joined || s.state != entering {
		return
	}
	why, again := refusedJoin(e)
	if e.Kid("", "error").Kid("", "conflict") != nil {
		s.rename()
	}
	lobby := meetxml.LobbyRoom(e)
	switch {
	case why.Code == cause.LobbyDenied && !lobby.IsZero() && !s.opt.Transcriber:
		s.knock(lobby)
		return
	case why.Code == cause.PasswordNeeded && s.askPassword():
		return
	}
	if again && s.lostAt.IsZero() && s.tries < maxTries {
		s.again(why.Text)
		return
	}
	s.closeLater(s.link)
	s.link = nil
	s.failed(why)
}

// again has a first join tried again from the start, with another conference request.
func (s *Session) again(why string) {
	s.tries++
	s.log.Warn("the room cannot be entered yet; trying again", "why", why)
	s.closeLater(s.link)
	s.link = nil
	s.state = lost
	s.wait(500*time.Millisecond + min(s.backoff.Next(), 2*time.Second))
}

// refusedJoin makes a cause of an error of the room (conference spec 1.6). Again means that asking
// the focus and trying again may help.
func refusedJoin(e *stanza.Elem) (why cause.Cause, again bool) {
	err := xmpp.ErrorOf(e)
	x := e.Kid("", "error")
	has := func(name string) bool { return x.Kid("", name) != nil }
	why = cause.Cause{Code: cause.Forbidden, Text: "the room refuses the phone"}
	switch {
	case has("not-authorized"):
		why = cause.Cause{Code: cause.PasswordNeeded, Text: "the meeting has a password, and the caller gave none or a wrong one"}
	case has("registration-required"), has("displayname-required"):
		why = cause.Cause{Code: cause.LobbyDenied, Text: "the meeting has a lobby"}
	case has("service-unavailable"), has("resource-constraint"):
		why = cause.Cause{Code: cause.Full, Text: "the meeting has as many participants as it may have"}
	case has("forbidden"):
		why = cause.Cause{Code: cause.Banned, Text: "the phone is banned from the meeting"}
	case has("conflict"): // often ourselves, from before a connection was lost that the server still believes in
		why, again = cause.Cause{Code: cause.Unavailable, Text: "another participant has our seat: look for a second gateway with the same nicks (meeting.nick_from_user)"}, true
	case has("authentication-required"):
		why.Text = "the room lets nobody in without a login: give the gateway an account or a token for it"
	case has("not-allowed") && (len(err.All) == 0 || has("room-does-not-exist")) && (err.Text == "" || strings.Contains(err.Text, "creation")):
		why, again = cause.Cause{Code: cause.Unavailable, Text: "the room does not exist and may not be created: is Jicofo running?"}, true
	}
	if err.Text != "" {
		why.Text += " (" + strings.ToValidUTF8(err.Text[:min(len(err.Text), 100)], "") + ")"
	}
	return why, again
}
