package app

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/exchange"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
)

// TestAccountSettings: an account's domain, prefixes, header names, login, codecs, encryption and forwarding are for its calls alone.
func TestAccountSettings(t *testing.T) {
	cfg := config.Default()
	cfg.Meeting.Domain, cfg.Meeting.MUC = "meet.example.com", "conference.meet.example.com"
	cfg.XMPP.User, cfg.XMPP.Password = "sip@auth.meet.example.com", "secret"
	cfg.SIP.Listen, cfg.Admin.Port = []string{"udp:127.0.0.1:0"}, 0
	cfg.SIP.Accounts = []config.SIPAccount{
		{ID: "plain", URI: "a@b.example"},
		{
			ID: "own", URI: "c@d.example", Domain: "other.example.org", MUCPrefixes: []string{"rooms"}, AnonymousOnly: true,
			Headers: config.HeaderNames{Room: "X-Our-Room"}, Codecs: []string{"PCMA"}, SRTP: "required", Forward: true,
		},
	}
	a, err := New(cfg, Options{Loopback: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	route := func(account, header string) exchange.Target {
		r, ok := accountRules(cfg)[account]
		if !ok {
			r = rules(cfg)
		}
		got, err := r.Route(func(name string) string { return map[string]string{header: "alpha"}[name] })
		if err != nil {
			return exchange.Target{}
		}
		return got
	}
	for _, c := range []struct{ account, header, room, user string }{
		{"", "Jitsi-Conference-Room", "alpha@conference.meet.example.com", "sip@auth.meet.example.com"},
		{"", "X-Our-Room", "alpha@conference.meet.example.com", "sip@auth.meet.example.com"},
		{"plain", "X-Room-Name", "alpha@conference.meet.example.com", "sip@auth.meet.example.com"},
		{"plain", "X-Our-Room", "", ""},
		{"own", "X-Our-Room", "alpha@rooms.other.example.org", ""},
	} {
		got := route(c.account, c.header)
		if got.Room.Local == "" {
			if c.room != "" {
				t.Errorf("%s %s: no room", c.account, c.header)
			}
			continue
		}
		login := a.callLogin(exchange.Place{Target: got})
		if got.Room.String() != c.room || login.User != c.user || login.Anonymous != (c.user == "") {
			t.Errorf("%s %s: %s as %q", c.account, c.header, got.Room, login.User)
		}
		if c.account == "own" && (login.Domain != "other.example.org" || login.Password != "") {
			t.Errorf("%+v", login)
		}
	}
	place := exchange.Place{Target: route("plain", "X-Room-Name"), Nick: "1f2e3d4c"}
	for unique, want := range map[bool]string{false: "sip@auth.meet.example.com", true: "sip-1f2e3d4c@auth.meet.example.com"} { // each call its own, where the server wants that
		a.cfg.XMPP.UniqueUser = unique
		if l := a.callLogin(place); l.User != want || l.Resource != "1f2e3d4c" {
			t.Errorf("logs in as %s/%s, want %s", l.User, l.Resource, want)
		}
	}
	for may, acc := range map[bool]config.SIPAccount{true: {URI: "a@b.example", CallUnreg: true}, false: {URI: "a@b.example"}} {
		if account(acc).CallUnregistered != may {
			t.Errorf("calls without registration: want %v", may)
		}
	}
	log := slog.New(slog.DiscardHandler)
	if o := a.phoneOptions(a.account("own"), log); o.SRTP != sdp.Required || len(o.Codecs) != 1 || o.Codecs[0].Name != "PCMA" || !o.RTP.Forward {
		t.Errorf("%+v", o)
	}
	if o := a.phoneOptions(a.account("plain"), log); o.SRTP != sdp.Off || o.RTP.Forward || !slices.Equal(o.Codecs, sdp.Codecs(cfg.Media.Codecs...)) {
		t.Errorf("%+v", o)
	}
}

// TestAccountPort: the port that stands behind a domain, as in the container's JIGASI_SIP_URI, is the server's.
func TestAccountPort(t *testing.T) {
	for _, tt := range []struct {
		uri, registrar string
		domain, server string
		port           int
	}{
		{"a@b.example", "", "b.example", "", 0},
		{"a@b.example:5070", "", "b.example", "b.example", 5070},
		{"a@b.example:5070", "sip.b.example", "b.example", "sip.b.example", 0},
		{"a@b.example", "sip.b.example:5080", "b.example", "sip.b.example", 5080},
		{"a@[2001:db8::1]:5070", "", "[2001:db8::1]", "2001:db8::1", 5070},
		{"a@[2001:db8::1]", "", "[2001:db8::1]", "", 0},
		{"a", "", "", "", 0},
	} {
		got := account(config.SIPAccount{URI: tt.uri, Registrar: tt.registrar})
		if got.Domain != tt.domain || got.Registrar != tt.server || got.Port != tt.port {
			t.Errorf("%s at %q: %q at %q, port %d", tt.uri, tt.registrar, got.Domain, got.Registrar, got.Port)
		}
	}
}

// TestKeepAliveOfAnAccount: each of its ways reaches the SIP side.
func TestKeepAliveOfAnAccount(t *testing.T) {
	for way, want := range map[string]sip.Account{
		"options": {KeepAlive: 40 * time.Second}, "crlf": {KeepAlive: 40 * time.Second, CRLF: true}, "register": {Refresh: 40 * time.Second}, "none": {},
	} {
		got := account(config.SIPAccount{KeepAlive: way, Interval: 40 * time.Second})
		if got.KeepAlive != want.KeepAlive || got.CRLF != want.CRLF || got.Refresh != want.Refresh {
			t.Errorf("%s: %+v", way, got)
		}
	}
}
