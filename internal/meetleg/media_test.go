package meetleg

import (
	"context"
	"testing"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/jingle"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

// A meeting is a room with a bridge of the lab, in real time, and a leg that has been let in.
type meeting struct {
	*server
	l        *Leg
	endpoint *sfu.Endpoint // of the last offer
	accepted chan *jingle.Message
	restarts chan *jingle.Message
}

func live(t *testing.T) *meeting {
	m := &meeting{accepted: make(chan *jingle.Message, 10), restarts: make(chan *jingle.Message, 10)}
	m.server = &server{t: t, sent: make(chan *stanza.Elem, 100), done: make(chan struct{}), live: func(iq *stanza.Elem) {
		switch j, err := jingle.Parse(iq); {
		case err != nil:
		case j.Action == jingle.SessionTerminate:
			m.restarts <- j
		default:
			m.endpoint.AddSource(j.Sources[0].SSRC)
			m.endpoint.Connect(*j.Transport, func(error) {})
			m.accepted <- j
		}
	}}
	dialled := make(chan func(*stanza.Elem) bool, 1)
	m.l = Join(Options{Hub: room.NewHub(), Bridge: bridge.Options{Loopback: true, ConsentLimit: 2 * time.Second}, Conference: conference.Options{
		XMPP: xmpp.Options{Domain: "x"}, Room: stanza.ParseJID("alpha@muc.x"), Nick: "n", Focus: stanza.ParseJID("focus.x"),
		Dial: func(_ context.Context, o xmpp.Options) (conference.Link, error) {
			dialled <- o.Handler
			return m.server, nil
		},
	}})
	m.handler = <-dialled
	for e := range m.sent { // the join
		if e.Name.Local == "presence" {
			break
		}
	}
	m.presence("focus", "", "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator' jid='focus@auth.x/focus'/></x>")
	m.presence("a", "", "")
	m.presence("n", "", "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>")
	t.Cleanup(func() {
		if err := m.l.Hangup(context.Background(), cause.Cause{Code: cause.Normal}); err != nil {
			t.Error(err)
		}
	})
	return m
}

// offer has the focus offer a session on b, over a transport that change may spoil.
func (m *meeting) offer(b *sfu.Bridge, sid string, change func(*jingle.Transport)) {
	m.t.Helper()
	ep, err := b.Endpoint("alpha", sid)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(ep.Close)
	m.endpoint = ep
	tr := ep.Local()
	if change != nil {
		change(&tr)
	}
	j := &jingle.Message{
		Action: jingle.SessionInitiate, SID: sid, Initiator: "focus@auth.x/focus", HasAudio: true, BridgeSession: "b" + sid, Transport: &tr,
		Payloads: []jingle.Payload{{ID: 111, Name: "opus", Clockrate: 48000, Channels: 2}}, Exts: map[string]uint8{jingle.LevelURI: 1},
	}
	m.say(stanza.New("jabber:client", "iq", "type", "set", "id", sid, "from", "alpha@muc.x/focus").Add(j.Elem()).String())
}

// reaches waits for a phase.
func (m *meeting) reaches(want leg.Phase) leg.Event {
	m.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e, open := <-m.l.Events():
			if !open || e.Phase == leg.Over && e.Signal == nil {
				m.t.Fatalf("is over (%v) instead of %v", e.Why, want)
			}
			if e.Signal == nil && e.Phase == want {
				return e
			}
		case <-limit:
			m.t.Fatalf("never %v", want)
		}
	}
}

// heard waits until the bridge has got sound of the phone.
func (m *meeting) heard() {
	m.t.Helper()
	c := said(media.Narrow, 440)
	before := m.endpoint.Received()
	for end := time.Now().Add(20 * time.Second); m.endpoint.Received() < before+5; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatal("the bridge hears nothing")
		}
		m.l.Audio().Push(c)
	}
}

