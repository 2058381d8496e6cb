// Package leg is the vocabulary that both sides of a call share. It makes no
// legs: sipleg, meetleg and testleg do, and call knows only this package.
package leg

import (
	"context"
	"log/slog"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/media"
	"jigasi/internal/news"
	"jigasi/internal/xlog"
)

// A Phase is how far a leg has come. See the table in ARCHITECTURE.md for what
// each phase means in SIP and in Jingle.
type Phase uint8

// The phases, in the order in which a leg usually passes them.
const (
	Trying  Phase = iota // being set up
	Waiting              // held up by people: lobby, password, meeting not live, alone in the room
	Ringing              // outgoing phone rings
	Ready                // may be answered
	Up                   // sound can flow
	Moving               // sound is lost for now and expected back: the bridge moves, XMPP reconnects
	Over                 // ended; nothing follows
	phases
)

// String is the phase's name in lower case.
func (p Phase) String() string {
	return [...]string{"trying", "waiting", "ringing", "ready", "up", "moving", "over", "?"}[min(p, phases)]
}

// A Leg is one side of a call. It is set up by whoever makes it and is over
// when Events is closed.
//
// All methods are safe for concurrent use, and none but Hangup blocks.
type Leg interface {
	// Events are what the leg tells the call, in order. The channel is closed when the
	// leg is over and all its goroutines are gone.
	Events() <-chan Event

	// Answer lets the leg go up: 200 OK for an incoming SIP call, session-accept for
	// Jingle. An outgoing phone dials when it is answered: the meeting is there
	// first. Once up, it does nothing.
	Answer()

	// Send tells the leg what the other side said. A leg ignores signals it has no use for.
	Send(Signal)

	// Report tells how the leg fares, also after its end: facts about its sound, and what was said on its wire.
	Report() Report

	// Hangup ends the leg and waits until it is over or ctx is done.
	Hangup(ctx context.Context, why cause.Cause) error
}

// A Phone is the leg that owns the time of a call: while it is connected it
// pushes what it hears on its wire into the port, and pulls from it once per tick.
type Phone interface {
	Leg
	// Connect joins the phone to p, in place of what it was joined to before; nil leaves the
	// phone with hold sound or silence. It returns when the old port is no longer used.
	Connect(p media.Port)
}

// A Seat is a leg in a meeting.
type Seat interface {
	Leg
	// Audio is the meeting's passive port. It is valid for the whole life of the
	// leg: before Up and while Moving it gives silence and takes nothing.
	Audio() media.Port
}

// An Event is a new phase, or a signal for the other side.
type Event struct {
	Phase  Phase
	Why    cause.Cause // with Over and Moving: why; with Waiting: for whom
	Signal Signal      // non-nil: a signal; Phase is not changed
}

// A Report is how a leg fares.
type Report struct {
	Facts []slog.Attr
	Said  []Said
}

// Said is one message of a leg's signalling, in its protocol's own words.
type Said struct {
	At   time.Time
	Out  bool // by us
	What string
}

// A Signal is something that one side says to the other besides audio.
type Signal interface{ signal() }

// Pause, in place of a key, is a wait before the next one.
const Pause = ','

type (
	// Digit is one key of a phone, 0-9 * # A-D, with its length in ms; to a phone, also Pause.
	Digit struct {
		Key      rune
		Duration int
	}
	// Mute asks the other side to be silent, or to speak again. From the meeting it is an order that
	// is carried out already; from the phone a wish, which the meeting answers by Muted with its ID.
	Mute struct {
		On bool
		ID string
	}
	// Muted says how it stands with the sound of the phone now, in answer to Mute.
	Muted struct {
		On, OK bool
		ID     string
	}
	// Password is the room's, given by the phone.
	Password struct{ Text xlog.Secret }
	// RaiseHand asks the meeting for permission to speak.
	RaiseHand struct{}
	// News happened in the meeting, and the phone is told.
	News struct{ Item news.Item }
	// Farewell tells the phone why the meeting is over for it; it hangs up when that has been said.
	Farewell struct{ Why cause.Cause }
	// Hold says that the other side is on hold and hears nothing useful.
	Hold struct{ On bool }
	// Status is a text about the phone that the room shows (spec: peer states).
	Status struct{ Text string }
)

func (Digit) signal()     {}
func (Mute) signal()      {}
func (Muted) signal()     {}
func (Password) signal()  {}
func (RaiseHand) signal() {}
func (News) signal()      {}
func (Farewell) signal()  {}
func (Hold) signal()      {}
func (Status) signal()    {}
