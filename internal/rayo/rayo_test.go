package rayo

import (
	"errors"
	"os"
	"strings"
	"testing"

	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, s string) *stanza.Elem {
	t.Helper()
	e, err := stanza.Parse([]byte(s), stanza.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return e
}

// TestCaptured reads what a real focus and its askers have said (real.md 27-30).
func TestCaptured(t *testing.T) {
	file, err := os.ReadFile("testdata/captured.xml")
	if err != nil {
		t.Fatal(err)
	}
	want := Dial{To: "+15551234", From: "fromnumber", Headers: []Header{{RoomName, "beta@conference.meet.localhost"}}}
	dials, refs, refusals := 0, 0, 0
	for line := range strings.Lines(string(file)) {
		iq := parse(t, line)
		for _, e := range iq.Kids {
			switch {
			case e.Is(NS, "dial"):
				d, err := ParseDial(e)
				if err != nil {
					t.Errorf("%s: %v", line, err)
				}
				expect := want
				if d.To == Transcribe {
					expect.To = Transcribe
				}
				if iq.Get("type") == "error" { // echoed without headers
					expect.Headers = nil
					refusals++
				}
				dials++
				if diff := cmp.Diff(expect, d); diff != "" {
					t.Error(diff)
				}
				again(t, d.Elem(), d, ParseDial)
			case e.Is(NS, "ref"):
				r, err := ParseRef(e)
				if err != nil || r.JID() != stanza.ParseJID("beta@conference.meet.localhost/12345678") || r != RefTo(r.JID()) {
					t.Errorf("%s: %v, %v", line, r, err)
				}
				refs++
				again(t, r.Elem(), r, ParseRef)
			}
		}
	}
	if dials < 8 || refs < 2 || refusals < 2 {
		t.Errorf("%d dials, %d refs, %d refusals", dials, refs, refusals)
	}
}

// again prints and parses.
func again[T any](t *testing.T, e *stanza.Elem, want T, f func(*stanza.Elem) (T, error)) {
	t.Helper()
	got, err := f(parse(t, e.String()))
	if err != nil {
		t.Fatalf("%v: %v", e, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v: %s", e, diff)
	}
}

func TestHeaders(t *testing.T) {
	d, err := ParseDial(parse(t, `<dial xmlns='urn:xmpp:rayo:1' to=' +1 ' unknown='x'>
		<header name='jvbroomname' value='a@x'/><header name='X-B' value='1'/><header name='JvbRoomPassword' value='s3cret'/>
		<header xmlns='urn:other' name='X-C' value='1'/><header name='x-b' value='2'/><header name='JvbRoomName' value='b@x'/>
		<join/><header name='X-A' value=''/></dial>`))
	if err != nil || d.To != "+1" || d.Room() != "b@x" || d.Password().Reveal() != "s3cret" {
		t.Errorf("%+v, %v", d, err)
	}
	if diff := cmp.Diff([]Header{{"X-B", "1"}, {"X-A", ""}}, d.Extra()); diff != "" {
		t.Error(diff)
	}
}

func TestEndAndHangup(t *testing.T) {
	for _, x := range []End{{Reason: EndBusy}, {Reason: EndError, Text: "no <route>", Headers: []Header{{"X-A", "1"}}}} {
		again(t, x.Elem(), x, ParseEnd)
	}
	again(t, Hangup{}.Elem(), Hangup{}, ParseHangup)
	again(t, Hangup{Headers: []Header{{"X-A", "1"}}}.Elem(), Hangup{Headers: []Header{{"X-A", "1"}}}, ParseHangup)
}

// TestT23_NothingThatBreaksSIP: no line break or other control gets through, in any place.
func TestT23_NothingThatBreaksSIP(t *testing.T) {
	for _, bad := range []string{"&#xD;&#xA;Via: x", "&#xA;", "&#xD;", "&#x9;", "&#x7F;", "&#x85;", "&#x2028;", strings.Repeat("x", 3000)} {
		for _, s := range []string{
			`<dial xmlns='urn:xmpp:rayo:1' to='1` + bad + `1'/>`,
			`<dial xmlns='urn:xmpp:rayo:1' to='1' from='1` + bad + `1'/>`,
			`<dial xmlns='urn:xmpp:rayo:1' to='1'><header name='X` + bad + `' value='1'/></dial>`,
			`<dial xmlns='urn:xmpp:rayo:1' to='1'><header name='X' value='1` + bad + `1'/></dial>`,
		} {
			if d, err := ParseDial(parse(t, s)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%.100s: %+v, %v", s, d, err)
			}
		}
	}
	for _, s := range []string{
		`<dial xmlns='urn:xmpp:rayo:1'/>`, `<dial xmlns='urn:xmpp:rayo:1' to=' '/>`, `<dial xmlns='urn:xmpp:rayo:0' to='1'/>`, `<dial to='1'/>`,
		`<dial xmlns='urn:xmpp:rayo:1' to='1'><header value='1'/></dial>`, `<dial xmlns='urn:xmpp:rayo:1' to='1'><header name='a b' value='1'/></dial>`,
		`<dial xmlns='urn:xmpp:rayo:1' to='1'><header name='a:' value='1'/></dial>`,
		`<dial xmlns='urn:xmpp:rayo:1' to='1'>` + strings.Repeat("<header name='a' value='1'/>", 65) + `</dial>`,
	} {
		if d, err := ParseDial(parse(t, s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.100s: %+v, %v", s, d, err)
		}
	}
	for _, s := range []string{"<ref xmlns='urn:xmpp:rayo:1'/>", "<end xmlns='urn:xmpp:rayo:1'/>", "<x/>"} {
		e := parse(t, s)
		_, err1 := ParseRef(e)
		_, err2 := ParseEnd(e)
		_, err3 := ParseHangup(e)
		if err1 == nil || err2 == nil || err3 == nil {
			t.Errorf("%s: %v, %v, %v", s, err1, err2, err3)
		}
	}
}

// FuzzDial: what is read can be sent by SIP, and prints as what reads the same.
func FuzzDial(f *testing.F) {
	f.Add(`<dial xmlns='urn:xmpp:rayo:1' to='+1' from='x'><header name='JvbRoomName' value='a@b'/></dial>`)
	f.Add("<dial xmlns='urn:xmpp:rayo:1' to='\n1'/>")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := stanza.Parse([]byte(s), stanza.Limits{})
		if err != nil {
			return
		}
		d, err := ParseDial(e)
		if err != nil {
			return
		}
		for _, h := range append(d.Headers, Header{"X", d.To}, Header{"X", d.From}) {
			if strings.ContainsAny(h.Name+h.Value, "\r\n\x00") {
				t.Fatalf("%q", h)
			}
		}
		again(t, d.Elem(), d, ParseDial)
	})
}
