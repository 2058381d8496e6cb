package app_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/liveq"
	"jigasi/internal/lab/xmppd"
)

func withVisitors(cfg *config.Config) {
	cfg.Visitors.Enabled, cfg.Visitors.Domain = true, lab.Domain
}

// visitor is the only phone of a visitor node's room.
func visitor(t *testing.T, r *xmppd.Room) string {
	t.Helper()
	nick := ""
	eventually(t, 10*time.Second, "the phone is at the visitor node", func() bool {
		for _, n := range r.Nicks() {
			if n != "focus" {
				nick = n
			}
		}
		return nick != ""
	})
	return nick
}

// TestVisitor: the phone hears the meeting, and nobody hears or sees it; *6 raises its hand; promoted, it is in the room, silent
// until it presses *6 again; and a moderator sends it back. All that time it is one call.
func TestVisitor(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, withVisitors)
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the people are in", func() bool { return len(a.Others()) == 1 })
	m.Focus.SendVisitors("v1", lab.Node, true)
	node := m.XMPP.Room("alpha").Visitors(lab.Node)
	p := m.call(t, "alpha", 440, "PCMU")
	nick := visitor(t, node)
	meeting := func() bool { return p.tone(620) > -36 && p.tone(880) > -36 } // also behind a voice
	eventually(t, 10*time.Second, "the phone is told", p.voice)
	eventually(t, 15*time.Second, "the phone hears the meeting", meeting)
	unheard(t, a)
	star6 := func() { p.port.SendKey('*', 100); p.port.SendKey('6', 100) }
	star6()
	eventually(t, 5*time.Second, "the hand is raised", func() bool { return node.Presence(nick).Kid("", "jitsi_participant_raisedHand") != nil })
	unheard(t, a)
	p.reads(t, 0, `{"t":12,"d":true}`, `"type":"muteRequest","data":{"audio":true}`)

	m.Focus.SendVisitors("v1", lab.Node, false)
	node.Promote(nick, true)
	p.reads(t, 2, `{"t":12,"d":false}`)
	eventually(t, 10*time.Second, "the phone is in the room", func() bool { return len(a.Others()) == 2 })
	eventually(t, 15*time.Second, "the phone hears the meeting from there", meeting)
	if hears(a, 440)() {
		t.Error("who is promoted is heard without wanting it")
	}
	star6()
	eventually(t, 10*time.Second, "the phone is heard", hears(a, 440))

	m.XMPP.Room("alpha").Demote(m.nick(t))
	eventually(t, 10*time.Second, "the phone is gone from the room", func() bool { return len(a.Others()) == 1 })
	visitor(t, node)
	eventually(t, 15*time.Second, "the call goes on", func() bool {
		all := m.app.Calls()
		return len(all) == 1 && all[0].State == call.Active && all[0].Occupant.Domain == "conference."+lab.Node
	})
	eventually(t, 15*time.Second, "the phone hears the meeting as a visitor", meeting)
	unheard(t, a)
}

// unheard wants a phone neither to be heard nor seen.
func unheard(t *testing.T, a *bot.Bot) {
	t.Helper()
	eventually(t, 10*time.Second, "the phone is not heard", func() bool { return !hears(a, 440)() })
	if others := a.Others(); len(others) != 1 {
		t.Errorf("the room sees %v", others)
	}
}

// withQueue starts a visitor queue service, and configures it.
func withQueue(t *testing.T) (*liveq.Server, func(*config.Config)) {
	t.Helper()
	q, err := liveq.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := q.Key(key); err != nil {
		t.Fatal(err)
	}
	return q, func(cfg *config.Config) {
		withVisitors(cfg)
		cfg.Visitors.Queue.URL, cfg.Visitors.Queue.KeyFile, cfg.Visitors.Queue.KeyID = q.URL(), key, liveq.KeyID
	}
}

// TestMeetingBecomesLive: the phone is answered and told, waits at the service, and comes as a visitor when that says so.
func TestMeetingBecomesLive(t *testing.T) {
	t.Parallel()
	q, set := withQueue(t)
	m := start(t, lab.Options{}, set)
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the people are in", func() bool { return len(a.Others()) == 1 })
	m.Focus.SetLive(false)
	m.Focus.SendVisitors("v1", lab.Node, false)
	node := m.XMPP.Room("alpha").Visitors(lab.Node)
	p := m.call(t, "alpha", 440, "PCMU") // answered while it waits
	room := "alpha@" + m.XMPP.MUC()
	eventually(t, 5*time.Second, "the phone is told that it has to wait", p.voice)
	eventually(t, 5*time.Second, "it waits", func() bool {
		all := m.app.Calls()
		return q.Waiting(room) == 1 && len(all) == 1 && all[0].State == call.Waiting
	})
	p.reads(t, 0, `{"t":15,"d":false}`)
	m.Focus.SetLive(true)
	q.Say(room, `{"status":"live","randomDelayMs":50}`)
	visitor(t, node)
	p.reads(t, 1, `{"t":15,"d":true}`, `{"t":12,"d":true}`)
	eventually(t, 20*time.Second, "the phone hears the meeting", func() bool { return p.tone(620) > -36 && p.tone(880) > -36 })
}

// TestDialOutNotLive: the phone is called, and waits; the dial is answered by an address that is no room's.
func TestDialOutNotLive(t *testing.T) {
	t.Parallel()
	q, set := withQueue(t)
	m := start(t, lab.Options{}, func(cfg *config.Config) { set(cfg); withBrewery(cfg) })
	uri, answered, _ := phones(t, m.handsets, 200)
	m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	m.Focus.SetLive(false)
	m.Focus.SendVisitors("v1", lab.Node, false)
	node := m.XMPP.Room("alpha").Visitors(lab.Node)
	room := "alpha@" + m.XMPP.MUC()
	res := m.Focus.Dial(room, uri)
	if ref := res.Kid("urn:xmpp:rayo:1", "ref").Get("uri"); !strings.HasSuffix(ref, "@"+lab.Domain) || !strings.HasPrefix(ref, "xmpp:") {
		t.Errorf("the dial is answered by %v", res)
	}
	p := <-answered
	eventually(t, 5*time.Second, "the phone is told that it has to wait", p.voice)
	eventually(t, 5*time.Second, "it waits", func() bool { return q.Waiting(room) == 1 })
	m.Focus.SetLive(true)
	q.Say(room, `{"status":"live"}`)
	visitor(t, node)
	eventually(t, 20*time.Second, "the phone hears the meeting", func() bool { return p.tone(620) > -36 && p.tone(880) > -36 })
}
