package conference

import (
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
)

// TestReal24_OnlyRemovalEnds: whatever reason the focus gives, another session follows.
func TestReal24_OnlyRemovalEnds(t *testing.T) {
	for _, reason := range []string{
		"success", "expired", "general-error", "connectivity-error", "decline", "gone", "busy", "cancel", "timeout", "media-error", "failed-transport",
		"security-error", "unsupported-applications", "incompatible-parameters", "alternative-session", "no-such-thing",
	} {
		t.Run(reason, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.joins(anna)
				s.talk("1", annas)
				s.say(ask("session-terminate", "1", "<reason><"+reason+"/></reason>"))
				s.hears("result")
				s.event(Suspended)
				s.quiet(14 * time.Second)
				s.talk("2", annas)
				s.quiet(time.Hour)
			})
		})
	}
	t.Run("no reason at all", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.talk("1", annas)
			s.say(ask("session-terminate", "1", ""))
			s.hears("result")
			s.event(Suspended)
			s.talk("2", annas)
		})
	})
}

func status(codes ...string) string {
	s := ""
	for _, c := range codes {
		s += "<status code='" + c + "'/>"
	}
	return s
}

// TestReal24_Removals: who is put out by a person is out, who falls out by a fault comes back.
func TestReal24_Removals(t *testing.T) {
	for _, tt := range []struct {
		name, x string
		want    cause.Code
	}{
		{"kick", "<item role='none'><actor nick='m'/><reason>enough</reason></item>" + status("307", "110"), cause.Kicked},
		{"ban", "<item affiliation='outcast' role='none'/>" + status("301", "110"), cause.Banned},
		{"destroy", "<item role='none'/><destroy><reason>done</reason></destroy>" + status("110"), cause.Destroyed},
		{"destroy, and on elsewhere", "<item role='none'/><destroy jid='beta@conference.meet.localhost'><reason>moved</reason></destroy>" + status("110"), cause.Destroyed},
		{"room became members-only", "<item role='none'/>" + status("322", "110"), cause.Kicked},
		{"no longer a member", "<item role='none'/>" + status("321", "110"), cause.Kicked},
		{"server shuts down", "<item role='none'/>" + status("332", "110"), cause.Unknown},
		{"technical fault", "<item role='none'/>" + status("307", "333", "110"), cause.Unknown},
		{"technical fault, old form", "<item role='none'/>" + status("333", "110"), cause.Unknown},
		{"no word why", "<item role='none'/>" + status("110"), cause.Unknown},
		{"no word at all", "", cause.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.joins(anna)
				s.talk("1", annas)
				s.gone("0cb96be6", tt.x)
				if tt.want != cause.Unknown {
					s.over(tt.want)
					return
				}
				s.event(Suspended)
				s.joins(anna)
				s.talk("2", annas)
				s.quiet(time.Hour)
			})
		})
	}
}

// TestReal25_Kick: unavailable presence with 307 and 110; nothing is said to the room any more.
func TestReal25_Kick(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.gone(anna, "<item role='none'><actor nick='m'/></item>"+status("307")) // another one
		s.event(SourcesChanged)
		s.gone("0cb96be6", "<item affiliation='none' role='none'><actor nick='53ce4ae4'/><reason>enough</reason></item>"+status("307", "110"))
		if why := s.over(cause.Kicked); why.Text == "" {
			t.Error("does not say why")
		}
		synctest.Wait()
		if n := len(s.sent); n != 0 {
			t.Errorf("says %v", s.hear())
		}
		if s.Err() == nil {
			t.Error("the connection is left open")
		}
	})
}
