package meetleg

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"

	"github.com/google/go-cmp/cmp"
)

// A server is an XMPP server with one room and a focus, as far as one seat sees them.
type server struct {
	t       *testing.T
	handler func(*stanza.Elem) bool
	sent    chan *stanza.Elem
	done    chan struct{}
	live    func(iq *stanza.Elem) // real time: is told of requests
}

func (s *server) JID() stanza.JID             { return stanza.ParseJID("guest@x/1") }
func (s *server) Done() <-chan struct{}       { return s.done }
func (s *server) Err() error                  { return xmpp.ErrClosed }
func (s *server) Close(context.Context) error { return nil }

func (s *server) Send(e *stanza.Elem) error {
	s.sent <- e
	return nil
}

func (s *server) Request(_ context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	if s.live != nil {
		s.live(iq)
	}
	return stanza.Parse([]byte("<iq type='result'><conference xmlns='http://jitsi.org/protocol/focus' ready='true' focusjid='focus@auth.x'/></iq>"), stanza.Limits{})
}

func (s *server) Reply(iq, _ *stanza.Elem) error { return nil }

func (s *server) ReplyError(iq *stanza.Elem, _, condition, _ string, _ ...*stanza.Elem) error {
	s.t.Errorf("refuses %v: %s", iq, condition)
	return nil
}

func (s *server) say(xml string) {
	e, err := stanza.Parse([]byte(xml), stanza.Limits{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.handler(e)
	if s.live == nil {
		synctest.Wait()
	}
}

func (s *server) presence(nick, typ, in string) {
	s.say("<presence xmlns='jabber:client' type='" + typ + "' from='alpha@muc.x/" + nick + "'>" + in + "</presence>")
}

func (s *server) jingle(action, sid string) {
	s.say("<iq xmlns='jabber:client' type='set' id='1' from='alpha@muc.x/focus'><jingle xmlns='urn:xmpp:jingle:1' action='" + action + "' sid='" + sid + `'>
<content name='audio'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><payload-type id='111' name='opus' clockrate='48000' channels='2'/></description>
<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u' pwd='p'/></content><reason><success/></reason></jingle></iq>`)
}

// seat has a leg and its server, which has let it in.
func seat(t *testing.T, f func(s *server, l *Leg)) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, sent: make(chan *stanza.Elem, 100), done: make(chan struct{})}
		hub := room.NewHub()
		l := Join(Options{Hub: hub, Conference: conference.Options{
			XMPP: xmpp.Options{Domain: "x"}, Room: stanza.ParseJID("alpha@muc.x"), Nick: "n", Focus: stanza.ParseJID("focus.x"),
			Dial: func(_ context.Context, o xmpp.Options) (conference.Link, error) {
				s.handler = o.Handler
				return s, nil
			},
		}})
		synctest.Wait()
		s.presence("focus", "", "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator' jid='focus@auth.x/focus'/></x>")
		s.presence("n", "", "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>")
		f(s, l)
		if err := l.Hangup(context.Background(), cause.Cause{Code: cause.Normal}); err != nil {
			t.Error(err)
		}
		var last leg.Event
		for e := range l.Events() {
			last = e
		}
		if last.Phase != leg.Over {
			t.Errorf("ends with %+v", last)
		}
		if n := hub.Rooms(); n != 0 {
			t.Errorf("%d rooms are left", n)
		}
		var c media.Chunk
		c.Reset(media.Narrow, make([]int16, 160), false)
		l.Audio().Push(&c) // as a phone may do for a moment longer
		l.Audio().Pull(&c)
	})
}

// phases gives what has been told so far, without signals.
func phases(l *Leg) (all []leg.Phase) {
	synctest.Wait()
	for len(l.events) > 0 {
		if e := <-l.events; e.Signal == nil {
			all = append(all, e.Phase)
		}
	}
	return all
}

