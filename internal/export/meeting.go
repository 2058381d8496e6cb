package export

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"jigasi/internal/archive"
	"jigasi/internal/cause"
	"jigasi/internal/scribe"
	"jigasi/internal/talk"
	"jigasi/internal/xlog"
)

const (
	tick       = 100 * time.Millisecond
	maxTags    = 1000             // known, for each meeting
	evictAfter = 10 * time.Second // of silence, where others want to speak
	deadAfter  = 60 * time.Second // for a socket, which pings every ten
)

// An event is what happens at a socket: messages, or that it comes or goes.
type event struct {
	from  *socket
	come  bool
	gone  bool
	batch *batch // to be given back
}

// A meeting is a session: one transcript of one meeting, whichever socket its sound comes by. It has one goroutine,
// which owns everything below in.
type meeting struct {
	s    *Server
	id   string
	log  *slog.Logger
	quit chan struct{} // closed: come to an end
	over chan struct{} // closed: takes no more events
	done chan struct{}
	in   chan event

	back    *back
	scribe  *scribe.Scribe
	kept    *archive.Session // nil: nothing is
	from    *socket          // nil: waiting for the bridge to come back
	alive   time.Time
	tags    map[string]*speaker
	talking int // speakers with a voice
}

func newMeeting(s *Server, id, room string) *meeting {
	room = cmp.Or(room, id)
	m := &meeting{
		s: s, id: id, log: s.log.With("meeting", id), quit: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{}),
		in: make(chan event, 8), back: newBack(&s.counts.Undelivered), tags: map[string]*speaker{}, alive: time.Now(),
	}
	o := scribe.Options{
		Room: room, Session: id, Start: m.alive, Service: s.opt.Service(room), Gate: s.opt.Gate, Translator: s.opt.Translator, Targets: s.opt.Targets,
		Publishers: []scribe.Publisher{m.back}, EndLimit: s.opt.EndLimit, Counts: s.counts.Scribe, Log: m.log,
	}
	if s.opt.Archive != nil {
		m.kept = s.opt.Archive.Open(room, m.alive)
		m.kept.Attach(&o)
	}
	if s.opt.Publishers != nil {
		o.Publishers = append(o.Publishers, s.opt.Publishers(id)...)
	}
	m.scribe = scribe.New(o)
	if m.kept != nil {
		for line := range strings.Lines(m.kept.Notice()) { // where captions are shown: there is nowhere else
			m.scribe.Tell(strings.TrimSpace(line))
		}
	}
	return m
}

// send gives an event to the meeting, and reports whether it still takes one. The queue is bounded: a bridge that is
// faster than we are waits.
func (m *meeting) send(e event) bool {
	select {
	case <-m.over:
		return false
	default:
	}
	select {
	case m.in <- e:
		return true
	case <-m.over:
		return false
	}
}

func (m *meeting) run() {
	defer close(m.done)
	kept := ""
	if m.kept != nil {
		kept = m.kept.Name()
	}
	m.log.Info("a meeting is transcribed", "session", kept)
	why := m.live()
	m.s.forget(m)
	close(m.over)
	m.end(why)
}

// live is the meeting until its end, and says why that came.
func (m *meeting) live() (why string) {
	defer cause.Recover(func(c cause.Cause, stack []byte) {
		m.s.counts.Panics.Add(1)
		m.log.Error("a meeting ended by a defect of ours", xlog.Err, c.Err, "stack", string(stack))
		why = c.Text
	})
	why = m.loop()
	for _, s := range m.tags {
		s.flush(time.Now())
	}
	return why
}

func (m *meeting) loop() (why string) {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		select {
		case e := <-m.in:
			if why = m.hear(e, time.Now()); why != "" {
				return why
			}
		case now := <-clock.C:
			if why = m.tick(now); why != "" {
				return why
			}
		case <-m.quit:
			return "stopped"
		}
	}
}

