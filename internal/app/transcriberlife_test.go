package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/bot"
	"jigasi/internal/stanza"
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

// left waits until it has left, and has said before that it stops.
func left(t *testing.T, b *bot.Bot, nick string) {
	t.Helper()
	eventually(t, 15*time.Second, "it leaves", func() bool { return slices.Equal(b.Status(nick), []string{"ON", "OFF", "gone"}) })
}

// TestTranscriberLife: what a transcriber stays for, and what it leaves for; each in a room of its own.
func TestTranscriberLife(t *testing.T) {
	t.Parallel()
	m := start(t, transcribers, func(cfg *config.Config) {
		withTranscriber(toneServer(t, 620, 880), "", "")(cfg)
		cfg.Transcription.Empty = 500 * time.Millisecond
	})
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	metadata := func(room, nick, on string) {
		m.XMPP.Room(room).Metadata(nick, `{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":`+on+`}}}`)
	}
	t.Run("rooms", func(t *testing.T) {
		for room, story := range map[string]func(t *testing.T, room string, a, b *bot.Bot){
			"toggled": func(t *testing.T, room string, a, b *bot.Bot) {
				nick := m.callTranscriber(t, room)
				on(t, b, nick)
				a.Show(requesting, "false")
				time.Sleep(time.Second)
				a.Show(requesting, "true")
				time.Sleep(3 * time.Second)
				if s := b.Status(nick); !slices.Equal(s, []string{"ON"}) {
					t.Errorf("wanted again in time, it shows %q", s)
				}
				a.Leave()
				left(t, b, nick)
			},
			"wantedbytheroom": func(t *testing.T, room string, a, b *bot.Bot) {
				nick := m.callTranscriber(t, room)
				on(t, b, nick)
				metadata(room, nick, "true")
				time.Sleep(200 * time.Millisecond)
				a.Show(requesting, "false")
				time.Sleep(4 * time.Second)
				if s := b.Status(nick); !slices.Equal(s, []string{"ON"}) {
					t.Errorf("the room wants it, and it shows %q", s)
				}
				metadata(room, nick, "false")
				left(t, b, nick)
			},
			"deserted": func(t *testing.T, room string, a, b *bot.Bot) {
				nick := m.callTranscriber(t, room)
				on(t, b, nick)
				metadata(room, nick, "true")
				time.Sleep(200 * time.Millisecond)
				a.Leave()
				b.Leave()
				eventually(t, 15*time.Second, "it leaves an empty room", func() bool { return m.XMPP.Room(room).Presence(nick) == nil })
			},
			"dismissed": func(t *testing.T, room string, a, b *bot.Bot) {
				nick := m.callTranscriber(t, room)
				on(t, b, nick)
				if res := m.Focus.Hangup(room, nick); res == nil || res.Get("type") != "result" {
					t.Errorf("the hangup is answered by %v", res)
				}
				left(t, b, nick)
			},
			"kicked": func(t *testing.T, room string, a, b *bot.Bot) {
				nick := m.callTranscriber(t, room)
				on(t, b, nick)
				m.XMPP.Room(room).Kick(nick, "enough", false)
				eventually(t, 15*time.Second, "it is gone", func() bool { return slices.Equal(b.Status(nick), []string{"ON", "gone"}) })
			},
			"occupied": func(t *testing.T, room string, a, b *bot.Bot) {
				at := room + "@" + m.XMPP.MUC() + "/0dd0dd00"
				m.XMPP.Attach("transcriber@"+hidden+"/other", func(*stanza.Elem) {})
				m.XMPP.Send("transcriber@"+hidden+"/other", stanza.New("jabber:client", "presence", "to", at).Add(
					stanza.New("http://jabber.org/protocol/muc", "x"),
					stanza.New("", "features").Add(stanza.New("", "feature", "var", "http://jitsi.org/protocol/transcriber"))))
				res := m.Focus.Dial(room+"@"+m.XMPP.MUC(), transcriber)
				if res == nil || res.Get("type") != "error" || !strings.Contains(res.String(), "transcriber already") {
					t.Errorf("the dial is answered by %v", res)
				}
			},
		} {
			t.Run(room, func(t *testing.T) {
				t.Parallel()
				a, b := pair(t, m, room)
				eventually(t, 10*time.Second, "the focus sees them", func() bool { return len(m.Focus.Members(room)) == 2 })
				story(t, room, a, b)
			})
		}
	})
	eventually(t, 15*time.Second, "no call is left", func() bool { return len(m.app.Calls()) == 0 })
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
