package app_test

import (
	"math"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/prompt"
	"jigasi/internal/sip"
	"jigasi/internal/stanza"
)

// voice reports whether the phone hears speech: more below 450 Hz, where voices are strong, than there is of
// the meeting's tones. A tone with gaps, as a busy machine makes it, is none.
func (e *ear) voice() bool {
	e.mu.Lock()
	last := append([]int16(nil), e.heard[max(0, len(e.heard)-4000):]...)
	e.mu.Unlock()
	if len(last) < 4000 || audio.Level(last) > 45 {
		return false
	}
	power := func(from, to float64) (sum float64) {
		for hz := from; hz <= to; hz += 4 { // a quarter of a second tells 4 Hz apart
			sum += math.Pow(10, audio.Goertzel(last, hz, 16000)/10)
		}
		return sum
	}
	low := power(100, 430)
	return 10*math.Log10(low) > -45 && low > power(600, 640)+power(860, 900)
}

func (m *meeting) waits(t *testing.T) func() bool {
	return func() bool {
		all := m.app.Calls()
		return len(all) == 1 && all[0].State == call.Waiting && len(m.XMPP.Room("alpha").Waiting()) == 1
	}
}

// TestLobby: the phone is answered, told, heard by nobody, let in and heard.
func TestLobby(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(m *meeting){
		"let in":       func(m *meeting) { m.XMPP.Room("alpha").Admit(m.XMPP.Room("alpha").Waiting()[0]) },
		"switched off": func(m *meeting) { m.XMPP.Room("alpha").SetLobby(false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var change func(*config.Config) // a voice says that it has to wait, unless that would take long
			told := (*caller).voice
			if name != "let in" {
				change, told = briefly(t), func(p *caller) bool { return p.heardOf(pitch(prompt.LobbyWait, "en")) }
			}
			m := start(t, lab.Options{}, change)
			a := m.Join("alpha", 620)
			m.Join("alpha", 880)
			eventually(t, 5*time.Second, "the people are in", func() bool { return len(a.Others()) == 1 })
			m.XMPP.Room("alpha").SetLobby(true)
			p := m.call(t, "alpha", 440, "PCMU") // answered while it waits
			eventually(t, 5*time.Second, "the phone is in the lobby", m.waits(t))
			eventually(t, 5*time.Second, "the phone is told that it has to wait", func() bool { return told(p) })
			if name == "let in" {
				eventually(t, 20*time.Second, "the phone hears that it is not forgotten", func() bool { return p.tone(440) > -40 && !p.voice() })
			}
			if len(a.Others()) != 1 {
				t.Errorf("the room sees %v", a.Others())
			}
			open(m)
			eventually(t, 15*time.Second, "everybody hears everybody", func() bool { return hears(a, 440)() && p.tone(620) > -26 && p.tone(880) > -26 })
			if n := len(m.XMPP.Room("alpha").Waiting()); n != 0 {
				t.Errorf("%d are still in the lobby", n)
			}
		})
	}
}

// TestLobbyDenied: the phone is told so, and hung up.
func TestLobbyDenied(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, briefly(t))
	a := m.Join("alpha", 620)
	eventually(t, 5*time.Second, "somebody is in", func() bool { return len(m.XMPP.Room("alpha").Nicks()) == 2 })
	m.XMPP.Room("alpha").SetLobby(true)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 5*time.Second, "the phone is in the lobby", m.waits(t))
	m.XMPP.Room("alpha").Deny(m.XMPP.Room("alpha").Waiting()[0])
	eventually(t, 5*time.Second, "the call says goodbye", func() bool {
		all := m.app.Calls()
		return len(all) == 1 && all[0].State == call.Farewell
	})
	p.told(t, prompt.LobbyAccessDenied)
	eventually(t, 20*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
	if len(a.Others()) != 0 {
		t.Errorf("the room sees %v", a.Others())
	}
}

// TestDialledIntoALobby: a phone that is called into a room with a lobby is answered, waits, is told, let in, and heard.
func TestDialledIntoALobby(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		withBrewery(c)
		briefly(t)(c)
	})
	uri, answered, _ := phones(t, m.handsets, 200)
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	m.XMPP.Room("alpha").SetLobby(true)
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), uri); res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	p := <-answered
	eventually(t, 5*time.Second, "the phone is in the lobby", m.waits(t))
	p.told(t, prompt.LobbyWait)
	if len(a.Others()) != 1 {
		t.Errorf("the room sees %v", a.Others())
	}
	m.XMPP.Room("alpha").Admit(m.XMPP.Room("alpha").Waiting()[0])
	eventually(t, 15*time.Second, "everybody hears everybody", func() bool { return hears(a, 440)() && p.tone(620) > -26 && p.tone(880) > -26 })
}

