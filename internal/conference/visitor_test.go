package conference

import (
	"context"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

const (
	nodeRoom  = "alpha@conference.v1.meet.jitsi"
	visitors  = "visitors.meet.localhost"
	nodeFocus = "focus@auth.v1.meet.jitsi"
)

// redirecting answers conference requests by node, "" is the main room.
func redirecting(node func(visitor bool) string) func(context.Context, *stanza.Elem) (*stanza.Elem, error) {
	return func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
		res, err := ready(ctx, iq)
		if c := res.Kid(meetxml.NSFocus, "conference"); c != nil {
			if to := node(wantsVisit(iq)); to != "" {
				c.Set("vnode", to).Set("focusjid", nodeFocus)
			}
		}
		return res, err
	}
}

// wantsVisit reports whether a conference request asks for a visitor's seat.
func wantsVisit(iq *stanza.Elem) bool {
	for _, p := range iq.Kid(meetxml.NSFocus, "conference").All("", "property") {
		if p.Get("name") == "visitor" && p.Get("value") == "true" {
			return true
		}
	}
	return false
}

func canVisit(o *Options) {
	o.Visitors = Visitors{On: true}
	o.Mute = true
	o.XMPP.Anonymous = true
	o.XMPP.URL, o.XMPP.Transport = "https://meet.localhost/http-bind?room=alpha", xmpp.BOSH
}

func always(node string) func(bool) string { return func(bool) string { return node } }

// nodeIn plays the room of a visitor node letting us in.
func (s *stage) nodeIn() {
	s.t.Helper()
	p := s.hears("join")
	if p.Get("to") != nodeRoom+"/0cb96be6" || p.Kid("", "SourceInfo") != nil || p.Kid("", "audiomuted").Text != "true" {
		s.t.Errorf("joins the node by %v", p)
	}
	s.say("<presence xmlns='jabber:client' from='" + nodeRoom + "/focus'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='" + nodeFocus + "/focus'/></x></presence>")
	s.say("<presence xmlns='jabber:client' from='" + nodeRoom + "/" + anna + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/></x></presence>")
	s.say("<presence xmlns='jabber:client' from='" + nodeRoom + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='visitor'/><status code='110'/></x></presence>")
	s.event(Joined)
}

// visits comes as far as a visitor's seat whose phone has been told.
func (s *stage) visits() {
	s.t.Helper()
	s.answers(redirecting(always("v1")))
	s.next()
	s.hears("conference")
	s.next()
	s.nodeIn()
	s.told(news.Visiting)
	s.muted(Event{On: true, OK: true, ByRoom: true})
}

func promotion(from, in string) string {
	return "<iq xmlns='jabber:client' type='set' id='p' from='" + from + "' to='" + us + "'><visitors xmlns='jitsi:visitors' room='" + nodeRoom + "' focusjid='focus@auth.meet.localhost'>" + in + "</visitors></iq>"
}

const allowed = "<promotion-response xmlns='jitsi:visitors' allow='true' jid='" + us + "' username='q7pz'/>"

// TestVisitor: the node of the reply is joined without asking there; nothing of ours is sent to it, and the phone
// can do no more than ask to speak.
func TestVisitor(t *testing.T) {
	play(t, canVisit, func(s *stage) {
		s.visits()
		if s.opt.Domain != "v1.meet.jitsi" || s.opt.URL != "https://meet.localhost/http-bind?room=alpha&vnode=v1" || !s.opt.Anonymous {
			t.Errorf("logs in to %s by %s", s.opt.Domain, s.opt.URL)
		}
		if got := s.s.Occupant().String(); got != nodeRoom+"/0cb96be6" {
			t.Errorf("sits at %s", got)
		}
		s.say(askFrom(nodeRoom+"/focus", "session-initiate", "1", offer(annas)))
		s.hears("result")
		o := s.event(Offered).Offer
		if !o.Visitor || len(o.Sources) != 1 {
			t.Errorf("offer %+v", o)
		}
		s.s.Accept(o, ourTransport, ourSource)
		m, err := jingle.Parse(s.hears("session-accept"))
		if err != nil || len(m.Sources) != 0 || !m.Receive {
			t.Errorf("%v: accepts with %+v", err, m)
		}
		s.s.AskMute(false, "1") // by *6, or by an IVR: no answer but what the room decides
		if p := s.hears("presence"); p.Kid("", "jitsi_participant_raisedHand") == nil || p.Kid("", "audiomuted").Text != "true" {
			t.Errorf("shows %v", p)
		}
		s.told(news.HandRaised)
		s.s.SetMuted(false)
		s.quiet(time.Minute)
	})
}

// TestVisitorsAreAskedFor: what the request says of visitors.
func TestVisitorsAreAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		v    Visitors
		want map[string]string
	}{
		"off":          {Visitors{Wanted: true}, map[string]string{}},
		"on":           {Visitors{On: true}, map[string]string{"visitors-version": "1"}},
		"by the phone": {Visitors{On: true, Wanted: true}, map[string]string{"visitors-version": "1", "visitor": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(o *Options) { o.Visitors = tt.v }, func(s *stage) {
				s.answers(redirecting(always(map[bool]string{true: "no/node"}[tt.v.On]))) // what cannot be a node is passed over
				s.next()
				got := map[string]string{}
				for _, p := range s.hears("conference").Kid(meetxml.NSFocus, "conference").All("", "property") {
					got[p.Get("name")] = p.Get("value")
				}
				for k, v := range tt.want {
					if got[k] != v {
						t.Errorf("asks with %v", got)
					}
				}
				if len(got) != len(tt.want) {
					t.Errorf("asks with %v, want %v", got, tt.want)
				}
				if p := s.hears("join"); p.Get("to") != me {
					t.Errorf("joins %v", p)
				}
				s.focusHere()
				s.here(anna)
				s.self()
				s.event(Joined)
				s.talk("1", annas)
			})
		})
	}
}

