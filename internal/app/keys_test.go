package app_test

import (
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
)

// TestKeysInTheSound: where an account wants it so, a key of the meeting reaches the phone as its two tones.
func TestKeysInTheSound(t *testing.T) {
	t.Parallel()
	m := &meeting{} // the account's proxy is the phone, which is there first
	uri, answered, ua := phones(t, m, 200)
	*m = *start(t, lab.Options{}, func(cfg *config.Config) {
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
