package words

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/xlog"
)

// Minutes is the name of the file in which the used minutes of rooms and tenants outlive the process.
const Minutes = ".minutes.json"

const (
	saveEvery  = time.Minute
	maxMinutes = 16 << 20 // bytes of the file
)

// A ledger is the meters as the file has them. The file is read with the first meter, and written each minute where
// something was used, and at the end.
type ledger struct {
	path   string // "" is no file
	begun  bool
	before map[string]spent // of the file, whose meters were not wanted yet
	wrote  string           // what stands in the file; owned by who saves
	stop   chan struct{}
	done   chan struct{}
}

// spent is how much of a budget was used since when.
type spent struct {
	Seconds float64   `json:"seconds"`
	Since   time.Time `json:"since"`
}

// Keep has the used minutes of rooms and tenants stand in a file. It must be called before the first room, if at all.
// A file that cannot be read is said, and the minutes are counted anew.
func (s *Services) Keep(path string) { s.ledger.path = path }

// recall gives a new meter what it had in an earlier process. The lock is held.
func (s *Services) recall(key string, m *recognize.Meter) {
	k := &s.ledger
	if k.path == "" {
		return
	}
	if !k.begun {
		k.begun, k.stop, k.done = true, make(chan struct{}), make(chan struct{})
		var err error
		if k.before, err = readMinutes(k.path, time.Now(), s.c.Budget.Period); err != nil {
			s.log.Warn("the minutes that were used before are not known: they are counted anew", "path", k.path, xlog.Err, err)
		}
		go s.saveMinutes(k.stop, k.done)
	}
	if was, ok := k.before[key]; ok {
		m.Restore(time.Duration(was.Seconds*float64(time.Second)), was.Since)
		delete(k.before, key)
	}
}

// readMinutes reads the file, and leaves out whose period is over.
func readMinutes(path string, now time.Time, period time.Duration) (map[string]spent, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMinutes+1))
	if err != nil {
		return nil, err
	}
	var all map[string]spent
	if len(text) > maxMinutes || json.Unmarshal(text, &all) != nil {
		return nil, errors.New("the file is damaged")
	}
	for key, was := range all {
		age := now.Sub(was.Since)
		switch {
		case was.Seconds <= 0 || was.Seconds > 1e9 || was.Since.IsZero() || period > 0 && age >= period:
			delete(all, key)
		case age < 0: // the clock was put back: no period is longer than it is
			was.Since = now
			all[key] = was
		}
	}
	return all, nil
}

// saveMinutes writes what was used until the end.
func (s *Services) saveMinutes(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	var sometimes xlog.Sometimes
	for last := false; !last; {
		select {
		case <-tick.C:
		case <-stop:
			last = true
		}
		if err := s.writeMinutes(time.Now()); err != nil {
			sometimes.Do(time.Now(), func(more int64) {
				s.log.Warn("the minutes that were used are not kept: after a restart they count anew", "more", more, xlog.Err, err)
			})
		}
	}
}

// writeMinutes writes the file where it would change: all of it, or none.
func (s *Services) writeMinutes(now time.Time) error {
	all := map[string]spent{}
	s.mu.Lock()
	for key, was := range s.ledger.before {
		if period := s.c.Budget.Period; period <= 0 || now.Sub(was.Since) < period {
			all[key] = was
		}
	}
	for key, m := range s.meters {
		if used, since := m.State(now); used > 0 {
			all[key] = spent{Seconds: used.Seconds(), Since: since.UTC().Round(0)}
		}
	}
	s.mu.Unlock()
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if string(text) == s.ledger.wrote || len(all) == 0 && s.ledger.wrote == "" {
		return nil
	}
	if err := replace(s.ledger.path, text); err != nil {
		return err
	}
	s.ledger.wrote = string(text)
	return nil
}

// replace puts text in the place of a file. It names rooms: nobody else may read it.
func replace(path string, text []byte) error {
	tmp := path + ".part"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", filepath.Base(path), err), os.Remove(tmp))
	}
	return nil
}

// closeMinutes writes the last of it.
func (s *Services) closeMinutes() {
	s.mu.Lock()
	stop, done := s.ledger.stop, s.ledger.done
	s.ledger.stop = nil
	s.mu.Unlock()
	if stop != nil {
		close(stop)
		<-done
	}
}
