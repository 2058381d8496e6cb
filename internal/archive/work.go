package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jigasi/internal/recording"
	"jigasi/internal/transcript"
	"jigasi/internal/xlog"
)

func (a *Archive) dirMode() os.FileMode {
	if a.opt.Readable {
		return 0o711
	}
	return 0o700
}

// forms are those to write, in the order of Jigasi.
func (a *Archive) forms() []string {
	var out []string
	for _, f := range []string{"json", "txt", "vtt", "srt"} {
		if slices.Contains(a.opt.Forms, f) {
			out = append(out, f)
		}
	}
	return out
}

// finish does all that the ledger of a session does not have, in order: forms, scripts, posts, copies.
func (a *Archive) finish(ctx context.Context, name string) error {
	root, err := os.OpenRoot(a.opt.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	dir, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	l, err := openLedger(dir, false)
	if errors.Is(err, errBusy) {
		return nil // who is at work on it finishes it, or leaves it to the next look
	}
	if err != nil {
		return err
	}
	if err := a.mend(dir, name); err != nil {
		l.close()
		return err
	}
	err = a.writeForms(l)
	if err == nil { // a script wants them all
		a.runScripts(ctx, l, name)
		err = errors.Join(a.tellRest(ctx, l), a.copy(ctx, l, root, name), ctx.Err())
	}
	if at, ok := transcript.Named(name); err != nil && ok && time.Since(at) > giveUp {
		a.log.Error("a transcript will not get to where it should be: it is given up", "session", name, xlog.Err, err)
		return l.finish()
	}
	if err != nil {
		l.close()
		return err
	}
	return l.finish()
}

// mend repairs what a crash has left: files that are not whole, recordings whose header is old.
func (a *Archive) mend(dir *os.Root, name string) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch ext := filepath.Ext(e.Name()); {
		case !e.Type().IsRegular():
		case ext == ".part" && transcript.IsFile(strings.TrimSuffix(e.Name(), ext)):
			if err := dir.Remove(e.Name()); err != nil {
				return err
			}
		case ext == ".wav" && transcript.IsFile(e.Name()):
			if err := recording.Repair(dir, e.Name()); err != nil {
				a.log.Warn("a recording cannot be repaired", "session", name, "file", e.Name(), xlog.Err, err)
			}
		}
	}
	return nil
}

// journalIn is the name of a session's journal, "" where it has none.
func journalIn(dir *os.Root) (string, error) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), "transcript_") && strings.HasSuffix(e.Name(), ".jsonl") && transcript.IsFile(e.Name()) {
			return e.Name(), nil
		}
	}
	return "", nil
}

// readJournal gives what is in a session's journal; an error may come with entries.
func readJournal(dir *os.Root) ([]transcript.Entry, error) {
	name, err := journalIn(dir)
	if err != nil || name == "" {
		return nil, err
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return transcript.Read(f)
}

// writeForms writes the forms that are not there. A journal with damaged lines gives the rest of it.
func (a *Archive) writeForms(l *ledger) error {
	journal, err := journalIn(l.dir)
	if err != nil || journal == "" || l.has("forms") {
		return err
	}
	entries, err := readJournal(l.dir)
	if err != nil {
		a.counts.SaveErrors.Add(1)
		if len(entries) == 0 {
			return err
		}
		a.log.Error("a transcript lacks lines of its journal that cannot be read", "journal", journal, xlog.Err, err)
	}
	t := transcript.Of(entries)
	var errs []error
	for _, form := range a.forms() {
		path := strings.TrimSuffix(journal, "jsonl") + form
		err := save(l.dir, t, path, form)
		if err == nil && a.opt.Readable {
			err = l.dir.Chmod(path, 0o644)
		}
		if err != nil {
			a.counts.SaveErrors.Add(1)
			errs = append(errs, fmt.Errorf("the transcript cannot be saved as %s: %w", form, err))
			continue
		}
		a.counts.Saved.Add(1)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return l.did("forms")
}

// save writes a form whole or not at all. One that is there already is whole.
func save(dir *os.Root, t *transcript.Transcript, path, form string) error {
	if _, err := dir.Lstat(path); err == nil {
		return nil
	}
	tmp := path + ".part"
	if err := dir.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := dir.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(t.Write(f, form), f.Sync(), f.Close()); err == nil {
		return dir.Rename(tmp, path)
	}
	return errors.Join(err, dir.Remove(tmp))
}

// copy takes the files of a session to each place.
func (a *Archive) copy(ctx context.Context, l *ledger, root *os.Root, name string) error {
	if len(a.opt.Places) == 0 {
		return nil
	}
	files, err := a.files(root, name)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range a.opt.Places {
		for _, file := range files {
			step := "copy " + p.Name() + " " + file
			if l.has(step) {
				continue
			}
			if err := a.put(ctx, p, l.dir, name, file); err != nil {
				a.counts.CopyErrors.Add(1)
				errs = append(errs, fmt.Errorf("not copied to %s: %w", p.Name(), err))
				break // the next files would not get there either
			}
			a.counts.Copied.Add(1)
			if err := l.did(step); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
