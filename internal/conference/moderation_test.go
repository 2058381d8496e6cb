package conference

import (
	"context"
	"slices"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/meetxml"
	"jigasi/internal/news"
	"jigasi/internal/stanza"
	"jigasi/internal/xmpp"
)

func withMute(o *Options) { o.Mute = true }

// shows wants our next presence to say so.
func (s *stage) shows(muted string, hand bool) {
	s.t.Helper()
	p := s.hears("presence")
	if got := p.Kid("", "audiomuted").Text; got != muted {
		s.t.Errorf("shows audiomuted %s, want %s", got, muted)
	}
	if got := p.Kid("", "SourceInfo").Text; got != `{"0cb96be6-a0":{"muted":`+muted+`}}` {
		s.t.Errorf("shows sources %s", got)
	}
	if h := p.Kid("", "jitsi_participant_raisedHand"); (h != nil && h.Text != "0") != hand {
		s.t.Errorf("shows the hand as %v, want it raised: %v", h, hand)
	}
}

func (s *stage) muted(want Event) {
	s.t.Helper()
	e := s.event(Muted)
	if e.On != want.On || e.OK != want.OK || e.ByRoom != want.ByRoom || e.ID != want.ID {
		s.t.Errorf("tells %+v, want %+v", e, want)
	}
}

func muteIQ(from, value string) string {
	return "<iq xmlns='jabber:client' type='set' id='m+/=' from='" + from + "' to='" + us + "'><mute xmlns='http://jitsi.org/jitmeet/audio' actor='" + room + "/" + anna + "'>" + value + "</mute></iq>"
}

func (s *stage) component(at, json string) {
	s.say("<message xmlns='jabber:client' from='" + at + "' to='" + us + "'><json-message xmlns='http://jitsi.org/jitmeet'>" + json + "</json-message></message>")
}

const (
	moderator = "avmoderation.meet.localhost"
	metadata  = "meta.data.localhost"
)

// TestMutedByTheRoom: only the focus orders it, it is carried out and shown at once, and nobody can unmute another one.
func TestMutedByTheRoom(t *testing.T) {
	play(t, withMute, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		for _, from := range []string{room + "/" + anna, room, focusI, "beta@conference.meet.localhost/focus"} {
			s.say(muteIQ(from, "true"))
			if e := s.hears("error"); e.Kid("", "error").Kid("", "item-not-found") == nil {
				t.Errorf("answers %s by %v", from, e)
			}
		}
		s.say(muteIQ(room+"/focus", "maybe"))
		s.hears("error")
		s.quiet(time.Second)
		s.say(muteIQ(room+"/focus", "true"))
		s.hears("result")
		s.shows("true", false)
		s.muted(Event{On: true, OK: true, ByRoom: true})
		s.say(muteIQ(room+"/focus", "false"))
		s.hears("result")
		s.quiet(time.Second)
		s.s.AskMute(false, "7")
		s.shows("false", false)
		s.muted(Event{OK: true, ID: "7"})
	})
}

func TestMuteSwitchedOff(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.joins(anna)
		if s.say(muteIQ(room+"/focus", "true")) {
			t.Error("takes a mute request although it announces no such feature")
		}
	})
}

// TestRoomConfiguration: the room is asked when we have come and when it says that it has changed; what a lobby means for who is left
// alone, and starting muted.
func TestRoomConfiguration(t *testing.T) {
	play(t, withMute, func(s *stage) {
		lobby := "<field var='muc#roominfo_lobbyroom'><value>alpha@lobby.meet.localhost</value></field>"
		info := "<field var='muc#roominfo_jitsimetadata'><value>{\"type\":\"room_metadata\",\"metadata\":{\"startMuted\":{\"audio\":true}}}</value></field>"
		s.mu.Lock()
		s.asked = true
		s.mu.Unlock()
		s.answers(func(ctx context.Context, iq *stanza.Elem) (*stanza.Elem, error) {
			if iq.Get("to") != room {
				return ready(ctx, iq)
			}
			return stanza.Parse([]byte("<iq type='result'><query xmlns='http://jabber.org/protocol/disco#info'><x xmlns='jabber:x:data'>"+lobby+info+"</x></query></iq>"), stanza.Limits{})
		})
		s.joins(anna)
		s.hears("get")
		s.shows("true", false)
		s.muted(Event{On: true, OK: true, ByRoom: true})
		lobby = ""
		s.say("<message xmlns='jabber:client' type='groupchat' from='" + room + "'><x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>")
		s.hears("get")
		s.talk("1", annas)
		s.gone(anna) // without a lobby somebody may come
		s.event(SourcesChanged)
		s.here(anna)
		lobby = "<field var='muc#roominfo_lobbyroom'><value>alpha@lobby.meet.localhost</value></field>"
		s.say("<message xmlns='jabber:client' type='groupchat' from='" + room + "'><x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>")
		s.hears("get")
		s.component(metadata, `{"type":"room_metadata","metadata":{}}`) // says nothing of a lobby
		s.gone(anna)
		s.over(cause.Deserted)
	})
}