// TestPasswordOfTheRoom: given by a header, or by INFO where it is asked for; a wrong one does not open the room, and without
// one the call is refused where nobody is asked.
func TestPasswordOfTheRoom(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header  string
		wait    time.Duration
		infos   []string
		refused cause.Code
		ends    bool
	}{
		"by a header":               {header: "1234"},
		"by a wrong one":            {header: "4321", refused: cause.Forbidden},
		"by none":                   {refused: cause.Forbidden},
		"by INFO":                   {wait: time.Minute, infos: []string{"1234"}},
		"by INFO, after wrong ones": {header: "4321", wait: time.Minute, infos: []string{"0000", "1234"}},
		"by three wrong ones":       {wait: time.Minute, infos: []string{"1", "2", "3"}, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, lab.Options{}, func(c *config.Config) {
				c.Meeting.PasswordWait = tt.wait
				briefly(t)(c)
			})
			a := m.Join("alpha", 620)
			m.Join("alpha", 880)
			eventually(t, 5*time.Second, "the people are in", func() bool { return len(a.Others()) == 1 })
			m.XMPP.Room("alpha").SetPassword("1234")
			w := wish{room: "alpha", hz: 440, codecs: []string{"PCMU"}}
			if tt.header != "" {
				w.headers = []sip.Header{{Name: "Jitsi-Conference-Room-Pass", Value: tt.header}}
			}
			p, why := m.place(t, w)
			if tt.refused != cause.Unknown {
				if p != nil || why.Code != tt.refused {
					t.Errorf("%v, ended by %v", p, why)
				}
				return
			}
			if p == nil {
				t.Fatalf("refused: %v", why)
			}
			for _, pw := range tt.infos {
				if s := p.says(t, inJSON, `{"t":4,"d":{"pwd":"`+pw+`"}}`); s != 200 {
					t.Errorf("a password is answered by %d", s)
				}
			}
			if tt.ends {
				eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
				return
			}
			eventually(t, 15*time.Second, "everybody hears everybody", func() bool { return hears(a, 440)() && p.tone(620) > -26 && p.tone(880) > -26 })
		})
	}
}

// TestMutedByAModerator: silent at once, shown, told; the phone unmutes itself by *6.
func TestMutedByAModerator(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 6*time.Second, "everybody hears everybody", func() bool { return hears(a, 440)() && p.tone(620) > -26 && p.tone(880) > -26 })
	nick := m.nick(t)
	if !m.Focus.Mute("alpha", nick) {
		t.Error("the focus does not let a moderator mute the phone")
	}
	eventually(t, 5*time.Second, "the phone is not heard", func() bool { return !hears(a, 440)() })
	eventually(t, 5*time.Second, "the room sees it", func() bool { return lab.TextOf(a.Sees(nick), "audiomuted") == "true" })
	eventually(t, 5*time.Second, "the phone is told", p.voice)
	eventually(t, 15*time.Second, "the phone hears the meeting as before", func() bool { return p.tone(620) > -22 && !p.voice() })
	p.port.SendKey('*', 100)
	p.port.SendKey('6', 100)
	eventually(t, 5*time.Second, "the phone is heard again", hears(a, 440))
	eventually(t, 5*time.Second, "the room sees that too", func() bool { return lab.TextOf(a.Sees(nick), "audiomuted") == "false" })
}

// moderated is a meeting of a person and a phone that hear each other.
func moderated(t *testing.T, change func(*config.Config)) (*meeting, *bot.Bot, *caller) {
	t.Helper()
	m := start(t, lab.Options{}, change)
	a := m.Join("alpha", 620)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(a, 440)() && p.tone(620) > -26 })
	return m, a, p
}

// moderate has the room tell an occupant what moderation means for its sound.
func (m *meeting) moderate(nick, what string) {
	m.XMPP.Room("alpha").Moderate(nick, `{"type":"av_moderation",`+what+`,"mediaType":"audio"}`)
}

