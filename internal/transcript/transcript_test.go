package transcript

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(s string) time.Time {
	t, err := time.Parse(instant, s)
	if err != nil {
		panic(err)
	}
	return t
}

var (
	alice = Person{ID: "0a1b2c3d", Name: "Alice"}
	bob   = Person{ID: "9f8e7d6c", Name: "Bob Jones"}
)

// meeting is the worked example of the specification.
func meeting() []Entry {
	return []Entry{
		{Kind: Start, At: at("2024-11-22T15:04:05.123456Z"), Room: "standup@conference.meet.example.com", RoomURL: "https://meet.example.com/standup"},
		{Kind: Join, At: at("2024-11-22T15:04:05.123456Z"), Person: alice},
		{Kind: Join, At: at("2024-11-22T15:04:05.123456Z"), Person: bob},
		{Kind: Speech, At: at("2024-11-22T15:04:31.000000Z"), Until: at("2024-11-22T15:04:33.500000Z"), Person: bob, ID: "u2", Language: "en-US", Text: "fine with me", Confidence: 1},
		{Kind: Speech, At: at("2024-11-22T15:04:12.000000Z"), Until: at("2024-11-22T15:04:12.200000Z"), Person: alice, ID: "u1", Language: "en-US", Confidence: .93,
			Text: "good morning everybody  let us start with the numbers of last week and then talk about the release"},
		{Kind: Speech, At: at("2024-11-22T15:04:12.000000Z"), Person: alice, ID: "u1", Interim: true, Text: "good"},
		{Kind: Translation, At: at("2024-11-22T15:04:31.000000Z"), Person: bob, ID: "u2", Language: "fr", Text: "ça me va <b>& plus"},
		{Kind: Leave, At: at("2024-11-22T15:05:40.000000Z"), Person: bob},
		{Kind: End, At: at("2024-11-22T15:06:00.654321Z")},
	}
}

