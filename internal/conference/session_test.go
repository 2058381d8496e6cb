package conference

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"

	"github.com/google/go-cmp/cmp"
)

// TestOfferAndAccept: what the bridge wants to know is taken from the offer, and the answer has its numbers.
func TestOfferAndAccept(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna, ben)
		s.say(ask("session-initiate", "9svq", offer(annas+`,"jvb":[[],[],[{"s":9,"n":"jvb-a0","m":"mixedmslabel mixedlabelaudio0"}]],"0cb96be6":[[],[],[{"s":8}]]`)+
			"<startmuted xmlns='http://jitsi.org/jitmeet/start-muted' audio='true'/><traceparent xmlns='jitsi:opentelemetry' trace_id='0'/>"))
		s.hears("result")
		o := s.event(Offered).Offer
		if o.SID != "9svq" || o.Opus.ID != 111 || o.EventPT != 126 || o.LevelID != 1 || len(o.Transport.Candidates) != 1 ||
			len(o.Sources) != 1 || o.Sources[0] != (jingle.Source{SSRC: 11, Owner: anna, Name: anna + "-a0", MSID: "a-audio t"}) {
			t.Errorf("offer %+v", o)
		}
		s.s.Accept(o, ourTransport, ourSource)
		iq := s.hears("session-accept")
		m, err := jingle.Parse(iq)
		want := &jingle.Message{
			Action: jingle.SessionAccept, SID: "9svq", Initiator: focusI, Responder: us, HasAudio: true,
			Payloads: []jingle.Payload{
				{ID: 111, Name: "opus", Clockrate: 48000, Channels: 2, Params: map[string]string{"minptime": "10", "useinbandfec": "1"}},
				{ID: 126, Name: "telephone-event", Clockrate: 8000, Channels: 1, Params: map[string]string{}},
			},
			Exts: map[string]uint8{jingle.LevelURI: 1}, Transport: &ourTransport, Sources: []jingle.Source{ourSource},
		}
		if d := cmp.Diff(want, m); d != "" || err != nil || iq.Get("to") != room+"/focus" {
			t.Errorf("%v: %s", iq, d)
		}
	})
}

// TestSourcesComeAndGo: by JSON and by XML, of several owners, the bridge's own left out.
func TestSourcesComeAndGo(t *testing.T) {
	xml := func(owner string, ssrc int) string {
		return fmt.Sprintf(`<content name='audio'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='%d' name='%[2]s-a0'><ssrc-info xmlns='http://jitsi.org/jitmeet' owner='%[2]s'/></source></description></content>`, ssrc, owner)
	}
	play(t, nil, func(s *stage) {
		s.joins(anna, ben)
		s.talk("1", annas)
		for _, tt := range []struct {
			action, in     string
			added, removed []uint32
		}{
			{"source-add", jsonSources(bens), []uint32{22}, nil},
			{"addsource", xml(room+"/"+ben, 33), []uint32{33}, nil}, // older servers
			{"source-add", xml("jvb", 44) + xml("", 55), nil, nil},
			{"source-remove", xml(anna, 66), nil, nil}, // never there
			{"source-remove", xml(ben, 33), nil, []uint32{33}},
			{"removesource", jsonSources(annas), nil, []uint32{11}},
			{"source-remove", jsonSources(annas), nil, nil}, // again
			{"source-add", "<json-message xmlns='http://jitsi.org/jitmeet'>{\"type\":\"other\"}</json-message>", nil, nil},
		} {
			s.say(ask(tt.action, "1", tt.in))
			s.hears("result")
			if tt.added == nil && tt.removed == nil {
				s.quiet(time.Second)
				continue
			}
			e := s.event(SourcesChanged)
			if d := cmp.Diff([][]uint32{tt.added, tt.removed}, [][]uint32{ssrcs(e.Added), ssrcs(e.Removed)}); d != "" {
				t.Errorf("%s: %s", tt.in, d)
			}
		}
	})
}

func ssrcs(list []jingle.Source) (all []uint32) {
	for _, s := range list {
		all = append(all, s.SSRC)
	}
	return all
}

