package meetxml

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
)

func parse(t testing.TB, s string) *stanza.Elem {
	t.Helper()
	e, err := stanza.Parse([]byte(s), stanza.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return e
}

// TestConferenceRequest is what the focus reads (conference spec 1.3).
func TestConferenceRequest(t *testing.T) {
	e := ConferenceRequest{Room: "a@muc.x", Properties: map[string]string{"rtcstatsEnabled": "false"}}.Elem()
	want := "<conference xmlns='http://jitsi.org/protocol/focus' room='a@muc.x'><property name='rtcstatsEnabled' value='false'/></conference>"
	if e.String() != want {
		t.Errorf("%v", e)
	}
	if e := (ConferenceRequest{Room: "a@muc.x"}).Elem(); len(e.Kids) != 0 {
		t.Errorf("%v", e)
	}
}

func TestConferenceReply(t *testing.T) {
	const ns = " xmlns='http://jitsi.org/protocol/focus' "
	for in, want := range map[string]ConferenceReply{
		"<conference" + ns + "room='a@muc.x' ready='true' focusjid='focus@auth.x'><property name='authentication' value='false'/></conference>": {Ready: true, FocusJID: stanza.JID{Local: "focus", Domain: "auth.x"}},
		"<conference" + ns + "ready='true' focusjid='focus@auth.x/focus'/>":                                                                     {Ready: true, FocusJID: stanza.JID{Local: "focus", Domain: "auth.x"}},
		"<conference" + ns + "ready='false'><property name='live' value='false'/></conference>":                                                 {NotLive: true},
		"<conference" + ns + "ready='1' vnode='v1'><property name='live' value='true'/></conference>":                                           {Vnode: "v1"},
		"<conference" + ns + "/>": {},
	} {
		got, ok := ParseConferenceReply(parse(t, "<iq type='result'>"+in+"</iq>"))
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%s: %s", in, d)
		}
	}
	for _, in := range []string{"<iq/>", "<iq><conference xmlns='urn:other' ready='true'/></iq>"} {
		if _, ok := ParseConferenceReply(parse(t, in)); ok {
			t.Errorf("%s is a reply", in)
		}
	}
}

// TestPresence: all of it, each time, in the form that browsers, Jicofo and Prosody read (conference spec 1.6).
func TestPresence(t *testing.T) {
	p := Presence{
		Nick: "Anna <a@b>", Email: "a@b", Avatar: "https://x/a.png?s=1&t=2", StatsID: "jigasi", Region: "eu", Version: "Jigasi 2", Status: "Connected", AudioMuted: true, Source: "0cb96be6-a0",
		Features: []string{FeatureJigasi, FeatureDTMF}, Initiator: []Header{{"JigasiCallDirection", "out"}, {"X-A", "1&2"}},
		Caps: stanza.New("http://jabber.org/protocol/caps", "c", "ver", "x"),
	}
	e := parse(t, p.Elem(stanza.ParseJID("a@muc.x/0cb96be6")).String())
	want := parse(t, `<presence to='a@muc.x/0cb96be6'><nick xmlns='http://jabber.org/protocol/nick'>Anna &lt;a@b></nick><email>a@b</email><avatar-url>https://x/a.png?s=1&amp;t=2</avatar-url><stats-id>jigasi</stats-id>
<jitsi_participant_region>eu</jitsi_participant_region><stat name='version' value='Jigasi 2'/>
<initiator xmlns='http://jitsi.org/protocol/jigasi'><header xmlns='urn:xmpp:rayo:1' name='JigasiCallDirection' value='out'/><header xmlns='urn:xmpp:rayo:1' name='X-A' value='1&amp;2'/></initiator>
<features><feature var='http://jitsi.org/protocol/jigasi'/><feature var='urn:xmpp:jingle:dtmf:0'/></features>
<audiomuted>true</audiomuted><videomuted>true</videomuted><SourceInfo>{"0cb96be6-a0":{"muted":true}}</SourceInfo><status>Connected</status><c xmlns='http://jabber.org/protocol/caps' ver='x'/></presence>`)
	want.Text = ""
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
	var info map[string]struct{ Muted bool }
	if err := json.Unmarshal([]byte(e.Kid("", "SourceInfo").Text), &info); err != nil || !info["0cb96be6-a0"].Muted {
		t.Errorf("%v, %v", info, err)
	}
	// The room marks a phone by the mere presence of initiator, and counts one as muted that says nothing of it.
	bare := Presence{}.Elem(stanza.ParseJID("a@muc.x/n"))
	if bare.Kid(NSJigasi, "initiator") == nil || bare.Kid("", "audiomuted").Text != "false" || bare.Kid(NSNick, "nick") == nil {
		t.Errorf("%v", bare)
	}
	for _, name := range []string{"stats-id", "jitsi_participant_region", "stat", "status", "SourceInfo", "c"} {
		if bare.Kid("", name) != nil {
			t.Errorf("an empty %s is sent", name)
		}
	}
}

