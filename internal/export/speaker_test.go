package export

import (
	"bytes"
	"os"
	"path/filepath"
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
