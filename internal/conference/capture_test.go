package conference

import (
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
