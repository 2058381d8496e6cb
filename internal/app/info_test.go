package app_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
)

// infos are the bodies of INFO requests that came, in their order.
type infos struct {
	infoMu sync.Mutex
	bodies []string
	answer func(body string) // nil: they are taken and nothing is said
}

func (i *infos) informed(body string) {
	i.infoMu.Lock()
	i.bodies = append(i.bodies, body)
	answer := i.answer
	i.infoMu.Unlock()
	if answer != nil {
		answer(body)
	}
}

func (i *infos) all() []string {
	i.infoMu.Lock()
	defer i.infoMu.Unlock()
	return slices.Clone(i.bodies)
}

// reads waits until the phone has read all of these, in this order, since it had read so many.
func (c *caller) reads(t *testing.T, since int, want ...string) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprintf("the phone reads %q", want), func() bool {
		rest := want
		for _, body := range c.all()[since:] {
			if len(rest) > 0 && strings.Contains(body, rest[0]) {
				rest = rest[1:]
			}
		}
		return len(rest) == 0
	})
	if t.Failed() {
		t.Fatalf("it reads %q", c.all()[since:])
	}
}

// says sends a message in JSON, and gives the status that it is answered with.
func (c *caller) says(t *testing.T, kind, body string) int {
	t.Helper()
	status := make(chan int, 1)
	c.d.Info(kind, []byte(body), func(s int) { status <- s })
	select {
	case s := <-status:
		return s
	case <-time.After(patience):
		t.Fatal("an INFO is not answered")
		return 0
	}
}

const inJSON = "application/json"

// TestMessagesOfTheLobby: a phone, or the IVR before it, reads where it stands, by numbers that are counted.
func TestMessagesOfTheLobby(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, briefly(t))
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	eventually(t, 5*time.Second, "the people are in", func() bool { return len(a.Others()) == 1 })
	m.XMPP.Room("alpha").SetLobby(true)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 5*time.Second, "the phone is in the lobby", m.waits(t))
	p.reads(t, 0, `{"i":0,"t":3}`)
	m.XMPP.Room("alpha").Admit(m.XMPP.Room("alpha").Waiting()[0])
	p.reads(t, 1, `{"i":1,"t":6}`, `{"i":2,"t":5}`)

	q := m.call(t, "alpha", 500, "PCMU")
	eventually(t, 10*time.Second, "another is in the lobby", func() bool { return len(m.XMPP.Room("alpha").Waiting()) == 1 })
	q.reads(t, 0, `{"i":0,"t":3}`)
	m.XMPP.Room("alpha").Deny(m.XMPP.Room("alpha").Waiting()[0])
	q.reads(t, 1, `{"i":1,"t":7}`)
}

