package transcript

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// What a journal holds while its disk takes nothing, in entries and in bytes.
const (
	MaxPending      = 50_000
	maxPendingBytes = 64 << 20
)

// batch is how many bytes are written before they are synced, so that a disk which takes nothing is not offered
// all that waits with each entry.
const batch = 1 << 20

// ErrLost says that an entry could not be kept at all.
var ErrLost = errors.New("the journal is full: an entry is lost")

// A file is what a journal needs of one.
type file interface {
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Close() error
}

// A Journal is the file that a transcript is written to while it happens. It is not safe for
// concurrent use. Whatever the disk does, Append takes an entry: what cannot be written waits,
// MaxPending entries at most, and is written with the next one that can.
type Journal struct {
	path    string
	open    func(path string) (file, error)
	f       file
	size    int64 // of what is known to be whole
	torn    bool  // there may be a part of a line after size
	pending [][]byte
	waiting int // bytes of pending
}

// NewJournal makes a journal at path, which must not exist yet; its directory is made. The disk
// is touched by the first Append.
func NewJournal(path string) *Journal { return &Journal{path: path, open: create} }

func create(path string) (file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// Path is where the journal is.
func (j *Journal) Path() string { return j.path }

// Pending is how many entries wait for the disk.
func (j *Journal) Pending() int { return len(j.pending) }

// Append writes an entry and all that wait, and returns when they are on the disk. An error says
// that they still wait, or with ErrLost that this one was refused.
func (j *Journal) Append(e Entry) error {
	if len(j.pending) >= MaxPending || j.waiting >= maxPendingBytes {
		if err := j.Flush(); err != nil {
			return errors.Join(ErrLost, err)
		}
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("a journal entry of kind %s: %w", e.Kind, err)
	}
	j.pending = append(j.pending, append(line, '\n'))
	j.waiting += len(line) + 1
	return j.Flush()
}

// Flush writes what waits.
func (j *Journal) Flush() error {
	if len(j.pending) == 0 {
		return nil
	}
	if j.f == nil {
		f, err := j.open(j.path)
		if err != nil {
			return fmt.Errorf("the journal cannot be opened: %w", err)
		}
		j.f = f
	}
	for len(j.pending) > 0 {
		if err := j.write(); err != nil {
			return err
		}
	}
	j.pending = nil
	return nil
}

// write puts the first of what waits on the disk.
func (j *Journal) write() error {
	if j.torn {
		if err := j.f.Truncate(j.size); err != nil {
			return fmt.Errorf("the journal cannot be mended: %w", err)
		}
		j.torn = false
	}
	n, size := 0, 0
	for ; n < len(j.pending) && (n == 0 || size+len(j.pending[n]) <= batch); n++ {
		size += len(j.pending[n])
	}
	data := bytes.Join(j.pending[:n], nil)
	if _, err := j.f.WriteAt(data, j.size); err != nil {
		j.torn = true
		return fmt.Errorf("the journal cannot be written: %w", err)
	}
	if err := j.f.Sync(); err != nil {
		j.torn = true // the kernel may have dropped any of it: write all of it again
		return fmt.Errorf("the journal cannot be synced: %w", err)
	}
	j.size += int64(size)
	j.pending, j.waiting = j.pending[n:], j.waiting-size
	return nil
}

// Close writes what waits and closes the file. An error says that something still waits; the file stays open then, and
// Close may be called again.
func (j *Journal) Close() error {
	if err := j.Flush(); err != nil || j.f == nil {
		return err
	}
	err := j.f.Close()
	j.f = nil
	return err
}

// maxJournal bounds what Read takes into memory: a day of fast talkers.
const maxJournal = 64 << 20

// Read reads a journal, also one whose writer was killed: a last line that is not whole is left
// out. A line in the middle that cannot be read is an error, with all other entries given.
func Read(r io.Reader) ([]Entry, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxJournal+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxJournal {
		return nil, fmt.Errorf("the journal is larger than %d MiB", maxJournal>>20)
	}
	var out []Entry
	var bad error
	for n := 1; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		data = rest
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			if whole {
				bad = errors.Join(bad, fmt.Errorf("line %d is no entry", n))
			}
			continue
		}
		out = append(out, e)
	}
	return out, bad
}

// Save writes a form of t to a file that must not exist yet: all of it, or none.
func (t *Transcript) Save(path, format string) error {
	tmp := path + ".part"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(t.Write(f, format), f.Sync(), f.Close())
	if err == nil {
		err = os.Link(tmp, path) // fails, other than Rename, where path exists
	}
	return errors.Join(err, os.Remove(tmp))
}
