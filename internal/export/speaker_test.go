package export

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/transcript"
)

// TestWhoSpeaksHasCome: in the transcript a speaker comes when the first sound was said, which lies before what came in
// the burst at the beginning, and so before the first words.
func TestWhoSpeaksHasCome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, Options{Archive: keep(t, dir, "txt", "json")})
	b := connect(t, url(s, "m"), nil)
	for n, who := range []string{"a", "b"} {
		b.start(who + "-a0")
		b.talker(who+"-a0", 340).say(saying(script(n, 2)...)) // at once: it was all said before it came
		eventually(t, who, func() bool { return len(b.finals(who)) == 2 })
	}
	b.send(`{"event":"session-end"}`)
	eventually(t, "the end", func() bool { return s.Meetings() == 0 })
	files, _ := filepath.Glob(dir + "/*/*.jsonl")
	if len(files) != 1 {
		t.Fatal(files)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	entries, err := transcript.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	came, said := map[string]time.Time{}, 0
	for _, e := range entries {
		at, known := came[e.Person.ID]
		switch e.Kind {
		case transcript.Join:
			came[e.Person.ID] = e.At
		case transcript.Speech:
			if said++; !known || e.At.Before(at) {
				t.Errorf("%s speaks at %v and came at %v", e.Person.ID, e.At, at)
			}
		}
	}
	if len(came) != 2 || said != 4 {
		t.Errorf("%v came, %d sentences", came, said)
	}
	files, _ = filepath.Glob(dir + "/*/*.txt")
	if text, err = os.ReadFile(files[0]); err != nil {
		t.Fatal(err)
	}
	for n, who := range []string{"a", "b"} {
		join, word := strings.Index(string(text), who+" joined"), strings.Index(string(text), script(n, 2)[0])
		if join < 0 || word < join {
			t.Errorf("%s joined at %d and speaks at %d of\n%s", who, join, word, text)
		}
	}
}

// TestExportWithAGate: with a gate a paid service hears who speaks, whole, and not the silence between; without one it hears
// all.
func TestExportWithAGate(t *testing.T) {
	t.Parallel()
	for _, gate := range []bool{true, false} {
		s := begin(t, Options{Gate: gate})
		b := connect(t, url(s, "m"), nil)
		b.start("a-a0")
		k := b.talker("a-a0", 340)
		quiet := make([]int16, 4*16000) // all of it is less than is kept of a speaker
		for _, sentence := range script(1, 2) {
			k.say(quiet)
			k.say(saying(sentence))
		}
		eventually(t, "both", func() bool { return len(b.finals("a")) == 2 })
		if got := b.finals("a"); !slices.Equal(got, script(1, 2)) {
			t.Errorf("%q", got)
		}
		if ms := s.Counts().Scribe.Words.SentMS.Load(); gate != (ms < 8000) {
			t.Errorf("gate %v: %d ms were sent", gate, ms)
		}
	}
}
