package conference

import (
	"strings"
	"testing/synctest"

	"jigasi/internal/jingle"
)

// The words of the room.

func (s *stage) focusHere(more ...string) {
	s.say("<presence xmlns='jabber:client' from='" + room + "/focus'>" + strings.Join(more, "") +
		"<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='" + focusI + "'/></x></presence>")
}

const noBridge = "<bridgeNotAvailable xmlns='http://jitsi.org/protocol/focus'/>"

func (s *stage) gone(nick string, in ...string) {
	s.say("<presence xmlns='jabber:client' type='unavailable' from='" + room + "/" + nick + "'><x xmlns='http://jabber.org/protocol/muc#user'>" + strings.Join(in, "") + "</x></presence>")
}

func (s *stage) here(nick string) {
	s.say("<presence xmlns='jabber:client' from='" + room + "/" + nick + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant' jid='" + nick + "@meet.localhost/y'/></x></presence>")
}

func (s *stage) self() {
	s.say("<presence xmlns='jabber:client' from='" + me + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant' jid='" + us + "'/><status code='110'/></x></presence>")
}

// joins plays a room with these members in it letting the session in.
func (s *stage) joins(members ...string) {
	s.t.Helper()
	s.next()
	for kind := s.hear(); kind.Name.Local != "presence"; kind = s.hear() { //nolint:revive // requests before it
	}
	s.focusHere()
	for _, m := range members {
		s.here(m)
	}
	s.self()
	s.event(Joined)
}

// ask is a Jingle request of the focus.
func ask(action, sid, in string) string { return askFrom(room+"/focus", action, sid, in) }

func askFrom(from, action, sid, in string) string {
	return "<iq xmlns='jabber:client' type='set' id='R0VXAGQxAJMo+/=" + sid + action + "' from='" + from + "' to='" + us + "'><jingle xmlns='urn:xmpp:jingle:1' action='" + action +
		"' sid='" + sid + "' initiator='" + focusI + "'>" + in + "</jingle></iq>"
}

// offer is what a session-initiate holds.
func offer(json string) string {
	return `<content creator='initiator' name='audio' senders='both'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio' maxptime='60'>
<payload-type id='111' name='opus' clockrate='48000' channels='2'><parameter name='minptime' value='10'/><parameter name='useinbandfec' value='1'/></payload-type>
<payload-type id='126' name='telephone-event' clockrate='8000'/>
<rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='1' uri='urn:ietf:params:rtp-hdrext:ssrc-audio-level'/><rtcp-mux/></description>
<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='7hk3p1' pwd='2v8m0t6c1e9r3y5u7i'><rtcp-mux/>
<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>AB:CD</fingerprint>
<candidate component='1' foundation='1' generation='0' id='3f8a' network='0' priority='2130706431' protocol='udp' type='host' ip='10.0.0.12' port='10000'/></transport></content>
<group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'><content name='audio'/></group>
<bridge-session xmlns='http://jitsi.org/protocol/focus' id='b59f1d1e'/>` + jsonSources(json)
}

func jsonSources(list string) string {
	return "<json-message xmlns='http://jitsi.org/jitmeet'>{\"sources\":{" + list + "}}</json-message>"
}

// talk has a session offered and accepted.
func (s *stage) talk(sid, sources string) *Offer {
	s.t.Helper()
	s.say(ask("session-initiate", sid, offer(sources)))
	if e := s.hears("result"); e.Get("id") != "R0VXAGQxAJMo+/="+sid+"session-initiate" || e.Get("to") != room+"/focus" {
		s.t.Errorf("answers %v", e)
	}
	o := s.event(Offered).Offer
	s.s.Accept(o, ourTransport, ourSource)
	s.hears("session-accept")
	synctest.Wait()
	return o
}

var (
	ourTransport = jingle.Transport{Ufrag: "Fm3x", Pwd: "kR2m8Q0v5Zt7Yw1Lp9sXc4Nb", RTCPMux: true, Fingerprints: []jingle.Fingerprint{{Hash: "sha-256", Value: "11:22", Setup: "active"}}}
	ourSource    = jingle.Source{SSRC: 3735928559, Name: "0cb96be6-a0", MSID: "0cb96be6-audio-0-1 0cb96be6-track-0"}
)

const (
	annas = `"a1b2c3d4":[[],[],[{"s":11,"n":"a1b2c3d4-a0","m":"a-audio t"}]]`
	bens  = `"e5f60718":[[],[],[{"s":22,"n":"e5f60718-a0","m":"e-audio t"}]]`
	anna  = "a1b2c3d4"
	ben   = "e5f60718"
)
