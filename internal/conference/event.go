package conference

import (
	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
)

// Kind says what an Event is about.
type Kind uint8

const (
	// Joined: the room has been entered.
	Joined Kind = iota
	// Waiting: nothing can be connected yet, Text says why (alone, no bridge).
	Waiting
	// Offered: the focus offers a session: Accept it. It replaces the one before, if any.
	Offered
	// Trickled: more candidates of the bridge.
	Trickled
	// SourcesChanged: streams came (Added) or went (Removed).
	SourcesChanged
	// Suspended: the session is gone for now, Cause says why; another follows or the end.
	Suspended
	// Told: Item happened, and the phone is to be told.
	Told
	// Muted: the phone is silent now, or can be heard (On, OK); ByRoom: by the meeting's order,
	// else in answer to AskMute with ID.
	Muted
	// Dismissed: a moderator wants the transcriber to leave.
	Dismissed
	// Over: the end; the channel is closed after it.
	Over
)

// What Waiting says in Text where people are waited for.
const (
	InLobby       = "lobby"
	NeedsPassword = "password"
)

// An Event is what a session tells its owner.
type Event struct {
	Kind           Kind
	Text           string
	Offer          *Offer
	Candidates     []jingle.Candidate
	Added, Removed []jingle.Source
	Item           news.Item
	On, OK, ByRoom bool
	Known          bool // with Muted: by the phone's own doing
	ID             string
	Cause          cause.Cause
}

// An Offer is a session-initiate or transport-replace of the focus.
type Offer struct {
	SID        string
	Nick       string // our endpoint id now: it may have changed since Join
	Seat       int    // how often we have come into a room: another one is another seat, also by the same name
	Transport  jingle.Transport
	Opus       jingle.Payload
	EventPT    uint8 // telephone-event, 0 if not offered
	EventClock int   // its clock, in Hz
	LevelID    uint8 // id of the audio level extension, 0 if not offered
	Sources    []jingle.Source
	Relays     []meetxml.Relay

	Visitor   bool // nothing may be sent
	Replaces  bool // a transport-replace: the meeting moves to another bridge
	initiator string
	from      string
	bridge    string
	message   *jingle.Message
}
