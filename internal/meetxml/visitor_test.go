package meetxml

import (
	"testing"

	"jigasi/internal/stanza"
)

// TestPromotion: allowed is only what says so.
func TestPromotion(t *testing.T) {
	for in, want := range map[string]*Promotion{
		"<promotion-response allow='true' jid='x@v1.meet.jitsi/y' username='q7'/>": {Allowed: true, Username: "q7", Focus: stanza.ParseJID("focus@auth.x")},
		"<promotion-response allow='false' username='q7'/>":                        {Username: "q7", Focus: stanza.ParseJID("focus@auth.x")},
		"<promotion-response allow='yes'/>":                                        {Focus: stanza.ParseJID("focus@auth.x")},
		"<promotion-request jid='x@y/z'/>":                                         nil,
		"<promotion-response xmlns='urn:x' allow='true'/>":                         nil,
		"": nil,
	} {
		iq := parse(t, "<iq type='set'><visitors xmlns='jitsi:visitors' room='a@b' focusjid='focus@auth.x/focus'>"+in+"</visitors></iq>")
		p, ok := ParsePromotion(iq)
		if ok != (want != nil) || ok && p != *want || !IsVisitors(iq) {
			t.Errorf("%s: %v %+v", in, ok, p)
		}
	}
	if none := parse(t, "<iq><query xmlns='jitsi:visitors'/></iq>"); IsVisitors(none) {
		t.Error("a query is about visitors")
	}
}

// TestDemoteRequest: of the type and the action that say so.
func TestDemoteRequest(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"visitors","action":"demote-request","id":"0cb96be6","actor":"a"}`: "0cb96be6",
		`{"type":"visitors","action":"promotion-request","id":"0cb96be6"}`:          "",
		`{"type":"other","action":"demote-request","id":"0cb96be6"}`:                "",
	} {
		m, ok := ParseMessage(stanza.New("", "message").Add(stanza.New(NSMeet, "json-message").WithText(in)))
		if !ok || m.Demote != want {
			t.Errorf("%s: %v %q", in, ok, m.Demote)
		}
	}
}
