package scribe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"jigasi/internal/recognize"
	"jigasi/internal/transcript"
)

// teller is a reader that is told how it stands, too.
type teller struct {
	reader
	mu   sync.Mutex
	told []string
}

func (r *teller) Notice(_ context.Context, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, text)
	return nil
}

// moody refuses for a while with an error, and then hears.
type moody struct {
	ears
	err   error
	until time.Time
}

func (m moody) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	if time.Now().Before(m.until) {
		return nil, fmt.Errorf("%w: set the key", m.err)
	}
	return m.ears.Open(ctx, w)
}

// TestTheRoomIsToldOnce: of each sort of trouble a room is told once, however many speak; the operator finds the
// sentence that mends it once as an error; who reads without being told gets entries only.
func TestTheRoomIsToldOnce(t *testing.T) {
	down := errors.New("503")
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"credential": {recognize.ErrCredential, []string{NoticeUnusable}},
		"language":   {recognize.ErrLanguage, []string{NoticeLanguage + "en-US", NoticeLanguage + "de"}},
		"budget":     {recognize.ErrBudget, []string{NoticeBudget}},
		"down":       {down, []string{NoticeInterrupted, NoticeBack}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var counts Counts
				told, plain := &teller{}, &reader{}
				s := New(Options{
					Service: moody{err: c.err, until: time.Now().Add(10 * time.Second)}, Publishers: []Publisher{told, plain}, Counts: &counts,
					Log: slog.New(slog.NewTextHandler(&log, nil)),
				})
				a, _ := s.Join(transcript.Person{ID: "a"}, "en-US", time.Now())
				b, _ := s.Join(transcript.Person{ID: "b"}, "de", time.Now())
				speak(t, []*Voice{a}, 10)
				speak(t, []*Voice{b}, 30)
				if err := s.Close(t.Context(), time.Now()); err != nil {
					t.Error(err)
				}
				// The second comes later, when the service is there again.
				want := c.want[:min(len(c.want), 2)]
				if name == "language" {
					want = want[:1]
				}
				if !slices.Equal(told.told, want) || counts.Notices.Load() != int64(len(want)) {
					t.Errorf("told %q, want %q", told.told, want)
				}
				if n := strings.Count(log.String(), "level=ERROR"); n != 1 && c.err != down || n != 0 && c.err == down {
					t.Errorf("%d errors in the log:\n%s", n, log.String())
				}
				for _, e := range plain.got {
					if e.Kind == notice {
						t.Error("a notice is an entry")
					}
				}
				if counts.Unpublished.Load() != 0 || counts.Untranslated.Load() != 0 {
					t.Errorf("%d and %d are said to wait", counts.Unpublished.Load(), counts.Untranslated.Load())
				}
			})
		})
	}
}

// TestQueuesAreMeasured: what waits for a slow reader and a slow translator is shown, and nothing of it when all is over.
func TestQueuesAreMeasured(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var counts Counts
		s := New(Options{
			Service: ears{}, Publishers: []Publisher{&reader{delay: 5 * time.Second}}, Translator: &upper{}, Targets: []string{"fr"},
			Journal: transcript.NewJournal(filepath.Join(dir, "j.jsonl")), Counts: &counts,
		})
		for n := range 50 {
			s.in <- transcript.Entry{Kind: transcript.Speech, ID: fmt.Sprint(n), Text: "x", Language: "en"}
		}
		synctest.Wait()
		if a, b := counts.Unpublished.Load(), counts.Untranslated.Load(); a < 40 || b < 40 {
			t.Errorf("%d and %d wait", a, b)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_ = s.Close(ctx, time.Now()) // it has no time to translate all
		if a, b := counts.Unpublished.Load(), counts.Untranslated.Load(); a != 0 || b != 0 {
			t.Errorf("%d and %d wait when all is over", a, b)
		}
		if _, n, _ := counts.TranslateTime.Read(); n == 0 {
			t.Error("no translation was timed")
		}
	})
}

// flood is an ear that says each word five hundred times before its final, and its last final endlessly long.
type flood struct{ ears }

func (flood) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	return &flooding{ear: ear{results: make(chan recognize.Result, 1000)}, gone: ctx.Done()}, nil
}

type flooding struct {
	ear
	gone <-chan struct{}
	n    int
}

func (f *flooding) Write(pcm []byte) error {
	for range 50 {
		f.n++
		select {
		case f.results <- recognize.Result{Text: fmt.Sprint("x", f.n), Start: recognize.Unknown, End: recognize.Unknown}:
		default: // it says more than anybody takes
		}
	}
	for _, h := range f.Hear(pcm) {
		if h.Final {
			select {
			case f.results <- recognize.Result{Text: h.Text + strings.Repeat(" é", 1<<20), Final: true, Start: h.Start, End: h.End}:
			case <-f.gone:
			}
		}
	}
	return nil
}

func (f *flooding) CloseSend() error { f.Close(); return nil }

// TestServiceThatSaysTooMuch: interims without number are dropped before they get to a slow reader, every final comes,
// and none is longer than a room can take.
func TestServiceThatSaysTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counts Counts
		slow := &reader{delay: 50 * time.Millisecond}
		s := New(Options{Service: flood{}, Publishers: []Publisher{slow}, Counts: &counts})
		v, _ := s.Join(transcript.Person{ID: "a"}, "en", time.Now())
		speak(t, []*Voice{v}, 10)
		if n := counts.Unpublished.Load(); n > fewInterims+20 {
			t.Errorf("%d entries wait", n)
		}
		if err := s.Close(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
		finals := texts(slow.of(transcript.Speech, "a", false))
		if len(finals) < 10 || counts.InterimsDropped.Load() == 0 || counts.FinalsDropped.Load() != 0 {
			t.Errorf("%d finals, %d interims dropped", len(finals), counts.InterimsDropped.Load())
		}
		for i, text := range finals[:10] {
			if !strings.HasPrefix(text, fmt.Sprintf("w%d ", 3*i)) || len(text) > recognize.MaxText || !utf8.ValidString(text) {
				t.Errorf("%d bytes: %.30q", len(text), text)
			}
		}
	})
}

// TestTwoHundredPeople: of two hundred who have spoken, twenty go on. What the others took is given back: there are a
// few goroutines for each speaker, and half a megabyte.
func TestTwoHundredPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, idle := runtime.NumGoroutine(), heap()
		var counts Counts
		read := &reader{}
		s := New(Options{Service: ears{}, Publishers: []Publisher{read}, Counts: &counts})
		var voices []*Voice
		for i := range 200 {
			v, err := s.Join(transcript.Person{ID: fmt.Sprint("p", i)}, "en", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			voices = append(voices, v)
		}
		speak(t, voices, 1)
		for _, v := range voices[20:] {
			v.Leave(time.Now())
		}
		speak(t, voices[:20], 2)
		time.Sleep(11 * time.Second) // virtual: the last words of those who have left
		synctest.Wait()
		goroutines, memory := runtime.NumGoroutine()-before, heap()-idle
		t.Logf("%d goroutines, %d KiB of heap for 20 speakers of 200", goroutines, memory>>10)
		if n := counts.Words.Speakers.Load(); n != 20 || goroutines > 20*3+10 || memory > 20*(700<<10)+(4<<20) {
			t.Errorf("%d speakers, %d goroutines, %d KiB", n, goroutines, memory>>10)
		}
		if n := len(read.of(transcript.Speech, "", false)); n != 200+2*20 {
			t.Errorf("%d finals", n)
		}
		if err := s.Close(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
	})
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