// TestOnlyTheFocusIsHeard: the seat of the focus, and in it the one who answered the conference request.
func TestOnlyTheFocusIsHeard(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		for _, from := range []string{
			room + "/" + anna, room, "beta@conference.meet.localhost/focus", "focus@auth.meet.localhost/focus", "focus.meet.localhost", "", room + "/Focus", room + "/focus/x",
			"anna@meet.localhost/y",
		} {
			for _, action := range []string{"session-initiate", "session-terminate", "source-add", "transport-info"} {
				s.say(askFrom(from, action, "1", offer(annas)))
				if e := s.hears("error"); xmpp.ErrorOf(e).Condition != "forbidden" {
					t.Errorf("%s of %q: %v", action, from, e)
				}
			}
		}
		s.quiet(time.Second)
		// The focus is thrown out, and another sits down in its place.
		s.gone("focus")
		s.say("<presence xmlns='jabber:client' from='" + room + "/focus'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant' jid='mallory@meet.localhost/z'/></x></presence>")
		for _, action := range []string{"session-initiate", "session-terminate", "source-add", "transport-replace"} {
			s.say(ask(action, "1", offer(annas)))
			for e := s.hear(); kind(e) != "error"; e = s.hear() {
				if kind(e) != "conference" {
					t.Errorf("says %v", e)
				}
			}
		}
		for range 5 { // the focus is looked for, and the session goes on
			s.hears("conference")
		}
	})
}

// TestFocusUnknown: where nobody answered the conference request, whoever has the seat is the focus.
func TestFocusUnknown(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.answers(refusing("conference", &xmpp.Error{Type: "cancel", Condition: "internal-server-error"}))
		s.joins(anna)
		s.talk("1", annas)
	})
}

// TestOddRequests are answered as a browser answers them (conference spec 3.8).
func TestOddRequests(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		refused := func(xml, want string) {
			t.Helper()
			s.say(xml)
			if e := s.hears("error"); xmpp.ErrorOf(e).Condition != want {
				t.Errorf("%s:\nanswers %v, want %s", xml, e, want)
			}
		}
		refused(ask("source-add", "0", jsonSources(annas)), "item-not-found")
		refused(ask("session-terminate", "0", ""), "item-not-found")
		s.talk("1", annas)
		refused(ask("session-initiate", "1", offer(annas)), "service-unavailable")
		refused(ask("source-add", "0", jsonSources(annas)), "item-not-found")
		refused(ask("", "1", ""), "bad-request")
		refused(ask("source-add", "", jsonSources(annas)), "bad-request")
		refused(ask("source-add", "1", "<json-message xmlns='http://jitsi.org/jitmeet'>{</json-message>"), "bad-request")
		refused(ask("transport-info", "1", "<content name='audio'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1'><candidate port='99999999'/></transport></content>"), "bad-request")
		refused(strings.Replace(ask("source-add", "1", jsonSources(annas)), "type='set'", "type='get'", 1), "bad-request")
		for _, action := range []string{"session-info", "content-add", "description-info", "security-info", "no-such-thing"} { // of no use here, and no fault
			s.say(ask(action, "1", "<x xmlns='urn:x'/>"))
			s.hears("result")
		}
		s.quiet(time.Hour)
		if s.say("<iq xmlns='jabber:client' type='set' id='1' from='" + room + "/focus'><mute xmlns='http://jitsi.org/jitmeet/audio'>true</mute></iq>") {
			t.Error("takes what it does not know, so that nobody answers")
		}
		e := s.say(ask("session-terminate", "0", ""))
		if x := s.hears("error"); !e || x.Kid("", "error").Kid("urn:xmpp:jingle:errors:1", "unknown-session") == nil {
			t.Errorf("answers %v", x)
		}
	})
}

// TestOfferWithoutAudio is an end with a reason that helps.
func TestOfferWithoutAudio(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.say(ask("session-initiate", "1", strings.ReplaceAll(offer(annas), "name='opus'", "name='PCMU'")))
		s.hears("result")
		s.over(cause.NoCodec)
	})
}

// TestTransportReplace: a new transport in the same session, answered by transport-accept.
func TestTransportReplace(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.say(ask("transport-replace", "1", offer(annas+","+bens)))
		s.hears("result")
		o := s.event(Offered).Offer
		if len(o.Sources) != 2 || o.SID != "1" {
			t.Errorf("offer %+v", o)
		}
		s.s.Accept(o, ourTransport, ourSource)
		m, err := jingle.Parse(s.hears("transport-accept"))
		if err != nil || m.SID != "1" || m.Transport == nil || len(m.Sources) != 1 {
			t.Errorf("accepts by %+v, %v", m, err)
		}
		s.say(ask("transport-replace", "1", "<content name='audio'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u' pwd='p'/></content>"))
		s.hears("result")
		if o := s.event(Offered).Offer; o.Opus.ID != 111 { // what had been agreed stays
			t.Errorf("offer %+v", o)
		}
	})
}

