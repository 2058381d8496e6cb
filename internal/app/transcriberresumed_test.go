package app_test

import (
	"slices"
	"testing"
	"time"

	"jigasi/internal/lab/bot"
)

const requesting = "jitsi_participant_requestingTranscription"

// pair is two people in a room, of whom the first wants transcription; nobody says anything.
func pair(t *testing.T, m *meeting, room string) (a, b *bot.Bot) {
	t.Helper()
	a, b = m.Join(room, 620), m.Join(room, 880)
	a.Hush(true)
	b.Hush(true)
	a.Show(requesting, "true")
	return a, b
}

// on waits until the room reads that it is transcribed.
func on(t *testing.T, b *bot.Bot, nick string) {
	t.Helper()
	eventually(t, 10*time.Second, "it shows that it transcribes", func() bool { return slices.Equal(b.Status(nick), []string{"ON"}) })
}

// TestTranscriberIsResumed: a server that goes away costs time; who is there has neither left nor joined, and is heard again.
func TestTranscriberIsResumed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := start(t, transcribers, withTranscriber(toneServer(t, 620, 880), "", dir))
	a, b := pair(t, m, "alpha")
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	nick := m.callTranscriber(t, "alpha")
	on(t, b, nick)
	m.XMPP.DropAll()
	eventually(t, 20*time.Second, "it is in the room again", func() bool {
		s := b.Status(nick)
		return len(s) > 1 && s[len(s)-1] == "ON" || anotherOn(b, nick)
	})
	got := speak(t, b, a, b)
	said(t, got, a, "t620")
	said(t, got, b, "t880")
	a.Show(requesting, "false")
	eventually(t, 15*time.Second, "the call is over", func() bool { return len(m.app.Calls()) == 0 })
	count(t, kept(t, dir), map[string]int{"joined the conference": 2, "left the conference": 0})
}

// anotherOn reports whether somebody else transcribes.
func anotherOn(b *bot.Bot, nick string) bool {
	return slices.ContainsFunc(b.Others(), func(n string) bool {
		s := b.Status(n)
		return n != nick && len(s) > 0 && s[len(s)-1] == "ON"
	})
}
