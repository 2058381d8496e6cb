package scribe

import (
	"context"
	"errors"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/transcript"
	"jigasi/internal/xlog"
)

// A Noticer is a Publisher that can also tell the room how it stands with captions. What it is given is a sentence of
// ours, in English, in order with the entries. Each is given once in a session.
type Noticer interface {
	Notice(ctx context.Context, text string) error
}

// What a room is told.
const (
	NoticeUnusable    = "Transcriber is not properly configured. Contact the service administrators and let them know!"
	NoticeBudget      = "The minutes of transcription are used up: there are no captions any more."
	NoticeSpare       = "The minutes of transcription are used up: captions go on with another service."
	NoticeInterrupted = "Captions are interrupted: the speech service does not answer. What is said now may come late."
	NoticeBack        = "Captions are back."
	NoticeLanguage    = "There are no captions for this language: "
)

// notice is the kind, within, of what a Noticer is told.
const notice transcript.Kind = "NOTICE"

// Tell has the room told a sentence, such as where its transcript will be. It is no part of the transcript.
func (s *Scribe) Tell(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.in <- transcript.Entry{Kind: notice, At: time.Now(), Text: text}
	}
}

// patientRow is how many streams in a row may fail before the room is told.
const patientRow = 3

// trouble is told by each speaker how it stands with its service.
func (s *Scribe) trouble(language string, err error, row int) {
	text := ""
	switch {
	case err == nil:
		s.mu.Lock()
		if s.interrupted {
			text = NoticeBack
		}
		s.interrupted = false
		s.mu.Unlock()
	case errors.Is(err, recognize.ErrSpare):
		text = NoticeSpare
	case errors.Is(err, recognize.ErrBudget):
		text = NoticeBudget
	case errors.Is(err, recognize.ErrLanguage):
		text = NoticeLanguage + language
	case errors.Is(err, recognize.ErrCredential):
		text = NoticeUnusable
	case row >= patientRow:
		text = NoticeInterrupted
		s.mu.Lock()
		s.interrupted = true
		s.mu.Unlock()
	}
	s.mu.Lock()
	tell := text != "" && !s.told[text] && !s.ended
	if tell {
		s.told[text] = true
	}
	s.mu.Unlock()
	if !tell {
		return
	}
	if recognize.Permanent(err) {
		s.log.Error("there are no captions", xlog.Err, err)
	}
	s.o.Counts.Notices.Add(1)
	s.in <- transcript.Entry{Kind: notice, At: time.Now(), Text: text}
}
