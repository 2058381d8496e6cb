package scribe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/media"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
	"jigasi/internal/transcript"
	"jigasi/internal/translate"
)

// ears is a speech service that hears at once.
type ears struct{}

func (ears) Needs() recognize.Needs { return recognize.Needs{} }
func (ears) Open(context.Context, recognize.Who) (recognize.Stream, error) {
	return &ear{results: make(chan recognize.Result, 1000)}, nil
}

type ear struct {
	prove.Ear
	results chan recognize.Result
	once    sync.Once
}

func (e *ear) Write(pcm []byte) error           { e.say(e.Hear(pcm)); return nil }
func (e *ear) Results() <-chan recognize.Result { return e.results }
func (e *ear) CloseSend() error                 { e.say(e.Finish()); e.Close(); return nil }
func (e *ear) Close()                           { e.once.Do(func() { close(e.results) }) }
func (e *ear) Err() error                       { return nil }
func (e *ear) say(heard []prove.Heard) {
	for _, h := range heard {
		e.results <- recognize.Result{Text: h.Text, Final: h.Final, Confidence: .9, Start: h.Start, End: h.End}
	}
}

// upper is a translator whose every third sentence fails and whose every second takes its time.
type upper struct {
	mu sync.Mutex
	n  int
}

func (u *upper) Translate(ctx context.Context, text, from, to string) (string, error) {
	u.mu.Lock()
	u.n++
	n := u.n
	u.mu.Unlock()
	if from != "en" {
		return "", errors.New("not English")
	}
	switch {
	case n%3 == 0 && n%2 == 0:
		<-ctx.Done()
		return "", ctx.Err()
	case n%3 == 0:
		return "", translate.ErrNothing
	case n%2 == 0:
		<-time.After(2 * time.Second)
	}
	return strings.ToUpper(text), nil
}

// reader is a publisher that keeps all, and can be slow.
type reader struct {
	mu    sync.Mutex
	got   []transcript.Entry
	delay time.Duration
	fail  bool
}

func (r *reader) Name() string { return "reader" }
func (r *reader) Publish(ctx context.Context, e transcript.Entry) error {
	if r.delay > 0 {
		select {
		case <-time.After(r.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.fail {
		return errors.New("no")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, e)
	return nil
}

func (r *reader) of(kind transcript.Kind, person string, interim bool) []transcript.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []transcript.Entry
	for _, e := range r.got {
		if e.Kind == kind && e.Interim == interim && (person == "" || e.Person.ID == person) {
			out = append(out, e)
		}
	}
	return out
}

func texts(list []transcript.Entry) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.Text)
	}
	return out
}

// speak lets voices say n utterances each, in real time, at several rates.
func speak(t *testing.T, voices []*Voice, n int) {
	t.Helper()
	clock := time.NewTicker(20 * time.Millisecond)
	defer clock.Stop()
	sound := prove.Say(n)
	wide := make([]int16, 960)
	for i := 0; i+320 <= len(sound); i += 320 {
		<-clock.C
		for k, v := range voices {
			c := media.Chunk{PCM: sound[i : i+320], Rate: media.Wide}
			if k == 1 {
				for j := range wide {
					wide[j] = sound[i+j/3]
				}
				c = media.Chunk{PCM: wide, Rate: media.Full}
			}
			v.Push(&c, time.Now())
		}
	}
}

