package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jigasi/internal/transcript"
)

// sessions are the directories with a name of ours and when they began, oldest first. What else is there is not ours.
func sessions(root *os.Root) iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		entries, err := fs.ReadDir(root.FS(), ".")
		if err != nil {
			return
		}
		for _, e := range entries { // sorted by name, and so by time
			if at, ok := transcript.Named(e.Name()); ok && e.IsDir() { // a symbolic link is none
				if !yield(e.Name(), at) {
					return
				}
			}
		}
	}
}

// erase removes a session with all that is in it. One that is at work is left alone.
func erase(root *os.Root, name string) error {
	if _, ok := transcript.Named(name); !ok {
		return fmt.Errorf("%.80q is no session's name", name)
	}
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%.80q is no directory", name)
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	switch l, err := openLedger(dir, false); {
	case err == nil:
		defer l.close()
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return root.RemoveAll(name)
}

// A Wish says which sessions are to be erased: those that are named, those of a room, those that began before a time.
// Of several conditions all hold; without one nothing is erased.
type Wish struct {
	Names  []string
	Room   string
	Before time.Time
}

func (w Wish) empty() bool { return len(w.Names) == 0 && w.Room == "" && w.Before.IsZero() }

// Find gives the sessions that a wish is for, oldest first.
func (a *Archive) Find(w Wish) ([]string, error) {
	if a.opt.Dir == "" || w.empty() {
		return nil, nil
	}
	root, err := os.OpenRoot(a.opt.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	var out []string
	for name, at := range sessions(root) {
		named := len(w.Names) == 0 || slices.ContainsFunc(w.Names, func(n string) bool { return filepath.Base(filepath.Clean(n)) == name })
		early := w.Before.IsZero() || at.Before(w.Before)
		if named && early && (w.Room == "" || ofRoom(root, name, w.Room)) {
			out = append(out, name)
		}
	}
	return out, nil
}

// ofRoom reports whether a session's journal names that room, with or without its domain.
func ofRoom(root *os.Root, name, room string) bool {
	dir, err := root.OpenRoot(name)
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	entries, err := readJournal(dir)
	if err != nil && len(entries) == 0 {
		return false
	}
	for _, e := range entries {
		if e.Kind == transcript.Start {
			local, _, _ := strings.Cut(e.Room, "@")
			return strings.EqualFold(e.Room, room) || strings.EqualFold(local, room)
		}
	}
	return false
}

// Erase removes a session from the disk, and its copies from where they were taken to.
func (a *Archive) Erase(ctx context.Context, name string) error {
	if _, ok := transcript.Named(name); !ok {
		return fmt.Errorf("%.80q is no session's name", name)
	}
	root, err := os.OpenRoot(a.opt.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	files, err := a.files(root, name)
	if err != nil {
		return err
	}
	if err := erase(root, name); err != nil {
		a.counts.EraseErrors.Add(1)
		return err
	}
	a.counts.Erased.Add(1)
	var errs []error
	for _, p := range a.opt.Places {
		for _, f := range files {
			if err := p.Delete(ctx, name, f); err != nil {
				errs = append(errs, fmt.Errorf("the copy in %s is still there: %w", p.Name(), err))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// files are those of a session that are for others to have.
func (a *Archive) files(root *os.Root, name string) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), name)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && transcript.IsFile(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}
