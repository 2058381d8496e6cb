package scribeleg

import (
	"strings"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/meetxml"
	"jigasi/internal/recognize"
	"jigasi/internal/transcript"
)

// What the people of a room want (transcription spec 1.8, 1.9, 3.1). These functions are pure.

// A stage is how far a transcriber has come.
//
//	coming ── session-initiate ──> hearing ── nobody wants it, nobody is there, told to go ──> ending ──> gone
//	   │   ^                                                                        │          ^
//	   │   └────────────────────── somebody wants it again ─────────────────────────┘          │
//	   └───────────────────────────── nobody is there, told to go, not let in ─────────────────┘
type stage uint8

const (
	coming  stage = iota // connecting, joining, waiting for the focus
	hearing              // speech is transcribed
	ending               // the last words are awaited
	gone
)

// A view is what decides whether a transcriber stays.
type view struct {
	stage  stage
	wanted bool // somebody wants it
	judged bool // those who are there say what they want, or did
	people int  // that there are, neither recorders nor transcribers
}

// unwantedDelay is how long somebody may change their mind.
const unwantedDelay = 3 * time.Second

// unwanted is the end that is none where somebody wants it again before the last words are there.
var unwanted = cause.Cause{Code: cause.Normal, Text: "nobody wants transcription any more"}

// A verdict says after how long to leave, and why; 0 is to stay.
type verdict struct {
	after time.Duration
	why   cause.Cause
}

func (v view) verdict(empty time.Duration) verdict {
	switch {
	case v.stage >= ending:
	case v.stage == hearing && v.judged && !v.wanted:
		return verdict{unwantedDelay, unwanted}
	case v.people == 0:
		return verdict{empty, cause.Cause{Code: cause.Deserted, Text: "nobody is left to be transcribed"}}
	}
	return verdict{}
}

// look makes a view of a meeting. once says that somebody has wanted transcription before.
func look(m conference.Meeting, s stage, once bool) view {
	v := view{stage: s, wanted: m.Data.Transcribing || m.Data.Visitors > 0, judged: once}
	for _, l := range m.People {
		v.wanted = v.wanted || l.Wants
		v.judged = v.judged || l.Knows
		if isPerson(l) {
			v.people++
		}
	}
	return v
}

// isPerson reports whether a member is somebody whose coming and going is noted; phones are.
func isPerson(l meetxml.Listener) bool { return !l.Transcriber && !l.Recorder }

// language is what a member speaks: "" is not transcribed, which an empty element asks for. What is no tag is as if
// nothing was said.
func language(l meetxml.Listener, usual string) string {
	if l.Speaks && l.Language == "" {
		return ""
	}
	if tag := recognize.Tag(l.Language); tag != "" {
		return tag
	}
	return usual
}

// maxTargets bounds the languages that members can ask for.
const maxTargets = 40

// targets are the languages that are read, exactly as they are asked for: clients compare them so.
func targets(m conference.Meeting, usual string) []string {
	var out []string
	seen := map[string]bool{}
	add := func(lang string) {
		if !seen[lang] && recognize.Tag(lang) != "" && len(out) < maxTargets {
			seen[lang] = true
			out = append(out, lang)
		}
	}
	for _, l := range m.People {
		own := language(l, usual)
		if own != "" && l.Target != "" && !strings.EqualFold(l.Target, own) && !strings.EqualFold(l.Target, recognize.Primary(own)) {
			add(l.Target)
		}
	}
	for _, lang := range m.Data.Languages {
		add(lang)
	}
	return out
}

// personOf is a member as transcripts and the room know them.
func personOf(l meetxml.Listener, identities bool) transcript.Person {
	p := transcript.Person{ID: l.Nick, Name: l.Name}
	if p.Name == "" {
		p.Name = unnamed
	}
	if strings.HasPrefix(l.Avatar, "https://") || strings.HasPrefix(l.Avatar, "http://") {
		p.Avatar = l.Avatar
	}
	if identities {
		p.Email, p.UserName, p.UserID, p.GroupID = l.Email, l.UserName, l.UserID, l.GroupID
	}
	return p
}
