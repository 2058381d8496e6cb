package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/audio"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/media"
	"jigasi/internal/prompt"
	"jigasi/internal/sip"
	"jigasi/internal/stanza"
)

// pitch is the tone that stands for a sound in a language.
func pitch(s prompt.Sound, lang string) float64 {
	hz := 1200.0
	for _, other := range prompt.Sounds() {
		if other == s {
			break
		}
		hz += 70
	}
	if lang == "de" {
		hz += 35
	}
	return hz
}

// ownSounds is a folder in which each sound is a tone of its own, in English and in German.
func ownSounds(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, lang := range []string{"en", "de"} {
		if err := os.Mkdir(filepath.Join(dir, lang), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, s := range prompt.Sounds() {
			var b bytes.Buffer
			pcm := make([]int16, media.Wide*6/10)
			audio.NewTone(pitch(s, lang), media.Wide, -16).Fill(pcm)
			if err := audio.WriteWAV(&b, pcm, media.Wide); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, lang, string(s)+".wav"), b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// briefly has phones told all by short tones, not by a voice that takes seconds: for tests of something else.
func briefly(t *testing.T) func(*config.Config) {
	return func(c *config.Config) { c.Sounds.Dir = ownSounds(t) }
}

// heardOf reports whether a tone was heard in the last five seconds, for a quarter of one.
func (e *ear) heardOf(hz float64) bool {
	e.mu.Lock()
	pcm := append([]int16(nil), e.heard...)
	e.mu.Unlock()
	const window = media.Wide / 4
	for at := 0; at+window <= len(pcm); at += window / 4 {
		if audio.Goertzel(pcm[at:at+window], hz, media.Wide) > -26 {
			return true
		}
	}
	return false
}

// told waits until the phone hears what it is told, and not another of the sounds that are meant for the same.
func (c *caller) told(t *testing.T, s prompt.Sound) {
	t.Helper()
	eventually(t, 20*time.Second, "the phone hears "+string(s), func() bool { return c.heardOf(pitch(s, "en")) })
	if t.Failed() {
		for _, other := range prompt.Sounds() {
			if c.heardOf(pitch(other, "en")) {
				t.Logf("it hears %s", other)
			}
		}
		t.FailNow()
	}
}

// TestEverySoundHasItsTime: each sound is heard when what it says happens, out of a folder of the operator's.
func TestEverySoundHasItsTime(t *testing.T) {
	t.Parallel()
	jibri := func(mode, status string) *stanza.Elem {
		return stanza.New("http://jitsi.org/protocol/jibri", "jibri-recording-status", "recording_mode", mode, "status", status)
	}
	people := func(t *testing.T, m *meeting) {
		t.Helper()
		a := m.Join("alpha", 620)
		m.Join("alpha", 880)
		eventually(t, 10*time.Second, "the people are in", func() bool { return len(a.Others()) == 1 && a.Sees("focus") != nil })
	}
	heard := map[prompt.Sound]bool{}
	for _, tt := range []struct {
		name   string
		of     []prompt.Sound
		change func(*config.Config)
		run    func(t *testing.T, m *meeting, told func(p *caller, s prompt.Sound))
	}{
		{"lobby", []prompt.Sound{prompt.LobbyWait, prompt.LobbyAccessGranted, prompt.LobbyAccessDenied}, nil, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			people(t, m)
			r := m.XMPP.Room("alpha")
			r.SetLobby(true)
			p := m.call(t, "alpha", 440, "PCMU")
			told(p, prompt.LobbyWait)
			r.Admit(r.Waiting()[0])
			told(p, prompt.LobbyAccessGranted)
			q := m.call(t, "alpha", 500, "PCMU")
			eventually(t, 10*time.Second, "another waits", func() bool { return len(r.Waiting()) == 1 })
			told(q, prompt.LobbyWait)
			r.Deny(r.Waiting()[0])
			told(q, prompt.LobbyAccessDenied)
		}},
		{"the room", []prompt.Sound{
			prompt.RecordingOn, prompt.RecordingStopped, prompt.LiveStreamingOn, prompt.LiveStreamingOff, prompt.TranscriptionOn, prompt.TranscriptionOff,
			prompt.Muted, prompt.HandRaised, prompt.MaySpeak, prompt.Unmuted, prompt.Removed,
		}, nil, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			people(t, m)
			p := m.call(t, "alpha", 440, "PCMU")
			eventually(t, 10*time.Second, "the phone hears the meeting", func() bool { return p.tone(620) > -26 })
			nick, r := m.nick(t), m.XMPP.Room("alpha")
			m.Focus.Show("alpha", jibri("file", "on"))
			told(p, prompt.RecordingOn)
			m.Focus.Show("alpha", jibri("file", "off"))
			told(p, prompt.RecordingStopped)
			m.Focus.Show("alpha", jibri("stream", "on"))
			told(p, prompt.LiveStreamingOn)
			m.Focus.Show("alpha", jibri("stream", "off"))
			told(p, prompt.LiveStreamingOff)
			r.Metadata(nick, `{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":true}}}`)
			told(p, prompt.TranscriptionOn)
			r.Metadata(nick, `{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":false}}}`)
			told(p, prompt.TranscriptionOff)
			r.Moderate(nick, `{"type":"av_moderation","enabled":true,"mediaType":"audio"}`)
			m.Focus.Mute("alpha", nick)
			told(p, prompt.Muted)
			p.port.SendKey('*', 100)
			p.port.SendKey('6', 100)
			told(p, prompt.HandRaised)
			r.Moderate(nick, `{"type":"av_moderation","approved":true,"mediaType":"audio"}`)
			told(p, prompt.MaySpeak)
			p.port.SendKey('*', 100)
			p.port.SendKey('6', 100)
			told(p, prompt.Unmuted)
			r.Kick(nick, "bye", false)
			told(p, prompt.Removed)
		}},
		{"the end", []prompt.Sound{prompt.LobbyMeetingEnd}, nil, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			people(t, m)
			p := m.call(t, "alpha", 440, "PCMU")
			eventually(t, 10*time.Second, "the phone hears the meeting", func() bool { return p.tone(620) > -26 })
			m.XMPP.Room("alpha").Destroy("over")
			told(p, prompt.LobbyMeetingEnd)
		}},
		{"full", []prompt.Sound{prompt.MaxOccupants}, func(c *config.Config) { c.Sounds.TellFull = true }, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			people(t, m)
			m.XMPP.Room("alpha").SetMax(1)
			told(m.call(t, "alpha", 440, "PCMU"), prompt.MaxOccupants)
		}},
		{"a password", []prompt.Sound{prompt.PasswordNeeded}, func(c *config.Config) { c.Meeting.PasswordWait = time.Minute }, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			people(t, m)
			m.XMPP.Room("alpha").SetPassword("1234")
			p := m.call(t, "alpha", 440, "PCMU")
			for range 3 {
				p.says(t, inJSON, `{"t":4,"d":{"pwd":"4321"}}`)
			}
			told(p, prompt.PasswordNeeded)
		}},
		{"people", []prompt.Sound{prompt.ParticipantJoined, prompt.ParticipantLeft}, func(c *config.Config) {
			c.Sounds.Chimes, c.Meeting.AloneAnswer = true, 200*time.Millisecond
		}, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			p := m.call(t, "alpha", 440, "PCMU")
			a := m.Join("alpha", 620)
			told(p, prompt.ParticipantJoined)
			eventually(t, 10*time.Second, "they hear each other", hears(a, 440))
			a.Leave()
			told(p, prompt.ParticipantLeft)
		}},
		{"the meeting is away", []prompt.Sound{prompt.Hold, prompt.Reconnecting}, nil, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			people(t, m)
			p := m.call(t, "alpha", 440, "PCMU")
			eventually(t, 10*time.Second, "the phone hears the meeting", func() bool { return p.tone(620) > -26 })
			m.Bridge.Kill()
			m.Focus.UseBridge(nil)
			told(p, prompt.Hold)
			told(p, prompt.Reconnecting)
			b, err := sfu.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Kill)
			m.Focus.Move("alpha", b)
			eventually(t, 30*time.Second, "the phone hears the meeting again", func() bool { return p.tone(620) > -26 && p.tone(880) > -26 })
		}},
		{"the meeting is lost", []prompt.Sound{prompt.Lost}, nil, func(t *testing.T, m *meeting, told func(*caller, prompt.Sound)) {
			people(t, m)
			p := m.call(t, "alpha", 440, "PCMU")
			eventually(t, 10*time.Second, "the phone hears the meeting", func() bool { return p.tone(620) > -26 })
			m.Bridge.Kill()
			m.Focus.UseBridge(nil)
			told(p, prompt.Lost)
			eventually(t, 20*time.Second, "it is hung up", func() bool { return len(m.app.Calls()) == 0 })
		}},
	} {
		for _, s := range tt.of {
			heard[s] = true
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			as := app.Options{Log: logger(t)}
			switch tt.of[0] {
			case prompt.Lost:
				as.Away, as.Consent = time.Second, 2*time.Second
			case prompt.Hold:
				as.Consent = 2 * time.Second
			}
			m := startAs(t, lab.Options{}, as, func(c *config.Config) {
				c.Sounds.Dir = ownSounds(t)
				if tt.change != nil {
					tt.change(c)
				}
			})
			tt.run(t, m, func(p *caller, s prompt.Sound) { p.told(t, s) })
		})
	}
	heard[prompt.NotLive], heard[prompt.Visitor], heard[prompt.Alone] = true, true, true // TestMeetingBecomesLive, TestVisitor, TestAloneIsTold
	for _, s := range prompt.Sounds() {
		if !heard[s] {
			t.Errorf("nobody hears %s", s)
		}
	}
}

