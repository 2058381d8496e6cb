//go:build lab

package peers

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/audio"
	"jigasi/internal/config"
	"jigasi/internal/lab/phone"
)

// led is a meeting in room alpha of a Prosody with a Jitsi deployment's parts. A person in Chromium
// says 1000 Hz and leads it, another says 620 Hz.
type led struct {
	*meeting
	b *browser
	c *person
	g *app.App
}

func leading(t *testing.T) *led {
	t.Helper()
	l := &led{meeting: meet(t, "", "parts.cfg.lua")}
	l.b = browse(t, "ws://"+addr(l.ports["HTTP"])+"/xmpp-websocket?room=alpha", "alpha", 1000, 440, 500, 620)
	eventually(t, 60*time.Second, "the browser joins and leads", func() bool { s := l.b.now(); return s.Joined && s.Leads })
	l.c = l.join(t, "alpha", 620)
	l.g = gatewayAt(t, l.meeting, func(c *config.Config) { c.Meeting.PasswordWait = config.Duration(time.Minute) })
	return l
}

// must waits for what has to be, or ends the test.
func must(t *testing.T, want string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", want)
		}
	}
}

// wait waits for what the browser sees, or else.
func (l *led) wait(t *testing.T, want string, ok func(s browserState) bool) {
	t.Helper()
	must(t, want, func() bool { return ok(l.b.now()) })
}

// do has the browser run a line of script whose %q are the arguments.
func (l *led) do(t *testing.T, script string, args ...any) {
	t.Helper()
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = strconv.Quote(s)
		}
	}
	l.b.run(t, fmt.Sprintf(script, args...))
}

// enter has a phone call in and be heard by both, and gives its seat's name.
func (l *led) enter(t *testing.T, hz float64, more ...[2]string) (*phone.Phone, string) {
	t.Helper()
	had := map[string]bool{}
	for id := range l.b.now().People {
		had[id] = true
	}
	p := phoneIn(t, l.g, "alpha", hz, more...)
	seat := ""
	l.wait(t, "the browser sees and hears the phone", func(s browserState) bool {
		for id, who := range s.People {
			if !had[id] && who.says(hz) {
				seat = id
			}
		}
		return seat != "" && p.Tone(1000) > -26 && p.Tone(620) > -26 && hears(l.c.Bot, hz)()
	})
	return p, seat
}

// told waits until the phone was told so by SIP INFO, after what it had been told before.
func told(t *testing.T, p *phone.Phone, before int, want string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the phone was told %q", p.Told())
		}
	})
	must(t, "the phone is told "+want, func() bool {
		return slices.ContainsFunc(p.Told()[before:], func(s string) bool { return strings.Contains(s, want) })
	})
}

// spoken reports whether the phone hears speech: more below 430 Hz, where voices are strong, than a meeting of tones has.
func spoken(p *phone.Phone) func() bool {
	return func() bool {
		pcm := p.Heard()
		pcm = pcm[max(0, len(pcm)-2000):]
		if len(pcm) < 2000 || audio.Level(pcm) > 45 {
			return false
		}
		power := 0.0
		for hz := 100.0; hz <= 400; hz += 4 {
			power += math.Pow(10, audio.Goertzel(pcm, hz, 8000)/10)
		}
		return 10*math.Log10(power) > -36
	}
}

// says reports whether the browser hears that of a person.
func (p browserPerson) says(hz float64) bool {
	db, ok := p.Tones[strconv.Itoa(int(hz))]
	return ok && db > -26
}

// quiet reports whether it listens, and does not.
func (p browserPerson) quiet(hz float64) bool {
	db, ok := p.Tones[strconv.Itoa(int(hz))]
	return ok && db < -60
}

// silent reports whether the browser and the other person hear nothing of the phone.
func (l *led) silent(seat string, hz float64) bool {
	return !hears(l.c.Bot, hz)() && l.b.now().People[seat].quiet(hz)
}

// over ends the call, and waits until it has left.
func (l *led) over(t *testing.T, p *phone.Phone) {
	t.Helper()
	hangup(t, p)
	must(t, "the phone has left", func() bool { return len(l.g.Calls()) == 0 && len(l.b.now().People) == 1 })
}

// TestChromiumModerates: a moderator in a browser does to phones what moderators do.
func TestChromiumModerates(t *testing.T) {
	l := leading(t)
	for _, step := range []struct {
		name string
		run  func(*led, *testing.T)
	}{
		{"mutes", (*led).mutes}, {"starts muted", (*led).startsMuted}, {"moderates", (*led).moderates}, {"records", (*led).records}, {"kicks", (*led).kicks},
		{"locks", (*led).locks}, {"lobby", (*led).keepsLobby}, {"breakout", (*led).breaksOut}, {"ends", (*led).ends},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(l, t) }) {
			return
		}
		if s := l.b.now(); s.Failed != "" {
			t.Fatalf("%s: the browser complains of %s", step.name, s.Failed)
		}
	}
}

