package scribeleg

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/meetxml"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

const (
	notConfigured = "Transcriber is not properly configured. Contact the service administrators and let them know! I will now leave."
	noticeLimit   = 5 * time.Second
	shutdownLimit = 3 * time.Second // for the last words, where the process ends
	rejoinLimit   = 3 * time.Second // within which who left and comes again was never gone
)

// words are what is written down of one session: who is there, and what they say. It belongs to the leg's goroutine.
type words struct {
	scribe  *scribe.Scribe
	ears    *ears
	keeper  Keeper // nil keeps nothing
	counts  *Counts
	log     *slog.Logger
	present map[string]*attendee
	people  map[string]person // when they were seen last
}

// An attendee is somebody whose coming is noted.
type attendee struct {
	person transcript.Person
	hand   bool
	gone   time.Time // zero: there
}

// begin begins to write down, once the focus has invited us and the service is chosen.
func (l *Leg) begin() {
	if l.stage != coming || l.media.Offer() == nil || l.chosen == nil {
		return
	}
	if l.chosen.err != nil {
		l.log.Error("nothing is transcribed: there is no speech service", xlog.Err, l.chosen.err)
		why := cause.Cause{Code: cause.Unavailable, Text: "there is no speech service: " + l.chosen.err.Error(), Err: l.chosen.err}
		l.stage = ending
		l.wg.Go(func() {
			ctx, cancel := context.WithTimeout(l.ctx, noticeLimit)
			defer cancel()
			_ = l.session.Say(ctx, meetxml.TextMessage(notConfigured)) // the log has it
			l.session.Leave(why)
		})
		return
	}
	start := time.Now()
	o := scribe.Options{
		Room: l.opt.Conference.Room.String(), RoomURL: l.opt.RoomURL, Session: l.session.Occupant().String(), Start: start, Service: l.chosen.service, Gate: l.opt.Gate,
		Translator: l.opt.Translator, EndLimit: l.opt.EndLimit, Counts: l.opt.Words, Log: l.log,
		Publishers: []scribe.Publisher{room{l.session, l.opt.Captions, l.opt.Chat}},
	}
	w := &words{counts: l.opt.Counts, log: l.log, present: map[string]*attendee{}}
	if l.opt.Keep != nil {
		w.keeper = l.opt.Keep(start)
		w.keeper.Attach(&o)
	}
	w.scribe = scribe.New(o)
	w.ears = newEars(w.scribe, l.opt, l.log)
	l.words, l.stage = w, hearing
	l.ears.Store(w.ears)
	l.log.Info("transcription begins")
	l.session.SetTranscription("ON")
	l.changed(start)
	l.notify()
	l.connect()
}

// notify tells the room where its transcript will be.
func (l *Leg) notify() {
	if l.words.keeper == nil {
		return
	}
	text := l.words.keeper.Notice()
	if text == "" {
		return
	}
	l.wg.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, noticeLimit)
		defer cancel()
		if err := l.session.Say(ctx, meetxml.TextMessage(text)); err != nil {
			l.log.Warn("the room was not told where its transcript will be", xlog.Err, err)
		}
	})
}

// changed looks at the room again.
func (l *Leg) changed(now time.Time) {
	m := l.session.Meeting()
	if l.words != nil && l.stage == hearing {
		l.words.see(m, l.opt, now)
	}
	if !m.Here {
		l.leaveAt = time.Time{} // nobody can be judged whom we do not see
		return
	}
	v := look(m, l.stage, l.once)
	l.once = l.once || v.wanted && l.stage == hearing
	switch d := v.verdict(l.opt.EmptyLimit); {
	case d.after <= 0:
		l.leaveAt = time.Time{}
	case l.leaveAt.IsZero() || l.leaveFor.why.Code != d.why.Code:
		l.leaveAt, l.leaveFor = now.Add(d.after), d
	}
}

