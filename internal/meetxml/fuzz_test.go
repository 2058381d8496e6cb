package meetxml

import (
	"strings"
	"testing"

	"jigasi/internal/stanza"
)

// FuzzStanzas: what a room and a server send is read within bounds, names whom it is from, and a name that was
// read can be shown and is read again as the same.
func FuzzStanzas(f *testing.F) {
	for _, s := range []string{
		`<presence from='r@conference.x/1234abcd'><nick xmlns='http://jabber.org/protocol/nick'>Al</nick><x xmlns='http://jabber.org/protocol/muc#user'>` +
			`<item jid='a@x/y' role='participant' affiliation='none'/><status code='110'/></x><features><feature var='http://jitsi.org/protocol/jigasi'/></features></presence>`,
		`<presence type='unavailable' from='r@conference.x/f'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'><actor nick='m'/><reason>r</reason></item>` +
			`<status code='307'/><destroy><reason>end</reason></destroy></x></presence>`,
		`<iq type='result'><conference xmlns='http://jitsi.org/protocol/focus' ready='true' focusjid='focus@auth.x' vnode='v1'><property name='live' value='false'/></conference></iq>`,
		`<iq type='result'><services xmlns='urn:xmpp:extdisco:2'><service type='turn' host='2001:db8::1' port='3478' transport='udp' username='u' password='p'/></services></iq>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := stanza.Parse([]byte(s), stanza.Limits{})
		if err != nil {
			return
		}
		if relays := ParseRelays(e); len(relays) > 8 {
			t.Errorf("%d relays", len(relays))
		}
		if r, ok := ParseConferenceReply(e); ok && r.FocusJID.Resource != "" {
			t.Errorf("the focus is %v", r.FocusJID)
		}
		o, ok := ParseOccupant(e)
		if !ok {
			return
		}
		if o.Nick == "" || len(o.Codes) > 16 {
			t.Errorf("%+v", o)
		}
		room := stanza.ParseJID(e.Get("from"))
		if room.Local == "" || strings.ContainsAny(room.Local+room.Domain, "@/") {
			return
		}
		p := Presence{Nick: o.Name, Status: o.Reason, Features: []string{FeatureJigasi}}.Elem(room).Set("from", room.String())
		again, err := stanza.Parse([]byte(p.String()), stanza.Limits{})
		if err != nil {
			t.Fatalf("our own presence cannot be read: %v\n%s", err, p)
		}
		if q, ok := ParseOccupant(again); !ok || q.Nick != o.Nick || q.Name != o.Name || !q.Jigasi {
			t.Errorf("%+v is read again as %+v", o, q)
		}
	})
}
