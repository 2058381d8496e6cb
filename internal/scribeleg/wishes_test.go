package scribeleg

import (
	"context"
	"encoding/json"
	"html"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/conference"
	"jigasi/internal/leg"
	"jigasi/internal/meetxml"
	"jigasi/internal/stanza"
	"jigasi/internal/transcript"
)

// TestWhoKeepsIt: who keeps a transcriber in a room, and after how long it leaves (transcription spec 1.8, 1.9).
func TestWhoKeepsIt(t *testing.T) {
	const empty = 30 * time.Second
	person := func(change func(*meetxml.Listener)) meetxml.Listener {
		l := meetxml.Listener{Nick: "a"}
		if change != nil {
			change(&l)
		}
		return l
	}
	wants := person(func(l *meetxml.Listener) { l.Wants, l.Knows = true, true })
	not := person(func(l *meetxml.Listener) { l.Knows = true })
	recorder := person(func(l *meetxml.Listener) { l.Recorder = true })
	other := person(func(l *meetxml.Listener) { l.Transcriber = true })
	phone := person(func(l *meetxml.Listener) { l.Phone = true })
	in := func(list ...meetxml.Listener) conference.Meeting { return conference.Meeting{People: list, Here: true} }
	with := func(m conference.Meeting, d meetxml.Metadata) conference.Meeting { m.Data = d; return m }
	for name, tt := range map[string]struct {
		m     conference.Meeting
		stage stage
		once  bool
		after time.Duration
		code  cause.Code
	}{
		"somebody wants it":                    {in(wants, not), hearing, true, 0, cause.Unknown},
		"nobody wants it any more":             {in(not, phone), hearing, true, unwantedDelay, cause.Normal},
		"nobody ever said so, all can":         {in(not), hearing, false, unwantedDelay, cause.Normal},
		"old clients, which cannot say so":     {in(person(nil), phone), hearing, false, 0, cause.Unknown},
		"who wanted it has left":               {in(person(nil)), hearing, true, unwantedDelay, cause.Normal},
		"the room wants it":                    {with(in(not), meetxml.Metadata{Transcribing: true}), hearing, true, 0, cause.Unknown},
		"visitors want it":                     {with(in(not), meetxml.Metadata{Visitors: 1}), hearing, true, 0, cause.Unknown},
		"not begun yet":                        {in(not), coming, false, 0, cause.Unknown},
		"nobody is there":                      {in(), coming, false, empty, cause.Deserted},
		"only recorders and transcribers":      {with(in(recorder, other), meetxml.Metadata{Transcribing: true}), hearing, true, empty, cause.Deserted},
		"nobody is there, and nobody wants it": {in(), hearing, true, unwantedDelay, cause.Normal},
		"a phone is somebody":                  {with(in(phone), meetxml.Metadata{Transcribing: true}), hearing, true, 0, cause.Unknown},
		"it ends already":                      {in(), ending, true, 0, cause.Unknown},
	} {
		if got := look(tt.m, tt.stage, tt.once).verdict(empty); got.after != tt.after || got.why.Code != tt.code {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestLanguages: what is spoken and what is read, as clients say it (transcription spec 3.1).
func TestLanguages(t *testing.T) {
	for in, want := range map[string]string{"": "", "en-US": "en-US", "pt_br": "pt-BR", "iw-IL": "he-IL", " fr ": "fr", "garbage tag!": "de-DE", "x": "de-DE", strings.Repeat("en-", 350_000): "de-DE"} {
		if got := language(meetxml.Listener{Language: in, Speaks: true}, "de-DE"); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	if got := language(meetxml.Listener{}, "de-DE"); got != "de-DE" {
		t.Errorf("who does not say it speaks %q", got)
	}
	m := conference.Meeting{Data: meetxml.Metadata{Languages: []string{"es", "fr", "no tag!"}}}
	m.People = append(m.People, []meetxml.Listener{
		{Target: "fr"}, {Target: "zh-CN"}, {Target: "fr"}, {Target: ""}, {Target: "en"}, {Target: "EN-us"}, {Target: "no tag!"},
		{Target: "en", Language: "fr-FR", Speaks: true}, {Target: "it", Speaks: true},
	}...)
	if got := targets(m, "en-US"); !slices.Equal(got, []string{"fr", "zh-CN", "en", "es"}) {
		t.Errorf("into %q", got)
	}
	for i := range 1000 {
		m.Data.Languages = append(m.Data.Languages, string(rune('a'+i%26))+string(rune('a'+i/26%26)))
	}
	if n := len(targets(m, "en-US")); n != maxTargets {
		t.Errorf("%d languages", n)
	}
}

func TestPersons(t *testing.T) {
	l := meetxml.Listener{Nick: "0a", Name: "Al", Email: "a@x", Avatar: "https://x/a.png", UserName: "A", UserID: "1", GroupID: "g"}
	if got := personOf(l, false); got != (transcript.Person{ID: "0a", Name: "Al", Avatar: "https://x/a.png"}) {
		t.Errorf("%+v", got)
	}
	if got := personOf(l, true); got.Email != "a@x" || got.UserID != "1" || got.UserName != "A" || got.GroupID != "g" {
		t.Errorf("%+v", got)
	}
	if got := personOf(meetxml.Listener{Nick: "0a", Avatar: "javascript:alert(1)"}, false); got.Avatar != "" || got.Name != unnamed {
		t.Errorf("%+v", got)
	}
}

// scroll keeps the messages to a room.
type scroll struct{ list []*stanza.Elem }

func (s *scroll) Say(_ context.Context, m *stanza.Elem) error {
	parsed, err := stanza.Parse([]byte(m.String()), stanza.Limits{})
	s.list = append(s.list, parsed)
	return err
}

// TestWhatTheRoomReads: text that is hostile to XML, JSON, HTML and readers arrives as it was said, as captions and as chat; a
// client unescapes HTML before it reads JSON (acceptance 9 of the transcription spec).
func TestWhatTheRoomReads(t *testing.T) {
	for _, text := range []string{
		"good morning", `she said "no" & left`, "&quot;,&#39;&lt;b&gt;", "<script>alert('x')</script>]]>", "🙂👨‍👩‍👧 emoji", "שלום עולם \u200fمرحبا", "tab\tline\nend", `back\slash {"type":"x"}`,
		strings.Repeat("0123456789 ", 1000),
	} {
		for _, kind := range []transcript.Kind{transcript.Speech, transcript.Translation} {
			s := &scroll{}
			e := transcript.Entry{Kind: kind, At: time.UnixMilli(1732287852123), Person: transcript.Person{ID: "0a", Name: `Al "x" & <y>`}, ID: "1efa8e2c", Language: "en-US", Text: text, Confidence: .93}
			if err := (room{s, true, true}).Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			var m struct {
				Type, Event, Language, Text string
				ID                          string `json:"message_id"`
				Timestamp                   int64
				Interim                     *bool `json:"is_interim"`
				Stability                   *float64
				Person                      transcript.Person `json:"participant"`
				Transcript                  []struct {
					Text       string
					Confidence float64
				}
			}
			raw := html.UnescapeString(s.list[0].Kid(meetxml.NSMeet, "json-message").Text)
			if err := json.Unmarshal([]byte(raw), &m); err != nil {
				t.Fatalf("%.80s: %v", raw, err)
			}
			if m.Event != "SPEECH" || m.Language != "en-US" || m.ID != "1efa8e2c" || m.Timestamp != 1732287852123 || m.Person != e.Person {
				t.Errorf("%+v", m)
			}
			if kind == transcript.Translation {
				if len(s.list) != 1 || m.Type != "translation-result" || m.Text != text || m.Interim != nil || m.Stability != nil || m.Transcript != nil {
					t.Errorf("%+v and %d more", m, len(s.list)-1)
				}
				continue
			}
			if m.Type != "transcription-result" || len(m.Transcript) != 1 || m.Transcript[0].Text != text || m.Transcript[0].Confidence != .93 || *m.Interim || *m.Stability != 0 || m.Text != "" {
				t.Errorf("%+v", m)
			}
			if len(s.list) != 2 || s.list[1].Kid("", "body").Text != e.Person.Name+": "+text || s.list[1].Kid(meetxml.NSMeet, "json-message") != nil {
				t.Errorf("%v", s.list)
			}
		}
	}
	interim := transcript.Entry{Kind: transcript.Speech, Interim: true, Text: "goo"}
	for _, tt := range []struct {
		r room
		n int
	}{{room{nil, true, true}, 1}, {room{nil, false, true}, 0}, {room{nil, true, false}, 1}, {room{nil, false, false}, 0}} {
		s := &scroll{}
		tt.r.sayer = s
		if err := tt.r.Publish(t.Context(), interim); err != nil || len(s.list) != tt.n {
			t.Errorf("%+v: %d messages of an interim, %v", tt.r, len(s.list), err)
		}
		for _, kind := range []transcript.Kind{transcript.Start, transcript.Join, transcript.Leave, transcript.RaiseHand, transcript.End} {
			if err := tt.r.Publish(t.Context(), transcript.Entry{Kind: kind}); err != nil || len(s.list) != tt.n {
				t.Errorf("%s is told to the room", kind)
			}
		}
	}
}

// TestNobody: it picks up once, hangs up when it is told why, and is over once.
func TestNobody(t *testing.T) {
	n := NewNobody()
	n.Answer()
	n.Answer()
	n.Connect(nil)
	n.Send(leg.Status{Text: "x"})
	n.Send(leg.Farewell{Why: cause.Cause{Code: cause.Kicked}})
	if err := n.Hangup(t.Context(), cause.Cause{Code: cause.Normal}); err != nil {
		t.Error(err)
	}
	n.Answer()
	var got []leg.Phase
	for e := range n.Events() {
		got = append(got, e.Phase)
	}
	if !slices.Equal(got, []leg.Phase{leg.Up, leg.Over}) || n.Report().Facts != nil {
		t.Errorf("%v", got)
	}
}