// TestModeration: who is no moderator asks for permission, and the focus confirms each change.
func TestModeration(t *testing.T) {
	play(t, withMute, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		on := `{"type":"av_moderation","enabled":true,"room":"` + room + `","actor":"` + room + "/" + anna + `","mediaType":"audio"}`
		for _, from := range []string{room + "/" + anna, "evil.localhost", "anna@" + moderator, metadata} {
			s.component(from, on)
		}
		s.component(moderator, `{"type":"av_moderation","enabled":true,"mediaType":"video"}`)
		s.component(moderator, `{"type":"av_moderation","enabled":true,"mediaType":"audio","room":"beta@conference.meet.localhost"}`)
		s.component(moderator, `{"type":`)
		s.quiet(time.Second)
		s.component(moderator, on)
		s.told(news.ModerationOn)
		s.say(muteIQ(room+"/focus", "true"))
		s.hears("result")
		s.shows("true", false)
		s.muted(Event{On: true, OK: true, ByRoom: true})

		s.s.AskMute(false, "a")
		s.shows("true", true)
		s.told(news.HandRaised)
		s.muted(Event{On: true, ID: "a"})

		s.component(moderator, `{"type":"av_moderation","approved":true,"mediaType":"audio"}`)
		s.told(news.MayUnmute)
		s.s.AskMute(false, "b")
		if m := s.hears("mute"); m.Get("to") != room+"/focus" || m.Kid("http://jitsi.org/jitmeet/audio", "mute").Get("jid") != me {
			t.Errorf("asks %v", m)
		}
		lowered := s.hears("presence") // said: browsers do not notice what is missing
		if h := lowered.Kid("", "jitsi_participant_raisedHand"); h == nil || h.Text != "0" || lowered.Kid("", "audiomuted").Text != "false" {
			t.Errorf("shows %v", lowered)
		}
		s.muted(Event{OK: true, ID: "b"})

		s.component(moderator, `{"type":"av_moderation","removed":true,"mediaType":"audio"}`)
		s.told(news.MayNotUnmute)
		s.component(moderator, `{"type":"av_moderation","enabled":false,"mediaType":"audio"}`)
		s.told(news.ModerationOff)
		s.s.AskMute(true, "c")
		s.shows("true", false)
		s.muted(Event{On: true, OK: true, ID: "c"})
	})
}

// TestFocusRefusesToUnmute: by an error or by silence, the phone stays as it is.
func TestFocusRefusesToUnmute(t *testing.T) {
	for name, answer := range map[string]func(*stage){
		"error":   func(s *stage) { s.answers(refusing("mute", &xmpp.Error{Condition: "not-allowed"})) },
		"silence": func(s *stage) { s.answers(silent) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, withMute, func(s *stage) {
				s.joins(anna)
				s.talk("1", annas)
				s.component(moderator, `{"type":"av_moderation","enabled":true,"mediaType":"audio"}`)
				s.told(news.ModerationOn)
				s.component(moderator, `{"type":"av_moderation","approved":true,"mediaType":"audio"}`)
				s.told(news.MayUnmute)
				answer(s)
				s.s.AskMute(false, "x")
				s.hears("mute")
				s.muted(Event{ID: "x"})
			})
		})
	}
}

// TestModeratorsNeedNoPermission: a role that changes changes what the phone may do.
func TestModeratorsNeedNoPermission(t *testing.T) {
	play(t, withMute, func(s *stage) {
		s.joins(anna)
		s.talk("1", annas)
		s.component(moderator, `{"type":"av_moderation","enabled":true,"mediaType":"audio"}`)
		s.told(news.ModerationOn)
		s.say("<presence xmlns='jabber:client' from='" + me + "'><x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator' affiliation='owner'/><status code='110'/></x></presence>")
		s.told(news.ModerationOff)
		s.s.AskMute(false, "")
		s.hears("mute")
		s.muted(Event{OK: true})
		s.self()
		s.told(news.ModerationOn)
	})
}

