package meetxml

import (
	"strings"
	"testing"

	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
)

// TestListener: what a transcriber reads in the presence of members, as clients write it.
func TestListener(t *testing.T) {
	const from = "<presence xmlns='jabber:client' from='a@muc.x/0a1b2c3d'><x xmlns='http://jabber.org/protocol/muc#user'><item jid='u@d/r' role='participant'/></x>" +
		"<nick xmlns='http://jabber.org/protocol/nick'>Alice</nick>"
	who := Listener{Nick: "0a1b2c3d", Name: "Alice", JID: stanza.ParseJID("u@d/r")}
	with := func(change func(*Listener)) Listener {
		l := who
		change(&l)
		return l
	}
	for in, want := range map[string]Listener{
		"": who,
		"<jitsi_participant_transcription_language>iw-IL</jitsi_participant_transcription_language>":          with(func(l *Listener) { l.Language, l.Speaks = "iw-IL", true }),
		"<jitsi_participant_transcription_language/>":                                                         with(func(l *Listener) { l.Speaks = true }),
		"<jitsi_participant_translation_language>zh-CN</jitsi_participant_translation_language>":              with(func(l *Listener) { l.Target = "zh-CN" }),
		"<jitsi_participant_translation_language/>":                                                           who,
		"<jitsi_participant_requestingTranscription>True</jitsi_participant_requestingTranscription>":         with(func(l *Listener) { l.Wants, l.Knows = true, true }),
		"<jitsi_participant_requestingTranscription>false</jitsi_participant_requestingTranscription>":        with(func(l *Listener) { l.Knows = true }),
		"<jitsi_participant_raisedHand>1700000000000</jitsi_participant_raisedHand>":                          with(func(l *Listener) { l.HandRaised = true }),
		"<jitsi_participant_raisedHand/>":                                                                     who,
		`<SourceInfo>{"0a1b2c3d-v0":{"muted":true},"0a1b2c3d-a0":{"muted":true}}</SourceInfo>`:                with(func(l *Listener) { l.Muted = true }),
		`<SourceInfo>{"0a1b2c3d-v0":{"muted":true},"0a1b2c3d-a0":{}}</SourceInfo>`:                            who,
		`<SourceInfo>{</SourceInfo><audiomuted>true</audiomuted>`:                                             with(func(l *Listener) { l.Muted = true }),
		"<transcription-status status='ON'/><features><feature var='" + FeatureTranscriber + "'/></features>": with(func(l *Listener) { l.Status, l.Transcriber = "ON", true }),
		"<features><feature var='" + FeatureJibri + "'/><feature var='" + FeatureJigasi + "'/></features>":    with(func(l *Listener) { l.Recorder, l.Phone = true, true }),
		"<email>a@x</email><avatar-url>https://x/a.png</avatar-url>":                                          with(func(l *Listener) { l.Email, l.Avatar = "a@x", "https://x/a.png" }),
		"<avatar-url>https://x/a.png</avatar-url><identity><user><id>7</id><name>Al</name><avatar>https://y/</avatar></user><group>g</group></identity>": with(func(l *Listener) {
			l.Avatar, l.UserName, l.UserID, l.GroupID = "https://y/", "Al", "7", "g"
		}),
		"<jitsi_participant_transcription_language>" + strings.Repeat("e", 1000) + "</jitsi_participant_transcription_language>": who,
	} {
		p := parse(t, from+in+"</presence>")
		o, _ := ParseOccupant(p)
		if d := cmp.Diff(want, ParseListener(p, o)); d != "" {
			t.Errorf("%.90s: %s", in, d)
		}
	}
}

// TestMetadata: the same JSON in a message and in disco#info; wrong types are no values, and an empty list clears.
func TestMetadata(t *testing.T) {
	for in, want := range map[string]Metadata{
		`{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":true},"visitors":{"transcribingLanguages":"fr, de,","transcribingCount":3},"transcriberType":"VOSK"}}`: {true, 3, []string{"fr", "de"}, "VOSK"},
		`{"type":"room_metadata","metadata":{"recording":{"isTranscribingEnabled":false},"visitors":{"transcribingLanguages":"","transcribingCount":"2"}}}`:                              {Visitors: 2},
		`{"type":"room_metadata","metadata":{"recording":7,"visitors":{"transcribingLanguages":["fr"],"transcribingCount":true},"transcriberType":{}}}`:                                  {},
		`{"type":"room_metadata"}`: {},
	} {
		got, ok := ParseMetadata(in)
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%s: %v %s", in, ok, d)
		}
		iq := stanza.New("jabber:client", "iq").Add(stanza.New(nsDisco, "query").Add(stanza.New("jabber:x:data", "x").Add(
			stanza.New("", "field", "var", "other").Add(stanza.New("", "value").WithText("x")),
			stanza.New("", "field", "var", "muc#roominfo_jitsimetadata").Add(stanza.New("", "value").WithText(in)))))
		if text := RoomMetadata(parse(t, iq.String())); text != in {
			t.Errorf("disco has %q", text)
		}
	}
	for _, in := range []string{"", "{", `{"type":"other"}`, `{"type":"room_metadata","metadata":[]}`, strings.Repeat(" ", maxJSON+1)} {
		if m, ok := ParseMetadata(in); ok {
			t.Errorf("%.30q: %+v", in, m)
		}
	}
	if RoomMetadata(nil) != "" || RoomMetadata(parse(t, "<iq/>")) != "" {
		t.Error("metadata of nothing")
	}
}

// TestMessagesToARoom: text that would break XML, or JSON after a client has unescaped it, arrives whole.
func TestMessagesToARoom(t *testing.T) {
	const text = `"quoted" <b>&amp;&quot; ]]> 🙂 שלום`
	if got := parse(t, TextMessage(text).String()); got.Get("type") != "groupchat" || got.Kid("", "body").Text != text {
		t.Errorf("%v", got)
	}
	if got := parse(t, JSONMessage([]byte(text)).String()); got.Kid(NSMeet, "json-message").Text != text || got.Kid("", "body") != nil {
		t.Errorf("%v", got)
	}
}