func render(t *testing.T, tr *Transcript, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := tr.Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	line := strings.Repeat("_", 80)
	want := strings.Join([]string{
		"Transcript of conference held at Nov 22, 2024 in room standup@conference.meet.example.com",
		"Initial people present at 3:04:05 PM:", "\tAlice", "\tBob Jones", "",
		"Transcript, started at 3:04:05 PM:", line,
		"<3:04:05 PM> Alice joined the conference", "<3:04:05 PM> Bob Jones joined the conference",
		"<3:04:12 PM> Alice: good morning everybody let us start with the numbers of last",
		"                    week and then talk about the release ",
		"<3:04:31 PM> Bob Jones: fine with me ",
		"<3:05:40 PM> Bob Jones left the conference", line, "", "", "End of transcript at Nov 22, 2024, 3:06:00 PM"}, "\n")
	if got := render(t, Of(meeting()), "txt"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestJSON(t *testing.T) {
	var got, want any
	if err := json.Unmarshal([]byte(render(t, Of(meeting()), "json")), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"room_name":"standup@conference.meet.example.com","room_url":"https://meet.example.com/standup",
 "start_time":"2024-11-22T15:04:05.123456Z","end_time":"2024-11-22T15:06:00.654321Z",
 "initial_participants":[{"name":"Alice","id":"0a1b2c3d"},{"name":"Bob Jones","id":"9f8e7d6c"}],
 "events":[
  {"event":"JOIN","timestamp":1732287845123,"participant":{"name":"Alice","id":"0a1b2c3d"}},
  {"event":"JOIN","timestamp":1732287845123,"participant":{"name":"Bob Jones","id":"9f8e7d6c"}},
  {"event":"SPEECH","timestamp":1732287852000,"participant":{"name":"Alice","id":"0a1b2c3d"},
   "transcript":[{"text":"good morning everybody  let us start with the numbers of last week and then talk about the release","confidence":0.93}],
   "language":"en-US","is_interim":false,"message_id":"u1","stability":0.0},
  {"event":"SPEECH","timestamp":1732287871000,"participant":{"name":"Bob Jones","id":"9f8e7d6c"},
   "transcript":[{"text":"fine with me","confidence":1}],"language":"en-US","is_interim":false,"message_id":"u2","stability":0.0},
  {"event":"LEAVE","timestamp":1732287940000,"participant":{"name":"Bob Jones","id":"9f8e7d6c"}}]}`), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("%s\nwant\n%s", a, b)
	}
	if got := render(t, Of(nil), "json"); got != "{}" {
		t.Error(got)
	}
}

func TestSubtitles(t *testing.T) {
	const vtt = "WEBVTT\n\n00:00:06.876 --> 00:00:07.876\n<v Alice>good morning everybody let us start with the numbers of last week and then talk about the release\n" +
		"\n00:00:25.876 --> 00:00:28.376\n<v Bob Jones>ça me va &lt;b&gt;&amp; plus\n"
	if got := render(t, Of(meeting()).In("fr"), "vtt"); got != vtt {
		t.Error(got)
	}
	const srt = "1\n00:00:06,876 --> 00:00:07,876\nAlice: good morning everybody let us start with the numbers of last week and then talk about the release\n\n" +
		"2\n00:00:25,876 --> 00:00:28,376\nBob Jones: fine with me\n\n"
	if got := render(t, Of(meeting()), "srt"); got != srt {
		t.Error(got)
	}
	if err := Of(nil).Write(&bytes.Buffer{}, "doc"); err == nil || !strings.Contains(err.Error(), "txt, json, vtt, srt") {
		t.Error(err)
	}
}

// TestMessage: clients replace HTML entities in the whole JSON before they parse it, so none may
// stand there literally.
func TestMessage(t *testing.T) {
	text := "say \"&quot;\" & <b>, שלום 😀 " + strings.Repeat("x", 10_000)
	for _, e := range []Entry{
		{Kind: Speech, Person: alice, Text: text, Language: "en", ID: "u", Interim: true, At: time.UnixMilli(5)},
		{Kind: Translation, Person: alice, Text: text, Language: "zh-CN", ID: "u", At: time.UnixMilli(5)},
	} {
		b, err := json.Marshal(MessageOf(e))
		if err != nil || regexp.MustCompile(`&[a-z]+;|[<>&]`).Match(b) {
			t.Errorf("%v %.200s", err, b)
		}
		var m Message
		if err := json.Unmarshal(b, &m); err != nil || m.Event != "SPEECH" || m.ID != "u" || m.Language != e.Language || m.Timestamp != 5 {
			t.Errorf("%v %+v", err, m)
		}
		if e.Kind == Speech && (m.Transcript[0].Text != text || !*m.Interim) || e.Kind == Translation && (m.Text != text || m.Interim != nil) {
			t.Errorf("%.200s", b)
		}
	}
}

// TestT28_NamesAreOurs: whatever a room or a person is called, names of files hold none of it, and a line stays a line.
func TestT28_NamesAreOurs(t *testing.T) {
	now := at("2024-11-22T15:04:05.123456Z")
	name := Name(now)
	if !regexp.MustCompile(`^2024-11-22T15:04:05\.123456Z_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(name) || name == Name(now) {
		t.Error(name)
	}
	var ids []string
	for i := range 100 {
		ids = append(ids, NewID(now.Add(time.Duration(i)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(ids[0]) {
		t.Error(ids[0], ids[1])
	}
	evil := Person{ID: "x", Name: "Eve\n<9:99:99 PM> Bob:\tI agree"}
	tr := Of([]Entry{{Kind: Start, At: now, Room: "../../x\n"}, {Kind: Speech, At: now, Person: evil, Text: "a\nb\r\n\nc --> d"}})
	for _, format := range []string{"txt", "vtt", "srt"} {
		got := render(t, tr, format)
		if strings.Contains(got, "\n<9:") || strings.Contains(got, "\nb") || strings.Contains(got, "\nc") {
			t.Error(got)
		}
	}
}

func TestNamed(t *testing.T) {
	at := time.Date(2024, 11, 22, 15, 4, 5, 123456000, time.UTC)
	name := Name(at)
	if got, ok := Named(name); !ok || !got.Equal(at) {
		t.Error(name, got, ok)
	}
	for _, bad := range []string{
		"", ".", "..", name + "/", "/" + name, name + "\x00", name[1:], name[:len(name)-1], strings.ToUpper(name), "transcript_" + name, "../" + name,
		strings.Replace(name, "-4", "-5", 1) + "x", strings.Replace(name, ":", "/", 1), "2024-11-22T15:04:05Z_00000000-0000-4000-8000-000000000000", "CON",
		strings.Replace(name, "Z_", "+00:00_", 1), name[:len(name)-1] + "é",
	} {
		if _, ok := Named(bad); ok {
			t.Errorf("%q is taken for a name", bad)
		}
	}
}

func TestIsFile(t *testing.T) {
	name := Name(time.Date(2024, 11, 22, 15, 4, 5, 0, time.UTC))
	for _, good := range []string{"transcript_" + name + ".txt", "transcript_" + name + ".jsonl", name + ".wav", name + "_12.opus", name + ".jsonl"} {
		if !IsFile(good) {
			t.Errorf("%s is none of ours", good)
		}
	}
	for _, bad := range []string{
		"", name, name + ".html", name + ".txt", "transcript_" + name + ".html", "transcript_" + name + ".txt.part", "transcript_" + name + "_1.txt", name + "_01.wav", name + "_.wav",
		name + "_-1.wav", "../" + name + ".wav", "x" + name + ".wav", name + ".wav/", "unfinished.jsonl", "transcript_transcript_" + name + ".txt", "transcript_" + name + ".wav",
	} {
		if IsFile(bad) {
			t.Errorf("%q is taken for one of ours", bad)
		}
	}
}
