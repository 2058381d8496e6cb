package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// ledgerName is the file in a session's directory that says what has been done with it. It is there while something is
// left to do, and locked while somebody does it.
const ledgerName = "unfinished.jsonl"

// newLedger is one that is not locked yet.
const newLedger = ".unfinished.new"

var errBusy = errors.New("somebody is at work on it")

// A line of a ledger: a step that was done, or how many events a URL has been told.
type line struct {
	Done string `json:"done,omitempty"`
	URL  int    `json:"url,omitempty"` // counted from 1
	Told int    `json:"told,omitempty"`
}

// A ledger is the open, locked file.
type ledger struct {
	dir *os.Root

	mu   sync.Mutex
	f    *os.File
	size int64 // of whole lines
	done map[string]bool
	told map[int]int
}

const maxLedger = 1 << 20

// openLedger opens and locks the ledger of a session, and makes it where it should.
func openLedger(dir *os.Root, create bool) (*ledger, error) {
	f, err := dir.OpenFile(ledgerName, os.O_RDWR, 0o600)
	if create && errors.Is(err, os.ErrNotExist) {
		f, err = makeLedger(dir)
	}
	if err != nil {
		return nil, err
	}
	l := &ledger{dir: dir, f: f, done: map[string]bool{}, told: map[int]int{}}
	if err := l.lock(); err != nil {
		_ = f.Close()
		return nil, err
	}
	if err := l.read(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// makeLedger makes a ledger that is locked before others can find it, and take the session for one that was left.
func makeLedger(dir *os.Root) (*os.File, error) {
	f, err := dir.OpenFile(newLedger, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = dir.Rename(newLedger, ledgerName)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// lock fails where another has it, or has just finished with it.
func (l *ledger) lock() error {
	if err := syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errBusy
	}
	ours, err := l.f.Stat()
	if err != nil {
		return err
	}
	there, err := l.dir.Lstat(ledgerName)
	if err != nil {
		return err
	}
	if !os.SameFile(ours, there) {
		return errBusy
	}
	return nil
}

// read takes the whole lines; a last one that is torn was never promised.
func (l *ledger) read() error {
	b, err := io.ReadAll(io.LimitReader(l.f, maxLedger))
	if err != nil {
		return err
	}
	for {
		text, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return nil
		}
		var e line
		if json.Unmarshal(text, &e) == nil {
			l.note(e)
		}
		l.size, b = l.size+int64(len(text))+1, rest
	}
}

func (l *ledger) note(e line) {
	if e.Done != "" {
		l.done[e.Done] = true
	}
	if e.URL > 0 {
		l.told[e.URL-1] = e.Told
	}
}

// write adds a line; where the disk takes none it is done again after a restart, that is all.
func (l *ledger) write(e line) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(e)
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if _, err := l.f.WriteAt(b, l.size); err != nil {
		return fmt.Errorf("the ledger cannot be written: %w", err)
	}
	l.size += int64(len(b))
	return l.f.Sync()
}

func (l *ledger) did(step string) error { return l.write(line{Done: step}) }

func (l *ledger) has(step string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done[step]
}

// tell notes how many events a URL has been told.
func (l *ledger) tell(url, n int) error { return l.write(line{URL: url + 1, Told: n}) }

func (l *ledger) toldTo(url int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told[url]
}

// finish says that nothing is left to do.
func (l *ledger) finish() error {
	return errors.Join(l.dir.Remove(ledgerName), l.f.Close())
}

// close leaves the rest to others. It unlocks first: a program that begins just now has the file open, too, until it runs.
func (l *ledger) close() {
	_ = syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN)
	_ = l.f.Close()
}
