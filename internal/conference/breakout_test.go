package conference

import (
	"testing"
	"time"

	"jigasi/internal/cause"
)

const (
	breakoutRoom = "d4f1@breakout.meet.localhost"
	breakouts    = "breakout.meet.localhost"
)

func moveTo(room string) string {
	return `{"type":"breakout_rooms","event":"features/breakout-rooms/move-to-room","roomJid":"` + room + `"}`
}

// enteredRoom plays a room letting us in after a move to it.
func (s *stage) enteredRoom(name string) {
	s.t.Helper()
	if e := s.hears("conference"); e.Kid("http://jitsi.org/protocol/focus", "conference").Get("room") != name {
		s.t.Errorf("asks for %v", e)
	}
	if e := s.hears("join"); e.Get("to") != name+"/0cb96be6" {
		s.t.Errorf("joins by %v", e)
	}
	s.say("<presence xmlns='jabber:client' from='" + name + "/focus'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='" + focusI + "'/></x></presence>")
	s.say("<presence xmlns='jabber:client' from='" + name + "/" + ben + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/></x></presence>")
	s.say("<presence xmlns='jabber:client' from='" + name + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/><status code='110'/></x></presence>")
	s.event(Joined)
	s.say(askFrom(name+"/focus", "session-initiate", "in"+name[:2], offer(bens)))
	s.hears("result")
	s.s.Accept(s.event(Offered).Offer, ourTransport, ourSource)
	s.hears("session-accept")
	if got := s.s.Occupant().String(); got != name+"/0cb96be6" {
		s.t.Errorf("sits at %s", got)
	}
}

// TestBreakout: there by order of the component alone, on the same connection with the same nick, and back.
func TestBreakout(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		for _, m := range [][2]string{{room + "/" + anna, breakoutRoom}, {"evil.localhost", breakoutRoom}, {breakouts, "d4f1@evil.localhost"}, {breakouts, room}, {breakouts, ""}, {breakouts, breakouts}} {
			s.component(m[0], moveTo(m[1]))
		}
		s.quiet(time.Second)
		s.component(breakouts, moveTo(breakoutRoom))
		if e := s.hears("leave"); e.Get("to") != me || e.Kid("", "status") == nil || e.Kid("", "status").Text != "switch_room" {
			t.Errorf("leaves by %v", e)
		}
		s.event(Suspended)
		s.enteredRoom(breakoutRoom)
		s.gone(anna) // of the old room: nothing to us
		s.quiet(time.Minute)
		s.component(breakouts, moveTo(room))
		s.hears("leave")
		s.event(Suspended)
		s.enteredRoom(room)
		s.quiet(time.Hour)
	})
}

// TestBreakoutIsClosed: the room is destroyed under us, and the main room takes us back.
func TestBreakoutIsClosed(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.component(breakouts, moveTo(breakoutRoom))
		s.hears("leave")
		s.event(Suspended)
		s.enteredRoom(breakoutRoom)
		s.say("<presence xmlns='jabber:client' type='unavailable' from='" + breakoutRoom + "/0cb96be6'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/><destroy/><status code='110'/></x></presence>")
		s.event(Suspended)
		s.enteredRoom(room)
	})
}

// TestBreakoutLetsNobodyIn: the phone goes back instead of being hung up.
func TestBreakoutLetsNobodyIn(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.component(breakouts, moveTo(breakoutRoom))
		s.hears("leave")
		s.event(Suspended)
		s.hears("conference")
		s.hears("join")
		s.say("<presence xmlns='jabber:client' type='error' from='" + breakoutRoom + "/0cb96be6'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>")
		s.next()
		s.enteredRoom(room)
	})
}

func phoneHere(nick, domain string) string {
	return "<presence xmlns='jabber:client' from='" + room + "/" + nick + "'><features><feature var='http://jitsi.org/protocol/jigasi'/></features><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant' jid='x@" + domain + "/y'/></x></presence>"
}

// TestDeserted: only phones are left, and the operator wants the call to end then; who merely says to be a phone is none.
func TestDeserted(t *testing.T) {
	trusting := func(o *Options) { o.LeaveEmpty, o.Trusted = true, []string{"auth.meet.localhost"} }
	play(t, trusting, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.say(phoneHere("phone1", "auth.meet.localhost"))
		s.say(phoneHere("liar", "guest.localhost"))
		s.gone(anna)
		s.event(SourcesChanged)
		s.quiet(time.Minute)
		s.gone("liar")
		s.over(cause.Deserted)
	})
	play(t, nil, func(s *stage) { // usually the phone waits for somebody to come back
		s.joins(anna)
		s.talk("1", annas)
		s.gone(anna)
		s.event(SourcesChanged)
		s.quiet(time.Hour)
	})
	play(t, nil, func(s *stage) { // behind a lobby nobody can come
		s.joins(anna)
		s.talk("1", annas)
		s.component(metadata, `{"type":"room_metadata","metadata":{"lobbyEnabled":true}}`)
		s.gone(anna)
		s.event(SourcesChanged)
		s.over(cause.Deserted)
	})
}

// TestEmptyTimeout: a phone that is forgotten in an empty room costs no money for ever; whoever comes stops the clock, also for a phone
// that came first.
func TestEmptyTimeout(t *testing.T) {
	short := func(o *Options) { o.EmptyTimeout, o.Trusted = 10*time.Minute, []string{"auth.meet.localhost"} }
	play(t, short, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.quiet(time.Hour)
		s.gone(anna)
		s.event(SourcesChanged)
		s.quiet(9 * time.Minute)
		s.say(phoneHere("phone1", "auth.meet.localhost")) // is no company
		s.quiet(50 * time.Second)
		s.say(phoneHere("liar", "guest.localhost")) // is taken for a person
		s.quiet(time.Hour)
		s.gone("liar")
		s.quiet(9 * time.Minute)
		s.over(cause.Deserted)
	})
	play(t, short, func(s *stage) { // nobody ever comes
		s.next()
		s.hears("conference")
		s.hears("join")
		s.focusHere()
		s.self()
		s.event(Joined)
		s.event(Waiting)
		s.quiet(9 * time.Minute)
		s.over(cause.Deserted)
	})
}
