package archive

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestLockWhileAProgramBegins: a program that begins at the same moment has our files for as long as it takes to begin, and
// with them what is locked; the work on a session goes on all the same.
func TestLockWhileAProgramBegins(t *testing.T) {
	t.Parallel()
	p := &place{files: map[string]string{}}
	a := open(t, Options{Dir: t.TempDir(), Forms: []string{"txt"}, Places: []Place{p}})
	s := meet(t, a, "r", time.Now(), "hello")
	begun, err := syscall.Dup(int(s.ledger.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(begun)
	end(t, s)
	if err := a.Drain(t.Context()); err != nil || p.count() != 2 {
		t.Errorf("%v, %d copies", err, p.count())
	}
}

// TestANewSessionIsNotALeftOne: who looks for what was left, at any moment, neither finds a session that just begins nor is
// in its way.
func TestANewSessionIsNotALeftOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, p := open(t, Options{Dir: dir, Forms: []string{"txt"}}), &place{files: map[string]string{}}
	other, err := New(Options{Dir: dir, Places: []Place{p}})
	if err != nil {
		t.Fatal(err)
	}
	stop, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		for {
			select {
			case <-stop:
				return
			default:
			}
			names, _ := filepath.Glob(filepath.Join(dir, "*", ledgerName))
			for _, name := range names {
				_ = other.finish(t.Context(), filepath.Base(filepath.Dir(name)))
			}
		}
	}()
	for range 40 {
		end(t, meet(t, a, "r", time.Now(), "hello"))
	}
	close(stop)
	<-looked
	if p.tried() != 0 {
		t.Errorf("%d copies of meetings that lasted", p.tried())
	}
}

// TestDrainOfWhatFails: a session that is found again, by the look at the directory, while it fails or when it has, is one that
// has failed: the end of a process does not wait for it.
func TestDrainOfWhatFails(t *testing.T) {
	t.Parallel()
	p := &finder{}
	a := open(t, Options{Dir: t.TempDir(), Forms: []string{"txt"}, Places: []Place{p}})
	p.look = a.look
	end(t, meet(t, a, "r", time.Now(), "hello"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	until(t, "trying", func() bool { return p.tried.Load() > 0 })
	if err := a.Drain(ctx); err != nil || a.counts.Waiting.Load() != 1 {
		t.Fatalf("found while it fails: %v", err)
	}
	a.look()
	if err := a.Drain(ctx); err != nil || a.counts.Waiting.Load() != 1 {
		t.Fatalf("found when it has failed: %v", err)
	}
}

// A finder is a place that fails, and looks at the directory meanwhile.
type finder struct {
	Place
	look  func()
	tried atomic.Int64
}

func (*finder) Name() string { return "finder" }
func (f *finder) Put(context.Context, string, string, io.ReadSeeker, int64) error {
	f.tried.Add(1)
	f.look()
	return errors.New("away")
}
