package archive

import (
	"fmt"
	"time"
)

// maxLate is how many ended sessions at most wait for the disk in memory; each holds what its journal may
// (transcript.MaxPending).
const maxLate = 32

// keep puts on the disk what it has not taken while the session lasted. Until that is all, it may be called again.
func (s *Session) keep() error {
	if s.ledger == nil { // first, so that nobody takes the journal for one of a crash
		if err := s.openLedger(); err != nil {
			return fmt.Errorf("the transcript cannot be finished: %d entries wait for the disk: %w", s.journal.Pending(), err)
		}
	}
	if err := s.journal.Close(); err != nil {
		return fmt.Errorf("%d entries of the transcript wait for the disk: %w", s.journal.Pending(), err)
	}
	for i, t := range s.tellers {
		_ = s.ledger.tell(i, t.sent()) // else they are told again
	}
	return nil
}

// leave gives the session on the disk to whoever finishes it.
func (s *Session) leave() {
	s.ledger.close()
	_ = s.ledger.dir.Close() // a directory that was only read
}

// wakeLate has a session that the disk does not take tried again, and refuses where too many wait.
func (a *Archive) wakeLate(s *Session) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, j := range a.jobs {
		if j.late != nil {
			n++
		}
	}
	if n >= maxLate || a.closing {
		return fmt.Errorf("%d entries of it are lost: %d transcripts wait already", s.journal.Pending(), n)
	}
	j := a.jobs[s.name] // there may be one: somebody looks just now who has left this
	if j == nil {
		j = &job{due: time.Now().Add(firstWait), tries: 1}
		a.jobs[s.name] = j
	}
	j.late, j.again = s, j.busy
	a.counts.Waiting.Store(int64(len(a.jobs)))
	a.nudge()
	return nil
}

// takeLate has a session that was late kept, if it was.
func (a *Archive) takeLate(name string) error {
	a.mu.Lock()
	s := a.jobs[name].late
	a.mu.Unlock()
	if s == nil {
		return nil
	}
	if err := s.keep(); err != nil {
		return err
	}
	s.leave()
	a.mu.Lock()
	a.jobs[name].late = nil
	a.mu.Unlock()
	a.log.Info("a transcript that waited for the disk is on it", "session", name)
	return nil
}

// lastChance has what is late tried once more, before the end. The lock is held.
func (a *Archive) lastChance() {
	for _, j := range a.jobs {
		if j.late != nil {
			j.tries, j.due = 0, time.Time{}
		}
	}
}

// lost says what the disk has not taken to the end.
func (a *Archive) lost() {
	for name, j := range a.jobs {
		if j.late != nil {
			a.log.Error("the disk has not taken all of a transcript, and the rest is lost", "session", name, "entries", j.late.journal.Pending())
		}
	}
}
