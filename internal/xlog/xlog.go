// Package xlog holds what every log line of the program agrees on: the keys,
// the Secret type that cannot be printed, and Sometimes for what may happen at
// packet rate.
//
// Messages are constant, values are attributes, a call's lines share the call's
// logger. No secret, no spoken word and no whole phone number goes into a log,
// at no level.
package xlog

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// Keys of log attributes. A key used twice in the program stands here.
const (
	Call      = "call"
	SIPCallID = "sip_call_id"
	Room      = "room"
	Endpoint  = "endpoint"
	SSRC      = "ssrc"
	From      = "from"
	To        = "to"
	Cause     = "cause"
	Phase     = "phase"
	State     = "state"
	Err       = "err"
	Peer      = "peer"
	Account   = "account"
)

// A Secret prints as ***, in logs, in fmt and in JSON. Reveal gives the value.
type Secret string

// LogValue hides the value from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// String hides the value from fmt.
func (Secret) String() string { return "***" }

// Format hides the value from every verb, also from one that does not fit.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// MarshalText hides the value from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Reveal gives the value, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// Number masks a phone number or SIP user: all but the last three characters.
// Words of four letters or more that hold no digit are names, and stay.
func Number(s string) string {
	digits := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits < 4 {
		return s
	}
	seen := 0
	out := []rune(s)
	for i, r := range out {
		if r >= '0' && r <= '9' {
			if seen++; seen <= digits-3 {
				out[i] = 'x'
			}
		}
	}
	return string(out)
}

// Sometimes says yes at most once in Every, and counts what it kept back. Its
// zero value with Every 0 means once a second. It is safe for concurrent use.
type Sometimes struct {
	Every   time.Duration
	last    atomic.Pointer[time.Time] // with its monotonic reading: a clock that is set changes nothing
	skipped atomic.Int64
}

// Do runs f with the number of times it was kept back since the last run, or
// counts one more.
func (s *Sometimes) Do(now time.Time, f func(skipped int64)) {
	every := s.Every
	if every == 0 {
		every = time.Second
	}
	last := s.last.Load()
	if last != nil && now.Sub(*last) < every {
		s.skipped.Add(1)
		return
	}
	if at := now; !s.last.CompareAndSwap(last, &at) { // a copy: who is kept back allocates nothing
		s.skipped.Add(1)
		return
	}
	f(s.skipped.Swap(0))
}

// Or gives log, or a logger that discards where log is nil: the default of
// every Options struct.
func Or(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
