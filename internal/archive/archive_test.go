package archive

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/egress"
	"jigasi/internal/lab/soak"
	"jigasi/internal/recording"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
)

func TestMain(m *testing.M) {
	soak.Together(8)
	os.Exit(m.Run())
}

var alice = transcript.Person{ID: "0a1b2c3d", Name: "Alice"}

func open(t *testing.T, o Options) *Archive {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		a.mu.Lock()
		closed := a.closing
		a.mu.Unlock()
		if closed {
			return
		}
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return a
}

// meet is a meeting in which sentences are said; it is not ended.
func meet(t *testing.T, a *Archive, room string, start time.Time, sentences ...string) *Session {
	t.Helper()
	s := a.Open(room, start)
	var o scribe.Options
	s.Attach(&o)
	say := func(e transcript.Entry) {
		if o.Journal != nil {
			if err := o.Journal.Append(e); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range o.Publishers {
			if err := p.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(transcript.Entry{Kind: transcript.Start, At: start, Room: room})
	say(transcript.Entry{Kind: transcript.Join, At: start, Person: alice})
	for i, text := range sentences {
		at := start.Add(time.Duration(i+1) * time.Second)
		say(transcript.Entry{Kind: transcript.Speech, At: at, Person: alice, ID: transcript.NewID(at), Language: "en", Text: text, Confidence: 0.5})
	}
	say(transcript.Entry{Kind: transcript.Translation, At: start.Add(time.Second), Person: alice, ID: "t", Language: "fr", Text: "bonjour"})
	say(transcript.Entry{Kind: transcript.End, At: start.Add(time.Minute)})
	if o.Journal != nil {
		if err := o.Journal.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func end(t *testing.T, s *Session) {
	t.Helper()
	if err := s.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// until waits for something that happens on other goroutines.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	limit := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(limit) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// tree is what is in a directory, with modes.
func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if path != dir && err == nil {
			rel, _ := filepath.Rel(dir, path)
			info, err := d.Info()
			if err != nil {
				return err
			}
			names = append(names, info.Mode().String()+" "+rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSession(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "transcripts")
	a := open(t, Options{Dir: dir, Forms: []string{"txt", "json"}, BaseURL: "https://meet.example.com/transcripts/", Tell: true})
	start := time.Date(2024, 11, 22, 15, 4, 5, 123456000, time.UTC)
	s := meet(t, a, "standup@conference.meet.example.com", start, "good morning")
	if !strings.Contains(strings.Join(tree(t, dir), "\n"), ledgerName) {
		t.Error("there is no ledger while the meeting lasts")
	}
	end(t, s)
	got := strings.Join(tree(t, dir), "\n")
	want := []string{
		"drwx------ " + s.name, "-rw------- " + s.name + "/" + s.file + ".json", "-rw------- " + s.name + "/" + s.file + ".jsonl", "-rw------- " + s.name + "/" + s.file + ".txt",
	}
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if s.name == strings.TrimPrefix(s.file, "transcript_") {
		t.Error("the file's name follows from that of its directory")
	}
	text, err := os.ReadFile(filepath.Join(dir, s.name, s.file+".txt"))
	if err != nil || !strings.Contains(string(text), "<3:04:06 PM> Alice: good morning") {
		t.Errorf("%s %v", text, err)
	}
	esc := strings.NewReplacer(":", "%3A")
	if got, want := s.Notice(), "Transcript will be saved in https://meet.example.com/transcripts/"+s.name+"/"+s.file+".json\n"+
		"Transcript will be saved in https://meet.example.com/transcripts/"+s.name+"/"+s.file+".txt"; esc.Replace(got) != esc.Replace(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, o := range []Options{{}, {Dir: dir, Forms: []string{"txt"}}, {Dir: dir, Forms: []string{"txt"}, BaseURL: "https://x/"}, {BaseURL: "https://x/", Tell: true}} {
		if s := open(t, o).Open("r", start); s.Notice() != "" {
			t.Errorf("%+v: %s", o, s.Notice())
		}
	}
}

func TestReadableByAWebServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "transcripts")
	a := open(t, Options{Dir: dir, Forms: []string{"txt"}, Readable: true})
	s := meet(t, a, "r", time.Now(), "hello")
	end(t, s)
	got := strings.Join(tree(t, dir), "\n")
	for _, want := range []string{"drwx--x--x " + s.name, "-rw------- " + s.name + "/" + s.file + ".jsonl", "-rw-r--r-- " + s.name + "/" + s.file + ".txt"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o711 {
		t.Error(info.Mode(), err)
	}
}

// TestNothingIsKept: without a directory nothing touches the disk, and who wants to know is still told.
func TestNothingIsKept(t *testing.T) {
	h := &hook{}
	a := open(t, Options{Posts: []string{h.start(t)}, Client: loopback(t), Record: recording.Options{Format: "wav", Mix: true}})
	s := meet(t, a, "r", time.Now(), "hello")
	if s.Recorded() || s.Links() != nil {
		t.Error("something would be kept")
	}
	end(t, s)
	if got := h.events(); strings.Join(got, " ") != "START JOIN hello END" {
		t.Error(got)
	}
}

func loopback(t *testing.T) *egress.Client {
	t.Helper()
	c, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A hook is who is told of events. It fails as often as it is told to.
type hook struct {
	mu     sync.Mutex
	status int // of the answers; 0 is 200
	most   int // that it takes, then it fails; 0 is all
	hang   bool
	got    []map[string]any
	tries  int
}

func (h *hook) start(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.tries++
		switch {
		case h.hang:
			h.mu.Unlock()
			<-r.Context().Done()
			h.mu.Lock()
			return
		case h.status != 0:
			w.WriteHeader(h.status)
			return
		case h.most > 0 && len(h.got) >= h.most:
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var m map[string]any
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json; charset=UTF-8" || json.Unmarshal(b, &m) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.got = append(h.got, m)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (h *hook) set(status int, hang bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.hang = status, hang
}

func (h *hook) tried() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries
}

// events are the kinds of what came, or the words.
func (h *hook) events() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.got {
		if list, ok := m["transcript"].([]any); ok {
			out = append(out, list[0].(map[string]any)["text"].(string))
			continue
		}
		out = append(out, m["event"].(string))
	}
	return out
}

// TestFindAndErase: only what is ours and asked for goes, and its copies.
func TestFindAndErase(t *testing.T) {
	dir := t.TempDir()
	p := &place{files: map[string]string{}}
	a := open(t, Options{Dir: dir, Forms: []string{"txt"}, Places: []Place{p}})
	day := time.Date(2024, 11, 22, 15, 0, 0, 0, time.UTC)
	var names []string
	for i, room := range []string{"one@conf", "two@conf", "ONE@conf"} {
		s := meet(t, a, room, day.AddDate(0, 0, i), "hello")
		end(t, s)
		names = append(names, s.name)
	}
	until(t, "copying", func() bool { return p.count() == 6 && a.counts.Waiting.Load() == 0 })
	for _, test := range []struct {
		w    Wish
		want []string
	}{
		{Wish{}, nil}, {Wish{Names: []string{"x", "..", ".", dir + "/" + names[1] + "/"}}, names[1:2]}, {Wish{Room: "one"}, []string{names[0], names[2]}},
		{Wish{Room: "one@conf", Before: day.Add(time.Hour)}, names[:1]}, {Wish{Before: day.AddDate(0, 0, 2)}, names[:2]},
	} {
		if got, err := a.Find(test.w); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v %v", test.w, got, err)
		}
	}
	for _, bad := range []string{"..", ".", "", "../" + names[0], names[0] + "/..", "other"} {
		if err := a.Erase(t.Context(), bad); err == nil {
			t.Errorf("%q was erased", bad)
		}
	}
	if err := a.Erase(t.Context(), names[0]); err != nil || p.count() != 4 {
		t.Fatal(err, p.count())
	}
	p.fail(errors.New("away"))
	if err := a.Erase(t.Context(), names[1]); err == nil || !strings.Contains(err.Error(), "the copy in place is still there: away") {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != names[2] {
		t.Error(left, err)
	}
}

// TestKeepDays: in virtual time what is too old goes, in its time; nothing else does, in the directory and outside.
func TestKeepDays(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir, outside := filepath.Join(top, "transcripts"), filepath.Join(top, "outside")
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Options{Dir: dir, Forms: []string{"txt"}, Keep: 30 * 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		old := transcript.Name(time.Now())
		stays := []string{filepath.Join(dir, "notes.txt"), filepath.Join(dir, "2020-01-01_mine", "a"), filepath.Join(outside, "a"), filepath.Join(dir, transcript.Name(time.Now()))}
		for _, path := range stays {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		links := []string{filepath.Join(dir, transcript.Name(time.Now())), filepath.Join(dir, old, "link")}
		if err := os.Mkdir(filepath.Join(dir, old), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if err := os.Symlink(outside, l); err != nil {
				t.Fatal(err)
			}
		}
		a.Start()
		ended, live := meet(t, a, "r", time.Now(), "hello"), meet(t, a, "r", time.Now(), "still here")
		end(t, ended)
		there := func(name string) bool { _, err := os.Lstat(filepath.Join(dir, name)); return err == nil }
		time.Sleep(30*24*time.Hour - time.Minute)
		synctest.Wait()
		if !there(ended.name) || !there(old) {
			t.Fatal("erased too early")
		}
		time.Sleep(rescan + time.Minute)
		synctest.Wait()
		if there(ended.name) || there(old) {
			t.Fatal("not erased in time")
		}
		if !there(live.name) {
			t.Fatal("a meeting that lasts was erased")
		}
		for _, path := range append(stays, links[0]) {
			if _, err := os.Lstat(path); err != nil {
				t.Error(err)
			}
		}
		end(t, live)
		time.Sleep(rescan + time.Minute)
		synctest.Wait()
		if there(live.name) {
			t.Error("a meeting that has ended was not erased")
		}
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
