package conference

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"jigasi/internal/stanza"
)

// A line is one stanza of a capture of a real Jitsi, or a note of who took it.
type line struct {
	at   time.Duration
	dir  string // SEND, RECV or NOTE
	note string
	e    *stanza.Elem // nil for notes and the head of a stream
}

var heading = regexp.MustCompile(`(?m)^<!-- +([0-9.]+) (SEND|RECV|NOTE) \S+ -->$`)

const streamHead = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='meet.localhost' version='1.0'>"

// captures are the files of all scenarios; package jingle keeps them.
func captures(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../jingle/testdata/*.xml")
	if err != nil || len(files) < 11 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	return files
}

// capture reads one file, every stanza through the reader that a connection has.
func capture(t *testing.T, file string) []line {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	var all []line
	marks := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		sec, err := strconv.ParseFloat(text[m[2]:m[3]], 64)
		if err != nil {
			t.Fatal(err)
		}
		body := strings.TrimSpace(text[m[1]:end])
		l := line{at: time.Duration(sec*1000) * time.Millisecond, dir: text[m[4]:m[5]]}
		switch {
		case l.dir == "NOTE":
			l.note = strings.Trim(body, "<!-> ")
		case strings.HasPrefix(body, "<?xml"):
			if _, err := stanza.NewReader(strings.NewReader(body), stanza.Limits{}).Header(); err != nil {
				t.Errorf("%s, %v: %v", file, l.at, err)
			}
		default:
			r := stanza.NewReader(strings.NewReader(streamHead+body), stanza.Limits{})
			if _, err := r.Header(); err != nil {
				t.Fatal(err)
			}
			if l.e, err = r.Next(); err != nil {
				t.Fatalf("%s, %v: %v", file, l.at, err)
			}
		}
		all = append(all, l)
	}
	if len(all) < 20 {
		t.Fatalf("%s: only %d stanzas", file, len(all))
	}
	return all
}

var segment = regexp.MustCompile(`(?m)^=== ([0-9.]+) stream \d+ (C->S|S->C)$`)

// oldCapture reads what the Java gateway and a real server said to each other, as bytes of TCP.
func oldCapture(t *testing.T, file string) []line {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	var all []line
	marks := segment.FindAllStringSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		sec, err := strconv.ParseFloat(text[m[2]:m[3]], 64)
		if err != nil {
			t.Fatal(err)
		}
		dir := map[string]string{"C->S": "SEND", "S->C": "RECV"}[text[m[4]:m[5]]]
		body := opening.ReplaceAllString(strings.TrimSpace(text[m[1]:end]), "")
		r := stanza.NewReader(strings.NewReader(streamHead+body+"</stream:stream>"), stanza.Limits{})
		if _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		for e, err := r.Next(); err != io.EOF; e, err = r.Next() {
			if err != nil {
				t.Fatalf("%s, %v: %v", file, sec, err)
			}
			all = append(all, line{at: time.Duration(sec*1000) * time.Millisecond, dir: dir, e: e})
		}
	}
	if len(all) < 20 {
		t.Fatalf("%s: only %d stanzas", file, len(all))
	}
	return all
}

var opening = regexp.MustCompile(`^(<\?xml[^>]*>)?<stream:stream[^>]*>`)

// everything gives the lines of all captures by the name of their file.
func everything(t *testing.T) map[string][]line {
	t.Helper()
	all := map[string][]line{}
	for _, f := range captures(t) {
		all[strings.TrimSuffix(filepath.Base(f), ".xml")] = capture(t, f)
	}
	old, err := filepath.Glob("testdata/jigasi/*.txt")
	if err != nil || len(old) != 3 {
		t.Fatalf("%d captures of the Java gateway, %v", len(old), err)
	}
	for _, f := range old {
		all["jigasi-"+strings.TrimSuffix(filepath.Base(f), ".txt")] = oldCapture(t, f)
	}
	return all
}
