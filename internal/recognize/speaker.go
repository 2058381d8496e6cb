package recognize

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"jigasi/internal/xlog"
)

// Options are what a Speaker needs.
type Options struct {
	Service Service
	Who     Who
	// Gate keeps silence from the service: sound passes from 300 ms before speech to 1 s after it.
	Gate bool
	// Emit takes what was said, in order, on the speaker's goroutine. It may block.
	Emit func(Said)
	// Trouble is told, on the same goroutine, of each stream in a row that could not be opened or was lost, and with
	// nil that words come again; of ErrSpare when the spare service has taken over. nil is nobody.
	Trouble func(err error, row int)
	// EndLimit is how long the last words may take after End; 0 is 10 s.
	EndLimit time.Duration
	// FirstDelay is the first wait before a stream is opened again; each next is twice as long, up to
	// half a minute. 0 is 500 ms.
	FirstDelay time.Duration
	Counts     *Counts // nil is none
	Log        *slog.Logger
}

// Said is a part of what a speaker says: an utterance so far, or all of it.
type Said struct {
	Result
	First      bool      // of this utterance: nothing of it was said before
	Began      time.Time // when the words were spoken, by the clock of Push
	Until      time.Time
	Downstream time.Time // when the service gave it
}

// ErrSpare says that the budget is used up, and the spare service has taken over.
var ErrSpare = errors.New("the minutes of the first speech service are used up")

// A Speaker is one person's way to a speech service. Push and End may run on one goroutine, Ready on
// the same; everything else happens on the speaker's own.
type Speaker struct {
	o     Options
	chain *Chain
	wake  chan struct{}
	room  chan struct{}
	done  chan struct{}

	mu             sync.Mutex // guards what follows
	needs          Needs      // written by the speaker's goroutine alone
	ring           ring
	packets        packets // the same sound as it came, where
	opus           bool    // a service wants that, or may
	voice          Detector
	gate           gate
	spoke          bool
	voiced         int64 // position up to which there was voice
	ended          bool
	sent           int64 // position up to which the service has the sound
	acked          int64 // position up to which no word is outstanding
	heardN, readyN int   // results there were, now and when Ready last looked
}

// Listen makes a Speaker. It works until End and the last words after that, or until ctx is done.
func Listen(ctx context.Context, o Options) *Speaker {
	chain, ok := o.Service.(*Chain)
	if !ok {
		chain = Solo(o.Service)
	}
	n := tidy(chain.Needs())
	o.EndLimit, o.FirstDelay = cmp.Or(o.EndLimit, 10*time.Second), cmp.Or(o.FirstDelay, 500*time.Millisecond)
	if o.Counts == nil {
		o.Counts = &Counts{}
	}
	if o.Trouble == nil {
		o.Trouble = func(error, int) {}
	}
	o.Log = xlog.Or(o.Log)
	s := &Speaker{
		o: o, chain: chain, needs: n, opus: n.Opus || !chain.known(), wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{}),
		ring: ring{buf: make([]int16, samples(n.Keep))},
	}
	o.Counts.Speakers.Add(1)
	l := &line{Speaker: s, ctx: ctx, opened: make(chan opening, 1), since: time.Now()}
	go l.run()
	return s
}

// tidy puts defaults in.
func tidy(n Needs) Needs {
	n.Chunk, n.Idle = cmp.Or(n.Chunk, 200*time.Millisecond), cmp.Or(n.Idle, 30*time.Second)
	n.Patience, n.Keep = cmp.Or(n.Patience, 8*time.Second), cmp.Or(n.Keep, 15*time.Second)
	return n
}

// Push takes 20 ms or so of sound at Rate that began at clock. It never blocks and keeps nothing; what
// the service has not taken when it is Keep old is lost, and counted.
func (s *Speaker) Push(pcm []int16, clock time.Time) { s.PushOpus(pcm, nil, clock) }

// PushOpus is Push of sound that came as one packet of Opus, which services may take as it is.
func (s *Speaker) PushOpus(pcm []int16, opus []byte, clock time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	first := s.ring.end == s.acked // after nothing
	voice := s.voice.Voice(pcm)
	onset := voice && !s.spoke
	s.spoke = voice
	if s.o.Gate {
		before, ok := s.gate.pass(pcm, voice)
		if !ok {
			return
		}
		if len(before) > 0 {
			s.ring.write(before, clock.Add(-length(int64(len(before)))), false)
		}
	}
	if s.opus && len(opus) > 0 && len(pcm) == frame {
		s.packets.keep(s.ring.end, opus)
	}
	s.ring.write(pcm, clock, onset)
	if voice {
		s.voiced = s.ring.end
	}
	if first || s.ring.end-s.sent >= samples(s.needs.Chunk) { // there is something to do
		poke(s.wake)
	}
}

// End says that nothing more follows. Done is closed when the last words are there.
func (s *Speaker) End() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	poke(s.wake)
}

// Done is closed when the speaker has come to its end.
func (s *Speaker) Done() <-chan struct{} { return s.done }

// Ready returns when sound that need not come in real time, from a file for one, can be pushed
// without loss. It is never slower than real time while the service works.
func (s *Speaker) Ready(ctx context.Context) error {
	pace := time.NewTimer(20 * time.Millisecond)
	defer pace.Stop()
	for elapsed := false; ; {
		s.mu.Lock()
		unsent, open := length(s.ring.end-s.sent), length(s.ring.end-s.acked)
		heard := s.heardN != s.readyN // a long utterance goes on, at its own speed
		ok := unsent <= s.needs.Chunk+time.Second && (!s.needs.Pace && open <= s.needs.Keep/2 || elapsed && (open <= s.needs.Keep*3/4 || heard))
		if ok && open > s.needs.Keep/2 {
			s.readyN = s.heardN
		}
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-s.room:
		case <-pace.C:
			elapsed = true
		case <-s.done:
			return context.Canceled
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