// TestLanguageOfTheVoice: the configuration's, that of the account, or that of a caller's header; and on each codec.
func TestLanguageOfTheVoice(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		usual, account, header, codec, want string
	}{
		"none is said":        {codec: "PCMU", want: "en"},
		"the configuration":   {usual: "de", codec: "PCMA", want: "de"},
		"the account":         {account: "de", codec: "G722", want: "de"},
		"the header":          {account: "en", header: "de-CH, en;q=0.5", codec: "opus", want: "de"},
		"one that is unknown": {account: "de", header: "tlh", codec: "opus", want: "de"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, lab.Options{}, func(c *config.Config) {
				c.Sounds.Dir = ownSounds(t)
				if tt.usual != "" {
					c.Sounds.Language = tt.usual
				}
				if tt.account != "" {
					c.SIP.Accounts = []config.SIPAccount{{ID: "ivr", URI: "gw@127.0.0.1", Language: tt.account}}
				}
			})
			m.Join("alpha", 620)
			m.Join("alpha", 880)
			w := wish{room: "alpha", hz: 440, codecs: []string{tt.codec}}
			if tt.header != "" {
				w.headers = []sip.Header{{Name: "Accept-Language", Value: tt.header}}
			}
			p, why := m.place(t, w)
			if p == nil {
				t.Fatal(why)
			}
			eventually(t, 10*time.Second, "the phone hears the meeting", func() bool { return p.tone(620) > -26 })
			m.Focus.Show("alpha", stanza.New("http://jitsi.org/protocol/jibri", "jibri-recording-status", "recording_mode", "file", "status", "on"))
			eventually(t, 20*time.Second, "the phone is told", func() bool { return p.heardOf(pitch(prompt.RecordingOn, tt.want)) })
			other := map[string]string{"en": "de", "de": "en"}[tt.want]
			if p.heardOf(pitch(prompt.RecordingOn, other)) {
				t.Error("in another language too")
			}
		})
	}
}
