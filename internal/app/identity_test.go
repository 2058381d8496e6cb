package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
)

// TestWhoThePhoneIs: what the room sees of a phone, and of what the operator's service knows of its number; a service that fails
// takes nothing away.
func TestWhoThePhoneIs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer, nick, avatar string
		status               int
	}{
		"known":   {`{"success":true,"result":{"user":{"name":"Joe Bob","avatar":"https://x/joe.png","email":"joe@x"}}}`, "Joe Bob", "https://x/joe.png", 200},
		"unknown": {`{"success":false,"result":{}}`, "Phone", "", 200},
		"failing": {``, "Phone", "", 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 1)
			names := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.URL.Query().Get("number")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.answer))
			}))
			defer names.Close()
			m := start(t, lab.Options{}, func(cfg *config.Config) {
				cfg.Meeting.Region, cfg.Meeting.StatsID, cfg.Meeting.CallerInfoURL = "eu-west", "gw-1", names.URL+"/?number={0}"
			})
			a := m.Join("alpha", 620)
			p := m.call(t, "alpha", 440, "PCMU")
			eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(a, 440)() && p.tone(620) > -26 })
			if number := <-asked; number != "+4930123" {
				t.Errorf("asks for %q", number)
			}
			nick := m.nick(t)
			text := func(space, name string) string {
				if k := a.Sees(nick).Kid(space, name); k != nil {
					return k.Text
				}
				return ""
			}
			eventually(t, 5*time.Second, "the room sees the name", func() bool { return text("http://jabber.org/protocol/nick", "nick") == tt.nick })
			if text("", "avatar-url") != tt.avatar || text("", "email") != map[bool]string{true: "joe@x"}[name == "known"] || text("", "jitsi_participant_region") != "eu-west" || text("", "stats-id") != "gw-1" {
				t.Errorf("the room sees %v", a.Sees(nick))
			}
			init := a.Sees(nick).Kid("http://jitsi.org/protocol/jigasi", "initiator")
			if h := init.Kid("urn:xmpp:rayo:1", "header"); h == nil || h.Get("name") != "JigasiCallDirection" || h.Get("value") != "in" {
				t.Errorf("initiator %v", init)
			}
			if v := a.Sees(nick).Kid("", "stat"); v == nil || v.Get("name") != "version" || v.Get("value") != "Jigasi test" {
				t.Errorf("version %v", v)
			}
		})
	}
}

// TestNumbersAreMasked: the room sees as much of a caller's number as the account allows by which the call came, and nobody's whole
// number unless that was asked for.
func TestNumbersAreMasked(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{"": "Phone \u2026456", "full": "+4930123456", "hidden": "Phone"} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			m := start(t, lab.Options{}, func(cfg *config.Config) {
				cfg.SIP.Trunks = []string{"127.0.0.0/8"}
				cfg.SIP.Accounts = []config.SIPAccount{{ID: "pbx", URI: "gw@pbx.test", Registrar: "127.0.0.1:9", CallerName: rule}}
			})
			a := m.Join("alpha", 620)
			eventually(t, 10*time.Second, "the account's server is known", func() bool { return m.app.Registrations()[0].Status == "ready, without registration" })
			if p, why := m.place(t, wish{room: "alpha", hz: 440, from: "sip:+4930123456@phone.test", noName: true}); p == nil {
				t.Fatal(why)
			}
			nick := m.nick(t)
			eventually(t, 10*time.Second, "the room sees "+want, func() bool {
				p := a.Sees(nick)
				return p != nil && lab.TextOf(p, "nick") == want
			})
			if c := m.app.Calls()[0]; c.Account != "pbx" {
				t.Errorf("%+v", c)
			}
			if seen := fmt.Sprint(a.Sees(nick)); rule != "full" && strings.Contains(seen, "30123456") {
				t.Errorf("the number stands in %s", seen)
			}
		})
	}
}
