package meetxml

import (
	"strings"
	"testing"

	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
)

// TestMessages: what a phone has to know of the messages of a room's parts (conference spec 5.3, 5.4).
func TestMessages(t *testing.T) {
	yes, no := true, false
	for in, want := range map[string]Message{
		`{"type":"av_moderation","enabled":true,"mediaType":"audio","room":"a@muc.x","actor":"a@muc.x/m"}`:                                         {Type: "av_moderation", Room: "a@muc.x", Enabled: &yes},
		`{"type":"av_moderation","enabled":false,"mediaType":"audio"}`:                                                                             {Type: "av_moderation", Room: "attr@muc.x", Enabled: &no},
		`{"type":"av_moderation","enabled":true,"mediaType":"video"}`:                                                                              {Type: "av_moderation", Room: "attr@muc.x"},
		`{"type":"av_moderation","approved":true,"mediaType":"audio"}`:                                                                             {Type: "av_moderation", Room: "attr@muc.x", Approved: true},
		`{"type":"av_moderation","removed":true,"mediaType":"audio"}`:                                                                              {Type: "av_moderation", Room: "attr@muc.x", Removed: true},
		`{"type":"room_metadata","metadata":{"startMuted":{"audio":true,"video":false},"recording":{"isTranscribingEnabled":true},"unknown":[1]}}`: {Type: "room_metadata", Room: "attr@muc.x", StartMuted: true, Transcribing: true},
		`{"type":"room_metadata","type":"other","metadata":{"startMuted":null}}`:                                                                   {Type: "other", Room: "attr@muc.x"}, // the last of two
		`{}`: {Room: "attr@muc.x"},
	} {
		e := stanza.New("jabber:client", "message").Add(stanza.New(NSMeet, "json-message", "room", "attr@muc.x").WithText(in))
		got, ok := ParseMessage(parse(t, e.String()))
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%s: %v %s", in, ok, d)
		}
	}
	for _, in := range []string{"", "[]", "{", `{"type":1}`, strings.Repeat("[", 100000), `{"type":"` + strings.Repeat("x", maxJSON) + `"}`} {
		if m, ok := ParseMessage(stanza.New("", "message").Add(stanza.New(NSMeet, "json-message").WithText(in))); ok {
			t.Errorf("%.20s: %+v", in, m)
		}
	}
	if _, ok := ParseMessage(parse(t, "<message><json-message xmlns='urn:other'>{}</json-message></message>")); ok {
		t.Error("a message of somebody else's kind")
	}
}

func TestComponents(t *testing.T) {
	const one = "<identity category='component' type='av_moderation' name='avmoderation.x'/>"
	got := ParseComponents(parse(t, "<iq><query xmlns='http://jabber.org/protocol/disco#info'>"+one+
		"<identity category='server' type='shard' name='s1'/><identity category='component' type='nameless'/><feature var='x'/></query></iq>"))
	if d := cmp.Diff(Components{"av_moderation": {Domain: "avmoderation.x"}}, got); d != "" {
		t.Error(d)
	}
	if c := ParseComponents(nil); len(c) != 0 || c == nil {
		t.Errorf("%v", c)
	}
}

func TestMute(t *testing.T) {
	const ns = "<iq><mute xmlns='http://jitsi.org/jitmeet/audio' actor='a@muc.x/m'>"
	for in, want := range map[string][2]bool{ns + "true</mute></iq>": {true, true}, ns + "false</mute></iq>": {false, true}, ns + "1</mute></iq>": {}, ns + "</mute></iq>": {}, "<iq/>": {}} {
		if on, ok := ParseMute(parse(t, in)); on != want[0] || ok != want[1] {
			t.Errorf("%s: %v, %v", in, on, ok)
		}
	}
	for _, on := range []bool{true, false} {
		iq := parse(t, stanza.New("", "iq").Add(MuteRequest(stanza.ParseJID("a@muc.x/n"), on)).String())
		if got, ok := ParseMute(iq); got != on || !ok || !IsMute(iq) || iq.Kids[0].Get("jid") != "a@muc.x/n" {
			t.Errorf("%v", iq)
		}
	}
}

func TestRecordingLobbyInvitation(t *testing.T) {
	const jibri = "<presence><jibri-recording-status xmlns='http://jitsi.org/protocol/jibri' "
	const props = "<presence><conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='audio-recording-enabled' value="
	for in, want := range map[string]Recording{
		jibri + "status='on' recording_mode='file'/></presence>":   {Known: true, On: true},
		jibri + "status='on' recording_mode='stream'/></presence>": {Known: true, On: true, Streaming: true},
		jibri + "status='off'/></presence>":                        {Known: true},
		jibri + "status='pending'/></presence>":                    {},
		props + "'true'/></conference-properties></presence>":      {Known: true, On: true},
		props + "'false'/></conference-properties></presence>":     {Known: true},
		"<presence><conference-properties xmlns='x'/></presence>":  {},
	} {
		if got := ParseRecording(parse(t, in)); got != want {
			t.Errorf("%s: %+v", in, got)
		}
	}
	lobby := stanza.ParseJID("a@lobby.x")
	for in, want := range map[string]stanza.JID{
		"<presence><error><lobbyroom xmlns='http://jitsi.org/jitmeet'>a@lobby.x</lobbyroom></error></presence>": lobby,
		"<presence><lobbyroom xmlns='http://jitsi.org/jitmeet'>a@lobby.x/n</lobbyroom></presence>":              lobby,
		"<presence><error/></presence>": {},
	} {
		if got := LobbyRoom(parse(t, in)); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
	const x = "<message><x xmlns='http://jabber.org/protocol/muc#user'>"
	if p, ok := ParseInvitation(parse(t, x+"<invite from='m'/><password>s3cret</password></x></message>")); !ok || p.Reveal() != "s3cret" {
		t.Error("an invitation with a password")
	}
	if p, ok := ParseInvitation(parse(t, x+"<invite/></x></message>")); !ok || p != "" {
		t.Error("an invitation")
	}
	if _, ok := ParseInvitation(parse(t, x+"<decline/></x></message>")); ok {
		t.Error("a refusal is an invitation")
	}
}
