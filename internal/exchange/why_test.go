package exchange

import (
	"testing"

	"jigasi/internal/cause"
)

// TestWhySaysWhatToDo: a refusal by the called side has its status and what to look at; all else is said by the cause.
func TestWhySaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		r    Record
		want string
	}{
		{Record{Outgoing: true, Cause: cause.Cause{Code: cause.NoCodec, Status: 488, Text: "Not Acceptable Here"}},
			"the called side answered 488 Not Acceptable Here: it takes none of what was offered: see media.codecs and media.srtp"},
		{Record{Outgoing: true, Cause: cause.Cause{Code: cause.AuthFailed, Status: 401, Text: "Unauthorized"}},
			"the called side answered 401 Unauthorized: check user, password and auth_user of the account"},
		{Record{Outgoing: true, Cause: cause.Cause{Code: cause.Busy, Status: 486, Text: "Busy Here"}}, "the called side answered 486 Busy Here"},
		{Record{Outgoing: true, Cause: cause.Cause{Code: cause.Kicked, Text: "removed"}}, "removed"},
		{Record{Cause: cause.Cause{Code: cause.Full, Status: 503, Text: "all 2 calls are taken"}}, "all 2 calls are taken"},
	} {
		if got := c.r.Why(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
