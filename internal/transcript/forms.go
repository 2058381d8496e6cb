package transcript

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Formats are the forms that Write knows.
var Formats = []string{"txt", "json", "vtt", "srt"}

// Write writes t in a form: txt and json are Jigasi's files, vtt and srt are subtitles with times
// from the start of the meeting.
func (t *Transcript) Write(w io.Writer, format string) error {
	b := bufio.NewWriter(w)
	switch format {
	case "txt":
		t.text(b)
	case "json":
		if err := t.json(b); err != nil {
			return err
		}
	case "vtt":
		t.vtt(b)
	case "srt":
		t.srt(b)
	default:
		return errors.New("a transcript is written as " + strings.Join(Formats, ", "))
	}
	return b.Flush()
}

const (
	dateForm = "Jan 2, 2006"
	timeForm = "3:04:05 PM"
	width    = 80
)

// text is the TXT of Jigasi, in en-US and UTC.
func (t *Transcript) text(b *bufio.Writer) {
	start := t.Start.UTC()
	line := strings.Repeat("_", width)
	fmt.Fprintf(b, "Transcript of conference held at %s in room %s\nInitial people present at %s:\n", start.Format(dateForm), oneLine(t.Room), start.Format(timeForm))
	for _, p := range t.Present {
		fmt.Fprintf(b, "\t%s\n", oneLine(p.Name))
	}
	fmt.Fprintf(b, "\nTranscript, started at %s:\n%s\n", start.Format(timeForm), line)
	for _, e := range t.Entries {
		prefix := fmt.Sprintf("<%s> %s", e.At.UTC().Format(timeForm), oneLine(e.Person.Name))
		switch e.Kind {
		case Join:
			fmt.Fprintf(b, "%s joined the conference\n", prefix)
		case Leave:
			fmt.Fprintf(b, "%s left the conference\n", prefix)
		case RaiseHand:
			fmt.Fprintf(b, "%s raised their hand\n", prefix)
		case Speech:
			fmt.Fprintln(b, wrap(prefix+": ", e.Text))
		case Start, End, Translation: // not lines of this form
		}
	}
	fmt.Fprintf(b, "%s\n\n\nEnd of transcript at %s", line, t.ended().UTC().Format(dateForm+", "+timeForm))
}

// wrap breaks a line as Jigasi does: before a word that would not fit, with an indent as wide as
// the prefix, and with a space after each word that leaves room for it.
func wrap(prefix, text string) string {
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(prefix + text) {
		n := utf8.RuneCountInString(word)
		if length+n > width && length > 0 {
			length = utf8.RuneCountInString(prefix)
			b.WriteString("\n" + strings.Repeat(" ", length))
		}
		b.WriteString(word)
		if length += n; length < width {
			b.WriteByte(' ')
			length++
		}
	}
	return b.String()
}

// oneLine keeps a name from being several lines.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// A Message is an entry as Jigasi sends it to a room, posts it and saves it.
type Message struct {
	Event      Kind        `json:"event"`
	Timestamp  int64       `json:"timestamp"`
	Person     *Person     `json:"participant,omitempty"`
	Text       string      `json:"text,omitempty"`
	Transcript []candidate `json:"transcript,omitempty"`
	Language   string      `json:"language,omitempty"`
	Interim    *bool       `json:"is_interim,omitempty"`
	ID         string      `json:"message_id,omitempty"`
	Stability  *float64    `json:"stability,omitempty"`
}

type candidate struct {
	Text       string  `json:"text"`
	Confidence float64 `json:"confidence"`
}

// MessageOf makes the message of an entry. Its JSON, by encoding/json, is safe for clients that
// unescape HTML entities before they parse: & is written as \u0026.
func MessageOf(e Entry) Message {
	m := Message{Event: e.Kind, Timestamp: e.At.UnixMilli()}
	if e.Person != (Person{}) {
		m.Person = &e.Person
	}
	switch e.Kind {
	case Speech:
		m.Transcript = []candidate{{e.Text, e.Confidence}}
		m.Language, m.ID, m.Interim, m.Stability = e.Language, e.ID, &e.Interim, &e.Stability
	case Translation:
		m.Event, m.Language, m.ID, m.Text = Speech, e.Language, e.ID, e.Text
	case Start, End, Join, Leave, RaiseHand: // nothing more to say
	}
	return m
}

// json is the JSON of Jigasi, on one line.
func (t *Transcript) json(w io.Writer) error {
	out := struct {
		Room    string    `json:"room_name,omitempty"`
		URL     string    `json:"room_url,omitempty"`
		Start   string    `json:"start_time,omitempty"`
		End     string    `json:"end_time,omitempty"`
		Present []Person  `json:"initial_participants,omitempty"`
		Events  []Message `json:"events,omitempty"`
	}{Room: t.Room, URL: t.RoomURL, Start: moment(t.Start), End: moment(t.ended()), Present: t.Present}
	for _, e := range t.Entries {
		if e.Kind != Translation {
			out.Events = append(out.Events, MessageOf(e))
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(instant)
}

var vttEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// vtt is WebVTT, each cue with its voice.
func (t *Transcript) vtt(b *bufio.Writer) {
	fmt.Fprint(b, "WEBVTT\n")
	for _, e := range t.spoken() {
		from, to := t.span(e)
		fmt.Fprintf(b, "\n%s --> %s\n<v %s>%s\n", clock(from, "."), clock(to, "."), vttEscape.Replace(oneLine(e.Person.Name)), vttEscape.Replace(oneLine(e.Text)))
	}
}

// srt is SubRip, the speaker before the text.
func (t *Transcript) srt(b *bufio.Writer) {
	for i, e := range t.spoken() {
		from, to := t.span(e)
		fmt.Fprintf(b, "%d\n%s --> %s\n%s: %s\n\n", i+1, clock(from, ","), clock(to, ","), oneLine(e.Person.Name), oneLine(e.Text))
	}
}

func (t *Transcript) spoken() []Entry {
	var out []Entry
	for _, e := range t.Entries {
		if e.Kind == Speech && e.Text != "" {
			out = append(out, e)
		}
	}
	return out
}

// span is when a cue is shown: at least a second, so that it can be read.
func (t *Transcript) span(e Entry) (from, to time.Duration) {
	from = max(0, e.At.Sub(t.Start))
	return from, max(from+time.Second, e.Until.Sub(t.Start))
}

func clock(d time.Duration, point string) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d%s%03d", ms/3600000, ms/60000%60, ms/1000%60, point, ms%1000)
}