// TestNodeLogin: as whom and where we log in at a visitor node.
func TestNodeLogin(t *testing.T) {
	for name, tt := range map[string]struct {
		have xmpp.Options
		at   string // Visitors.Servers of v1
		want xmpp.Options
	}{
		"anonymous": {xmpp.Options{Domain: "guest.meet.localhost", Anonymous: true}, "", xmpp.Options{Domain: "v1.meet.jitsi", Anonymous: true}},
		"a user": {
			xmpp.Options{Domain: "auth.meet.localhost", User: "jigasi@auth.meet.localhost", Host: "10.0.0.1"}, "10.0.0.2:52220",
			xmpp.Options{Domain: "auth.v1.meet.jitsi", User: "jigasi@auth.v1.meet.jitsi", Host: "10.0.0.2:52220"},
		},
		"of another domain": {xmpp.Options{Domain: "x.example", User: "jigasi@x.example"}, "", xmpp.Options{Domain: "x.example", User: "jigasi@x.example"}},
		"by WebSocket": {
			xmpp.Options{Anonymous: true, URL: "wss://meet.localhost/ws", Transport: xmpp.WebSocket}, "",
			xmpp.Options{Domain: "v1.meet.jitsi", Anonymous: true, URL: "wss://meet.localhost/ws?vnode=v1", Transport: xmpp.WebSocket},
		},
		"by a URL of its own": {
			xmpp.Options{Anonymous: true, Domain: "meet.localhost"}, "wss://v1.example/ws",
			xmpp.Options{Domain: "v1.meet.jitsi", Anonymous: true, URL: "wss://v1.example/ws", Transport: xmpp.WebSocket},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Session{opt: Options{Domain: "meet.localhost", XMPP: tt.have, Visitors: Visitors{Servers: map[string]string{"v1": tt.at}}}, node: "v1"}
			got := s.login()
			if got.Domain != tt.want.Domain || got.User != tt.want.User || got.Host != tt.want.Host || got.URL != tt.want.URL || got.Transport != tt.want.Transport || got.Anonymous != tt.want.Anonymous {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestPromotion: by word of the room or of the part for visitors alone; into the main room without asking, by the
// name that was given, and silent until the phone wants to be heard.
func TestPromotion(t *testing.T) {
	for _, by := range []string{nodeRoom, visitors} {
		play(t, canVisit, func(s *stage) {
			s.visits()
			for _, m := range [][2]string{{nodeRoom + "/" + anna, allowed}, {"evil.localhost", allowed}, {by, ""}, {by, "<promotion-response xmlns='jitsi:visitors' allow='false'/>"}, {by, "<promotion-response xmlns='jitsi:visitors' allow='true'/>"}} {
				s.say(promotion(m[0], m[1]))
				want := map[bool]string{true: "result", false: "error"}[m[0] == by]
				s.hears(want)
			}
			s.s.RaiseHand()
			s.hears("presence")
			s.told(news.HandRaised)
			s.quiet(time.Second)
			s.say(promotion(by, allowed))
			s.hears("result")
			if p := s.hears("leave"); p.Get("to") != nodeRoom+"/0cb96be6" {
				t.Errorf("leaves by %v", p)
			}
			s.event(Suspended)
			s.next()
			if s.opt.URL != "https://meet.localhost/http-bind?customusername=q7pz&room=alpha" || s.opt.Domain != "meet.localhost" {
				t.Errorf("logs in to %s by %s", s.opt.Domain, s.opt.URL)
			}
			if p := s.hears("join"); p.Get("to") != me || p.Kid("", "SourceInfo") == nil || p.Kid("", "audiomuted").Text != "true" || p.Kid("", "jitsi_participant_raisedHand") != nil {
				t.Errorf("joins by %v", p)
			}
			s.focusHere()
			s.here(anna)
			s.self()
			s.event(Joined)
			s.muted(Event{On: true, OK: true, ByRoom: true})
			s.told(news.Promoted)
			if o := s.talk("2", annas); o.Visitor {
				t.Error("the offer is a visitor's")
			}
			s.s.AskMute(false, "")
			s.shows("false", false)
		})
	}
}

// TestPromotionWithoutMute: where phones cannot be muted, who is promoted is heard.
func TestPromotionWithoutMute(t *testing.T) {
	play(t, func(o *Options) { canVisit(o); o.Mute = false }, func(s *stage) {
		s.answers(redirecting(always("v1")))
		s.next()
		s.hears("conference")
		s.next()
		s.nodeIn()
		s.told(news.Visiting)
		s.say(promotion(nodeRoom, allowed))
		s.hears("result")
		s.hears("leave")
		s.event(Suspended)
		s.next()
		s.hears("join")
		s.focusHere()
		s.here(anna)
		s.self()
		s.event(Joined)
		s.shows("false", false)
		s.told(news.Promoted)
	})
}

// TestPromotionIsNotHonored: the main room refuses, and the phone goes back to the visitors.
func TestPromotionIsNotHonored(t *testing.T) {
	play(t, canVisit, func(s *stage) {
		s.visits()
		s.say(promotion(nodeRoom, allowed))
		s.hears("result")
		s.hears("leave")
		s.event(Suspended)
		s.next()
		s.hears("join")
		s.refusedBy("not-allowed", "<promotion-not-allowed xmlns='jitsi:visitors'/>")
		s.next()
		if !wantsVisit(s.hears("conference")) {
			t.Error("does not ask for a visitor's seat")
		}
		s.next()
		s.nodeIn()
		s.quiet(time.Second) // it was told already
	})
}

// TestDemotion: by the part for visitors alone, of ourselves alone: another request, as a visitor.
func TestDemotion(t *testing.T) {
	play(t, canVisit, func(s *stage) {
		s.answers(redirecting(func(visitor bool) string {
			if visitor {
				return "v1"
			}
			return ""
		}))
		s.joins(anna)
		s.talk("1", annas)
		demote := func(who string) string {
			return `{"type":"visitors","action":"demote-request","id":"` + who + `","actor":"` + anna + `"}`
		}
		s.component(room+"/"+anna, demote("0cb96be6"))
		s.component("evil.localhost", demote("0cb96be6"))
		s.component(visitors, demote(anna))
		s.quiet(time.Second)
		s.component(visitors, demote("0cb96be6"))
		s.event(Suspended)
		s.hears("leave")
		s.next()
		s.hears("conference")
		s.next()
		s.nodeIn()
		s.told(news.Visiting)
		s.muted(Event{On: true, OK: true, ByRoom: true})
	})
}

// TestNodeIsLost: the focus is asked again at the main domain, and may send the phone elsewhere, or into the room.
func TestNodeIsLost(t *testing.T) {
	play(t, canVisit, func(s *stage) {
		s.visits()
		s.answers(redirecting(always("")))
		s.cut(errDown)
		s.event(Suspended)
		s.next()
		if c := s.hears("conference"); wantsVisit(c) || s.opt.Domain != "meet.localhost" {
			t.Errorf("asks %v at %s", c, s.opt.Domain)
		}
		s.hears("join")
		s.focusHere()
		s.here(anna)
		s.self()
		s.event(Joined)
		s.muted(Event{On: true, OK: true, ByRoom: true})
		s.told(news.Promoted)
		s.talk("1", annas)
	})
}

// TestNodeCannotBeEntered: the focus is asked for another one, and not for ever.
func TestNodeCannotBeEntered(t *testing.T) {
	play(t, canVisit, func(s *stage) {
		s.answers(redirecting(always("v1")))
		for range maxTries + 1 {
			s.next()
			s.hears("conference")
			s.next()
			s.hears("join")
			s.say("<presence xmlns='jabber:client' type='error' from='" + nodeRoom + "/0cb96be6'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>")
		}
		s.over(cause.Full)
	})
}

// TestNodeLosesItsFocus: what goes on at a node without focus begins anew at the main domain.
func TestNodeLosesItsFocus(t *testing.T) {
	play(t, canVisit, func(s *stage) {
		s.visits()
		s.say(askFrom(nodeRoom+"/focus", "session-initiate", "1", offer(annas)))
		s.hears("result")
		s.s.Accept(s.event(Offered).Offer, ourTransport, jingle.Source{})
		s.hears("session-accept")
		s.say("<presence xmlns='jabber:client' type='unavailable' from='" + nodeRoom + "/focus'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/></x></presence>")
		s.quiet(5 * time.Second) // the sound goes on
		s.event(Suspended)
		s.event(Suspended)
		s.hears("leave")
		s.next()
		s.hears("conference")
		s.next()
		s.nodeIn()
	})
}

// TestMeetingOfVisitorsEnds: the node closes the room when the meeting is over.
func TestMeetingOfVisitorsEnds(t *testing.T) {
	play(t, canVisit, func(s *stage) {
		s.visits()
		s.say("<presence xmlns='jabber:client' type='unavailable' from='" + nodeRoom + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/><destroy><reason>No main participants.</reason></destroy><status code='110'/></x></presence>")
		s.over(cause.Destroyed)
	})
}
