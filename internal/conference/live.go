package conference

import (
	"context"
	"math/rand/v2"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"
)

// A meeting with visitors may not be live yet: the focus says so, and a service tells those who wait when it is
// (gateway spec 4.12). Waiting is a state of a session that is not connected:
//
//	entering ── not live ──> queued ── live, and a random while ──> entering, as a visitor
//	    ^                      └─ the service cannot be reached: asking the focus again after a while
//	    └──────────────────────────┘
//
// The phone is up meanwhile, and has been told.
const (
	liveAgain = 30 * time.Second // between questions to the focus where the service fails
	liveApart = 10 * time.Minute // most that the service can have the comers come apart
)

// NotLiveYet is what Waiting says in Text while the meeting is not live.
const NotLiveYet = "not_live"

// queue waits for the meeting to be live.
func (s *Session) queue() {
	now := time.Now()
	s.state, s.wanted = queued, true
	s.lostAt = time.Time{} // from now on nothing is missed
	if s.liveBy.IsZero() {
		s.liveBy = now.Add(s.opt.LiveTimeout)
		s.log.Info("the meeting is not live yet; waiting")
		s.seat(stanza.JID{Local: s.opt.Nick, Domain: s.opt.Domain}) // of no room: what a dial is answered with
		s.tell(Event{Kind: Joined})
		s.tell(Event{Kind: Told, Item: news.NotLive})
	}
	s.tell(Event{Kind: Waiting, Text: NotLiveYet})
	s.wait(s.liveBy.Sub(now))
	epoch, room, by := s.epoch, s.opt.Room, s.liveBy
	s.beside(func() {
		ctx, cancel := context.WithDeadline(s.ctx, by)
		defer cancel()
		apart, err := s.opt.Live(ctx, room)
		s.post(func() {
			if epoch == s.epoch && s.state == queued && !s.ended {
				s.live(apart, err)
			}
		})
	})
}

// live has the meeting entered, after a while of its own so that not all come at once.
func (s *Session) live(apart time.Duration, err error) {
	again := rand.N(max(1, min(apart, liveApart)))
	if err != nil {
		s.log.Warn("the visitor queue service fails; asking the focus again", xlog.Err, err)
		again = liveAgain/2 + rand.N(liveAgain/2)
	} else {
		s.log.Info("the meeting is live")
		s.lostAt = time.Now() // what fails now is tried again
	}
	if time.Now().Add(again).After(s.liveBy) {
		return // the deadline tells
	}
	s.goHome()
	s.seat(s.room.With(s.opt.Nick))
	s.state = lost
	s.wait(again)
}

// notLive ends a session whose meeting did not begin.
func (s *Session) notLive() {
	s.finish(cause.Cause{Code: cause.NotLive, Text: "the meeting did not begin in time"})
}
