package scribe

import (
	"context"
	"errors"
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
	person  transcript.Person
	lang    string
	speaker *recognize.Speaker
	id      string // of the utterance that is being spoken; owned by the speaker's goroutine
	down    audio.Third
	up      audio.Doubler
	buf     [recognize.Rate / 50]int16
}

// Join lets a speaker in. language is the tag of what is spoken.
func (s *Scribe) Join(p transcript.Person, language string, at time.Time) (*Voice, error) {
	v := &Voice{s: s, person: p, lang: language}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, ErrClosed
	}
	v.speaker = recognize.Listen(s.ctx, recognize.Options{
		Service: s.o.Service, Who: recognize.Who{Session: s.o.Session, ID: p.ID, Language: language},
		Gate: s.o.Gate, Emit: v.said, EndLimit: s.o.EndLimit, Counts: &s.o.Counts.Words, Log: s.log,
	})
	for old := range s.voices {
		select {
		case <-old.speaker.Done(): // left, and all said
			delete(s.voices, old)
		default:
		}
	}
	s.voices[v] = true
	s.in <- transcript.Entry{Kind: transcript.Join, At: at, Person: p}
	return v, nil
}

// Push takes 20 ms of sound that began at a time. It does not block, allocate, or keep c.
func (v *Voice) Push(c *media.Chunk, at time.Time) {
	switch c.Rate {
	case media.Wide:
		v.speaker.Push(c.PCM, at)
	case media.Full:
		v.down.Run(v.buf[:], c.PCM)
		v.speaker.Push(v.buf[:], at)
	case media.Narrow:
		v.up.Run(v.buf[:], c.PCM)
		v.speaker.Push(v.buf[:], at)
	}
}

// Ready returns when sound from a file can be pushed without loss.
func (v *Voice) Ready(ctx context.Context) error { return v.speaker.Ready(ctx) }

// Leave lets a speaker go. The last words still come.
func (v *Voice) Leave(at time.Time) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if v.s.ended {
		return
	}
	v.speaker.End() // Close still waits for it
	v.s.in <- transcript.Entry{Kind: transcript.Leave, At: at, Person: v.person}
}

// said makes an entry of what was heard. An utterance keeps its id from first to last.
func (v *Voice) said(r recognize.Said) {
	if r.First || v.id == "" {
		v.id = transcript.NewID(r.Downstream)
	}
	e := transcript.Entry{
		Kind: transcript.Speech, At: r.Began, Until: r.Until, Person: v.person, ID: v.id, Language: v.lang, Text: r.Text,
		Interim: !r.Final, Confidence: r.Confidence, Stability: r.Stability,
	}
	if r.Final {
		v.id = ""
	}
	if r.Text != "" {
		v.s.in <- e
	}
}
