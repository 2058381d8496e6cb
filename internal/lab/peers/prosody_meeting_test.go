//go:build lab

package peers

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/client"
	"jigasi/internal/lab/focus"
	"jigasi/internal/lab/phone"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/stanza"
)

// meeting is a focus and a bridge of the lab attached to a real Prosody, as Jicofo is: the focus
// logs in as a user and leads rooms, a component hands conference requests to it.
type meeting struct {
	*prosody
	focus  *focus.Focus
	bridge *sfu.Bridge
	conn   *client.Client // of the focus
	proxy  *client.Client
}

const focusJID = "focus@auth.meet.test/focus"

// via carries stanzas of an entity once it is connected.
type via struct{ c *client.Client }

func (v via) Send(e *stanza.Elem) { _ = v.c.Send(e) } // a lost stream shows to its reader

// meet starts Prosody, focus and bridge until the end of the test.
func meet(t *testing.T, services string, more ...string) *meeting {
	t.Helper()
	m := &meeting{prosody: newProsody(t, services, more...)}
	var err error
	if m.bridge, err = sfu.New(); err != nil {
		t.Fatal(err)
	}
	m.lead(t, focus.Options{Moderation: "avmoderation.meet.test"})
	t.Cleanup(func() { m.abdicate() })
	return m
}

func logger() *slog.Logger {
	if os.Getenv("LAB_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// lead connects the focus.
func (m *meeting) lead(t *testing.T, o focus.Options) {
	t.Helper()
	var err error
	var f *focus.Focus
	ready := make(chan struct{})
	deliver := func(e *stanza.Elem) {
		<-ready
		f.Deliver(e)
	}
	m.conn, err = client.Dial(client.Options{
		Addr: m.c2s(), Domain: "auth.meet.test", User: "focus", Password: "focuspw", Resource: "focus", CAs: m.cas, Handler: deliver,
	})
	if err != nil {
		t.Fatal(err)
	}
	o.JID, o.Bridge, o.Log = focusJID, m.bridge, logger()
	f = focus.New(o, via{m.conn})
	m.focus = f
	close(ready)
	var proxy *client.Client
	known := make(chan struct{})
	proxy, err = client.Component(addr(m.ports["COMPONENT"]), "focus.meet.test", "focussecret", func(e *stanza.Elem) {
		<-known
		relay(proxy, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	m.proxy = proxy
	close(known)
	m.focus.JoinBrewery(lab.Brewery)
}

// relay hands a request for the focus on, under an address that names the asker, and the answer back.
func relay(c *client.Client, e *stanza.Elem) {
	if asker := stanza.ParseJID(e.Get("to")).Resource; asker != "" {
		_ = c.Send(e.Set("to", asker).Set("from", "focus.meet.test"))
		return
	}
	_ = c.Send(e.Set("from", "focus.meet.test/"+e.Get("from")).Set("to", focusJID))
}

// abdicate has the focus go, its connections first.
func (m *meeting) abdicate() {
	m.conn.Close()
	m.proxy.Close()
	m.focus.Close()
}

// person is somebody of the lab who came in through Prosody.
type person struct {
	*bot.Bot
	conn *client.Client
}

// join has a person say a tone in a room. The conference is requested by whoever comes first.
func (m *meeting) join(t *testing.T, room string, hz float64) *person {
	t.Helper()
	p := &person{}
	ready := make(chan struct{})
	p.conn = m.guest(t, client.Options{Handler: func(e *stanza.Elem) {
		<-ready
		p.Deliver(e)
	}})
	request(t, p.conn, room)
	p.Bot = bot.Join(bot.Options{
		Room: stanza.JID{Local: room, Domain: "conference.meet.test"}, Nick: fmt.Sprintf("%08x", rand.Uint32()), Name: fmt.Sprintf("%.0f Hz", hz),
		JID: p.conn.JID().String(), Tone: hz, Log: logger(),
	}, via{p.conn})
	close(ready)
	t.Cleanup(p.Leave)
	return p
}

// request asks the focus for a conference, as everybody does before coming in.
func request(t *testing.T, c *client.Client, room string) {
	t.Helper()
	res, err := c.Request(t.Context(), stanza.New("jabber:client", "iq", "type", "set", "to", "focus.meet.test").Add(
		stanza.New("http://jitsi.org/protocol/focus", "conference", "room", room+"@conference.meet.test")))
	if err != nil || res.Get("type") != "result" {
		t.Fatalf("conference request: %v %v", res, err)
	}
}

// gatewayAt starts the gateway; its calls log in at m anonymously, trusting its authority,
// unless change says otherwise.
func gatewayAt(t *testing.T, m *meeting, change func(*config.Config)) *app.App {
	t.Helper()
	cfg := config.Default()
	cfg.Meeting.Domain = lab.Domain
	cfg.XMPP.Server, cfg.XMPP.TLS.CAFile = m.c2s(), m.caFile
	cfg.SIP.Listen = []string{"udp:127.0.0.1:0"}
	cfg.SIP.Trunks = []string{"127.0.0.0/8"}
	cfg.Admin.Port = 0
	low := 20000 + 100*rand.IntN(90)
	cfg.Media.MinPort, cfg.Media.MaxPort = low, low+99
	if change != nil {
		change(cfg)
	}
	a, err := app.New(cfg, app.Options{Version: "lab", Loopback: true, Log: logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return a
}

// phoneIn has a phone call into a room, saying a tone; more are headers.
func phoneIn(t *testing.T, a *app.App, room string, hz float64, more ...[2]string) *phone.Phone {
	t.Helper()
	p, err := phone.Dial(phone.Options{
		Server: a.SIPAddrs()[0], User: "room", From: "+4930123", Tone: hz, Log: logger(),
		Headers: append([][2]string{{"Jitsi-Conference-Room", room}}, more...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.Hangup(ctx) // over already where the test ended it
	})
	return p
}

// refusal is why the room lets a guest not in who knows nothing; "" if it does.
func (m *meeting) refusal(t *testing.T, room string) string {
	t.Helper()
	answer := make(chan string, 10)
	c := m.guest(t, client.Options{Handler: func(e *stanza.Elem) {
		switch {
		case e.Name.Local != "presence" || stanza.ParseJID(e.Get("from")).Resource != "0badcafe":
		case e.Get("type") == "error":
			for _, k := range e.Kid("", "error").Kids {
				if k.Name.Local != "text" {
					answer <- k.Name.Local
					return
				}
			}
		case e.Get("type") == "":
			answer <- ""
		}
	}})
	defer c.Close()
	if err := c.Send(stanza.New("jabber:client", "presence", "to", room+"@conference.meet.test/0badcafe").Add(stanza.New("http://jabber.org/protocol/muc", "x"))); err != nil {
		t.Fatal(err)
	}
	select {
	case why := <-answer:
		return why
	case <-time.After(20 * time.Second):
		t.Fatal("the room does not answer")
		return ""
	}
}
