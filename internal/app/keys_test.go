package app_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/ports"
)

// TestKeysInTheSound: where an account wants it so, a key of the meeting reaches the phone as its two tones.
func TestKeysInTheSound(t *testing.T) {
	t.Parallel()
	uri, answered, ua := phones(t, newHandsets(t, portRange(t)-12000, 200), 200) // the account's proxy is the phone
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		withBrewery(cfg)
		cfg.SIP.Accounts = []config.SIPAccount{{ID: "pbx", URI: "gw@127.0.0.1", Proxy: ua.Local()[0].String(), DTMF: "inband"}}
	})
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), uri); res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	p := <-answered
	eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(b, 440)() && p.tone(620) > -26 })
	tones := func() bool { return p.tone(770) > -30 && p.tone(1336) > -30 }
	if tones() {
		t.Error("the tones are there before the key")
	}
	pressed := time.Now().Add(-time.Hour)
	eventually(t, 10*time.Second, "the phone hears the tones of 5", func() bool {
		if time.Since(pressed) > 2*time.Second { // again: a busy machine may look away for as long as a key lasts
			pressed = time.Now()
			b.Press('5')
		}
		return tones()
	})
}

// typed is how a phone presses keys.
var typed = map[string]func(p *caller, keys string){
	"events": func(p *caller, keys string) {
		for _, k := range keys {
			p.port.SendKey(k, 100)
		}
	},
	"INFO": func(p *caller, keys string) {
		for _, k := range keys {
			p.d.Info("application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=160\r\n", k), nil)
		}
	},
}

// toMeeting has the keys of all who call go to the meeting.
func toMeeting(c *config.Config) {
	c.SIP.Accounts = []config.SIPAccount{{ID: "pbx", URI: "gw@127.0.0.1", DTMFToMeeting: true}}
}

// TestKeysOfThePhone: where an account wants it, what is typed on the phone comes to the meeting as telephone events of
// the phone's own stream, but for the keys that are for the gateway, and what a muted phone types.
func TestKeysOfThePhone(t *testing.T) {
	t.Parallel()
	for name, press := range typed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, lab.Options{}, toMeeting)
			b := m.Join("alpha", 620)
			p := m.call(t, "alpha", 440, "PCMU")
			eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(b, 440)() && p.tone(620) > -26 })
			nick := m.nick(t)
			press(p, "12*9#*D")
			eventually(t, 10*time.Second, "the keys come", func() bool { return len(b.Keys(nick)) > 4 && b.Keys(nick)[4].Ends == 3 })
			eventually(t, 10*time.Second, "a hand is raised", func() bool { return b.Sees(nick).Kid("", "jitsi_participant_raisedHand") != nil })
			press(p, "*6")
			eventually(t, 10*time.Second, "the phone is mute", func() bool { return lab.TextOf(b.Sees(nick), "audiomuted") == "true" && !hears(b, 440)() })
			press(p, "7*6")
			eventually(t, 10*time.Second, "the phone is heard again", hears(b, 440))
			press(p, "8")
			eventually(t, 10*time.Second, "the keys come again", func() bool { return len(b.Keys(nick)) > 5 && b.Keys(nick)[5].Ends == 3 })
			if got := b.Digits(nick); got != "12#*D8" {
				t.Errorf("the meeting reads %s", got)
			}
			for _, k := range b.Keys(nick) { // 100 ms at least, of 20 ms each, and its end twice more
				if !k.Marked || k.Odd || k.Ends != 3 || k.Units < 800 || k.Units > 1600 || k.Packets != k.Units/160+2 {
					t.Errorf("%c: %+v", k.Key, k)
				}
			}
		})
	}
}

// TestKeysAreThePhonesOwn: without a word of the operator nobody in the meeting reads what is typed on a phone.
func TestKeysAreThePhonesOwn(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		toMeeting(c)
		c.SIP.Accounts[0].DTMFToMeeting = false
	})
	b := m.Join("alpha", 620)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(b, 440)() && p.tone(620) > -26 })
	for _, press := range typed {
		press(p, "471")
	}
	typed["events"](p, "1*9")
	later(t, b, m.nick(t))
}

// later waits until the keys before *9 would have come to the meeting, and wants none of them.
func later(t *testing.T, b *bot.Bot, nick string) {
	t.Helper()
	eventually(t, 10*time.Second, "a hand is raised", func() bool { return b.Sees(nick).Kid("", "jitsi_participant_raisedHand") != nil })
	heard := b.Hears()[nick].Packets
	eventually(t, 10*time.Second, "two seconds more are heard", func() bool { return b.Hears()[nick].Packets > heard+100 })
	if got := b.Digits(nick); got != "" {
		t.Errorf("the meeting reads %s", got)
	}
}

// TestNoKeysForADeafMeeting: where the focus offers no telephone-event none is sent, which is said once.
func TestNoKeysForADeafMeeting(t *testing.T) {
	t.Parallel()
	var log lines
	m := startWith(t, lab.Options{Deaf: true}, slog.New(slog.NewTextHandler(&log, nil)), toMeeting)
	b := m.Join("alpha", 620)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(b, 440)() && p.tone(620) > -26 })
	typed["events"](p, "123*9")
	later(t, b, m.nick(t))
	if n := strings.Count(log.String(), "offers no telephone-event"); n != 1 {
		t.Errorf("said %d times", n)
	}
	eventually(t, 10*time.Second, "the phone is heard still", hears(b, 440))
}

// TestKeysAfterTheNumber: what a moderator writes after a number is typed when the phone answers, each comma a pause of two
// seconds, and so are keys by HTTP; the call is to the number alone, and nobody reads the keys.
func TestKeysAfterTheNumber(t *testing.T) {
	t.Parallel()
	_, answered, ua := phones(t, newHandsets(t, portRange(t)-12000, 200), 200) // the account's proxy is the phone
	var log lines
	m := startWith(t, lab.Options{}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(cfg *config.Config) {
		withBrewery(cfg)
		cfg.Admin.Port = ports.Free(t)
		cfg.SIP.Accounts = []config.SIPAccount{{ID: "pbx", URI: "gw@127.0.0.1", Proxy: ua.Local()[0].String()}}
	})
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	if res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), "030 1234567,7719,#"); res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	p := <-answered
	if user := p.d.Called(); user != "0301234567" {
		t.Errorf("called is %q", user)
	}
	began := time.Now()
	eventually(t, 15*time.Second, "the phone reads the first keys", func() bool { return p.keys() != "" })
	first := time.Since(began)
	eventually(t, 15*time.Second, "the phone reads all keys", func() bool { return p.keys() == "7719#" })
	if all := time.Since(began); first < 1500*time.Millisecond || all < 4*time.Second {
		t.Errorf("typed after %v and %v", first, all)
	}
	id := m.app.Calls()[0].ID
	began = time.Now()
	if code := rest(t, "POST", "http://"+m.app.AdminAddr()+"/calls/"+id+"/dtmf", `{"keys":"1,2"}`, nil); code != 204 {
		t.Errorf("keys by HTTP: %d", code)
	}
	eventually(t, 15*time.Second, "the phone reads those too", func() bool { return p.keys() == "7719#12" })
	if all := time.Since(began); all < 2*time.Second {
		t.Errorf("typed within %v", all)
	}
	if got := b.Digits(m.nick(t)); got != "" || strings.Contains(log.String(), "7719") {
		t.Errorf("the meeting reads %q, or the log has the keys", got)
	}
}