// TestTrickle: candidates are passed on; an ICE restart in place is answered by asking for a new session.
func TestTrickle(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		const in = "<content name='audio'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' %s><candidate component='1' foundation='2' generation='0' id='c' network='0' priority='5' protocol='udp' type='host' ip='10.0.0.13' port='10000'/></transport></content>"
		s.say(ask("transport-info", "1", fmt.Sprintf(in, "")))
		s.hears("result")
		if e := s.event(Trickled); len(e.Candidates) != 1 || e.Candidates[0].IP != "10.0.0.13" {
			t.Errorf("tells %+v", e)
		}
		s.say(ask("transport-info", "1", fmt.Sprintf(in, "ice-generation='1'")))
		s.hears("result")
		s.hears("session-terminate")
		s.event(Suspended)
	})
}

// TestAcceptRefused: the room is left and joined again; an answer to an offer of before is not sent.
func TestAcceptRefused(t *testing.T) {
	for name, answer := range map[string]func(context.Context, *stanza.Elem) (*stanza.Elem, error){
		"refused": refusing("session-accept", &xmpp.Error{Type: "modify", Condition: "bad-request", Text: "SSRC is in use"}),
		"silent":  silent,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.joins(anna)
				s.say(ask("session-initiate", "1", offer(annas)))
				s.hears("result")
				o := s.event(Offered).Offer
				s.answers(answer)
				s.s.Accept(o, ourTransport, ourSource)
				s.hears("session-accept")
				s.hears("leave")
				s.event(Suspended)
				s.event(Suspended)
				s.answers(ready)
				s.joins(anna)
				s.s.Accept(o, ourTransport, ourSource) // too late
				s.quiet(time.Second)
				s.talk("2", annas)
			})
		})
	}
}

// TestFocusLeavesAndReturns: the session goes on without it for as long as the bridge does; it is asked for, and its
// new session takes the place of the old one.
func TestFocusLeavesAndReturns(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		for i, away := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour} {
			s.talk(string(rune('A'+i)), annas)
			s.gone("focus")
			for end := time.Now().Add(away); time.Now().Before(end); {
				select {
				case e := <-s.sent:
					if kind(e) != "conference" {
						t.Fatalf("says %v", e)
					}
				case e := <-s.s.Events():
					t.Fatalf("tells %+v", e)
				case <-time.After(time.Until(end)):
				}
			}
			s.focusHere()
			for synctest.Wait(); len(s.sent) > 0; {
				s.hears("conference")
			}
			s.quiet(10 * time.Second) // it gets its time
		}
	})
}

// TestFocusReturnsAndForgets: it sends no session, so the seat is taken anew.
func TestFocusReturnsAndForgets(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.gone("focus")
		s.focusHere()
		s.quiet(19 * time.Second)
		s.event(Suspended)
		s.hears("leave")
		s.event(Suspended)
		s.joins(anna)
		s.talk("2", annas)
		s.quiet(time.Hour)
	})
}

// TestFocusLeavesAndTheBridgeToo: without sound the focus is waited for 30 s.
func TestFocusLeavesAndTheBridgeToo(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.gone("focus")
		s.answers(refusing("session-terminate", &xmpp.Error{Condition: "item-not-found"}))
		s.s.Restart("connectivity-error")
		began := time.Now()
		s.event(Suspended)
		s.event(Suspended)
		s.next()
		for e := s.hear(); kind(e) != "join"; e = s.hear() { //nolint:revive // requests before it
		}
		s.here(anna)
		s.self()
		s.event(Joined)
		if s.over(cause.FocusLeft); time.Since(began) < 29*time.Second || time.Since(began) > 33*time.Second {
			t.Errorf("gives up after %v", time.Since(began))
		}
	})
}

// TestNoInvite: somebody is there, a bridge is there, and the focus says nothing.
func TestNoInvite(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{0: 30 * time.Second, time.Minute: time.Minute} {
		play(t, func(o *Options) { o.InviteTimeout = limit }, func(s *stage) {
			s.joins()
			s.event(Waiting)
			s.quiet(time.Hour) // nobody is there
			s.here(anna)
			began := time.Now()
			if s.over(cause.NoInvite); time.Since(began) != want {
				t.Errorf("limit %v: gives up after %v", limit, time.Since(began))
			}
		})
	}
	play(t, func(o *Options) { o.InviteTimeout = -1 }, func(s *stage) {
		s.joins(anna)
		s.quiet(500 * time.Hour)
	})
}
