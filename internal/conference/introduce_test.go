package conference

import (
	"context"
	"testing"
	"time"

	"jigasi/internal/meetxml"
)

// TestIntroduced: the room sees who the phone is when that is known, before or after it has come; nothing waits for it.
func TestIntroduced(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 0, "later": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			play(t, func(o *Options) {
				o.Caller = func(ctx context.Context) (string, string, string) {
					select {
					case <-time.After(after):
						return "Joe Bob", "https://x/joe.png", ""
					case <-ctx.Done():
						return "", "", ""
					}
				}
			}, func(s *stage) {
				s.next()
				s.hears("conference")
				p := s.hears("join")
				if was := p.Kid(meetxml.NSNick, "nick").Text; (was == "Joe Bob") != (after == 0) {
					t.Errorf("joins as %s", was)
				}
				s.focusHere()
				s.here(anna)
				s.self()
				s.event(Joined)
				if after > 0 {
					p = s.hears("presence")
				}
				if p.Kid(meetxml.NSNick, "nick").Text != "Joe Bob" || p.Kid("", "avatar-url").Text != "https://x/joe.png" || p.Kid("", "email") != nil {
					t.Errorf("shows %v", p)
				}
				s.talk("1", annas)
				s.quiet(time.Hour)
			})
		})
	}
	play(t, func(o *Options) {
		o.Caller = func(context.Context) (string, string, string) { return "", "", "" }
	}, func(s *stage) {
		s.joins(anna)
		s.quiet(10 * time.Second) // nothing is known, nothing is shown anew
	})
}
