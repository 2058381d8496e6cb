// Package archive is what happens to a transcript once its words are final: where it is kept, in which forms, who is
// told of it, what is recorded beside it, where it is copied to, and when it is erased.
//
//	Archive.Open ─> Session ─ Attach ─> scribe: journal, posts, recording
//	                   └─ End ─> forms ─> scripts ─> posts that failed ─> copies ─> nothing left to do
//
// A session is a directory whose name is ours and cannot be guessed. What is still to be done with it stands in a file
// within, the ledger, and is done after a crash, or a failure, too. Nobody outside the directory is touched: all is
// reached through an os.Root. A meeting never waits for any of it but the forms. No word is ever logged.
package archive

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/egress"
	"jigasi/internal/recording"
	"jigasi/internal/xlog"
)

// Options make an Archive. The zero value keeps nothing.
type Options struct {
	Dir      string   // of all sessions; "" keeps nothing on the disk
	Forms    []string // that are written at the end: json, txt, vtt, srt
	Readable bool     // by a web server of another user, all but the journal
	BaseURL  string   // in front of a session's directory, for people; "" is none
	Tell     bool     // the room is told where its transcript will be

	Record recording.Options // its zero value records nothing; Dir, Name and Start are set here

	Posts   []string // URLs that are told of each event
	Actions []Action
	Client  *egress.Client // for posts and copies; nil allows nothing private

	Scripts     []string      // programs that are given a session's directory
	ScriptLimit time.Duration // 0 is a minute
	Places      []Place

	Keep time.Duration // from the start of a session until it is erased; 0 is for ever
	Log  *slog.Logger
}

// An Action is told of sentences with a phrase in them.
type Action struct {
	Name, Phrase, URL string
}

// Counts count what happens in all sessions.
type Counts struct {
	Saved, SaveErrors     atomic.Int64 // forms
	Posted, PostErrors    atomic.Int64 // the errors are tried again
	PostsRefused          atomic.Int64 // and are not
	Scripts, ScriptErrors atomic.Int64
	Copied, CopyErrors    atomic.Int64 // files; the errors are tried again
	Erased, EraseErrors   atomic.Int64 // sessions
	Waiting               atomic.Int64 // sessions with something left to do
	Recording             recording.Counts
}

// An Archive keeps transcripts. Its methods are safe for concurrent use.
type Archive struct {
	opt    Options
	log    *slog.Logger
	counts Counts
	ctx    context.Context // of all that is done in the background
	cancel context.CancelFunc
	done   chan struct{}
	poke   chan struct{}
	hands  sync.WaitGroup

	mu      sync.Mutex
	jobs    map[string]*job
	running int
	started bool
	closing bool
}

// A job is a session with something left to do.
type job struct {
	due   time.Time
	tries int
	busy  bool
	again bool     // woken meanwhile
	late  *Session // has ended, and is not on the disk yet
}

const (
	maxHands  = 2 // sessions that are worked on at the same time, and so scripts that run
	maxJobs   = 10_000
	firstWait = time.Minute
	lastWait  = time.Hour
	giveUp    = 30 * 24 * time.Hour // since the session began
	rescan    = time.Hour           // looking for what others left, and for what is too old
	drainLook = 100 * time.Millisecond
)

