package conference

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
)

// What a transcriber has to know of a meeting (transcription spec 1, 3): everybody's wishes and sources. It changes often, and
// none of it may be lost, so it is no event: Changed says that it is worth looking again.

// A Meeting is how things stand in the room.
type Meeting struct {
	People  []meetxml.Listener // but us and the focus, by nick
	Data    meetxml.Metadata
	Known   bool // Data has been seen
	Here    bool // we are in the room, and see everybody
	Sources map[uint32]jingle.Source
}

// watch is what Meeting is made of.
type watch struct {
	changed chan struct{}

	mu      sync.Mutex
	people  map[string]meetxml.Listener
	data    meetxml.Metadata
	known   bool
	here    bool
	sources map[uint32]jingle.Source
}

func newWatch() *watch {
	return &watch{changed: make(chan struct{}, 1), people: map[string]meetxml.Listener{}}
}

// set changes what is known.
func (w *watch) set(change func()) {
	if w == nil {
		return
	}
	w.mu.Lock()
	change()
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Changed says that Meeting gives something else now. It never does for a seat that is no transcriber's.
func (s *Session) Changed() <-chan struct{} {
	if s.watch == nil {
		return nil
	}
	return s.watch.changed
}

// Meeting is how things stand.
func (s *Session) Meeting() Meeting {
	w := s.watch
	if w == nil {
		return Meeting{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := Meeting{Data: w.data, Known: w.known, Here: w.here, Sources: maps.Clone(w.sources)}
	for _, nick := range slices.Sorted(maps.Keys(w.people)) {
		m.People = append(m.People, w.people[nick])
	}
	return m
}

// heed notes what a member's presence says, and leaves a room that has a transcriber already.
func (s *Session) heed(e *stanza.Elem, o meetxml.Occupant) {
	if s.watch == nil {
		return
	}
	l := meetxml.ParseListener(e, o)
	s.watch.set(func() {
		if _, known := s.watch.people[l.Nick]; known || len(s.watch.people) < maxMembers {
			s.watch.people[l.Nick] = l
		}
	})
	if !s.joined && s.lostAt.IsZero() && !s.talked && l.Transcriber && l.Status != "OFF" && slices.Contains(s.opt.Trusted, l.JID.Domain) {
		s.finish(cause.Cause{Code: cause.Busy, Text: "the room has a transcriber already"})
	}
}

// noteGone forgets a member.
func (s *Session) noteGone(nick string) {
	if s.watch != nil {
		s.watch.set(func() { delete(s.watch.people, nick) })
	}
}

// noteSources makes the sources known.
func (s *Session) noteSources() {
	if s.watch != nil {
		s.watch.set(func() { s.watch.sources = maps.Clone(s.sources) })
	}
}

// noteNobody forgets all members: they come again when we do.
func (s *Session) noteNobody() {
	if s.watch != nil {
		s.watch.set(func() {
			clear(s.watch.people)
			s.watch.here = false
		})
	}
}

// noteHere says that we are in the room: everybody there has been seen.
func (s *Session) noteHere() {
	if s.watch != nil {
		s.watch.set(func() { s.watch.here = true })
	}
}

// noteData notes the metadata of the room.
func (s *Session) noteData(text string) {
	if s.watch == nil {
		return
	}
	if m, ok := meetxml.ParseMetadata(text); ok {
		s.watch.set(func() { s.watch.data, s.watch.known = m, true })
	}
}

// askRoom asks the room for its configuration and metadata, which it tells by itself only when they change.
func (s *Session) askRoom() {
	link, epoch, room := s.link, s.epoch, s.room
	s.beside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, askLimit)
		defer cancel()
		res, err := link.Request(ctx, stanza.New("", "iq", "type", "get", "to", room.String()).Add(meetxml.MetadataRequest()))
		if err != nil {
			return // a room without
		}
		s.post(func() {
			if epoch == s.epoch && room.Equal(s.room) {
				s.noteData(meetxml.RoomMetadata(res))
				s.configured(res)
			}
		})
	})
}

// configured is what the room says of its configuration (gateway spec 4.7).
func (s *Session) configured(res *stanza.Elem) {
	if s.watch != nil {
		return
	}
	s.lobbyOn = meetxml.RoomLobby(res)
	if meetxml.RoomStartsMuted(res) && s.opt.Mute && s.offers == 0 {
		s.startMuted()
	}
}

// roomChanged reports whether a message of the room says that its configuration has changed (XEP-0045, status 104).
func roomChanged(e *stanza.Elem) bool {
	for _, st := range e.Kid(meetxml.NSMUCUser, "x").All("", "status") {
		if st.Get("code") == "104" {
			return true
		}
	}
	return false
}

// SetTranscription shows whether speech is transcribed: ON, OFF, or "" for nothing yet.
func (s *Session) SetTranscription(status string) {
	s.want(func() {
		if s.presence.Transcription != status {
			s.presence.Transcription = status
			s.show()
		}
	})
}

// Say sends a message to the room. While we are out of it, it waits until ctx is done.
func (s *Session) Say(ctx context.Context, message *stanza.Elem) error {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-s.done:
			return cause.Cause{Code: cause.Lost, Text: "the meeting is over"}
		case <-ctx.Done():
			return ctx.Err()
		}
		sent := make(chan bool, 1)
		select {
		case s.asked <- func() { sent <- s.say(message) }:
		case <-s.done:
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case ok := <-sent:
			if ok {
				return nil
			}
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		again.Reset(sayAgain)
	}
}

// sayAgain is after which time it is looked whether we are in the room again.
const sayAgain = 200 * time.Millisecond

func (s *Session) say(message *stanza.Elem) bool {
	if s.link == nil || !s.joined || s.ended {
		return false
	}
	message.Set("to", s.room.String())
	return s.link.Send(message) == nil
}
