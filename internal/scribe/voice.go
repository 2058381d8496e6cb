package scribe

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
	"jigasi/internal/recognize"
	"jigasi/internal/transcript"
)

// ErrClosed says that the session has ended.
var ErrClosed = errors.New("the session has ended")

// A Voice is one speaker of a session. Its methods are called by one goroutine at a time.
type Voice struct {
	s       *Scribe
	person  atomic.Pointer[transcript.Person]
	lang    string
	speaker *recognize.Speaker
	ear     Ear    // nil is none
	id      string // of the utterance that is being spoken; owned by the speaker's goroutine
	down    audio.Third
	up      audio.Doubler
	buf     [recognize.Rate / 50]int16
}

// Join lets a speaker in, and notes it. language is the tag of what is spoken.
func (s *Scribe) Join(p transcript.Person, language string, at time.Time) (*Voice, error) {
	v, err := s.Listen(p, p.ID, language)
	if err == nil {
		s.Note(transcript.Join, p, at)
	}
	return v, err
}

// Note notes that somebody came, left, or raised a hand.
func (s *Scribe) Note(kind transcript.Kind, p transcript.Person, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.in <- transcript.Entry{Kind: kind, At: at, Person: p}
	}
}

// Listen gives a voice to somebody who may have several; id names it to the speech service. Who came and who
// left is not noted by it.
func (s *Scribe) Listen(p transcript.Person, id, language string) (*Voice, error) {
	v := &Voice{s: s, lang: language}
	v.person.Store(&p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, ErrClosed
	}
	v.speaker = recognize.Listen(s.ctx, recognize.Options{
		Service: s.o.Service, Who: recognize.Who{Session: s.o.Session, ID: id, Language: language},
		Gate: s.o.Gate, Emit: v.said, Trouble: func(err error, row int) { s.trouble(language, err, row) }, EndLimit: s.o.EndLimit, Counts: &s.o.Counts.Words, Log: s.log,
	})
	for old := range s.voices {
		select {
		case <-old.speaker.Done(): // left, and all said
			delete(s.voices, old)
		default:
		}
	}
	if s.o.Ears != nil {
		v.ear = s.o.Ears(p)
	}
	s.voices[v] = true
	return v, nil
}

// Push takes 20 ms of sound that began at a time. It does not block, allocate, or keep c.
func (v *Voice) Push(c *media.Chunk, at time.Time) {
	switch c.Rate {
	case media.Wide:
		v.hear(c.PCM, c.Opus, at)
	case media.Full:
		v.down.Run(v.buf[:], c.PCM)
		v.hear(v.buf[:], nil, at)
	case media.Narrow:
		v.up.Run(v.buf[:], c.PCM)
		v.hear(v.buf[:], nil, at)
	}
}

func (v *Voice) hear(pcm []int16, opus []byte, at time.Time) {
	v.speaker.PushOpus(pcm, opus, at)
	if v.ear != nil {
		v.ear.Push(pcm, at)
	}
}

// Ready returns when sound from a file can be pushed without loss.
func (v *Voice) Ready(ctx context.Context) error { return v.speaker.Ready(ctx) }

// Leave lets a speaker go, and notes it. The last words still come.
func (v *Voice) Leave(at time.Time) {
	v.End()
	v.s.Note(transcript.Leave, *v.person.Load(), at)
}

// End says that nothing more follows. The last words still come, and Close waits for them. It may be called twice.
func (v *Voice) End() {
	v.speaker.End()
	if v.ear != nil {
		v.ear.Leave()
	}
}

// Rename says what is known of the speaker now.
func (v *Voice) Rename(p transcript.Person) { v.person.Store(&p) }

// said makes an entry of what was heard. An utterance keeps its id from first to last.
func (v *Voice) said(r recognize.Said) {
	if r.First || v.id == "" {
		v.id = transcript.NewID(r.Downstream)
	}
	e := transcript.Entry{
		Kind: transcript.Speech, At: r.Began, Until: r.Until, Person: *v.person.Load(), ID: v.id, Language: v.lang, Text: r.Text,
		Interim: !r.Final, Confidence: r.Confidence, Stability: r.Stability,
	}
	if r.Final {
		v.id = ""
	}
	if r.Text != "" {
		v.s.in <- e
	}
}
