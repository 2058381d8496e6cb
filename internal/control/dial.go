package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/dialplan"
	"jigasi/internal/exchange"
	"jigasi/internal/rayo"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// request is an IQ with a dial or a hangup.
func (s *session) request(iq *stanza.Elem) {
	from := iq.Get("from")
	log := s.b.o.Log.With(xlog.From, from)
	switch {
	case twoSenders(iq):
		s.refuse(iq, log, forged, "modify", "bad-request", "")
	case iq.Get("type") != "set":
		s.refuse(iq, log, notRequest, "modify", "bad-request", "")
	case !s.policy.mayDial(stanza.ParseJID(from)):
		s.refuse(iq, log, forbidden, "auth", "forbidden", "")
	case iq.Kid(rayo.NS, "dial") != nil:
		s.dial(iq, log)
	default:
		s.hangup(iq)
	}
}

func (s *session) refuse(iq *stanza.Elem, log *slog.Logger, why reason, typ, condition, text string) {
	s.b.counts[why].Add(1)
	if why == forbidden || why == forged || why == notRequest {
		s.b.stranger(log, why)
	} else {
		log.Warn("dial refused", xlog.Cause, why.String(), "why", text)
	}
	_ = s.conn.ReplyError(iq, typ, condition, text) // a connection that fails ends the session by Done
}

// stranger logs an attempt by somebody who may not dial, and who can make as many
// as he likes: once a second, with the number of those between.
func (b *Brewery) stranger(log *slog.Logger, why reason) {
	b.strangers.Do(time.Now(), func(more int64) {
		log.Warn("dial refused", xlog.Cause, why.String(), "more", more)
	})
}

// dial checks what can be checked at once and leaves the rest to a goroutine: the
// focus asks the next gateway after an error, so what is refused is refused fast.
func (s *session) dial(iq *stanza.Elem, log *slog.Logger) {
	d, err := rayo.ParseDial(iq.Kid(rayo.NS, "dial"))
	number, _, _ := dialplan.Cut(d.To) // what follows is typed, and may be a PIN
	log = log.With(xlog.To, xlog.Number(number), xlog.Room, d.Room())
	stats := s.b.o.Stats()
	able := stats.SIP
	if d.To == rayo.Transcribe {
		able = stats.Transcription
	}
	switch {
	case err != nil:
		s.refuse(iq, log, malformed, "modify", "bad-request", err.Error())
	case stats.Draining:
		s.refuse(iq, log, full, "cancel", "service-unavailable", "this gateway is shutting down")
	case !able && d.To == rayo.Transcribe:
		s.refuse(iq, log, unable, "modify", "not-acceptable", "this gateway does not transcribe")
	case !able:
		s.refuse(iq, log, unable, "cancel", "service-unavailable", "this gateway does not do that")
	case d.Room() == "":
		s.refuse(iq, log, noRoom, "cancel", "internal-server-error", "No JvbRoomName header found")
	case s.b.waiting.Load() >= maxWaiting:
		s.refuse(iq, log, crowded, "wait", "resource-constraint", fmt.Sprintf("%d dials wait already", maxWaiting))
	default:
		s.b.waiting.Add(1)
		s.b.running.Go(func() {
			defer s.b.waiting.Add(-1)
			s.place(iq, log, d)
		})
	}
}

// place makes the call and answers when the room has been entered.
func (s *session) place(iq *stanza.Elem, log *slog.Logger, d rayo.Dial) {
	defer func() {
		if r := recover(); r != nil { // a defect of ours costs this call
			log.Error("panic in a dial", "panic", r, "stack", string(debug.Stack()))
			s.refuse(iq, log, failed, "cancel", "internal-server-error", "")
		}
	}()
	req := exchange.Request{To: d.To, From: d.From, Room: d.Room(), Password: d.Password(), Rules: s.b.o.Rules, BOSH: s.b.o.BOSH}
	for _, h := range d.Extra() {
		req.Headers = append(req.Headers, exchange.Header{Name: h.Name, Value: h.Value})
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.b.o.AnswerLimit)
	defer cancel()
	call, err := s.b.o.Dial(ctx, req)
	if err != nil {
		why, typ, condition := explain(ctx, err)
		s.refuse(iq, log, why, typ, condition, cause.Of(err).String())
		return
	}
	s.b.dials.Add(1)
	s.b.remember(call)
	if err := s.conn.Reply(iq, rayo.RefTo(call.Occupant).Elem()); err != nil {
		// The focus does not know of this call and has another gateway dial it.
		log.Warn("dial not answered: the connection is gone", xlog.Call, call.ID, xlog.Err, err)
		if s.b.o.Hangup != nil {
			s.b.o.Hangup(call.Occupant, cause.Cause{Code: cause.Cancelled, Text: "the asker is gone", Err: err})
		}
		return
	}
	log.Info("dial accepted", xlog.Call, call.ID)
}

// explain maps the cause of a failed dial to a stanza error. To a focus all are the same.
func explain(ctx context.Context, err error) (why reason, typ, condition string) {
	code := cause.Of(err).Code
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		code = cause.Timeout
	}
	switch code {
	case cause.Full:
		return full, "wait", "resource-constraint"
	case cause.Draining, cause.Shutdown:
		return full, "cancel", "service-unavailable"
	case cause.NoRoom:
		return noRoom, "cancel", "internal-server-error"
	case cause.BadRequest:
		return malformed, "modify", "bad-request"
	case cause.Forbidden, cause.Banned:
		return failed, "auth", "forbidden"
	case cause.AuthFailed, cause.PasswordNeeded:
		return failed, "auth", "not-authorized"
	case cause.NotFound:
		return failed, "cancel", "item-not-found"
	case cause.Timeout:
		return late, "wait", "remote-server-timeout"
	default:
		return failed, "cancel", "internal-server-error"
	}
}

// remember keeps a call for hangup, and forgets those that are over.
func (b *Brewery) remember(call exchange.Dialled) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	b.calls[call.ID] = call
}

// prune needs b.mu.
func (b *Brewery) prune() {
	for id, c := range b.calls {
		select {
		case <-c.Done:
			delete(b.calls, id)
		default:
		}
	}
}

// only gives the one running call of this brewery, if it is one.
func (b *Brewery) only() (stanza.JID, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	if len(b.calls) != 1 {
		return stanza.JID{}, false
	}
	var one exchange.Dialled
	for _, one = range b.calls {
	}
	return one.Occupant, true
}

// hangup ends the one call of this brewery. Where there are more, the address says
// nothing: a hangup belongs to the phone's address in its room (the ref).
func (s *session) hangup(iq *stanza.Elem) {
	occupant, one := s.b.only()
	why := cause.Cause{Code: cause.Normal, Text: "hung up by the focus"}
	if !one || s.b.o.Hangup == nil || !s.b.o.Hangup(occupant, why) {
		s.b.counts[failed].Add(1)
		_ = s.conn.ReplyError(iq, "cancel", "item-not-found", "send the hangup to the phone in its room")
		return
	}
	_ = s.conn.Reply(iq, nil)
}
