package call

import (
	"fmt"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
)

// limit is how long the call may stay in its state before deadline is called.
func (c *Call) limit(l *life) time.Duration {
	switch l.state {
	case Joining:
		return c.opt.JoinLimit
	case Waiting:
		switch {
		case c.opt.Outgoing && l.view.phone != leg.Up: // nobody is on the line, and who asked for the call may be gone
			return min(c.opt.RingLimit, c.opt.WaitLimit)
		case c.opt.AnswerAfter > 0:
			return min(c.opt.AnswerAfter, c.opt.WaitLimit)
		}
		return c.opt.WaitLimit
	case Answering:
		if c.opt.Outgoing {
			return c.opt.RingLimit
		}
		return c.opt.AnswerLimit
	case Rejoining:
		return c.opt.MoveLimit
	case Farewell:
		if l.view.phone == leg.Over {
			return c.opt.Farewell
		}
		return c.opt.TellLimit
	case Ending:
		return c.opt.EndLimit
	}
	if l.state == Active && c.opt.Longest > 0 {
		return max(0, c.opt.Longest-time.Since(c.began))
	}
	return 365 * 24 * time.Hour
}

// outages is how many MoveLimits a phone waits for a bridge.
const outages = 5

// inState is how long the call has been in its state.
func (c *Call) inState() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.enter)
}

// deadline is called when the call has been in its state for limit.
func (c *Call) deadline(l *life) {
	switch l.state {
	case Waiting:
		if c.opt.Outgoing && l.view.phone != leg.Up {
			c.settle(undialled(l.held, c.opt.RingLimit))
			break
		}
		left := c.opt.WaitLimit - c.Spent(Waiting)
		if left > 0 {
			l.answered = true
			c.phone.Answer() // people wait longer than a phone rings
			l.timer.Reset(left)
			return
		}
		c.settle(cause.Cause{Code: cause.Timeout, Text: "nobody let the caller into the meeting in time: somebody has to be in it who may (meeting.lobby_timeout)"})
	case Joining:
		c.settle(cause.Cause{Code: cause.Timeout, Text: fmt.Sprintf(
			"the meeting gave no answer in %v: check the XMPP server and the focus", c.opt.JoinLimit)})
	case Answering:
		c.settle(c.answerTimeout(l.view))
	case Rejoining:
		outage := l.held.Code == cause.NoBridge
		switch {
		case l.view.seat != leg.Waiting:
		case !outage || c.inState() < outages*c.opt.MoveLimit: // nothing is lost: the others or the bridge may return
			l.timer.Reset(c.opt.MoveLimit)
			return
		default:
			c.settle(cause.Cause{Code: cause.NoBridge, Text: fmt.Sprintf("the meeting had no bridge for %v: start a videobridge, or look why Jicofo does not see it", c.inState().Round(time.Second))})
		}
		c.settle(cause.Cause{Code: cause.Lost, Text: fmt.Sprintf(
			"the meeting was lost and did not come back in %v", c.opt.MoveLimit)})
	case Active:
		c.settle(cause.Cause{Code: cause.Timeout, Text: fmt.Sprintf("the call has lasted %v, the longest that it may: dial_out.longest", c.opt.Longest)})
	case Ending:
		// A leg that is not over now is a defect of ours: say so, and go on without it.
		c.opt.Log.Error("call stuck: a leg did not end", "phone", l.view.phone, "seat", l.view.seat)
		l.view.phone, l.view.seat = leg.Over, leg.Over
	}
	if l.view.phone == leg.Up && l.state < Farewell && !l.expelled {
		l.expelled = true
		c.end(l, c.seat) // its end follows, and the phone is told why
		l.timer.Reset(c.opt.EndLimit)
		return
	}
	l.view.ended = true
}

// undialled is why a phone was not called; held is what the seat waited for.
func undialled(held cause.Cause, limit time.Duration) cause.Cause {
	switch held.Code {
	case cause.NoBridge:
		return cause.Cause{Code: cause.NoBridge, Text: fmt.Sprintf("the phone was not called: the meeting had no bridge for %v", limit)}
	case cause.NoInvite:
		return cause.Cause{Code: cause.NoInvite, Text: fmt.Sprintf("the phone was not called: nobody was in the meeting for %v", limit)}
	}
	return cause.Cause{Code: cause.Timeout, Text: fmt.Sprintf("the phone was not called: the meeting let nobody in for %v", limit)}
}

func (c *Call) answerTimeout(v view) cause.Cause {
	switch {
	case v.phone == leg.Up:
	case !c.opt.Outgoing:
		return cause.Cause{Code: cause.Timeout, Text: "the phone was answered and never acknowledged it (no ACK): check that it reaches the address in our Contact"}
	default:
		return cause.Cause{Code: cause.NoAnswer, Text: "the phone did not answer in time"}
	}
	return cause.Cause{Code: cause.MediaFailed, Text: "no media connection to the bridge: check that its UDP port is reachable from here"}
}