// TestMessagesOfModeration: mute and moderation both ways, each message as the IVRs of old have it.
func TestMessagesOfModeration(t *testing.T) {
	t.Parallel()
	m, a, p := moderated(t, briefly(t))
	nick := m.nick(t)
	muted := func(want string) func() bool {
		return func() bool {
			return lab.TextOf(a.Sees(nick), "audiomuted") == want && hears(a, 440)() == (want == "false")
		}
	}
	moderation := func(what string) { m.moderate(nick, what) }
	ask := func(id string) {
		t.Helper()
		if s := p.says(t, inJSON, `{"type":"muteRequest","id":"`+id+`","data":{"audio":false}}`); s != 200 {
			t.Errorf("answered by %d", s)
		}
	}

	n := len(p.all())
	m.Focus.Mute("alpha", nick)
	p.reads(t, n, `"type":"muteRequest","data":{"audio":true},"id":"`)
	eventually(t, 10*time.Second, "it is silent", muted("true"))
	ask("one")
	p.reads(t, n, `{"type":"muteResponse","data":{"audio":false},"id":"one","status":"OK"}`)
	eventually(t, 10*time.Second, "it is heard", muted("false"))

	n = len(p.all())
	moderation(`"enabled":true`)
	p.reads(t, n, `{"t":8,"d":true}`)
	m.Focus.Mute("alpha", nick)
	eventually(t, 10*time.Second, "it is silent again", muted("true"))
	ask("two")
	p.reads(t, n, `"id":"two","status":"FAILED"}`)
	eventually(t, 10*time.Second, "its hand is raised", func() bool { return lab.TextOf(a.Sees(nick), "jitsi_participant_raisedHand") != "" })
	moderation(`"approved":true`)
	p.reads(t, n, `{"t":9}`)
	ask("three")
	p.reads(t, n, `{"type":"muteResponse","data":{"audio":false},"id":"three","status":"OK"}`)
	eventually(t, 10*time.Second, "it is heard by permission", muted("false"))
	moderation(`"removed":true`)
	p.reads(t, n, `{"t":10}`)
	moderation(`"enabled":false`)
	p.reads(t, n, `{"t":8,"d":false}`)

	p.says(t, inJSON, `{"type":"muteRequest","id":"four","data":{"audio":true}}`)
	p.reads(t, n, `{"type":"muteResponse","data":{"audio":true},"id":"four","status":"OK"}`)
	eventually(t, 10*time.Second, "it has muted itself", muted("true"))
	p.says(t, inJSON, `{"type":"muteResponse","id":"five","status":"OK","data":{"audio":false}}`)
	eventually(t, 10*time.Second, "it says that it can be heard", muted("false"))

	for body, want := range map[string]int{`{`: 400, `[]`: 400, `{"t":4}`: 400, `{"t":99}`: 200} {
		if s := p.says(t, inJSON, body); s != want {
			t.Errorf("%s is answered by %d, want %d", body, s, want)
		}
	}
	if s := p.says(t, "text/plain", "{}"); s != 415 {
		t.Errorf("text is answered by %d", s)
	}
}

// TestMessagesOfNoCall: an INFO of no dialog is answered 481.
func TestMessagesOfNoCall(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) { c.SIP.Trunks = []string{"127.0.0.0/8"} })
	c, err := net.Dial("udp4", m.gateway())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make(chan string, 10)
	go func() {
		buf := make([]byte, 2000)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			answer <- string(buf[:n])
		}
	}()
	body := `{"t":11}`
	request := fmt.Sprintf("INFO sip:gw@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKinfo\r\nFrom: <sip:ivr@phone.test>;tag=1\r\nTo: <sip:gw@phone.test>;tag=2\r\n"+
		"Call-ID: nobody\r\nCSeq: 7 INFO\r\nMax-Forwards: 70\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", m.gateway(), c.LocalAddr(), len(body), body)
	eventually(t, 10*time.Second, "the answer is 481", func() bool {
		_, _ = c.Write([]byte(request))
		select {
		case a := <-answer:
			return strings.HasPrefix(a, "SIP/2.0 481 ")
		case <-time.After(500 * time.Millisecond): // UDP may lose it
			return false
		}
	})
}

// TestHeartbeats: who answers them stays; who does not is hung up, and counted.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Admin.Port = ports.Free(t)
		c.SIP.Accounts = []config.SIPAccount{{ID: "ivr", URI: "gw@127.0.0.1", Heartbeat: config.Duration(500 * time.Millisecond)}}
	})
	m.Join("alpha", 620)
	m.Join("alpha", 880)
	alive, why := m.place(t, wish{room: "alpha", hz: 440, codecs: []string{"PCMU"}, infos: func(c *caller, body string) {
		if body == `{"t":11}` {
			c.d.Info(inJSON, []byte(body), nil)
		}
	}})
	if alive == nil {
		t.Fatal(why)
	}
	dead := m.call(t, "alpha", 500, "PCMU")
	select {
	case <-dead.over:
	case <-time.After(patience):
		t.Error("who answers no heartbeat stays")
	}
	dead.reads(t, 0, `{"t":11}`, `{"t":11}`)
	eventually(t, 10*time.Second, "it is counted", func() bool { return counter(t, m, "jitsi_jigasi_total_calls_no_heartbeat_response_total") == 1 })
	eventually(t, 15*time.Second, "the other reads five", func() bool { return len(alive.all()) >= 5 })
	eventually(t, 15*time.Second, "one call is left, and goes on", func() bool {
		all := m.app.Calls()
		return len(all) == 1 && all[0].State == call.Active
	})
}
