package scribeleg

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/rtpx"
	"jigasi/internal/scribe"
	"jigasi/internal/talk"
	"jigasi/internal/transcript"
	"jigasi/internal/xlog"
)

const (
	maxStreams  = 512                    // SSRCs known at once (T11)
	ownerLimit  = 5 * time.Second        // how long sound is held whose owner is not known
	forgetAfter = time.Minute            // a stream without packets
	breath      = 20 * time.Millisecond  // between two looks at what has come
	tick        = 100 * time.Millisecond // and where nothing comes
	idle        = 5 * time.Minute        // without sound, after which a voice ends
	goneAfter   = 3 * time.Second        // without a source, likewise
	evictAfter  = 10 * time.Second       // of silence, where others want to speak
	takeover    = 2 * time.Second        // without sound, after which another stream goes on with a voice
)

// A person is whose sound it is.
type person struct {
	transcript.Person
	language string // "" is not transcribed
	muted    bool
}

// A scene is whose sound is whose now.
type scene struct {
	owners map[uint32]jingle.Source
	people map[string]person
	// usual is the language of who is not known.
	usual string
}

// ears hear everybody in a meeting, each apart, and give it to the scribe. Packets come on the bridge's goroutine; everything
// else happens on one of their own.
type ears struct {
	scribe   *scribe.Scribe
	counts   *Counts
	speakers int
	log      *slog.Logger
	wake     chan struct{}
	quit     chan struct{}
	done     chan struct{}

	mu      sync.Mutex // held for moments
	streams map[uint32]*stream
	coming  *scene // nil: nothing new

	// Of their own goroutine.
	now    scene
	voices map[key]*voice
	ready  []*stream
}

// A stream is one SSRC.
type stream struct {
	ssrc  uint32
	heard time.Time // when a packet came last

	order order    // guarded by ears.mu
	turn  []packet // taken, to be played

	src   *talk.Source // nil: it has said nothing yet
	voice *voice       // nil: not bound
	muted bool
}

// key names a voice: a source of somebody.
type key struct{ owner, name string }

// A voice is a source of somebody in the transcript. Its stream may be another one later.
type voice struct {
	*scribe.Voice
	key      key
	person   person
	stream   *stream
	heard    time.Time
	orphaned time.Time // since when it has no source; zero: it has one
}

func newEars(s *scribe.Scribe, o Options, log *slog.Logger) *ears {
	e := &ears{
		scribe: s, counts: o.Counts, speakers: o.Speakers, log: log, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		streams: map[uint32]*stream{}, voices: map[key]*voice{}, now: scene{usual: o.Language},
	}
	go e.run()
	return e
}

// rtp takes a packet, on the bridge's goroutine.
func (e *ears) rtp(h *rtpx.Header, payload []byte) {
	if len(payload) == 0 {
		return
	}
	now := time.Now()
	e.mu.Lock()
	s := e.streams[h.SSRC]
	if s == nil {
		if len(e.streams) >= maxStreams {
			e.mu.Unlock()
			e.counts.Unheard.Add(1)
			return
		}
		s = &stream{ssrc: h.SSRC}
		e.streams[h.SSRC] = s
	}
	s.heard = now
	s.order.put(h, payload, now)
	e.mu.Unlock()
	e.poke()
}

// wanted is asked before decryption: who is muted is not.
func wanted(h *rtpx.Header) bool { return !h.HasLevel || h.Level < 127 }

func (e *ears) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// set says whose sound is whose from now on: what has come so far still belongs to who owned it then.
func (e *ears) set(s scene) {
	e.mu.Lock()
	e.coming = &s
	e.mu.Unlock()
	e.poke()
}

// close plays what there is and ends. Nothing comes after it.
func (e *ears) close() {
	close(e.quit)
	<-e.done
}

func (e *ears) run() {
	defer close(e.done)
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		e.log.Error("panic while hearing a meeting", xlog.Err, why.Err, "stack", string(stack))
	})
	slow := time.NewTicker(tick)
	defer slow.Stop()
	rest := time.NewTimer(breath)
	defer rest.Stop()
	for {
		select {
		case <-e.wake:
			e.look(time.Now())
			rest.Reset(breath)
			select { // packets of many come at any time: they are looked at together
			case <-rest.C:
			case <-e.quit:
			}
		case now := <-slow.C:
			e.look(now)
			e.tick(now)
		case <-e.quit:
			now := time.Now()
			e.look(now.Add(patience))
			for _, s := range e.ready {
				if s.src != nil {
					s.src.Flush(now)
				}
			}
			return
		}
	}
}

// look plays what has come, and then takes over the new scene.
func (e *ears) look(now time.Time) {
	e.mu.Lock()
	e.ready = e.ready[:0]
	for ssrc, s := range e.streams {
		if now.Sub(s.heard) > forgetAfter {
			delete(e.streams, ssrc)
		}
		e.ready = append(e.ready, s)
		_, owned := e.now.owners[ssrc]
		switch {
		case owned && (s.voice != nil || s.order.calm()):
			s.turn = s.order.take(s.turn[:0], now)
		case !owned:
			s.order.forget(now.Add(-ownerLimit))
		}
		e.counts.Unheard.Add(s.order.dropped)
		e.counts.Late.Add(s.order.late)
		s.order.dropped, s.order.late = 0, 0
	}
	coming := e.coming
	e.coming = nil
	e.mu.Unlock()
	for _, s := range e.ready {
		if len(s.turn) > 0 {
			e.play(s, now)
		}
	}
	e.mu.Lock()
	for _, s := range e.ready {
		s.order.giveBack(s.turn)
		s.turn = s.turn[:0]
	}
	e.mu.Unlock()
	if coming != nil {
		e.adopt(*coming, now)
		e.poke() // what was held may have an owner now
	}
}

// play gives the packets of a stream to its voice.
func (e *ears) play(s *stream, now time.Time) {
	if !e.bind(s, now) {
		e.counts.Unheard.Add(int64(len(s.turn)))
		return
	}
	for _, p := range s.turn {
		if s.src.Settling(p.arrived) {
			p.data = bytes.Clone(p.data) // it is held
		}
		s.src.Hear(talk.Packet{At: p.at, Number: p.number, Payload: p.data}, p.arrived)
	}
	s.voice.heard = now
}

// source makes what a stream needs to be heard.
func (e *ears) source(s *stream) bool {
	if s.src != nil {
		return true
	}
	src, err := talk.New(&e.counts.Counts, s.say)
	if err != nil {
		e.log.Error("a speaker cannot be decoded", xlog.Err, err)
		return false
	}
	s.src = src
	return true
}

// shortName is the name of a source without its owner: a0 is a microphone.
func shortName(src jingle.Source) string {
	return strings.TrimPrefix(src.Name, src.Owner+"-")
}
