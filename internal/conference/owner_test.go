package conference

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A focus that does not take the phone for a gateway makes it the owner of a room that it is alone
// in: then no person is one (seen with a Jicofo without trusted-domains).
func TestPhoneMadeOwner(t *testing.T) {
	for name, members := range map[string][]string{"alone": nil, "among others": {anna}} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer // written by the session's goroutine; read when it is over
			owner := "<presence xmlns='jabber:client' from='" + me + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator' affiliation='owner'/><status code='110'/></x></presence>"
			play(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) }, func(s *stage) {
				s.joins(members...)
				s.say(owner)
				s.say(owner) // presence is repeated
			})
			want := 1 - len(members)
			if got := strings.Count(log.String(), "trusted-domains"); got != want {
				t.Errorf("%d warnings, want %d:\n%s", got, want, log.String())
			}
		})
	}
}