// stop ends the session: first the last words, while we are still in the room.
func (l *Leg) stop(why cause.Cause) {
	switch l.stage {
	case coming:
		l.stage = ending
		l.session.Leave(why)
	case hearing:
		l.stage = ending
		l.log.Info("transcription ends", xlog.Cause, why.Code.String(), "why", why.String())
		w, limit := l.words, l.lastWords(why)
		l.words = nil
		l.ears.Store(nil)
		l.wg.Go(func() {
			defer func() {
				select {
				case l.asked <- func() { l.closed(why) }:
				case <-l.ctx.Done():
				}
			}()
			defer cause.Recover(func(why cause.Cause, stack []byte) {
				l.log.Error("panic at the end of a transcription", xlog.Err, why.Err, "stack", string(stack))
			})
			w.close(limit, time.Now())
		})
	case ending, gone:
		l.told = why // it does not begin again
	}
}

// closed leaves the room, unless somebody wants transcription again.
func (l *Leg) closed(why cause.Cause) {
	m := l.session.Meeting()
	if l.stage == ending && why == unwanted && l.told == (cause.Cause{}) && m.Here && look(m, hearing, true).wanted {
		l.log.Info("somebody wants transcription again")
		l.stage = coming
		l.begin()
		return
	}
	l.session.Leave(why)
}

// lastWords is how long they may take.
func (l *Leg) lastWords(why cause.Cause) time.Duration {
	if why.Code == cause.Shutdown {
		return min(l.opt.EndLimit, shutdownLimit)
	}
	return l.opt.EndLimit + translate.Limit
}

// close waits for the last words and has everything kept.
func (w *words) close(limit time.Duration, now time.Time) {
	w.ears.close()
	for nick, a := range w.present {
		if !a.gone.IsZero() {
			w.leave(nick, a)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := w.scribe.Close(ctx, now)
	if w.keeper != nil {
		late, done := context.WithTimeout(context.Background(), limit)
		defer done()
		err = errors.Join(err, w.keeper.End(late))
	}
	if err != nil {
		w.counts.Missing.Add(1)
		w.log.Error("not all of a transcription has arrived where it belongs", xlog.Err, err)
	}
}

// see takes over who is there, what they speak and read, and whose sound is whose.
func (w *words) see(m conference.Meeting, o Options, now time.Time) {
	s := scene{owners: m.Sources, people: w.people, usual: o.Language}
	if m.Here {
		s.people = map[string]person{}
	}
	for _, l := range m.People {
		if !m.Here {
			break // we come in again: not all are there yet
		}
		p := person{Person: personOf(l, o.Identities), language: language(l, o.Language), muted: l.Muted}
		s.people[l.Nick] = p
		if isPerson(l) {
			w.attend(l, p.Person, now)
		}
	}
	w.people = s.people
	w.ears.set(s)
	if !m.Here {
		return
	}
	w.scribe.Translate(targets(m, o.Language))
	for nick, a := range w.present {
		there := slices.ContainsFunc(m.People, func(l meetxml.Listener) bool { return l.Nick == nick })
		if !there && a.gone.IsZero() {
			a.gone = now
		}
	}
}

// attend notes who comes, raises a hand or has another name now.
func (w *words) attend(l meetxml.Listener, p transcript.Person, now time.Time) {
	a := w.present[l.Nick]
	if a == nil {
		a = &attendee{}
		w.present[l.Nick] = a
		w.scribe.Note(transcript.Join, p, now)
	}
	if l.HandRaised && !a.hand {
		w.scribe.Note(transcript.RaiseHand, p, now)
	}
	a.person, a.hand, a.gone = p, l.HandRaised, time.Time{}
}

// tick notes who has left and does not come again.
func (w *words) tick(now time.Time) {
	for nick, a := range w.present {
		if !a.gone.IsZero() && now.Sub(a.gone) >= rejoinLimit {
			w.leave(nick, a)
		}
	}
}

func (w *words) leave(nick string, a *attendee) {
	w.scribe.Note(transcript.Leave, a.person, a.gone)
	delete(w.present, nick)
}
