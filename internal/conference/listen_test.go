package conference

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
)

func listening(o *Options) {
	o.Transcriber, o.Trusted = true, []string{"recorder.meet.localhost"}
	o.Presence.Nick, o.Presence.Status, o.Presence.Features = "Transcriber", "", []string{meetxml.FeatureJigasi, meetxml.FeatureTranscriber}
}

// listenerIs is a presence of somebody in the room.
func listenerIs(nick, jid, inner string) string {
	return "<presence xmlns='jabber:client' from='" + room + "/" + nick + "'><x xmlns='" + meetxml.NSMUCUser + "'><item jid='" + jid + "' role='participant' affiliation='none'/></x>" + inner + "</presence>"
}

const (
	wants    = "<jitsi_participant_requestingTranscription>true</jitsi_participant_requestingTranscription>"
	another  = "<features><feature var='" + meetxml.FeatureTranscriber + "'/></features>"
	roomData = `{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":true},"visitors":{"transcribingCount":2,"transcribingLanguages":"fr"}}}`
)

// disco answers as a room that has metadata.
func disco(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
	res, err := ready(ctx, iq)
	if iq.Get("to") == room {
		res.Add(stanza.New("http://jabber.org/protocol/disco#info", "query").Add(stanza.New("jabber:x:data", "x").Add(
			stanza.New("", "field", "var", "muc#roominfo_jitsimetadata").Add(stanza.New("", "value").WithText(roomData)))))
	}
	return res, err
}

// TestTranscriberListens: what it shows when it comes in, and what it knows of the room, its members and their sources.
func TestTranscriberListens(t *testing.T) {
	play(t, listening, func(s *stage) {
		s.answers(disco)
		s.next()
		s.hears("conference")
		e := s.hears("join")
		for _, absent := range []string{"audiomuted", "videomuted", "SourceInfo", "status", "transcription-status"} {
			if e.Kid("", absent) != nil {
				t.Errorf("shows %s in %v", absent, e)
			}
		}
		text := e.String()
		if !strings.Contains(text, meetxml.FeatureTranscriber) || strings.Contains(text, meetxml.FeatureDTMF) || e.Kid("", "nick").Text != "Transcriber" {
			t.Errorf("joins by %v", e)
		}
		if f := strings.Join(s.opt.Caps().Features, " "); !strings.Contains(f, meetxml.FeatureTranscriber) || strings.Contains(f, meetxml.FeatureDTMF) {
			t.Errorf("features %s", f)
		}
		s.focusHere()
		s.say(listenerIs("0a", "a@guest/r", wants))
		s.say(listenerIs("0b", "b@guest/r", ""))
		s.self()
		s.event(Joined)
		if e := s.hears("get"); e.Get("to") != room {
			t.Errorf("asks %v", e)
		}
		o := s.talk("1", "")
		s.s.Accept(o, jingle.Transport{}, jingle.Source{})
		if e := s.hears("session-accept"); strings.Contains(e.String(), "<source") {
			t.Errorf("has a source of its own: %v", e)
		}
		<-s.s.Changed()
		m := s.s.Meeting()
		if len(m.People) != 2 || m.People[0].Nick != "0a" || !m.People[0].Wants || m.People[1].Wants || !m.Known || !m.Data.Transcribing || m.Data.Visitors != 2 {
			t.Errorf("%+v", m)
		}
		before := len(m.Sources)
		s.say(focusSays("source-add", "1", `{"sources":{"0b":[[],[],[{"s":77,"n":"0b-a0","m":"x y"}]]}}`))
		s.hears("result")
		if m := s.s.Meeting(); len(m.Sources) != before+1 || m.Sources[77].Owner != "0b" {
			t.Errorf("%+v", m.Sources)
		}
		s.say("<presence xmlns='jabber:client' type='unavailable' from='" + room + "/0b'/>")
		s.say("<message xmlns='jabber:client' from='meta.data.localhost' to='" + us + "'><json-message xmlns='" + meetxml.NSMeet + "' room='" + room + "'>" +
			`{"type":"room_metadata","metadata":{}}` + "</json-message></message>")
		<-s.s.Changed()
		if m := s.s.Meeting(); len(m.People) != 1 || m.Data.Transcribing || m.Data.Languages != nil || m.Sources[77].Owner != "" {
			t.Errorf("%+v", m)
		}
		s.say("<message xmlns='jabber:client' type='groupchat' from='" + room + "'><x xmlns='" + meetxml.NSMUCUser + "'><status code='104'/></x></message>")
		s.hears("get")
		<-s.s.Changed()
		if m := s.s.Meeting(); !m.Data.Transcribing {
			t.Errorf("%+v", m.Data)
		}
	})
}