func TestOccupant(t *testing.T) {
	const x = "<x xmlns='http://jabber.org/protocol/muc#user'>"
	focus := stanza.ParseJID("focus@auth.x/focus")
	for in, want := range map[string]Occupant{
		"from='a@muc.x/focus'><bridgeNotAvailable xmlns='http://jitsi.org/protocol/focus'/>" + x + "<item affiliation='owner' role='moderator' jid='focus@auth.x/focus'/></x>": {
			Nick: "focus", JID: focus, Role: "moderator", Affiliation: "owner", NoBridge: true},
		"from='a@muc.x/n'><bridgeNotAvailable xmlns='urn:other'/>":                                  {Nick: "n"},
		"from='a@muc.x/n'><nick xmlns='http://jabber.org/protocol/nick'>Ann</nick><nick>Bob</nick>": {Nick: "n", Name: "Ann"},
		"from='a@muc.x/n'><features><feature var='http://jitsi.org/protocol/jigasi'/></features>":   {Nick: "n", Jigasi: true},
		"from='a@muc.x/n'>" + x + "<status code='110'/><status code='x'/><status code='201'/></x>":  {Nick: "n", Codes: []int{110, 201}},
		"from='a@muc.x/n' type='unavailable'>" + x + "<item role='none'><actor nick='m'/><reason>enough</reason></item><status code='307'/></x>": {
			Nick: "n", Gone: true, Role: "none", Actor: "m", Reason: "enough", Codes: []int{307}},
		"from='a@muc.x/n' type='unavailable'>" + x + "<destroy jid='b@muc.x'><reason>moved</reason></destroy></x>": {Nick: "n", Gone: true, Destroyed: true, Reason: "moved", Alternate: stanza.ParseJID("b@muc.x")},
		"from='a@muc.x/n/with/slashes'>": {Nick: "n/with/slashes"},
		"from='a@muc.x/n'><x xmlns='urn:other'><status code='110'/><item role='moderator'/></x>": {Nick: "n"},
	} {
		got, ok := ParseOccupant(parse(t, "<presence xmlns='jabber:client' "+in+"</presence>"))
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%s: %v %s", in, ok, d)
		}
	}
	for _, in := range []string{"<presence from='a@muc.x'/>", "<presence/>", "<presence from='a@muc.x/n' type='error'/>"} {
		if o, ok := ParseOccupant(parse(t, in)); ok {
			t.Errorf("%s is %+v", in, o)
		}
	}
	many, _ := ParseOccupant(parse(t, "<presence from='a@muc.x/n'>"+x+strings.Repeat("<status code='1'/>", 1000)+"</x></presence>"))
	if len(many.Codes) != 16 || !many.Has(1) || many.Self() {
		t.Errorf("%d codes", len(many.Codes))
	}
}