// TestModerationOfThePhone: without permission *6 raises a hand, with it the phone is heard.
func TestModerationOfThePhone(t *testing.T) {
	t.Parallel()
	m, a, p := moderated(t, nil)
	nick := m.nick(t)
	m.moderate(nick, `"enabled":true`)
	m.Focus.Mute("alpha", nick)
	eventually(t, 5*time.Second, "the room sees that it is muted", func() bool { return lab.TextOf(a.Sees(nick), "audiomuted") == "true" })
	eventually(t, 5*time.Second, "the phone is not heard", func() bool { return !hears(a, 440)() })
	star6 := func() { p.port.SendKey('*', 100); p.port.SendKey('6', 100) }
	star6()
	eventually(t, 5*time.Second, "the room sees a raised hand", func() bool { return a.Sees(nick).Kid("", "jitsi_participant_raisedHand") != nil })
	eventually(t, 5*time.Second, "the phone is not heard without permission", func() bool { return !hears(a, 440)() })
	m.moderate(nick, `"approved":true`)
	eventually(t, 5*time.Second, "the phone is told", p.voice)
	star6()
	eventually(t, 10*time.Second, "the phone is heard", hears(a, 440))
	eventually(t, 5*time.Second, "the hand is down", func() bool { return lab.TextOf(a.Sees(nick), "jitsi_participant_raisedHand") == "0" })
}

// TestRecordingIsAnnounced: also to who comes when it is on; not where the operator has switched it off.
func TestRecordingIsAnnounced(t *testing.T) {
	t.Parallel()
	on := stanza.New("http://jitsi.org/protocol/jibri", "jibri-recording-status", "recording_mode", "file", "status", "on")
	for name, announce := range map[string]bool{"announced": true, "switched off": false} {
		t.Run(name, func(t *testing.T) {
			m := start(t, lab.Options{}, func(c *config.Config) { c.Sounds.Announce = announce })
			a := m.Join("alpha", 620)
			eventually(t, 5*time.Second, "the focus is there", func() bool { return a.Sees("focus") != nil })
			m.Focus.Show("alpha", on)
			p := m.call(t, "alpha", 440, "PCMU")
			eventually(t, 6*time.Second, "they hear each other", func() bool { return hears(a, 440)() && p.tone(620) > -40 })
			if announce {
				eventually(t, 5*time.Second, "the phone is told", p.voice)
				return
			}
			eventually(t, 5*time.Second, "the tone is steady", func() bool { return p.tone(620) > -22 && !p.voice() })
			run := 0 // speech lasts; a gap in the tones of a busy machine does not
			for range 40 {
				if time.Sleep(50 * time.Millisecond); !p.voice() {
					run = 0
				} else if run++; run == 12 {
					t.Fatal("told although it is switched off")
				}
			}
		})
	}
}

// TestFullMeeting: the caller is told so, or hears the busy tone where the operator wants that.
func TestFullMeeting(t *testing.T) {
	t.Parallel()
	busy := start(t, lab.Options{}, func(c *config.Config) { c.Sounds.TellFull = false })
	busy.Join("alpha", 620)
	busy.XMPP.Room("alpha").SetMax(1)
	if p, why := busy.tryCall(t, "alpha", 440, "PCMU"); p != nil || why.Code != cause.Busy {
		t.Errorf("the call is answered, or ends by %v", why)
	}
	m := start(t, lab.Options{}, nil)
	m.Join("alpha", 620)
	m.XMPP.Room("alpha").SetMax(1)
	p := m.call(t, "alpha", 440, "PCMU") // answered, to be told
	eventually(t, 10*time.Second, "the phone is told", p.voice)
	eventually(t, 20*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
}

// TestBreakoutRooms: two phones are sent to a breakout room, hear each other there and nobody else, and come back.
func TestBreakoutRooms(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	a := m.Join("alpha", 620)
	p, q := m.call(t, "alpha", 440, "PCMU"), m.call(t, "alpha", 500, "PCMA")
	all := func() bool {
		return hears(a, 440)() && hears(a, 500)() && p.tone(620) > -26 && p.tone(500) > -26 && q.tone(620) > -26 && q.tone(440) > -26
	}
	eventually(t, 20*time.Second, "everybody hears everybody", all)
	main, side := m.XMPP.Room("alpha"), "b1@breakout."+lab.Domain
	for _, c := range m.app.Calls() {
		main.Send(c.Occupant.Resource, side)
	}
	eventually(t, 20*time.Second, "the phones hear each other alone", func() bool {
		return p.tone(500) > -26 && q.tone(440) > -26 && p.tone(620) < -60 && q.tone(620) < -60
	})
	eventually(t, 5*time.Second, "the main room is left", func() bool { return len(a.Others()) == 0 })
	for _, c := range m.app.Calls() {
		if c.Room.String() == "" || c.Occupant.Bare().String() != side {
			t.Errorf("%+v", c)
		}
		m.XMPP.Room(side).Send(c.Occupant.Resource, "alpha@"+m.XMPP.MUC())
	}
	eventually(t, 20*time.Second, "everybody hears everybody again", all)
}
