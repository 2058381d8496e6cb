package export

import (
	"bytes"
	"time"

	chunk "jigasi/internal/media" // media is a kind of message here
	"jigasi/internal/scribe"
	"jigasi/internal/talk"
	"jigasi/internal/transcript"
)

// A speaker is one tag: the sound of one source. It belongs to its meeting's goroutine. Its voice in the transcript
// begins with its first sound and ends when there was none for long; the tag stays known.
type speaker struct {
	m        *meeting
	person   string
	language string
	mute     bool // it speaks what we do not understand
	red      bool // its packets hold those before them once more
	voice    *scribe.Voice
	talk     *talk.Source
	joined   bool      // the transcript says that the voice is there
	heard    time.Time // when sound came last
}

// announced reads a start message: of a new tag, of one that we know, or of one that begins anew.
func (s *speaker) announced(m *message, now time.Time) {
	if s.voice != nil {
		s.talk.Restart(now)
	}
	if s.person != m.person {
		s.leave(now)
	}
	s.person, s.mute, s.red = m.person, !m.opus, m.red
	if m.language != "" && m.language != s.language {
		s.leave(now)
		s.language = m.language
	}
}

// hear takes sound as it comes, and keeps nothing of m.
func (s *speaker) hear(m *message, now time.Time) {
	if s.mute || s.voice == nil && !s.join(now) {
		s.m.s.counts.Unheard.Add(1)
		return
	}
	sound := m.payload
	if s.red {
		if sound = primary(sound); sound == nil {
			s.m.s.counts.Damaged.Add(1)
			return
		}
	}
	s.heard = now
	if s.talk.Settling(now) {
		sound = bytes.Clone(sound)
	}
	s.talk.Hear(talk.Packet{At: m.at, Number: m.chunk, Payload: sound}, now)
}

// primary is the newest packet in one of RED (RFC 2198), nil where there is none. The older ones have come before; one that
// was lost is covered as any other.
func primary(red []byte) []byte {
	older := 0
	for len(red) >= 4 && red[0]&0x80 != 0 { // one of four bytes for each older packet
		older += int(red[2]&3)<<8 | int(red[3])
		red = red[4:]
	}
	if len(red) <= 1+older || red[0]&0x80 != 0 { // one of one byte for the newest
		return nil
	}
	return red[1+older:]
}

// join gives the speaker a voice.
func (s *speaker) join(now time.Time) bool {
	if !s.m.admit(now) {
		return false
	}
	v, err := s.m.scribe.Listen(s.who(), s.person, s.language)
	if err != nil {
		return false
	}
	t, err := talk.New(&s.m.s.counts.Counts, s.say)
	if err != nil {
		v.End()
		return false
	}
	s.voice, s.talk, s.joined = v, t, false
	s.m.talking++
	return true
}

func (s *speaker) who() transcript.Person { return transcript.Person{ID: s.person, Name: s.person} }

// say takes 20 ms of what is said. With the first of them the speaker has come: before any word, and when it was said.
func (s *speaker) say(c *chunk.Chunk, at time.Time) {
	if !s.joined {
		s.joined = true
		s.m.scribe.Note(transcript.Join, s.who(), at)
	}
	s.voice.Push(c, at)
}

// leave lets it go; the last words still come.
func (s *speaker) leave(now time.Time) {
	if s.voice == nil {
		return
	}
	s.talk.Flush(now)
	if s.joined {
		s.voice.Leave(now)
	} else {
		s.voice.End() // nothing of it could be heard
	}
	s.voice, s.talk = nil, nil
	s.m.talking--
}

// flush plays what was held.
func (s *speaker) flush(now time.Time) {
	if s.voice != nil {
		s.talk.Flush(now)
	}
}

// tick lets time pass; who says nothing for long is gone.
func (s *speaker) tick(now time.Time) {
	switch {
	case s.voice == nil:
	case now.Sub(s.heard) >= s.m.s.opt.Idle:
		s.leave(now)
	default:
		s.talk.Tick(now, s.m.pause(now))
	}
}