// TestBridgeDiesAndAnotherComes: the leg notices by itself, asks the focus for a new session by the id of the
// old one, and says the same stream to the next bridge.
func TestBridgeDiesAndAnotherComes(t *testing.T) {
	m := live(t)
	one, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	two, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	m.offer(one, "1", nil)
	m.reaches(leg.Ready)
	m.l.Answer()
	first := <-m.accepted
	m.reaches(leg.Up)
	m.heard()
	if r := m.l.Report(); len(r.Facts) < 8 {
		t.Errorf("reports %v", r.Facts)
	}
	one.Kill()
	m.reaches(leg.Moving)
	if r := <-m.restarts; r.SID != "1" || r.BridgeSession != "b1" || !r.Restart || r.Reason != "connectivity-error" {
		t.Errorf("asks by %+v", r)
	}
	m.l.Audio().Push(said(media.Narrow, 440)) // nobody hears it
	m.offer(two, "2", nil)
	second := <-m.accepted
	m.reaches(leg.Up)
	m.heard()
	if c := m.l.opt.Counts; c.Waited.Load() != 1 || c.Returned.Load() != 1 || c.Unheard.Load() != 0 || c.Moved.Load() != 0 {
		t.Errorf("counts %d waits, %d returns, %d unheard, %d moves", c.Waited.Load(), c.Returned.Load(), c.Unheard.Load(), c.Moved.Load())
	}
	if first.Sources[0] != second.Sources[0] || first.Transport.Ufrag == second.Transport.Ufrag {
		t.Errorf("accepts by %+v, then %+v", first, second)
	}
}

// TestT25_WrongFingerprintIsNoBridge: whoever answers with another certificate hears nothing, and the
// focus is asked for a session that works.
func TestT25_WrongFingerprintIsNoBridge(t *testing.T) {
	m := live(t)
	b, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	m.l.Answer() // before there is an offer: the first one is accepted at once
	m.offer(b, "1", func(tr *jingle.Transport) {
		tr.Fingerprints = []jingle.Fingerprint{{Hash: "sha-256", Setup: "actpass", Value: "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"}}
	})
	<-m.accepted
	m.reaches(leg.Moving)
	<-m.restarts
	if n := m.l.opt.Counts.Unheard.Load(); n != 1 {
		t.Errorf("%d calls without the bridge's sound are counted", n)
	}
	for range 20 {
		m.l.Audio().Push(said(media.Narrow, 440))
	}
	if n := m.endpoint.Received(); n != 0 {
		t.Errorf("%d packets", n)
	}
	m.offer(b, "2", nil)
	m.reaches(leg.Up)
	m.heard()
}

// TestNewOfferInPlaceOfOne that is still being connected.
func TestNewOfferInPlaceOfOne(t *testing.T) {
	m := live(t)
	b, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	m.l.Answer()
	m.offer(b, "1", func(tr *jingle.Transport) { tr.Candidates = nil }) // leads nowhere
	<-m.accepted
	m.offer(b, "2", nil)
	<-m.accepted
	m.reaches(leg.Up)
	m.heard()
	m.presence("a", "unavailable", "")
	m.presence("n", "unavailable", "<x xmlns='http://jabber.org/protocol/muc#user'><status code='307'/><status code='110'/></x>")
	for e := range m.l.Events() {
		if e.Phase == leg.Over && e.Signal == nil && e.Why.Code != cause.Kicked {
			t.Errorf("ends because of %v", e.Why)
		}
	}
}

// TestOutageOfTheBridgeIsAWait, also for a seat that has talked: nothing is wrong with it.
func TestOutageOfTheBridgeIsAWait(t *testing.T) {
	m := live(t)
	b, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	m.l.Answer()
	m.offer(b, "1", nil)
	m.reaches(leg.Up)
	m.jingle("session-terminate", "1")
	m.reaches(leg.Moving)
	m.presence("focus", "", "<bridgeNotAvailable xmlns='http://jitsi.org/protocol/focus'/>")
	if e := m.reaches(leg.Waiting); e.Why.Code != cause.NoBridge {
		t.Errorf("waits because of %v", e.Why)
	}
	m.offer(b, "2", nil)
	m.reaches(leg.Up)
	m.heard()
}
