// Package cause names why a call, or one leg of it, ended.
//
// There is one enumeration for the whole program. Each protocol maps it at its
// own edge: SIP status codes and Q.850 (this package, because three packages
// need them), Jingle reasons (package jingle), presence text and metric labels
// (String). Nobody writes 486 in a state machine.
//
// A Code says what happened; Cause adds the sentence that tells the operator
// what to do about it.
package cause

import "errors"

// A Code is why something ended.
type Code uint8

// The codes. The zero value is Unknown and never describes a clean end.
const (
	Unknown        Code = iota
	Normal              // somebody hung up
	Cancelled           // the caller gave up before the answer
	AnsweredElse        // another fork answered
	Busy                // the called party is busy
	NoAnswer            // rang, nobody answered
	Declined            // the called party refuses
	NotFound            // no such number or room
	NoRoom              // the caller named no room and there is no default
	Forbidden           // not allowed to
	AuthFailed          // credentials refused
	NoCodec             // no common codec, or SRTP policy not met
	BadRequest          // the peer sent nonsense
	Full                // our own limit, or the meeting's
	Draining            // we are shutting down
	Timeout             // no reply in time
	NoInvite            // no session-initiate from the focus in time
	NoBridge            // the focus has no bridge
	NoMedia             // the phone sends no RTP
	MediaFailed         // ICE, DTLS or SRTP failed
	Unavailable         // the other side cannot be reached
	Kicked              // removed from the room by a moderator
	Banned              // removed, and may not come back
	Destroyed           // the room was destroyed
	PasswordNeeded      // the room wants a password
	LobbyWait           // waits in the lobby; never an end
	LobbyDenied         // refused in the lobby
	NotLive             // the meeting has not started
	Deserted            // nobody but phones is left
	FocusLeft           // the focus left and did not return
	Lost                // the connection was lost for longer than we wait
	Panic               // a defect of ours ended this call alone
	Shutdown            // the process ends
	codes
)

var names = [codes]string{
	"unknown", "normal", "cancelled", "answered_elsewhere", "busy", "no_answer", "declined",
	"not_found", "no_room", "forbidden", "auth_failed", "no_codec", "bad_request", "full",
	"draining", "timeout", "no_invite", "no_bridge", "no_media", "media_failed", "unavailable",
	"kicked", "banned", "destroyed", "password_needed", "lobby_wait", "lobby_denied", "not_live", "deserted", "focus_left",
	"lost", "panic", "shutdown",
}

// String is the code's metric label and log value: lower case, underscores.
func (c Code) String() string {
	if c < codes {
		return names[c]
	}
	return names[Unknown]
}

// All lists every code, for tables, metrics and tests.
func All() []Code {
	all := make([]Code, codes)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

var sipStatus = [codes]int{
	Unknown: 500, Normal: 200, Cancelled: 487, AnsweredElse: 487, Busy: 486, NoAnswer: 480, Declined: 603,
	NotFound: 404, NoRoom: 404, Forbidden: 403, AuthFailed: 403, NoCodec: 488, BadRequest: 400, Full: 486,
	Draining: 503, Timeout: 504, NoInvite: 480, NoBridge: 480, NoMedia: 480, MediaFailed: 480, Unavailable: 503,
	Kicked: 603, Banned: 403, Destroyed: 410, PasswordNeeded: 403, LobbyWait: 480, LobbyDenied: 603, NotLive: 480, Deserted: 480, FocusLeft: 480,
	Lost: 480, Panic: 500, Shutdown: 503,
}

// SIPStatus is the final response that refuses an INVITE for this cause (RFC 3261, 21).
func (c Code) SIPStatus() int {
	if c < codes {
		return sipStatus[c]
	}
	return 500
}

// FromSIPStatus is the cause that a final response to our own INVITE stands for.
func FromSIPStatus(status int) Code {
	switch {
	case status < 300:
		return Normal
	case status == 401, status == 407:
		return AuthFailed
	case status == 403:
		return Forbidden
	case status == 404, status == 410, status == 484, status == 485, status == 604, status == 416:
		return NotFound
	case status == 408, status == 504:
		return Timeout
	case status == 480:
		return NoAnswer
	case status == 486, status == 600:
		return Busy
	case status == 487:
		return Cancelled
	case status == 488, status == 606, status == 415:
		return NoCodec
	case status == 603, status == 607, status == 608:
		return Declined
	case status >= 500 && status < 600:
		return Unavailable
	case status >= 400 && status < 500:
		return BadRequest
	}
	return Unknown
}

var q850 = [codes]int{
	Unknown: 127, Normal: 16, Cancelled: 16, AnsweredElse: 26, Busy: 17, NoAnswer: 19, Declined: 21,
	NotFound: 1, NoRoom: 1, Forbidden: 21, AuthFailed: 21, NoCodec: 88, BadRequest: 111, Full: 17,
	Draining: 41, Timeout: 102, NoInvite: 41, NoBridge: 41, NoMedia: 31, MediaFailed: 38, Unavailable: 27,
	Kicked: 16, Banned: 21, Destroyed: 16, PasswordNeeded: 21, LobbyWait: 19, LobbyDenied: 21, NotLive: 31, Deserted: 16, FocusLeft: 41,
	Lost: 38, Panic: 41, Shutdown: 41,
}

// Q850 is the cause value for a Reason header (RFC 3326, ITU-T Q.850).
func (c Code) Q850() int {
	if c < codes {
		return q850[c]
	}
	return 127
}

// A Cause is a Code with what is known beside it.
type Cause struct {
	Code Code
	// Text tells the operator what happened and what to do, in one sentence. It
	// holds no secret, no spoken word and no caller's whole number.
	Text string
	// Status is the SIP status where SIP said it, 0 otherwise.
	Status int
	// Err is what failed, if something did.
	Err error
}

// String is the text, or the code where there is none.
func (c Cause) String() string {
	switch {
	case c.Text != "":
		return c.Text
	case c.Err != nil:
		return c.Code.String() + ": " + c.Err.Error()
	}
	return c.Code.String()
}

// Error makes a Cause an error, so that it can travel as the cause of a context.
func (c Cause) Error() string { return c.String() }

// Unwrap gives what failed.
func (c Cause) Unwrap() error { return c.Err }

// Of finds the Cause in err's chain; an error without one is Unknown.
func Of(err error) Cause {
	if c, ok := errors.AsType[Cause](err); ok {
		return c
	}
	return Cause{Code: Unknown, Err: err}
}
