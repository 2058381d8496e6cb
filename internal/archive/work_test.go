package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/transcript"
)

// A place is a store that fails when it is told to.
type place struct {
	mu    sync.Mutex
	err   error
	files map[string]string
	puts  int
}

func (p *place) Name() string { return "place" }

func (p *place) Put(_ context.Context, dir, file string, body io.ReadSeeker, size int64) error {
	b, err := io.ReadAll(body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.puts++
	if err != nil || int64(len(b)) != size || p.err != nil {
		return errors.Join(err, p.err)
	}
	p.files[dir+"/"+file] = string(b)
	return nil
}

func (p *place) Delete(_ context.Context, dir, file string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.files, dir+"/"+file)
	return p.err
}

func (p *place) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *place) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.files)
}

func (p *place) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.puts
}

// TestT35_WorkIsResumed: a process is gone at any point of a session's end; the next one does what is left, each step
// once but for the one that was cut off, and then nothing is left to do.
func TestT35_WorkIsResumed(t *testing.T) {
	t.Parallel()
	for crash := range 4 {
		t.Run(fmt.Sprint(crash), func(t *testing.T) {
			t.Parallel()
			resume(t, crash)
		})
	}
}

func resume(t *testing.T, crash int) {
	dir, seen := t.TempDir(), filepath.Join(t.TempDir(), "seen")
	h, p := &hook{}, &place{files: map[string]string{}}
	o := Options{
		Dir: dir, Forms: []string{"json", "txt"}, Posts: []string{h.start(t)}, Client: loopback(t), Scripts: []string{program(t, "ls \"$1\" >>"+seen+"\n")}, Places: []Place{p},
	}
	first, err := New(o) // is never started
	if err != nil {
		t.Fatal(err)
	}
	s := meet(t, first, "r", time.Now(), "one", "two")
	until(t, "telling", func() bool { return len(h.events()) == 5 })
	leave(t, s, crash)
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	second := open(t, o)
	until(t, "the rest", func() bool {
		_, err := os.Stat(filepath.Join(dir, s.name, ledgerName))
		return errors.Is(err, os.ErrNotExist) && second.counts.Waiting.Load() == 0
	})
	if got := string(read(t, filepath.Join(dir, s.name, s.file+".txt"))); !strings.Contains(got, "Alice: one") || !strings.Contains(got, "Alice: two") {
		t.Error(got)
	}
	if p.count() != 3 {
		t.Errorf("%d copies", p.count())
	}
	if got := strings.Fields(string(read(t, seen))); len(got) != 5 { // the forms, the journal, the ledger and its own output
		t.Errorf("a script saw %v", got)
	}
	want := "START JOIN one two END"
	if crash != 2 { // how much was told is known at the end only
		want += " " + strings.TrimSuffix(want, map[bool]string{true: " END"}[crash == 3])
	}
	if got := strings.Join(h.events(), " "); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

// leave has a process be gone.
func leave(t *testing.T, s *Session, crash int) {
	t.Helper()
	at := filepath.Join(s.a.opt.Dir, s.name)
	if crash != 2 {
		s.ledger.close()
	}
	switch crash {
	case 0: // in the middle of the meeting
	case 1: // while a form was written
		if err := os.WriteFile(filepath.Join(at, s.file+".json.part"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	case 2: // behind it, and with a line of the ledger that is torn
		end(t, s)
		f, err := os.OpenFile(filepath.Join(at, ledgerName), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"done":"scr`); err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	case 3: // with a last line of the journal that is torn
		path := filepath.Join(at, s.file+".jsonl")
		if err := os.Truncate(path, size(t, path)-4); err != nil {
			t.Fatal(err)
		}
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOneAtWork: of two processes with one directory one works on a session, and neither on one that lasts elsewhere.
func TestOneAtWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &place{files: map[string]string{}}
	a := open(t, Options{Dir: dir, Forms: []string{"txt"}, Places: []Place{p}})
	s := meet(t, a, "r", time.Now(), "hello")
	b, err := New(Options{Dir: dir, Forms: []string{"txt", "json"}, Places: []Place{p}}) // does what it is told alone
	if err != nil {
		t.Fatal(err)
	}
	if err := b.finish(t.Context(), s.name); err != nil {
		t.Fatal(err)
	}
	if p.tried() != 0 {
		t.Error("a meeting that lasts was copied")
	}
	if err := b.Erase(t.Context(), s.name); !errors.Is(err, errBusy) {
		t.Error("a meeting that lasts was erased:", err)
	}
	end(t, s)
	until(t, "copying", func() bool { return a.counts.Waiting.Load() == 0 && p.count() == 2 })
	if err := b.finish(t.Context(), s.name); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestCopiesAreTriedAgain, with back-off, until the place takes them, or for a month.
func TestCopiesAreTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(t *testing.T) {
		p := &place{files: map[string]string{}, err: errors.New("away")}
		a, err := New(Options{Dir: dir, Forms: []string{"txt"}, Places: []Place{p}})
		if err != nil {
			t.Fatal(err)
		}
		a.Start()
		s := meet(t, a, "r", time.Now(), "hello")
		end(t, s)
		time.Sleep(24 * time.Hour)
		if n := p.tried(); n < 20 || n > 40 || p.count() != 0 {
			t.Errorf("tried %d times in a day", n)
		}
		p.fail(nil)
		time.Sleep(2 * time.Hour)
		if p.count() != 2 || a.counts.Waiting.Load() != 0 {
			t.Errorf("%d copies, %d waiting", p.count(), a.counts.Waiting.Load())
		}
		p.fail(errors.New("gone"))
		never := meet(t, a, "r", time.Now(), "hello")
		end(t, never)
		time.Sleep(giveUp + 2*time.Hour)
		n := p.tried()
		time.Sleep(giveUp)
		if p.tried() != n || a.counts.Waiting.Load() != 0 {
			t.Error("it is tried for ever")
		}
		if _, err := os.Stat(filepath.Join(dir, never.name, never.file+".txt")); err != nil {
			t.Error(err)
		}
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestT35_DirectoryComesLater: the disk takes nothing while the meeting lasts, nor when it ends; as soon as it does, all of it is
// there, also where the process ends then.
func TestT35_DirectoryComesLater(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"an hour later", "with the process"} {
		dir := filepath.Join(t.TempDir(), "d")
		inBubble(t, func(t *testing.T) {
			if err := os.WriteFile(dir, nil, 0o600); err != nil { // in the way
				t.Fatal(err)
			}
			a, err := New(Options{Dir: dir, Forms: []string{"txt"}})
			if err != nil {
				t.Fatal(err)
			}
			a.Start()
			s := a.Open("r", time.Now())
			if err := (opener{s}).Publish(t.Context(), transcript.Entry{Kind: transcript.Start}); !errors.Is(err, syscall.ENOTDIR) {
				t.Fatal(err)
			}
			if err := s.journal.Append(transcript.Entry{Kind: transcript.Speech, At: time.Now(), Person: alice, ID: "1", Text: "kept"}); err == nil {
				t.Fatal("the disk took it")
			}
			if err := s.End(t.Context()); err == nil || !strings.Contains(err.Error(), "1 entries wait") {
				t.Error(err)
			}
			time.Sleep(10 * time.Minute)
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			if end == "an hour later" {
				time.Sleep(time.Hour)
				if a.counts.Waiting.Load() != 0 {
					t.Error("it waits on")
				}
			}
			if err := a.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if got := string(read(t, filepath.Join(dir, s.name, s.file+".txt"))); !strings.Contains(got, "Alice: kept") {
				t.Error(got)
			}
			if _, err := os.Lstat(filepath.Join(dir, s.name, ledgerName)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something is left to do: %v", err)
			}
		})
	}
}

// TestT35_WhatIsLostIsSaid: how much memory waits for a disk is bounded, and what it has not taken in the end stands in
// the log, without a word of it.
func TestT35_WhatIsLostIsSaid(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in the way
		t.Fatal(err)
	}
	var log bytes.Buffer
	a, err := New(Options{Dir: dir, Forms: []string{"txt"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	for n := range maxLate + 1 {
		s := a.Open("r", time.Now())
		_ = s.journal.Append(transcript.Entry{Kind: transcript.Speech, At: time.Now(), Person: alice, ID: "1", Text: "secret"})
		if err := s.End(t.Context()); err == nil || strings.Contains(err.Error(), "are lost") != (n == maxLate) {
			t.Errorf("session %d: %v", n, err)
		}
	}
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := log.String(); strings.Count(got, "the rest is lost") != maxLate || strings.Contains(got, "secret") {
		t.Error(got)
	}
}

// TestT35_FormsWait: a form that the disk does not take is written later.
func TestT35_FormsWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(t *testing.T) {
		a, err := New(Options{Dir: dir, Forms: []string{"json", "txt"}})
		if err != nil {
			t.Fatal(err)
		}
		a.Start()
		s := meet(t, a, "r", time.Now(), "hello")
		blocked := filepath.Join(dir, s.name, s.file+".txt.part")
		if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := s.End(t.Context()); err == nil || strings.Contains(err.Error(), "hello") {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		if err := os.RemoveAll(blocked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := string(read(t, filepath.Join(dir, s.name, s.file+".txt"))); !strings.Contains(got, "Alice: hello") || a.counts.Waiting.Load() != 0 {
			t.Error(got)
		}
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestDrain: the end of a process waits for what a session has left, and not for what has failed.
func TestDrain(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	p := &place{files: map[string]string{}}
	a := open(t, Options{Dir: t.TempDir(), Forms: []string{"txt"}, Scripts: []string{program(t, "sleep 0.1; echo x >>"+out+"\n")}, Places: []Place{p}})
	for range 3 {
		end(t, meet(t, a, "r", time.Now(), "hello"))
	}
	if err := a.Drain(t.Context()); err != nil || string(read(t, out)) != "x\nx\nx\n" || p.count() != 6 {
		t.Errorf("%v, %d copies", err, p.count())
	}
	p.fail(errors.New("away"))
	end(t, meet(t, a, "r", time.Now(), "hello"))
	if err := a.Drain(t.Context()); err != nil || string(read(t, out)) != "x\nx\nx\nx\n" {
		t.Error(err)
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	end(t, meet(t, a, "r", time.Now(), "hello"))
	if err := a.Drain(short); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := a.Close(t.Context()); err != nil || string(read(t, out)) != "x\nx\nx\nx\nx\n" {
		t.Error(err)
	}
}

// TestT33_DefectCostsOneSession: a place that panics is one that fails.
func TestT33_DefectCostsOneSession(t *testing.T) {
	t.Parallel()
	a := open(t, Options{Dir: t.TempDir(), Places: []Place{broken{}}})
	end(t, meet(t, a, "r", time.Now(), "hello"))
	if err := a.Drain(t.Context()); err != nil || a.counts.Waiting.Load() != 1 {
		t.Error(err, a.counts.Waiting.Load())
	}
}

type broken struct{ Place }

func (broken) Name() string { return "broken" }