// hear takes what a socket says. Of two sockets of one meeting the newer counts.
func (m *meeting) hear(e event, now time.Time) (why string) {
	if e.batch != nil {
		defer func() { e.from.free <- e.batch }()
	}
	switch {
	case e.come:
		if m.from != nil {
			m.s.counts.Replaced.Add(1)
			m.log.Warn("the bridge came twice: the newer socket counts")
			m.from.close()
		}
		m.from, m.alive = e.from, now
		m.back.to(e.from)
		return ""
	case e.from != m.from:
		return ""
	case e.gone:
		m.from, m.alive = nil, now
		m.back.to(nil)
		return ""
	}
	m.alive = now
	for i := range e.batch.messages {
		if why = m.take(&e.batch.messages[i], now); why != "" {
			break
		}
	}
	return why
}

// take takes a message, of which it keeps nothing.
func (m *meeting) take(msg *message, now time.Time) (why string) {
	switch msg.kind {
	case start:
		if s := m.speaker(msg.tag); s != nil {
			s.announced(msg, now)
		}
	case media:
		if s := m.speaker(msg.tag); s != nil {
			s.hear(msg, now)
		}
	case sessionEnd:
		return "the bridge ended it"
	case unknown, info, ping: // alive, then
	}
	return ""
}

// speaker is whose tag that is. One that was never announced is taken for what it most probably is.
func (m *meeting) speaker(tag string) *speaker {
	if s := m.tags[tag]; s != nil {
		return s
	}
	if len(m.tags) >= maxTags {
		for old, s := range m.tags {
			if s.voice == nil {
				delete(m.tags, old)
				break
			}
		}
		if len(m.tags) >= maxTags {
			m.s.counts.Unheard.Add(1)
			return nil
		}
	}
	s := &speaker{m: m, person: endpoint(tag), language: m.s.opt.Language}
	if m.from != nil && m.from.language != "" {
		s.language = m.from.language
	}
	m.tags[tag] = s
	return s
}

// admit reports whether one more may speak. Where there are too many, who has said nothing for longest makes room.
func (m *meeting) admit(now time.Time) bool {
	if m.talking < m.s.opt.Speakers {
		return true
	}
	var quietest *speaker
	for _, s := range m.tags {
		if s.voice != nil && (quietest == nil || s.heard.Before(quietest.heard)) {
			quietest = s
		}
	}
	if quietest == nil || now.Sub(quietest.heard) < evictAfter {
		return false
	}
	quietest.leave(now)
	return true
}

// pause is after which silence a speaker has paused. Where nothing comes of anybody it may be the network, which must
// not cut a word in two.
func (m *meeting) pause(now time.Time) time.Duration {
	if len(m.in) > 0 || now.Sub(m.alive) >= talk.Pause {
		return 3 * talk.Pause
	}
	return talk.Pause
}

func (m *meeting) tick(now time.Time) (why string) {
	for _, s := range m.tags {
		s.tick(now)
	}
	switch {
	case m.from == nil && now.Sub(m.alive) >= m.s.opt.Linger:
		return "the bridge did not come back"
	case m.from != nil && now.Sub(m.alive) >= deadAfter:
		m.from.close()
	}
	return ""
}

// end lets the last words come, and has the transcript kept.
func (m *meeting) end(why string) {
	now := time.Now()
	m.back.last()
	ctx, cancel := context.WithTimeout(m.s.ctx, m.s.opt.EndLimit+translateLimit)
	defer cancel()
	err := m.scribe.Close(ctx, now)
	if m.from != nil {
		m.from.close()
	}
	if m.kept != nil {
		err = errors.Join(err, m.kept.End(ctx))
	}
	if err != nil {
		m.s.counts.Incomplete.Add(1)
		m.log.Error("the transcript of a meeting is not whole", xlog.Err, err)
	}
	m.log.Info("a meeting is no longer transcribed", xlog.Cause, why, "speakers", len(m.tags))
}
