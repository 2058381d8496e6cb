// Package scribe is the transcription of one session, from the voices of its speakers to everybody
// who reads along: who speaks (Voice), in which order it became known, in the journal, in other
// languages, to the publishers.
//
//	Voice.Push ─> recognize.Speaker ─┐                      ┌─> outlet: journal
//	Voice.Push ─> recognize.Speaker ─┼─> Scribe: id, order ─┼─> outlet: publisher
//	                  translator <───┴──── finals           └─> outlet: publisher
//
// Each speaker, each target language and each outlet has a goroutine and a bounded queue of its own,
// so that a slow one delays nobody. Interims may be dropped, finals only beyond MaxQueue, and then
// the outlet is broken and says so. No word of it is ever logged.
package scribe

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/transcript"
	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

// A Publisher brings entries to where people read them: interims and finals of speech, translations,
// and who came and went. Publish is called by one goroutine, in order. It may block until ctx is
// done: it has a queue of its own. What the entry is of, it must not log.
type Publisher interface {
	Name() string
	Publish(ctx context.Context, e transcript.Entry) error
}

// An Ear hears one speaker, such as a recording. It must not block, and keeps nothing of what it is given.
type Ear interface {
	Push(pcm []int16, at time.Time) // sound at recognize.Rate that began at a time
	Leave()
}

// Options are what a Scribe needs.
type Options struct {
	Room, RoomURL string
	Session       string    // names the session to the speech service
	Start         time.Time // zero is now
	Service       recognize.Service
	Gate          bool                 // keep silence from the service
	Translator    translate.Translator // nil is none
	Targets       []string             // languages to translate into
	Journal       *transcript.Journal  // nil is none; the Scribe closes it
	Publishers    []Publisher
	Ears          func(p transcript.Person) Ear // nil: nobody hears the sound but the service
	EndLimit      time.Duration                 // that the last words may take; 0 is 10 s
	Counts        *Counts                       // nil is none
	Log           *slog.Logger
}

// Counts count what happens in all sessions. Words counts what their services do.
type Counts struct {
	Words            recognize.Counts
	Started          atomic.Int64 // sessions
	Stopped          atomic.Int64 // of them, with nothing lost
	Failed           atomic.Int64 // of them, with something lost
	Translated       atomic.Int64
	TranslateErrors  atomic.Int64
	TranslateDropped atomic.Int64 // too many waited
	PublishErrors    atomic.Int64
	InterimsDropped  atomic.Int64
	FinalsDropped    atomic.Int64 // by an outlet that is broken
	Notices          atomic.Int64 // that rooms were told of trouble
	Unpublished      atomic.Int64 // entries that wait for an outlet now
	Untranslated     atomic.Int64 // sentences that wait for a translator now
	TranslateTime    recognize.Spread
}

// A Scribe transcribes one session.
type Scribe struct {
	o       Options
	log     *slog.Logger
	ctx     context.Context // of everything that serves the session
	cancel  context.CancelFunc
	in      chan transcript.Entry
	stopped chan struct{} // run has ended
	outlets []*outlet
	workers sync.WaitGroup // translators

	mu          sync.Mutex
	voices      map[*Voice]bool
	ended       bool
	told        map[string]bool // notices
	interrupted bool            // the last of them says that there are no captions

	translating sync.Mutex
	target      map[string]*queue // a translator's queue for each language that was ever wanted
	wanted      map[string]bool   // languages that are wanted now
	settled     bool              // no language begins any more
}

// New starts a session. Close ends it.
func New(o Options) *Scribe {
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	if o.Counts == nil {
		o.Counts = &Counts{}
	}
	s := &Scribe{
		o: o, log: xlog.Or(o.Log), in: make(chan transcript.Entry, 64), stopped: make(chan struct{}),
		voices: map[*Voice]bool{}, told: map[string]bool{}, target: map[string]*queue{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if o.Journal != nil {
		s.outlets = append(s.outlets, newJournalist(s, o.Journal))
	}
	for _, p := range o.Publishers {
		s.outlets = append(s.outlets, newOutlet(s, p))
	}
	s.Translate(o.Targets)
	o.Counts.Started.Add(1)
	go s.run()
	s.in <- transcript.Entry{Kind: transcript.Start, At: o.Start, Room: o.Room, RoomURL: o.RoomURL}
	return s
}

// settle is the mark, within, behind the last final.
const settle transcript.Kind = ""

// run gives every entry to everybody, in one order.
func (s *Scribe) run() {
	defer close(s.stopped)
	for e := range s.in {
		if e.Kind == settle { // all finals are there
			s.endTranslators()
			continue
		}
		for _, o := range s.outlets {
			o.put(e)
		}
		if e.Kind == transcript.Speech && !e.Interim {
			s.translate(e)
		}
	}
}

// Close ends the session: the voices stop, the last words come, are translated and published, and
// the journal is closed. What is not done when ctx is done is left. The error says what is lost.
func (s *Scribe) Close(ctx context.Context, at time.Time) error {
	s.mu.Lock()
	voices := s.voices
	s.voices, s.ended = map[*Voice]bool{}, true
	s.mu.Unlock()
	s.lastLanguage()
	for v := range voices {
		v.End()
	}
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	defer s.cancel()
	for v := range voices {
		<-v.speaker.Done() // in EndLimit, or when ctx is done
	}
	s.in <- transcript.Entry{Kind: settle}
	s.workers.Wait()
	s.in <- transcript.Entry{Kind: transcript.End, At: at}
	close(s.in)
	<-s.stopped
	var errs []error
	for _, o := range s.outlets {
		o.queue.end()
	}
	for _, o := range s.outlets {
		<-o.done
		errs = append(errs, o.err)
	}
	err := errors.Join(errs...)
	if err != nil {
		s.o.Counts.Failed.Add(1)
	} else {
		s.o.Counts.Stopped.Add(1)
	}
	return err
}