// New makes an archive. Nothing is done before Start, and the disk is not touched.
func New(o Options) (*Archive, error) {
	o.ScriptLimit = cmp.Or(o.ScriptLimit, time.Minute)
	if o.Client == nil {
		c, err := egress.New(egress.Options{})
		if err != nil {
			return nil, err
		}
		o.Client = c
	}
	a := &Archive{opt: o, log: xlog.Or(o.Log), jobs: map[string]*job{}, done: make(chan struct{}), poke: make(chan struct{}, 1)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a, nil
}

// Counts are the counters.
func (a *Archive) Counts() *Counts { return &a.counts }

// Start goes on with what an earlier process left, and erases what is too old. A directory that cannot be used is
// logged: transcripts wait for it.
func (a *Archive) Start() {
	a.mu.Lock()
	a.started = true
	a.mu.Unlock()
	go a.run()
}

// Drain waits until what has not been tried yet is done, or ctx is.
func (a *Archive) Drain(ctx context.Context) error {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		a.mu.Lock()
		busy := a.started && a.fresh()
		a.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fresh reports whether there is something that has not failed yet. The lock is held.
func (a *Archive) fresh() bool {
	for _, j := range a.jobs {
		if j.tries == 0 || j.again {
			return true
		}
	}
	return false
}

// Close does what has not been tried yet, until ctx is done, and then cuts it off. What is left is done after the next
// Start.
func (a *Archive) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closing = true
	started := a.started
	a.lastChance()
	a.mu.Unlock()
	a.nudge()
	stop := context.AfterFunc(ctx, func() { a.cancel(); a.nudge() })
	defer stop()
	var err error // nothing was begun, so nothing is left
	if started {
		<-a.done
		err = ctx.Err()
	}
	a.cancel()
	a.lost()
	a.opt.Client.Close()
	return err
}

func (a *Archive) nudge() {
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// wake has a session worked on: again, if it just is. One that has failed is tried in its time.
func (a *Archive) wake(name string) {
	a.mu.Lock()
	switch j := a.jobs[name]; {
	case j != nil:
		j.again = j.busy
	case len(a.jobs) < maxJobs: // beyond, it is found by the next look at the directory
		a.jobs[name] = &job{due: time.Now()}
	}
	a.counts.Waiting.Store(int64(len(a.jobs)))
	a.mu.Unlock()
	a.nudge()
}

// run has sessions worked on when they are due.
func (a *Archive) run() {
	defer close(a.done)
	look := time.NewTimer(0)
	defer look.Stop()
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	for {
		select {
		case <-look.C:
			a.hands.Go(func() { a.look() })
			look.Reset(rescan)
		case <-next.C:
		case <-a.poke:
		}
		wait, end := a.dispatch()
		if end {
			a.hands.Wait()
			return
		}
		next.Reset(wait)
	}
}

// dispatch gives sessions that are due to free hands, and says when it wants to be called again.
func (a *Archive) dispatch() (wait time.Duration, end bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing && (!a.fresh() || a.ctx.Err() != nil) {
		return 0, true
	}
	wait = rescan
	now := time.Now()
	for name, j := range a.jobs {
		switch d := j.due.Sub(now); {
		case j.busy:
		case d > 0:
			wait = min(wait, d)
		case a.running < maxHands: // else the end of one of them calls again
			j.busy = true
			a.running++
			a.hands.Go(func() { a.work(name) })
		}
	}
	return wait, false
}

// work does what is left to do with a session, or puts it off.
func (a *Archive) work(name string) {
	err := a.try(name)
	a.mu.Lock()
	a.running--
	j := a.jobs[name]
	j.busy = false
	gone := j.late == nil && errors.Is(err, os.ErrNotExist) // erased
	switch {
	case err == nil && j.again:
		j.due, j.again = time.Now(), false
	case err == nil, gone:
		delete(a.jobs, name)
	default:
		j.due = time.Now().Add(min(lastWait, firstWait<<min(j.tries, 10)))
		j.tries, j.again = j.tries+1, false
	}
	left, again := len(a.jobs), j.due
	a.counts.Waiting.Store(int64(left))
	a.mu.Unlock()
	if err != nil && !gone && a.ctx.Err() == nil {
		a.log.Warn("a transcript is not where it should be: it is tried again", "session", name, "again", again, xlog.Err, err)
	}
	a.nudge()
}

var errDefect = errors.New("a defect of ours")

// try is finish; a defect of it costs that session a try and nothing else.
func (a *Archive) try(name string) (err error) {
	defer cause.Recover(func(why cause.Cause, stack []byte) {
		a.log.Error("a transcript met a defect of ours", "session", name, xlog.Err, why.Err, "stack", string(stack))
		err = errDefect
	})
	if err := a.takeLate(name); err != nil {
		return err
	}
	return a.finish(a.ctx, name)
}

// look finds sessions with something left to do, and erases those that are too old.
func (a *Archive) look() {
	if a.opt.Dir == "" {
		return
	}
	root, err := os.OpenRoot(a.opt.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return // nothing was kept yet
	}
	if err != nil {
		a.log.Error("the directory of transcripts cannot be used", xlog.Err, err)
		return
	}
	defer func() { _ = root.Close() }()
	for name, at := range sessions(root) {
		if a.ctx.Err() != nil {
			return
		}
		if a.opt.Keep > 0 && time.Since(at) >= a.opt.Keep {
			switch err := erase(root, name); {
			case err == nil:
				a.counts.Erased.Add(1)
				a.log.Info("a transcript was old and is erased", "session", name)
			case !errors.Is(err, errBusy):
				a.counts.EraseErrors.Add(1)
				a.log.Error("a transcript is old and cannot be erased", "session", name, xlog.Err, err)
			}
			continue
		}
		if _, err := root.Lstat(name + "/" + ledgerName); err == nil {
			a.wake(name)
		}
	}
}

// root opens the directory, which is made where it is missing.
func (a *Archive) root() (*os.Root, error) {
	mode := os.FileMode(0o700)
	if a.opt.Readable {
		mode = 0o711
	}
	if err := os.MkdirAll(a.opt.Dir, mode); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(a.opt.Dir)
	if err != nil || !a.opt.Readable {
		return root, err
	}
	if info, err := root.Stat("."); err == nil && info.Mode()&0o011 != 0o011 { // a journal may have made it
		if err := root.Chmod(".", info.Mode().Perm()|0o011); err != nil {
			a.log.Warn("others cannot read the directory of transcripts", xlog.Err, err)
		}
	}
	return root, nil
}
