package scribeleg

import (
	"fmt"
	"time"

	"jigasi/internal/jingle"
	"jigasi/internal/media"
	"jigasi/internal/talk"
	"jigasi/internal/transcript"
)

// unnamed is who has no name, as Jigasi calls them.
const unnamed = "Fellow Jitser"

// say gives sound to the voice of a stream.
func (s *stream) say(c *media.Chunk, at time.Time) {
	if s.voice != nil {
		s.voice.Push(c, at)
	}
}

// part ends the sentence of a voice that a stream will not go on with.
func (s *stream) part(now time.Time) {
	s.src.Flush(now)
	s.src.Hush()
	for range talk.Silences {
		s.src.Tick(now, 0)
	}
}

// who is the person of an owner, also of one whose presence is not seen.
func (s scene) who(owner string) person {
	p, ok := s.people[owner]
	if !ok {
		p = person{Person: transcript.Person{ID: owner, Name: unnamed}, language: s.usual}
	}
	return p
}

// bind gives a stream the voice of its owner, and reports whether it is to be heard.
func (e *ears) bind(s *stream, now time.Time) bool {
	if s.voice != nil && s.voice.stream == s {
		return true
	}
	src := e.now.owners[s.ssrc]
	who := e.now.who(src.Owner)
	if who.language == "" || !e.source(s) {
		return false
	}
	k := e.keyOf(s.ssrc, src, now)
	v := e.voices[k]
	if v == nil {
		if v = e.join(k, who, now); v == nil {
			return false
		}
	}
	if old := v.stream; old != nil && old != s && old.src != nil {
		old.src.Flush(now)
		old.voice = nil
	}
	v.stream, v.orphaned, s.voice = s, time.Time{}, v
	return true
}

// keyOf names the voice of a stream. Where another stream of the same name still speaks, each has its own.
func (e *ears) keyOf(ssrc uint32, src jingle.Source, now time.Time) key {
	k := key{src.Owner, shortName(src)}
	v := e.voices[k]
	if v == nil || v.stream == nil || v.stream.ssrc == ssrc || e.now.owners[v.stream.ssrc].Owner != src.Owner || now.Sub(v.heard) > takeover {
		return k
	}
	k.name = fmt.Sprintf("%s-%d", k.name, ssrc)
	return k
}

// join gives somebody a voice in the transcript, nil where there are too many.
func (e *ears) join(k key, who person, now time.Time) *voice {
	if len(e.voices) >= e.speakers && !e.makeRoom(now) {
		return nil
	}
	id := k.owner
	if k.name != "a0" && k.name != "" {
		id += "-" + k.name
	}
	sv, err := e.scribe.Listen(who.Person, id, who.language)
	if err != nil {
		return nil
	}
	v := &voice{Voice: sv, key: k, person: who, heard: now}
	e.voices[k] = v
	return v
}

// makeRoom ends the voice of who has said nothing for longest.
func (e *ears) makeRoom(now time.Time) bool {
	var quietest *voice
	for _, v := range e.voices {
		if quietest == nil || v.heard.Before(quietest.heard) {
			quietest = v
		}
	}
	if quietest == nil || now.Sub(quietest.heard) < evictAfter {
		return false
	}
	e.end(quietest, now)
	return true
}

// end ends a voice; its last words still come. Its stream may get another.
func (e *ears) end(v *voice, now time.Time) {
	if s := v.stream; s != nil {
		if s.src != nil {
			s.src.Flush(now)
		}
		s.voice, v.stream = nil, nil
	}
	v.End()
	delete(e.voices, v.key)
}

// adopt takes over a new scene: who owned a stream no longer does, and people speak other languages and have other names.
func (e *ears) adopt(next scene, now time.Time) {
	e.now = next
	for _, s := range e.ready {
		src, owned := next.owners[s.ssrc]
		if v := s.voice; v != nil && (!owned || v.key.owner != src.Owner) {
			s.part(now)
			s.voice, v.stream = nil, nil
		}
		if who := next.who(src.Owner); owned && s.src != nil && shortName(src) != "a1" {
			if who.muted && !s.muted {
				s.src.Hush()
			}
			s.muted = who.muted
		}
	}
	live := map[key]bool{}
	for _, src := range next.owners {
		live[key{src.Owner, shortName(src)}] = true
	}
	for _, v := range e.voices {
		who := next.who(v.key.owner)
		switch {
		case who.language != v.person.language:
			e.end(v, now)
			continue
		case who.Person != v.person.Person && next.people[v.key.owner].ID != "":
			v.person = who
			v.Rename(who.Person)
		}
		switch attached := v.stream != nil || live[v.key]; {
		case attached:
			v.orphaned = time.Time{}
		case v.orphaned.IsZero():
			v.orphaned = now
		}
	}
}

// tick lets time pass.
func (e *ears) tick(now time.Time) {
	for _, s := range e.ready {
		if s.src != nil && s.voice != nil {
			s.src.Tick(now, talk.Pause)
		}
	}
	for _, v := range e.voices {
		if !v.orphaned.IsZero() && now.Sub(v.orphaned) >= goneAfter || now.Sub(v.heard) >= idle {
			e.end(v, now)
		}
	}
}
