package archive

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"jigasi/internal/recording"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
)

// A Session is what is kept of one meeting while it lasts. Its owner calls Attach, then, when the scribe has been
// closed, End.
type Session struct {
	a       *Archive
	name    string // of the directory; "" where nothing is kept
	file    string // of the journal and its forms, without extension
	room    string
	journal *transcript.Journal
	sound   *recording.Recorder // nil: nothing is recorded
	tellers []*teller
	ledger  *ledger // nil until the first event is on the disk
}

// tellLimit is what the end of a session waits for those who are told of it; what they have not taken then is told later.
const tellLimit = 3 * time.Second

// Open begins a session. It does not touch the disk.
func (a *Archive) Open(room string, start time.Time) *Session {
	s := &Session{a: a, room: room}
	if a.opt.Dir != "" {
		s.name, s.file = transcript.Name(start), "transcript_"+transcript.Name(start)
		s.journal = transcript.NewJournal(filepath.Join(a.opt.Dir, s.name, s.file+".jsonl"))
		if r := a.opt.Record; r.Format != "" {
			r.Dir, r.Name, r.Start, r.Log, r.Counts = filepath.Join(a.opt.Dir, s.name), transcript.Name(start), start, a.log, &a.counts.Recording
			r.Readable = a.opt.Readable
			s.sound = recording.New(r)
		}
	}
	for i, f := range a.feeds() {
		s.tellers = append(s.tellers, newTeller(s, i, f))
	}
	return s
}

// Attach has a scribe write the journal, record the sound and tell those who want to know.
func (s *Session) Attach(o *scribe.Options) {
	o.Journal = s.journal
	if s.journal != nil {
		o.Publishers = append(o.Publishers, opener{s})
	}
	for _, t := range s.tellers {
		o.Publishers = append(o.Publishers, t)
	}
	if s.sound != nil {
		o.Ears = func(p transcript.Person) scribe.Ear { return s.sound.Track(p.ID, p.Name) }
	}
}

// Name is the name of the session's directory, "" where nothing is kept.
func (s *Session) Name() string { return s.name }

// Recorded reports whether the sound is kept: the room has to be told.
func (s *Session) Recorded() bool { return s.sound != nil }

// Links are where people find the forms once the meeting has ended; none where there is no public address.
func (s *Session) Links() []string {
	if s.name == "" || s.a.opt.BaseURL == "" {
		return nil
	}
	var out []string
	for _, form := range s.a.forms() {
		out = append(out, strings.TrimSuffix(s.a.opt.BaseURL, "/")+"/"+url.PathEscape(s.name)+"/"+url.PathEscape(s.file+"."+form))
	}
	return out
}

// Notice is what the room is told when it begins: where its transcript will be, and that it is recorded. "" is nothing.
func (s *Session) Notice() string {
	var lines []string
	if s.a.opt.Tell {
		for _, l := range s.Links() {
			lines = append(lines, "Transcript will be saved in "+l)
		}
	}
	if s.Recorded() {
		lines = append(lines, "The sound of this meeting is recorded")
	}
	return strings.Join(lines, "\n")
}

// opener makes the ledger when the journal begins, on a goroutine of the scribe's, so that a meeting does not wait.
type opener struct{ s *Session }

// Name implements scribe.Publisher.
func (opener) Name() string { return "ledger" }

// Publish implements scribe.Publisher: it tries with each event until there is a ledger.
func (o opener) Publish(_ context.Context, e transcript.Entry) error {
	if e.Interim || o.s.ledger != nil {
		return nil
	}
	return o.s.openLedger()
}

func (s *Session) openLedger() error {
	root, err := s.a.root()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	mode := s.a.dirMode()
	if err := root.MkdirAll(s.name, mode); err != nil {
		return err
	}
	if err := root.Chmod(s.name, mode); err != nil { // the journal may have made it
		return err
	}
	dir, err := root.OpenRoot(s.name)
	if err != nil {
		return err
	}
	l, err := openLedger(dir, true)
	if err != nil {
		_ = dir.Close()
		return err
	}
	s.ledger = l
	return nil
}

// End writes the forms, when the scribe has been closed, and leaves the rest to the archive. The error says that
// something is not there yet.
func (s *Session) End(ctx context.Context) error {
	told := s.endTellers(ctx)
	var errs []error
	if s.sound != nil {
		errs = append(errs, s.sound.Close())
	}
	if s.name == "" {
		if !told {
			errs = append(errs, errors.New("not everybody who wants to was told of it"))
		}
		return errors.Join(errs...)
	}
	if err := s.keep(); err != nil {
		return errors.Join(append(errs, err, s.a.wakeLate(s))...)
	}
	errs = append(errs, s.a.writeForms(s.ledger))
	if errors.Join(errs...) == nil && told && len(s.a.opt.Scripts) == 0 && len(s.a.opt.Places) == 0 {
		return errors.Join(s.ledger.finish(), s.ledger.dir.Close())
	}
	s.leave()
	s.a.wake(s.name)
	return errors.Join(errs...)
}

// endTellers reports whether all have been told of all.
func (s *Session) endTellers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	all := true
	for _, t := range s.tellers {
		t.end()
	}
	for _, t := range s.tellers {
		all = t.wait(ctx) && all
	}
	return all
}
