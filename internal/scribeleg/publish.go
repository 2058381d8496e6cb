package scribeleg

import (
	"context"
	"encoding/json"
	"errors"

	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
	"jigasi/internal/transcript"
)

// A sayer brings messages to a room; *conference.Session is one.
type sayer interface {
	Say(ctx context.Context, message *stanza.Elem) error
}

// room is the publisher that brings what is said back into the room: as captions, which clients show as subtitles (transcription
// spec 6.1, 6.2), and as chat, which everybody sees (6.3).
type room struct {
	sayer
	captions, chat bool
}

// Name implements scribe.Publisher.
func (room) Name() string { return "room" }

// A caption is a message to clients. Its JSON is safe for those that unescape HTML before they parse it.
type caption struct {
	Type string `json:"type"`
	transcript.Message
}

// Publish implements scribe.Publisher.
func (r room) Publish(ctx context.Context, e transcript.Entry) error {
	m := caption{Type: "transcription-result", Message: transcript.MessageOf(e)}
	switch e.Kind {
	case transcript.Speech:
	case transcript.Translation:
		m.Type = "translation-result"
	default:
		return nil // the room knows
	}
	var err error
	if r.captions {
		var text []byte
		if text, err = json.Marshal(m); err == nil {
			err = r.Say(ctx, meetxml.JSONMessage(text))
		}
	}
	if r.chat && e.Kind == transcript.Speech && !e.Interim {
		err = errors.Join(err, r.Say(ctx, meetxml.TextMessage(e.Person.Name+": "+e.Text)))
	}
	return err
}

// Notice implements scribe.Noticer.
func (r room) Notice(ctx context.Context, text string) error {
	return r.Say(ctx, meetxml.TextMessage(text))
}
