package app_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/soak"
	"jigasi/internal/stanza"
)

// oddNicks are what a guest may be called by mistake or by intent.
var oddNicks = []string{
	"a·b", "Tanaka・Taro", "ㄱ", "ᄀ", "ـ", "١۱", "͵a", "👩‍👩‍👧", "☎", "ｒｏｏｍ", "STRASSE", "straße", "К", "a/b@c", "@", "..", "focus ", "Focus", " x ",
	"\u202eevil", "\u00ad", "&<>'\"", "%00", "x" + strings.Repeat("y", 1000),
}

// T02: guests with any name, in any place of a stanza, end no XMPP session; a call in another room loses no
// packet, and one in the same room goes on.
func TestT02_GuestsEndNothing(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, withBrewery)
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	gateway := m.Focus.Gateways()[0].Get("from")
	p, heard := connected(t, m)
	beta := m.Join("beta", 500)
	other := m.call(t, "beta", 700, "PCMU")
	apart := func() bool { return hears(beta, 700)() && other.tone(500) > -26 }
	eventually(t, 20*time.Second, "they hear each other in the other room", apart)
	lost := func() int {
		n := other.port.Stats().Lost
		for _, v := range beta.Hears() {
			n += v.Lost()
		}
		return n
	}
	was, clients, ids := lost(), m.XMPP.Clients(), fmt.Sprint(m.app.Calls()[0].ID, m.app.Calls()[1].ID)
	var nick string
	for _, c := range m.app.Calls() {
		if c.Occupant.Local == "alpha" {
			nick = c.Occupant.Resource
		}
	}
	muc := stanza.New("http://jabber.org/protocol/muc", "x")
	for i, name := range oddNicks {
		jid := fmt.Sprintf("guest%d@%s/%s", i, lab.Domain, name)
		m.XMPP.Attach(jid, func(*stanza.Elem) {})
		for _, room := range []string{"alpha@" + m.XMPP.MUC(), lab.Brewery} {
			m.XMPP.Send(jid, stanza.New("jabber:client", "presence", "to", room+"/"+name).Add(muc, stanza.New("http://jabber.org/protocol/nick", "nick").WithText(name)))
			m.XMPP.Send(jid, stanza.New("jabber:client", "message", "type", "groupchat", "to", room).Add(stanza.New("", "body").WithText(name)))
		}
		for _, to := range []string{"alpha@" + m.XMPP.MUC() + "/" + nick, gateway} {
			m.XMPP.Send(jid, stanza.New("jabber:client", "message", "type", "chat", "to", to).Add(stanza.New("", "body").WithText(name)))
			m.XMPP.Send(jid, stanza.New("jabber:client", "iq", "type", "set", "id", name, "to", to).Add(stanza.New("urn:xmpp:jingle:1", "jingle", "action", "session-initiate", "sid", name)))
			m.XMPP.Send(jid, stanza.New("jabber:client", "iq", "type", "get", "id", name, "to", to))
			m.XMPP.Send(jid, stanza.New("jabber:client", "iq", "type", "result", "id", name, "to", to).Add(stanza.New("urn:xmpp:jingle:1", "jingle", "action", name)))
		}
		m.XMPP.Detach(jid)
	}
	p.deaf()
	other.deaf()
	eventually(t, 20*time.Second, "everybody hears everybody", func() bool { return heard() && apart() })
	if n := lost() - was; n != 0 {
		t.Errorf("%d packets were lost in the other room", n)
	}
	if all := m.app.Calls(); len(all) != 2 || fmt.Sprint(all[0].ID, all[1].ID) != ids || all[0].State != call.Active || all[1].State != call.Active {
		t.Errorf("calls %+v, were %s", all, ids)
	}
	if n := m.XMPP.Clients(); n != clients || !joined(m)() {
		t.Errorf("%d XMPP sessions of %d, breweries %+v", n, clients, m.app.Breweries())
	}
}

// T11: a room that announces 1000 sources costs little, the call goes on, and hanging up is quick and leaves nothing.
func TestT11_SourcesAreBounded(t *testing.T) {
	m := start(t, lab.Options{}, nil)
	one, two := m.Join("alpha", 620), m.Join("alpha", 880)
	p := m.call(t, "alpha", 440, "PCMU")
	heard := func() bool { return hears(one, 440)() && p.tone(620) > -26 && p.tone(880) > -26 }
	eventually(t, 20*time.Second, "everybody hears everybody", heard)
	nick := m.nick(t)
	heap := func() int64 {
		one.Forget() // what people remember of the sound is not the gateway's
		two.Forget()
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	m.Focus.Sources("alpha", nick, 1000)
	p.deaf()
	eventually(t, 20*time.Second, "everybody hears everybody", heard)
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("1000 sources took %d KiB", grown>>10)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 20 {
		t.Errorf("1000 sources took %d goroutines", n)
	}
	began := time.Now()
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 10*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
	if took := time.Since(began); took > 2*time.Second && soak.Full() {
		t.Errorf("hanging up took %v", took)
	}
	eventually(t, 20*time.Second, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// T50: round after round of calls leaves no goroutine, no port and no occupant behind.
func TestT50_RoundsLeaveNothing(t *testing.T) {
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		cfg.SIP.Trunks = []string{"127.0.0.0/8"}
		cfg.Media.MaxPort = cfg.Media.MinPort + 999
	})
	m.Join("alpha", 620)
	m.Join("alpha", 880)
	rounds, size := soak.Count(3, 10), soak.Count(10, 80)
	var settled, ports, files int
	for round := range rounds {
		var calls []*caller
		for range size {
			calls = append(calls, m.call(t, "alpha", 440, "PCMU"))
		}
		for _, c := range calls {
			c.d.Hangup(cause.Cause{Code: cause.Normal})
		}
		for _, c := range calls {
			<-c.over
			c.port.Close()
		}
		eventually(t, 30*time.Second, "no call is left", func() bool { return len(m.app.Calls()) == 0 && m.app.PortsInUse() == 0 && m.pool.InUse() == 0 })
		eventually(t, 30*time.Second, "the room is as it was", func() bool { return len(m.XMPP.Room("alpha").Nicks()) == 3 })
		if round == 0 { // what stays for good is there now; transactions have timers, and no goroutines
			settled, ports, files = runtime.NumGoroutine(), m.app.PortsInUse(), openFiles()
			for range 50 {
				<-time.After(20 * time.Millisecond)
				settled, files = min(settled, runtime.NumGoroutine()), min(files, openFiles())
			}
		}
	}
	eventually(t, 60*time.Second, "the goroutines are back where they were", func() bool { return runtime.NumGoroutine() <= settled+2 })
	eventually(t, 60*time.Second, "the sockets are back where they were", func() bool { return openFiles() <= files })
	if n := m.app.PortsInUse(); n != ports {
		t.Errorf("%d ports in use, were %d", n, ports)
	}
	t.Logf("%d rounds of %d calls: goroutines %d, then %d; open files %d, then %d", rounds, size, settled, runtime.NumGoroutine(), files, openFiles())
}