// focusSays is a Jingle request with sources as JSON.
func focusSays(action, sid, sources string) string {
	return "<iq xmlns='jabber:client' type='set' id='f=1' from='" + room + "/focus' to='" + us + "'><jingle xmlns='urn:xmpp:jingle:1' action='" + action + "' sid='" + sid + "'>" +
		"<json-message xmlns='http://jitsi.org/jitmeet'>" + sources + "</json-message></jingle></iq>"
}

// TestOneTranscriber: a room that has one already is left, unless that one is on its way out, or nobody trusts it.
func TestOneTranscriber(t *testing.T) {
	for name, tt := range map[string]struct {
		presence string
		leaves   bool
	}{
		"trusted":    {listenerIs("0t", "transcriber@recorder.meet.localhost/x", another), true},
		"ending":     {listenerIs("0t", "transcriber@recorder.meet.localhost/x", another+"<transcription-status status='OFF'/>"), false},
		"a stranger": {listenerIs("0t", "a@guest.meet.localhost/x", another), false},
		"a phone":    {listenerIs("0t", "transcriber@recorder.meet.localhost/x", "<features><feature var='"+meetxml.FeatureJigasi+"'/></features>"), false},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, listening, func(s *stage) {
				s.next()
				s.hears("conference")
				s.hears("join")
				s.focusHere()
				s.say(tt.presence)
				if tt.leaves {
					s.over(cause.Busy)
					return
				}
				s.self()
				s.event(Joined)
				s.say(listenerIs("0u", "transcriber@recorder.meet.localhost/y", another)) // who comes later leaves
				if s.s.Meeting().People == nil {
					t.Error("nobody is there")
				}
			})
		})
	}
}

// TestTranscriberSpeaks: messages go to the room, wait while it is lost, and end with the session; the status is shown; a
// moderator's hangup is answered and is no end yet; and it does not knock.
func TestTranscriberSpeaks(t *testing.T) {
	play(t, listening, func(s *stage) {
		s.joins(anna)
		s.hears("get")
		if err := s.s.Say(context.Background(), meetxml.TextMessage("hello")); err != nil {
			t.Fatal(err)
		}
		if e := s.hears("message"); e.Get("to") != room || e.Get("type") != "groupchat" || e.Kid("", "body").Text != "hello" {
			t.Errorf("says %v", e)
		}
		s.s.SetTranscription("ON")
		if e := s.hears("presence"); e.Kid("", "transcription-status").Get("status") != "ON" || e.Kid("", "features") == nil {
			t.Errorf("shows %v", e)
		}
		s.say("<iq xmlns='jabber:client' type='set' id='h=1' from='" + room + "/focus' to='" + us + "'><hangup xmlns='urn:xmpp:rayo:1'/></iq>")
		s.hears("result")
		s.event(Dismissed)
		s.cut(errors.New("stream lost"))
		said := make(chan error, 2)
		go func() { said <- s.s.Say(context.Background(), meetxml.TextMessage("again")) }()
		short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if err := s.s.Say(short, meetxml.TextMessage("late")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		s.event(Suspended)
		s.next()
		s.hears("conference")
		s.hears("join")
		s.focusHere()
		s.self()
		s.event(Joined)
		s.hears("get")
		if e := s.hears("message"); e.Kid("", "body").Text != "again" || <-said != nil {
			t.Errorf("says %v", e)
		}
		s.event(Waiting) // alone
		s.s.Leave(cause.Cause{Code: cause.Normal})
		s.over(cause.Normal)
		<-s.s.Done()
		if err := s.s.Say(context.Background(), meetxml.TextMessage("late")); err == nil {
			t.Error("says something after the end")
		}
	})
	play(t, listening, func(s *stage) {
		s.next()
		s.hears("conference")
		s.hears("join")
		s.say("<presence xmlns='jabber:client' type='error' from='" + me + "'><error type='auth'><registration-required xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" +
			"<lobbyroom xmlns='http://jitsi.org/jitmeet'>alpha@lobby.meet.localhost</lobbyroom></error></presence>")
		s.over(cause.LobbyDenied)
	})
	play(t, nil, func(s *stage) {
		if s.s.Changed() != nil || s.s.Meeting().People != nil {
			t.Error("a phone listens to the room")
		}
	})
}