func TestStartMuted(t *testing.T) {
	start := "<startmuted xmlns='http://jitsi.org/jitmeet/start-muted' audio='true' video='true'/>"
	wants := func(s *stage) {
		s.t.Helper()
		s.shows("true", false)
		s.muted(Event{On: true, OK: true, ByRoom: true})
	}
	t.Run("by the focus", func(t *testing.T) {
		play(t, withMute, func(s *stage) {
			s.joins(anna)
			s.say(ask("session-initiate", "1", offer(annas)+start))
			s.hears("result")
			s.s.Accept(s.event(Offered).Offer, ourTransport, ourSource)
			wants(s)
			s.hears("session-accept")
			s.s.AskMute(false, "")
			s.shows("false", false)
			s.muted(Event{OK: true})
			s.say(ask("session-terminate", "1", "<reason><success/></reason>"))
			s.hears("result")
			s.event(Suspended)
			s.say(ask("session-initiate", "2", offer(annas)+start)) // only the first one counts
			s.hears("result")
			s.event(Offered)
			s.quiet(time.Second)
		})
	})
	t.Run("by the room", func(t *testing.T) {
		play(t, withMute, func(s *stage) {
			s.joins(anna)
			s.component(metadata, `{"type":"room_metadata","metadata":{"startMuted":{"audio":true}}}`)
			wants(s)
			s.talk("1", annas)
		})
	})
	t.Run("not where it is switched off", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.joins(anna)
			s.component(metadata, `{"type":"room_metadata","metadata":{"startMuted":{"audio":true}}}`)
			s.talk("1", annas)
			s.quiet(time.Second)
		})
	})
}

func TestRecordingIsTold(t *testing.T) {
	jibri := func(mode, status string) string {
		return "<jibri-recording-status xmlns='http://jitsi.org/protocol/jibri' session_id='x' recording_mode='" + mode + "' status='" + status + "'/>"
	}
	play(t, nil, func(s *stage) {
		s.joins(anna)
		s.focusHere(jibri("file", "pending"))
		s.quiet(time.Second)
		s.focusHere(jibri("file", "on"))
		s.told(news.RecordingOn)
		s.focusHere(jibri("file", "on"))
		s.quiet(time.Second)
		s.focusHere(jibri("file", "off"))
		s.told(news.RecordingOff)
		s.focusHere(jibri("stream", "on"))
		s.told(news.StreamingOn)
		s.focusHere(jibri("", "off"))
		s.told(news.StreamingOff)
		s.focusHere("<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='audio-recording-enabled' value='true'/></conference-properties>")
		s.told(news.RecordingOn)
		s.component(metadata, `{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":true}}}`)
		s.told(news.TranscriptionOn)
		s.component(metadata, `{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":false}}}`)
		s.told(news.TranscriptionOff)
		s.here(ben)
		s.say("<presence xmlns='jabber:client' from='" + room + "/" + ben + "'>" + jibri("file", "on") + "</presence>") // a person is no focus
		s.quiet(time.Second)
	})
}

// TestWithoutComponents: a server that names no parts has them where Jitsi puts them.
func TestWithoutComponents(t *testing.T) {
	s := &Session{opt: Options{Domain: "meet.test"}}
	for from, want := range map[string]bool{"avmoderation.meet.test": true, "avmoderation.meet.test2": false, "metadata.meet.test": false, "": false} {
		if got := s.isPart(stanza.ParseJID(from), "av_moderation"); got != want {
			t.Errorf("%s is the moderation component: %v, want %v", from, got, want)
		}
	}
	if s.isPart(stanza.ParseJID("meet.test"), "unheard_of") || s.isPart(stanza.JID{}, "") {
		t.Error("an unknown part may speak")
	}
}

// TestPresenceKeepsAll: the raised hand stands beside everything else.
func TestPresenceKeepsAll(t *testing.T) {
	p := meetxml.Presence{Nick: "x", Status: "Connected", RaisedHand: time.UnixMilli(1732300000000)}
	e := p.Elem(stanza.ParseJID(me))
	if got := e.Kid("", "jitsi_participant_raisedHand"); got == nil || got.Text != "1732300000000" {
		t.Errorf("%v", e)
	}
	if e.Kid("", "status").Text != "Connected" {
		t.Errorf("%v", e)
	}
}

// TestMuteIsAFeatureOfTheDisco: Jicofo asks disco whether a gateway can be muted, and refuses the
// moderator otherwise; browsers read it in the presence.
func TestMuteIsAFeatureOfTheDisco(t *testing.T) {
	for want, set := range map[bool]func(*Options){true: withMute, false: nil} {
		play(t, set, func(s *stage) {
			s.next()
			if got := slices.Contains(s.opt.Caps().Features, meetxml.FeatureAudioMute); got != want {
				t.Errorf("announces audio-mute: %v, want %v", got, want)
			}
		})
	}
}