// TestPhases: what the conference does, in the words that the call knows.
func TestPhases(t *testing.T) {
	seat(t, func(s *server, l *Leg) {
		<-l.Joined()
		if l.Occupant().String() != "alpha@muc.x/n" || l.Members() != 0 {
			t.Errorf("%v, %d members", l.Occupant(), l.Members())
		}
		for _, step := range []struct {
			name string
			do   func()
			want []leg.Phase
		}{
			{"alone", func() {}, []leg.Phase{leg.Waiting}},
			{"somebody comes", func() { s.presence("a", "", "") }, nil},
			{"no bridge", func() {
				s.presence("focus", "", "<bridgeNotAvailable xmlns='http://jitsi.org/protocol/focus'/>")
			}, []leg.Phase{leg.Waiting}},
			{"an offer", func() { s.presence("focus", "", ""); s.jingle("session-initiate", "1") }, []leg.Phase{leg.Ready}},
			{"taken back", func() { s.jingle("session-terminate", "1") }, []leg.Phase{leg.Trying}},
			{"and another", func() { s.jingle("session-initiate", "2") }, []leg.Phase{leg.Ready}},
			{"in place of it", func() { s.jingle("session-initiate", "3") }, []leg.Phase{leg.Ready}},
		} {
			step.do()
			if d := cmp.Diff(step.want, phases(l)); d != "" {
				t.Errorf("%s: %s", step.name, d)
			}
		}
	})
}

// TestEndOfASeat: the cause goes up as it came.
func TestEndOfASeat(t *testing.T) {
	for x, want := range map[string]cause.Code{
		"<status code='307'/><status code='110'/>": cause.Kicked, "<status code='301'/><status code='110'/>": cause.Banned, "<destroy/><status code='110'/>": cause.Destroyed,
	} {
		seat(t, func(s *server, l *Leg) {
			s.presence("n", "unavailable", "<x xmlns='http://jabber.org/protocol/muc#user'>"+x+"</x>")
			for e := range l.Events() {
				if e.Phase == leg.Over {
					if e.Why.Code != want {
						t.Errorf("%s: %v, want %v", x, e.Why.Code, want)
					}
					l.events = make(chan leg.Event, 1) // for the frame
					l.events <- e
					close(l.events)
					return
				}
			}
		})
	}
}

// TestStatusIsShown: what the phone does is written beside its name, and no more often than it changes.
func TestStatusIsShown(t *testing.T) {
	seat(t, func(s *server, l *Leg) {
		for len(s.sent) > 0 {
			<-s.sent
		}
		l.Send(leg.Status{Text: "Ringing"})
		l.Send(leg.Status{Text: "Ringing"})
		l.Send(leg.Hold{On: true})
		l.Send(leg.Hold{On: false})
		l.Send(leg.Digit{Key: '5'}) // there is no bridge
		time.Sleep(time.Second)
		var got []string
		for len(s.sent) > 0 {
			got = append(got, (<-s.sent).Kid("", "status").Text)
		}
		if d := cmp.Diff([]string{"Ringing", "Remotely On Hold", "Connected"}, got); d != "" {
			t.Error(d)
		}
	})
}

// TestUnmutedByLeave: a phone that says it can be heard is heard where the meeting lets it, and only there.
func TestUnmutedByLeave(t *testing.T) {
	seat(t, func(s *server, l *Leg) {
		moderation := func(what string) {
			s.say(`<message xmlns='jabber:client' from='avmoderation.x'><json-message xmlns='http://jitsi.org/jitmeet'>{"type":"av_moderation",` + what + `,"mediaType":"audio"}</json-message></message>`)
		}
		says := func(muted, want bool) {
			t.Helper()
			l.Send(leg.Muted{On: muted, OK: true})
			synctest.Wait()
			if got := l.voice.muted.Load(); got != want {
				t.Errorf("the phone says %v, and is silent: %v", muted, got)
			}
		}
		says(true, true)
		says(false, false)
		moderation(`"enabled":true`)
		says(true, true)
		says(false, true)
		moderation(`"approved":true`)
		says(false, false)
	})
}
