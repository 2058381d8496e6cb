package cause

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

// TestEveryCodeIsComplete: a code that is added without a name, a status or a Q.850 value fails here.
func TestEveryCodeIsComplete(t *testing.T) {
	label := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]Code{}
	all := All()
	if len(all) != int(codes) || len(all) < 30 {
		t.Fatalf("%d codes", len(all))
	}
	for _, c := range all {
		name, status, q := c.String(), c.SIPStatus(), c.Q850()
		if !label.MatchString(name) {
			t.Errorf("code %d: label %q", c, name)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("codes %d and %d are both %s", other, c, name)
		}
		seen[name] = c
		if c == Normal != (status == 200) || c != Normal && (status < 400 || status > 699) {
			t.Errorf("%v: SIP status %d", c, status)
		}
		if q < 1 || q > 127 {
			t.Errorf("%v: Q.850 value %d", c, q)
		}
		if (Cause{Code: c}).String() == "" {
			t.Errorf("%v: nothing to read", c)
		}
	}
	for _, c := range []Code{codes, 255} { // what no table knows is unknown, and no panic
		if c.String() != "unknown" || c.SIPStatus() != 500 || c.Q850() != 127 {
			t.Errorf("%d: %v %d %d", c, c, c.SIPStatus(), c.Q850())
		}
	}
}

// TestFromSIPStatus: every final response is some cause, and those that matter are the right one.
func TestFromSIPStatus(t *testing.T) {
	want := map[int]Code{
		200: Normal, 202: Normal, 400: BadRequest, 401: AuthFailed, 403: Forbidden, 404: NotFound, 407: AuthFailed, 408: Timeout, 410: NotFound, 415: NoCodec,
		416: NotFound, 420: BadRequest, 480: NoAnswer, 481: BadRequest, 484: NotFound, 486: Busy, 487: Cancelled, 488: NoCodec, 500: Unavailable, 503: Unavailable,
		504: Timeout, 600: Busy, 603: Declined, 604: NotFound, 606: NoCodec, 607: Declined, 608: Declined, 699: Unknown, 302: Unknown,
	}
	for status := 200; status < 700; status++ {
		got := FromSIPStatus(status)
		if w, ok := want[status]; ok && got != w {
			t.Errorf("%d is %v, want %v", status, got, w)
		}
		if status >= 300 && got == Normal {
			t.Errorf("%d is %v", status, got)
		}
	}
	for _, c := range []Code{Busy, NoAnswer, NotFound, Forbidden, NoCodec, BadRequest, Cancelled, Declined, Timeout, Unavailable} {
		if got := FromSIPStatus(c.SIPStatus()); got != c {
			t.Errorf("%v goes out as %d and comes back as %v", c, c.SIPStatus(), got)
		}
	}
}

func TestCauseIsAnError(t *testing.T) {
	c := Cause{Code: Lost, Text: "the connection was lost", Err: io.ErrUnexpectedEOF}
	err := fmt.Errorf("call 7: %w", c)
	if got := Of(err); got.Code != Lost || got.Text != c.Text || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%+v", got)
	}
	if got := Of(io.EOF); got.Code != Unknown || !errors.Is(got, io.EOF) || got.Error() != "unknown: EOF" {
		t.Errorf("%+v says %q", got, got.Error())
	}
	if got := Of(nil); got.Code != Unknown {
		t.Errorf("%+v", got)
	}
	if c.String() != c.Text || (Cause{Code: Busy}).Error() != "busy" {
		t.Errorf("%q, %q", c, Cause{Code: Busy})
	}
}

// TestT33_Recover: what was panicked with is an error, and not for the caller's eyes.
func TestT33_Recover(t *testing.T) {
	var why Cause
	var stack []byte
	func() {
		defer Recover(func(w Cause, s []byte) { why, stack = w, s })
		panic("s3cret")
	}()
	if why.Code != Panic || strings.Contains(why.String(), "s3cret") || why.Err == nil || !strings.Contains(why.Err.Error(), "s3cret") || len(stack) == 0 {
		t.Errorf("%+v", why)
	}
	func() {
		defer Recover(func(Cause, []byte) { t.Error("told of nothing") })
	}()
}