// TestFeatures: no two the same, and none that would bring an offer which a phone cannot meet.
func TestFeatures(t *testing.T) {
	f := Features()
	slices.Sort(f)
	if len(slices.Compact(slices.Clone(f))) != len(f) {
		t.Errorf("one is twice in %v", f)
	}
	f[0] = "changed"
	if slices.Contains(Features(), "changed") {
		t.Error("the list is shared")
	}
}

func TestRelays(t *testing.T) {
	service := func(attrs string) string { return "<service " + attrs + "/>" }
	for in, want := range map[string][]Relay{
		service("type='turns' host='turn.x' port='5349' transport='tcp' username='u' password='p'"): {{"turns:turn.x:5349?transport=tcp", "u", "p"}},
		service("type='turn' host='192.0.2.1'"):                                                     {{"turn:192.0.2.1", "", ""}},
		service("type='turn' host='2001:db8::1' port='3478'"):                                       {{"turn:[2001:db8::1]:3478", "", ""}},
		service("type='turn' host='[2001:db8::1]' port='3478' transport='udp'"):                     {{"turn:[2001:db8::1]:3478?transport=udp", "", ""}},
		service("type='stun' host='stun.x'") + service("type='turn'"):                               nil,
	} {
		got := ParseRelays(parse(t, "<iq><services xmlns='urn:xmpp:extdisco:2'>"+in+"</services></iq>"))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
	if got := ParseRelays(parse(t, "<iq><services xmlns='urn:xmpp:extdisco:2'>"+strings.Repeat(service("type='turn' host='x'"), 100)+"</services></iq>")); len(got) != 8 {
		t.Errorf("%d relays", len(got))
	}
	if ParseRelays(nil) != nil || ParseRelays(parse(t, "<iq/>")) != nil || RelayRequest().Name.Space == OldRelayRequest().Name.Space {
		t.Error("request and answer do not fit")
	}
}

// FuzzOccupant: what strangers put into presence is bounded, and never a panic.
func FuzzOccupant(f *testing.F) {
	f.Add("<presence from='a@b/c'><x xmlns='http://jabber.org/protocol/muc#user'><item jid='a@b/c' role='moderator'><actor nick='n'/></item><status code='110'/></x></presence>")
	f.Add("<presence from='a@b/c'><x xmlns='http://jabber.org/protocol/muc#user'><destroy/></x></presence>")
	f.Add("<message><json-message xmlns='http://jitsi.org/jitmeet'>{\"type\":\"av_moderation\",\"mediaType\":\"audio\",\"enabled\":true}</json-message></message>")
	f.Add("<iq><mute xmlns='http://jitsi.org/jitmeet/audio'>true</mute><query xmlns='http://jabber.org/protocol/disco#info'><identity category='component' type='x' name='y'/></query></iq>")
	f.Add("<presence><error><lobbyroom>a@b/c</lobbyroom></error><jibri-recording-status xmlns='http://jitsi.org/protocol/jibri' status='on'/></presence>")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := stanza.Parse([]byte(s), stanza.Limits{})
		if err != nil {
			return
		}
		o, ok := ParseOccupant(e)
		if ok && (o.Nick == "" || len(o.Codes) > 16) {
			t.Errorf("%+v", o)
		}
		_, _ = ParseConferenceReply(e)
		if r := ParseRelays(e); len(r) > 8 {
			t.Errorf("%d relays", len(r))
		}
		if c := ParseComponents(e); len(c) > 32 {
			t.Errorf("%d components", len(c))
		}
		if r := ParseRecording(e); r.On && !r.Known {
			t.Errorf("%+v", r)
		}
		if on, ok := ParseMute(e); ok != IsMute(e) && ok || on && !ok {
			t.Errorf("mute %v, %v", on, ok)
		}
		if l := LobbyRoom(e); l.Resource != "" {
			t.Errorf("lobby %v", l)
		}
		_, _ = ParseMessage(e)
		_, _ = ParseInvitation(e)
	})
}