func (l *led) mutes(t *testing.T) {
	p, seat := l.enter(t, 440)
	n := len(p.Told())
	l.do(t, "lab.mute(%s)", seat)
	told(t, p, n, `"muteRequest"`)
	l.wait(t, "the browser sees it muted", func(s browserState) bool { return s.People[seat].Muted && l.silent(seat, 440) })
	must(t, "the muted phone hears the others", func() bool { return p.Tone(1000) > -26 && p.Tone(620) > -26 })
	p.Tell(`{"type":"muteRequest","id":"u1","data":{"audio":false}}`)
	told(t, p, n, `"id":"u1","status":"OK"`)
	l.wait(t, "the phone is heard again", func(s browserState) bool {
		return !s.People[seat].Muted && s.People[seat].says(440) && hears(l.c.Bot, 440)()
	})
	l.over(t, p)
}

// startsMuted: the room's metadata has who comes be silent until it wants to be heard.
func (l *led) startsMuted(t *testing.T) {
	set := func(on string) {
		t.Helper()
		l.do(t, "lab.set('startMuted', { audio: "+on+", video: false }), lab.name(%s)", "muted "+on)
		must(t, "what the browser said has arrived", func() bool {
			return slices.ContainsFunc(l.c.Others(), func(id string) bool {
				e := l.c.Sees(id).Kid("http://jabber.org/protocol/nick", "nick")
				return e != nil && e.Text == "muted "+on
			})
		})
	}
	set("true")
	p := phoneIn(t, l.g, "alpha", 440)
	told(t, p, 0, `"muteRequest"`)
	seat := ""
	l.wait(t, "the browser sees it muted", func(s browserState) bool {
		for id, who := range s.People {
			if id != l.c.Nick() && who.Muted {
				seat = id
			}
		}
		return seat != "" && p.Tone(1000) > -26
	})
	p.Tell(`{"type":"muteRequest","id":"u2","data":{"audio":false}}`)
	told(t, p, 0, `"id":"u2","status":"OK"`)
	l.wait(t, "the phone is heard", func(s browserState) bool { return !s.People[seat].Muted && s.People[seat].says(440) })
	set("false")
	l.over(t, p)
}

// moderates: who is no moderator unmutes by permission; who comes while it is so is muted.
func (l *led) moderates(t *testing.T) {
	p, seat := l.enter(t, 440)
	n := len(p.Told())
	l.do(t, "lab.moderate(true)")
	told(t, p, n, `"t":8,"d":true`)
	told(t, p, n, `"muteRequest"`)
	l.wait(t, "the phone is silent", func(s browserState) bool { return s.Moderated && s.People[seat].Muted && l.silent(seat, 440) })
	ask := func(id, answer string) {
		t.Helper()
		p.Tell(`{"type":"muteRequest","id":"` + id + `","data":{"audio":false}}`)
		told(t, p, n, `"id":"`+id+`","status":"`+answer+`"`)
	}
	ask("m1", "FAILED")
	l.wait(t, "the browser sees a raised hand", func(s browserState) bool { return s.People[seat].Hand && s.People[seat].Muted })
	late := phoneIn(t, l.g, "alpha", 500)
	told(t, late, 0, `"t":8,"d":true`)
	told(t, late, 0, `"muteRequest"`)
	l.wait(t, "who comes later is muted", func(s browserState) bool {
		return len(s.People) == 3 && !hears(l.c.Bot, 500)() && late.Tone(1000) > -26
	})
	hangup(t, late)
	l.do(t, "lab.allow(%s, true)", seat)
	told(t, p, n, `"t":9`)
	ask("m2", "OK")
	l.wait(t, "the phone is heard by permission", func(s browserState) bool {
		return !s.People[seat].Muted && !s.People[seat].Hand && s.People[seat].says(440) && slices.Equal(s.Allowed, []string{seat})
	})
	l.do(t, "lab.allow(%s, false)", seat)
	told(t, p, n, `"t":10`)
	l.do(t, "lab.moderate(false)")
	told(t, p, n, `"t":8,"d":false`)
	l.wait(t, "moderation is off", func(s browserState) bool { return !s.Moderated })
	l.over(t, p)
}

// records: the phone is told that it begins and that it ends; so is who comes meanwhile.
func (l *led) records(t *testing.T) {
	p, _ := l.enter(t, 440)
	must(t, "nothing is said", func() bool { return !spoken(p)() })
	l.do(t, "lab.record('file')")
	must(t, "the phone is told that it is recorded", spoken(p))
	l.wait(t, "the browser sees it", func(s browserState) bool { return s.Recording == "on" })
	q := phoneIn(t, l.g, "alpha", 500)
	must(t, "who comes is told too", spoken(q))
	hangup(t, q)
	must(t, "all is said", func() bool { return !spoken(p)() && p.Tone(1000) > -26 })
	l.do(t, "lab.stop()")
	must(t, "the phone is told that it has ended", spoken(p))
	l.over(t, p)
}

func (l *led) kicks(t *testing.T) {
	p, seat := l.enter(t, 440)
	l.do(t, "lab.kick(%s)", seat)
	must(t, "the call ends", func() bool { return p.Ended() != "" && len(l.g.Calls()) == 0 })
	if !strings.Contains(p.Ended(), "removed the phone") {
		t.Errorf("it ended with %q", p.Ended())
	}
	l.wait(t, "the phone has left", func(s browserState) bool { return len(s.People) == 1 })
}
