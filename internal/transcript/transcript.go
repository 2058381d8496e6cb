// Package transcript is what was said in a meeting: entries in the order in which they
// became known, the journal they are kept in, and the forms they are read in.
//
// The journal is the transcript: one line of JSON for each entry, on the disk before Append
// returns (docs/adr/0015). Everything else, Jigasi's TXT and JSON, WebVTT and SRT, is made from
// it, now or after a crash. Nothing here starts a goroutine, and no entry is ever logged.
package transcript

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind says what an entry is. The words are Jigasi's, but for Translation.
type Kind string

// The kinds.
const (
	Start       Kind = "START"
	Join        Kind = "JOIN"
	Leave       Kind = "LEAVE"
	RaiseHand   Kind = "RAISE_HAND"
	Speech      Kind = "SPEECH"
	Translation Kind = "TRANSLATION"
	End         Kind = "END"
)

// A Person is who spoke, joined or left. ID is the endpoint id; only it and Name are always there.
type Person struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Email    string `json:"email,omitempty"`
	Avatar   string `json:"avatar_url,omitempty"`
	UserName string `json:"identity_name,omitempty"`
	UserID   string `json:"identity_id,omitempty"`
	GroupID  string `json:"identity_group_id,omitempty"`
}

// An Entry is one line of a transcript. Which fields are set follows from Kind: Room and RoomURL
// with Start, Person with all others but End, the rest with Speech and Translation.
type Entry struct {
	Kind    Kind      `json:"kind"`
	At      time.Time `json:"at"` // when it happened; of speech, when it began
	Person  Person    `json:"person,omitzero"`
	Room    string    `json:"room,omitempty"`
	RoomURL string    `json:"room_url,omitempty"`

	ID         string    `json:"id,omitempty"`       // of the utterance, the same from first interim to final and in translations
	Language   string    `json:"language,omitempty"` // of Text, a BCP 47 tag
	Text       string    `json:"text,omitempty"`
	Until      time.Time `json:"until,omitzero"` // when the speech ended
	Interim    bool      `json:"interim,omitempty"`
	Confidence float64   `json:"confidence,omitempty"`
	Stability  float64   `json:"stability,omitempty"`
}

// A Transcript is a meeting as its journal tells it.
type Transcript struct {
	Room, RoomURL string
	Start, End    time.Time // End is zero where the meeting was cut off
	Present       []Person  // at the start
	Entries       []Entry   // by time, without Start and End
}

// Of makes a Transcript of the entries of a journal. Interims are left out; of entries that
// are there twice, the first counts.
func Of(entries []Entry) *Transcript {
	t := &Transcript{}
	seen := map[string]bool{}
	for _, e := range entries {
		switch {
		case e.Kind == Start:
			t.Room, t.RoomURL, t.Start = e.Room, e.RoomURL, e.At
		case e.Kind == End:
			t.End = e.At
		case e.Interim:
		default:
			if key := string(e.Kind) + e.ID + e.Language; e.ID == "" || !seen[key] {
				seen[key] = e.ID != ""
				t.Entries = append(t.Entries, e)
			}
		}
		if e.Kind == Join && e.At.Equal(t.Start) {
			t.Present = append(t.Present, e.Person)
		}
	}
	slices.SortStableFunc(t.Entries, func(a, b Entry) int { return a.At.Compare(b.At) })
	return t
}

// In is t as a reader of a language sees it: what was translated into it stands in place of what
// was said. With "" it is t as it was spoken.
func (t *Transcript) In(language string) *Transcript {
	translated := map[string]Entry{}
	for _, e := range t.Entries {
		if e.Kind == Translation && e.Language == language {
			translated[e.ID] = e
		}
	}
	out := *t
	out.Entries = nil
	for _, e := range t.Entries {
		if e.Kind == Translation {
			continue
		}
		if other, ok := translated[e.ID]; ok && e.Kind == Speech {
			e.Text, e.Language = other.Text, other.Language
		}
		out.Entries = append(out.Entries, e)
	}
	return &out
}

// ended is when the last thing happened.
func (t *Transcript) ended() time.Time {
	last := cmp.Or(t.End, t.Start)
	for _, e := range t.Entries {
		if e.At.After(last) {
			last = e.At
		}
	}
	return last
}

// NewID makes an id for an utterance: a UUID of version 7, so that ids sort by time.
func NewID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16|uint64(b[6])<<8|uint64(b[7]))
	b[6] = 0x70 | b[6]&0x0f
	b[8] = 0x80 | b[8]&0x3f
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Name makes the name of a transcript's directory and files: a time and something nobody can
// guess, and never a word that came from outside.
func Name(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = 0x40 | b[6]&0x0f
	b[8] = 0x80 | b[8]&0x3f
	return fmt.Sprintf("%s_%x-%x-%x-%x-%x", now.UTC().Format(instant), b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// instant is Jigasi's form of a moment.
const instant = "2006-01-02T15:04:05.000000Z07:00"

// Named gives the moment that a name of Name's begins with, and false for any other name.
func Named(name string) (time.Time, bool) {
	const random = "_00000000-0000-4000-8000-000000000000"
	if len(name) <= len(random) {
		return time.Time{}, false
	}
	when, uuid := name[:len(name)-len(random)], name[len(name)-len(random):]
	at, err := time.Parse(instant, when)
	if err != nil || at.UTC().Format(instant) != when {
		return time.Time{}, false
	}
	for i, c := range uuid {
		switch hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'; random[i] {
		case '_', '-', '4':
			if byte(c) != random[i] {
				return time.Time{}, false
			}
		default:
			if !hex {
				return time.Time{}, false
			}
		}
	}
	return at, true
}

// IsFile reports whether a file of a session may have this name: one of Name's, as it is or with transcript_ before it or a
// number after it, and an extension of ours.
func IsFile(name string) bool {
	stem, ext, ok := strings.Cut(name, "Z_")
	if !ok {
		return false
	}
	uuid, ext, ok := strings.Cut(ext, ".")
	if !ok || !slices.Contains([]string{"txt", "json", "vtt", "srt", "jsonl", "wav", "opus"}, ext) {
		return false
	}
	uuid, number, numbered := strings.Cut(uuid, "_")
	if n, err := strconv.ParseUint(number, 10, 16); numbered && (err != nil || strconv.FormatUint(n, 10) != number) {
		return false
	}
	at, isTranscript := strings.CutPrefix(stem, "transcript_")
	if isTranscript && (numbered || ext == "wav" || ext == "opus") {
		return false
	}
	if !isTranscript && ext != "wav" && ext != "opus" && ext != "jsonl" {
		return false
	}
	_, ok = Named(at + "Z_" + uuid)
	return ok
}
