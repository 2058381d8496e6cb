package conference

import (
	"testing"
	"time"

	"jigasi/internal/news"
)

const moderated = `{"type":"av_moderation","enabled":true,"mediaType":"audio"}`

// TestModerationOfWhoComesLate: the focus mutes who is there when it begins; who comes later is told by the component
// alone, and is silent by itself, as the bridge lets nothing of it through.
func TestModerationOfWhoComesLate(t *testing.T) {
	play(t, withMute, func(s *stage) {
		s.joins(anna)
		s.component(moderator, moderated)
		s.shows("true", false)
		s.told(news.ModerationOn)
		s.muted(Event{On: true, OK: true, ByRoom: true})
		s.talk("1", annas)
		s.s.AskMute(false, "a")
		s.shows("true", true)
		s.told(news.HandRaised)
		s.muted(Event{On: true, ID: "a"})
		s.quiet(time.Second)
	})
}

// TestModerationIsOfOneRoom: it ends where another room is entered; that one says so if it is on there too.
func TestModerationIsOfOneRoom(t *testing.T) {
	play(t, withMute, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.component(moderator, moderated)
		s.told(news.ModerationOn)
		s.component(breakouts, moveTo(breakoutRoom))
		s.hears("leave")
		s.event(Suspended)
		s.hears("conference")
		s.hears("join")
		s.say("<presence xmlns='jabber:client' from='" + breakoutRoom + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/><status code='110'/></x></presence>")
		s.event(Joined)
		s.told(news.ModerationOff)
		s.event(Waiting)
		s.s.AskMute(true, "a")
		s.shows("true", false)
		s.muted(Event{On: true, OK: true, ID: "a"})
		s.s.AskMute(false, "b")
		s.shows("false", false)
		s.muted(Event{OK: true, ID: "b"})
	})
}