func TestSession(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var counts Counts
		read, j := &reader{}, transcript.NewJournal(filepath.Join(dir, "j.jsonl"))
		s := New(Options{
			Room: "standup@conference.meet.example.com", Service: ears{}, Translator: &upper{}, Targets: []string{"fr", "en", "zh-CN", "fr"},
			Journal: j, Publishers: []Publisher{read}, Counts: &counts, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		a, err := s.Join(transcript.Person{ID: "a", Name: "Alice"}, "en-US", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Join(transcript.Person{ID: "b", Name: "Bob"}, "en-GB", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		speak(t, []*Voice{a, b}, 10)
		b.Leave(time.Now())
		speak(t, []*Voice{a}, 5)
		if err := s.Close(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Join(transcript.Person{}, "en", time.Now()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		for person, want := range map[string][]string{"a": slices.Concat(prove.Script(10), prove.Script(5)), "b": prove.Script(10)} {
			if got := texts(read.of(transcript.Speech, person, false)); !slices.Equal(got, want) {
				t.Errorf("%s: %q", person, got)
			}
		}
		checkIDs(t, read)
		checkTranslations(t, read, &counts)
		f, err := os.Open(j.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		kept, err := transcript.Read(f)
		want := slices.DeleteFunc(slices.Clone(read.got), func(e transcript.Entry) bool { return e.Interim })
		if err != nil || len(kept) != len(want) || kept[len(kept)-1].Kind != transcript.End {
			t.Errorf("%d entries of %d in the journal: %v", len(kept), len(want), err)
		}
		for _, word := range append(prove.Script(1), "W0 W1", "w0", "W0") {
			if strings.Contains(log.String(), word) {
				t.Errorf("%q is in the log", word)
			}
		}
	})
}

// checkIDs: one id from the first interim to the final and the translations, and none twice.
func checkIDs(t *testing.T, read *reader) {
	t.Helper()
	final := map[string]transcript.Entry{}
	for _, e := range read.of(transcript.Speech, "", false) {
		if _, twice := final[e.ID]; twice {
			t.Errorf("id %s is there twice", e.ID)
		}
		final[e.ID] = e
	}
	for _, e := range slices.Concat(read.of(transcript.Speech, "", true), read.of(transcript.Translation, "", false)) {
		f, ok := final[e.ID]
		if !ok || f.Person != e.Person || !strings.HasPrefix(f.Text, strings.ToLower(e.Text)) || !f.At.Equal(e.At) && e.Kind == transcript.Translation {
			t.Errorf("%s %q belongs to %q", e.Kind, e.Text, f.Text)
		}
	}
	if len(read.of(transcript.Speech, "", true)) < 25 {
		t.Error("hardly an interim")
	}
}

// checkTranslations: in order within each language, none into English, a third missing, all counted.
func checkTranslations(t *testing.T, read *reader, counts *Counts) {
	t.Helper()
	order := map[string]int{}
	for i, e := range read.of(transcript.Speech, "", false) {
		order[e.ID] = i
	}
	last, n := map[string]int{"fr": -1, "zh-CN": -1}, 0
	for _, e := range read.of(transcript.Translation, "", false) {
		before, ok := last[e.Language]
		if !ok || order[e.ID] <= before || e.Text == "" {
			t.Errorf("%s: %q", e.Language, e.Text)
		}
		last[e.Language] = order[e.ID]
		n++
	}
	if int64(n) != counts.Translated.Load() || n+int(counts.TranslateErrors.Load()) != 50 || counts.TranslateErrors.Load() < 15 {
		t.Errorf("%d translations, %d failed", n, counts.TranslateErrors.Load())
	}
}

// TestSlowPublisher: it delays nobody, loses interims only, and beyond its bound is called broken.
func TestSlowPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counts Counts
		slow, quick, bad := &reader{delay: 5 * time.Second}, &reader{}, &reader{fail: true}
		s := New(Options{Service: ears{}, Publishers: []Publisher{slow, quick, bad}, Counts: &counts})
		v, _ := s.Join(transcript.Person{ID: "a"}, "en", time.Now())
		speak(t, []*Voice{v}, 40)
		synctest.Wait()
		if n := len(quick.of(transcript.Speech, "", false)); n != 40 {
			t.Errorf("the quick one has %d", n)
		}
		if n := len(slow.of(transcript.Speech, "", false)); n > 20 {
			t.Errorf("the slow one has %d already", n)
		}
		err := s.Close(t.Context(), time.Now())
		if got := texts(slow.of(transcript.Speech, "", false)); !slices.Equal(got, prove.Script(40)) {
			t.Errorf("%q", got)
		}
		if counts.InterimsDropped.Load() == 0 || counts.FinalsDropped.Load() != 0 || s.outlets[0].broken.Load() {
			t.Errorf("%d interims, %d finals dropped", counts.InterimsDropped.Load(), counts.FinalsDropped.Load())
		}
		if err == nil || !strings.Contains(err.Error(), "entries were not published") || counts.PublishErrors.Load() < 40 {
			t.Errorf("%v %d", err, counts.PublishErrors.Load())
		}
	})
}

// TestStuckPublisher: what waits is bounded, the first thousand are kept waiting, and Close ends in time.
func TestStuckPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counts Counts
		stuck := &reader{delay: 100 * time.Hour}
		s := New(Options{Service: ears{}, Publishers: []Publisher{stuck}, Counts: &counts})
		for n := range 1100 {
			s.in <- transcript.Entry{Kind: transcript.Speech, ID: fmt.Sprint(n), Text: "x"}
		}
		synctest.Wait()
		if !s.outlets[0].broken.Load() || counts.FinalsDropped.Load() < 90 || counts.FinalsDropped.Load() > 101 {
			t.Errorf("%d", counts.FinalsDropped.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := s.Close(ctx, time.Now()); err == nil || time.Since(start) > 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestCutShort: a session whose end may take no time still has a whole journal, and says what was not read.
func TestCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.jsonl")
	for n := range 20 {
		j := transcript.NewJournal(fmt.Sprint(path, n))
		s := New(Options{Service: ears{}, Journal: j, Publishers: []Publisher{&reader{delay: time.Hour}}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(ctx, time.Now()); err == nil || !strings.Contains(err.Error(), "reader: 2 entries were not published") {
			t.Error(err)
		}
		if b, err := os.ReadFile(j.Path()); err != nil || !bytes.Contains(b, []byte(`"END"`)) {
			t.Errorf("%v %s", err, b)
		}
	}
}

// TestT35_JournalComesBack: the directory is not there at first; nothing of the session is lost.
func TestT35_JournalComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		j := transcript.NewJournal(filepath.Join(dir, "j.jsonl"))
		s := New(Options{Service: ears{}, Journal: j})
		v, _ := s.Join(transcript.Person{ID: "a"}, "en", time.Now())
		speak(t, []*Voice{v}, 5)
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // virtual: it tries again by itself
		synctest.Wait()
		if b, err := os.ReadFile(j.Path()); err != nil || bytes.Count(b, []byte("SPEECH")) != 5 {
			t.Errorf("%v %s", err, b)
		}
		if err := s.Close(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
	})
}

// TestLanguagesComeAndGo: a language is translated into while somebody wants it; who has a second source, another
// language or another name is the same person, and comes and goes once.
func TestLanguagesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := &reader{}
		s := New(Options{Service: ears{}, Translator: same{}, Publishers: []Publisher{read}})
		alice := transcript.Person{ID: "a", Name: "Alice"}
		s.Note(transcript.Join, alice, time.Now())
		a, err := s.Listen(alice, "a", "en-US")
		if err != nil {
			t.Fatal(err)
		}
		speak(t, []*Voice{a}, 1)
		s.Translate([]string{"fr", "", "en"})
		speak(t, []*Voice{a}, 1)
		s.Translate(nil)
		speak(t, []*Voice{a}, 1)
		a.Rename(transcript.Person{ID: "a", Name: "Alicia"})
		s.Translate([]string{"fr", "zh-CN"})
		speak(t, []*Voice{a}, 1)
		a.End()
		b, err := s.Listen(alice, "a-a1", "de-DE")
		if err != nil {
			t.Fatal(err)
		}
		speak(t, []*Voice{b}, 1)
		var many []string
		for i := range 2 * maxTargets {
			many = append(many, fmt.Sprint("x", i))
		}
		s.Translate(many)
		if err := s.Close(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		s.Translate([]string{"too-late"})
		s.Note(transcript.Leave, alice, time.Now())
		into := map[string]int{}
		for _, e := range read.of(transcript.Translation, "a", false) {
			into[e.Language]++
		}
		if into["fr"] != 3 || into["zh-CN"] != 2 || into["en"] != 0 || len(s.target) != maxTargets {
			t.Errorf("%v, %d languages", into, len(s.target))
		}
		if n := len(read.of(transcript.Join, "", false)) + len(read.of(transcript.Leave, "", false)); n != 1 {
			t.Errorf("%d comings and goings", n)
		}
		said := read.of(transcript.Speech, "a", false)
		if len(said) != 5 || said[2].Person.Name != "Alice" || said[3].Person.Name != "Alicia" || said[4].Language != "de-DE" {
			t.Errorf("%+v", said)
		}
	})
}

// same is a translator at once.
type same struct{}

func (same) Translate(_ context.Context, text, _, _ string) (string, error) { return text, nil }
