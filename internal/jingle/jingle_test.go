package jingle_test

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"jigasi/internal/jingle"
	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// parseXML reads one stanza, which need not declare its namespace.
func parseXML(s string) (*stanza.Elem, error) {
	d := xml.NewDecoder(strings.NewReader("<x xmlns='jabber:client'>" + s + "</x>"))
	var stack []*stanza.Elem
	root := &stanza.Elem{}
	stack = append(stack, root)
	for {
		tok, err := d.Token()
		if err != nil {
			if len(root.Kids) == 1 && len(root.Kids[0].Kids) == 1 {
				return root.Kids[0].Kids[0], nil
			}
			return nil, err
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			e := &stanza.Elem{Name: tok.Name, Attr: append([]xml.Attr(nil), tok.Attr...)}
			top.Kids = append(top.Kids, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.Text += string(tok)
		}
	}
}

var note = regexp.MustCompile(`(?s)<!--.*?-->`)

// captured gives every stanza with a jingle element that a real Jitsi sent or took.
func captured(t testing.TB) map[string]*stanza.Elem {
	t.Helper()
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	all := map[string]*stanza.Elem{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range strings.Split(note.ReplaceAllString(string(raw), "\x00"), "\x00") {
			s = strings.TrimSpace(s)
			if !strings.Contains(s, "urn:xmpp:jingle:1'") || !strings.HasPrefix(s, "<iq") || !strings.Contains(s, "<jingle") {
				continue
			}
			e, err := parseXML(s)
			if err != nil {
				t.Fatalf("%s, stanza %d: %v", f, i, err)
			}
			all[filepath.Base(f)+" "+string(rune('0'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10))] = e
		}
	}
	return all
}

// TestCapturesSurviveARoundTrip parses what a real Jicofo sent, prints it, parses that and compares.
func TestCapturesSurviveARoundTrip(t *testing.T) {
	seen := map[string]int{}
	for name, iq := range captured(t) {
		m, err := jingle.Parse(iq)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen[m.Action]++
		again, err := jingle.Parse(stanza.New("", "iq").Add(m.Elem()))
		if err != nil {
			t.Errorf("%s, printed: %v", name, err)
			continue
		}
		if d := cmp.Diff(m, again, cmpopts.SortSlices(func(a, b jingle.Source) bool { return a.SSRC < b.SSRC }), cmpopts.EquateEmpty(),
			cmpopts.IgnoreFields(jingle.Message{}, "HasAudio")); d != "" {
			t.Errorf("%s changes:\n%s", name, d)
		}
	}
	for _, a := range []string{jingle.SessionInitiate, jingle.SessionAccept, jingle.SessionTerminate, jingle.SourceAdd, jingle.SessionInfo} {
		if seen[a] == 0 {
			t.Errorf("no %s among the captures: %v", a, seen)
		}
	}
}

func TestSessionInitiateOfJicofo(t *testing.T) {
	for name, iq := range captured(t) {
		m, err := jingle.Parse(iq)
		if err != nil || m.Action != jingle.SessionInitiate {
			continue
		}
		opus := false
		for _, p := range m.Payloads {
			opus = opus || p.Name == "opus" && p.ID == 111 && p.Clockrate == 48000 && p.Channels == 2
		}
		if !opus || m.Exts[jingle.LevelURI] != 1 || m.Transport == nil || m.BridgeSession == "" {
			t.Errorf("%s: %+v", name, m)
			continue
		}
		tr := m.Transport
		if tr.Ufrag == "" || tr.Pwd == "" || len(tr.Fingerprints) != 1 || tr.Fingerprints[0].Hash != "sha-256" || tr.Fingerprints[0].Setup != "actpass" || len(tr.Candidates) == 0 {
			t.Errorf("%s: transport %+v", name, tr)
		}
	}
}

func TestJSONSources(t *testing.T) {
	parse := func(js string) (*jingle.Message, error) {
		j := stanza.New(jingle.NS, "jingle", "action", "source-add", "sid", "1").Add(stanza.New("http://jitsi.org/jitmeet", "json-message").WithText(js))
		return jingle.Parse(stanza.New("jabber:client", "iq").Add(j))
	}
	m, err := parse(`{"sources":{"a":[[],[],[{"s":"5","s":7,"n":"a-a0","m":"x y"}],[]],"b":[[{"s":1}]],"c":[]}}`)
	if err != nil || len(m.Sources) != 1 || m.Sources[0] != (jingle.Source{SSRC: 7, Owner: "a", Name: "a-a0", MSID: "x y"}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, js := range []string{`[]`, `{"sources":[]}`, `{"sources":{"a":[[],[],[{"s":-1}]]}}`, `{"sources":{"a":[[],[],[{"s":4294967296}]]}}`, `{"sources":{"a":[1,2,3]}}`, strings.Repeat("[", 100000)} {
		if _, err := parse(js); err == nil {
			t.Errorf("%.40s: no error", js)
		}
	}
	if m, err := parse(`{"type":"other"}`); err != nil || len(m.Sources) != 0 {
		t.Errorf("another json-message: %v, %v", m, err)
	}
}

// T12: a json-message of any depth or width is refused or read, and costs no more than it is long.
func TestT12_JSONBombs(t *testing.T) {
	for _, js := range []string{
		strings.Repeat("[", 100_000), strings.Repeat(`{"sources":`, 100_000), `{"sources":{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}}",
		`{"sources":{"a":[[],[],` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "]}}",
		`{"sources":{` + strings.Repeat(`"a":[],`, 100_000) + `"b":[]}}`, `{"sources":{"a":[` + strings.Repeat("[],", 300_000) + `[]]}}`,
	} {
		var before, after runtime.MemStats
		j := stanza.New(jingle.NS, "jingle", "action", "source-add", "sid", "1").Add(stanza.New("http://jitsi.org/jitmeet", "json-message").WithText(js))
		runtime.ReadMemStats(&before)
		m, err := jingle.Parse(stanza.New("jabber:client", "iq").Add(j))
		runtime.ReadMemStats(&after)
		if err == nil && len(m.Sources) != 0 {
			t.Errorf("%.40s: %d sources", js, len(m.Sources))
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(64*len(js)) {
			t.Errorf("%.40s: %d bytes took %d", js, len(js), took)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, iq := range captured(f) {
		f.Add(iq.String())
	}
	f.Fuzz(func(t *testing.T, s string) {
		iq, err := parseXML(s)
		if err != nil {
			return
		}
		m, err := jingle.Parse(iq)
		if err != nil {
			return
		}
		if len(m.Sources) > 5000 || len(m.Payloads) > 64*64 {
			t.Errorf("%d sources, %d payloads", len(m.Sources), len(m.Payloads))
		}
		if _, err := jingle.Parse(stanza.New("", "iq").Add(m.Elem())); err != nil {
			t.Errorf("what was parsed cannot be parsed again: %v", err)
		}
	})
}
