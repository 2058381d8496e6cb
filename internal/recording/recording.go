// Package recording keeps the sound of a meeting: a file for each speaker, a mix of all, or both.
//
//	Track.Push ─> ring of 5 s ─┐                ┌─> file of the speaker
//	Track.Push ─> ring of 5 s ─┴─> one goroutine ┴─> mix ─> file
//
// Push copies and returns: the disk is the business of the goroutine. Sound lies in the files where it was said, so
// that all begin together; what is missing is silence. A disk that is full, or nearly, or that fails, costs sound of
// the recording and nothing else. WAV files have a header that is renewed, Opus files need none, so that a kill costs
// a second at most, after Repair.
package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/xlog"
)

// Rate is that of all recordings, in Hz, and Frame what is pushed at most at once, in samples.
const (
	Rate  = 16000
	Frame = Rate / 50
)

// Options say what is recorded. Dir, Name and Start are those of the session.
type Options struct {
	Format   string // wav or opus; "" is nothing
	Mix      bool   // one file of all together
	Speakers bool   // a file for each
	MaxBytes int64  // of a session; 0 is no bound
	MinFree  int64  // that the disk must have left; 0 is no bound
	Readable bool   // by others
	Dir      string
	Name     string // of the files, without extension; speakers have a number after it
	Start    time.Time
	Counts   *Counts
	Log      *slog.Logger
}

// Counts count what happens in all recordings.
type Counts struct {
	Recorders atomic.Int64 // that run
	Bytes     atomic.Int64
	Dropped   atomic.Int64 // frames that were not kept
	Errors    atomic.Int64
}

const (
	every      = 200 * time.Millisecond // the disk is written
	mixDelay   = 2 * Rate               // how late sound may be to be in the mix
	headers    = 5 * time.Second        // between new headers, and looks at the free space
	pauseAfter = 10 * time.Second       // a fault of the disk
	maxTracks  = 1000                   // files of a session
)

// A Recorder records one session.
type Recorder struct {
	o    Options
	log  *slog.Logger
	quit chan struct{}
	done chan struct{}
	once sync.Once // of Close

	mu     sync.Mutex
	fresh  []*Track // since the last turn
	number int

	// Owned by the goroutine.
	tracks  []*Track
	mix     *mixer
	bytes   int64
	full    bool      // MaxBytes is reached
	blocked time.Time // nothing is written until then
	looked  time.Time // when headers were renewed
	err     error     // the first fault
	faults  xlog.Sometimes
	index   *os.File
}

// New begins a recording. The disk is not touched before there is sound.
func New(o Options) *Recorder {
	if o.Counts == nil {
		o.Counts = &Counts{}
	}
	r := &Recorder{o: o, log: xlog.Or(o.Log), quit: make(chan struct{}), done: make(chan struct{})}
	if o.Mix {
		r.mix = newMixer(&file{r: r, name: o.Name + "." + o.Format})
	}
	o.Counts.Recorders.Add(1)
	go r.run()
	return r
}

// Track lets a speaker in.
func (r *Recorder) Track(id, name string) *Track {
	t := &Track{counts: r.o.Counts, start: r.o.Start, id: id, name: name, joined: time.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	t.number = r.number
	r.fresh = append(r.fresh, t)
	return t
}

// Close writes what there is and ends the recording. The error says that some of it is missing.
func (r *Recorder) Close() error {
	r.once.Do(func() {
		close(r.quit)
		<-r.done
		r.o.Counts.Recorders.Add(-1)
	})
	return r.err
}

func (r *Recorder) run() {
	defer close(r.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.turn(now, false)
		case <-r.quit:
			r.turn(time.Now(), true)
			return
		}
	}
}

// turn brings to the disk what was said since the last one.
func (r *Recorder) turn(now time.Time, last bool) {
	r.take()
	if now.Sub(r.looked) >= headers {
		r.looked = now
		r.lookAtDisk(now)
		for _, t := range r.tracks {
			r.try(now, t.file.renew)
		}
		if r.mix != nil {
			r.try(now, r.mix.out.renew)
		}
	}
	left := r.tracks[:0]
	for _, t := range r.tracks {
		gone := t.left.Load() || last
		t.drain(func(pos int64, pcm []int16) {
			if r.mix != nil {
				r.mix.add(pos, pcm)
			}
			if r.may(now) {
				r.try(now, func() error { return t.file.write(pos, pcm) })
			} else {
				r.o.Counts.Dropped.Add(1)
			}
		})
		r.try(now, t.file.flush)
		if !gone {
			left = append(left, t)
			continue
		}
		r.try(now, t.file.close)
	}
	r.tracks = left
	if r.mix != nil {
		r.mixTurn(now, last)
	}
	if last && r.index != nil {
		_ = r.index.Close()
	}
}

func (r *Recorder) mixTurn(now time.Time, last bool) {
	until := position(now.Sub(r.o.Start)) - mixDelay
	if last {
		until = r.mix.end
	}
	r.mix.run(until, func(pos int64, pcm []int16) {
		if r.may(now) {
			r.try(now, func() error { return r.mix.out.write(pos, pcm) })
		}
	})
	r.try(now, r.mix.out.flush)
	if last {
		r.try(now, r.mix.out.close)
	}
}

// take adds new speakers to those that are recorded.
func (r *Recorder) take() {
	r.mu.Lock()
	fresh := r.fresh
	r.fresh = nil
	r.mu.Unlock()
	for _, t := range fresh {
		if r.o.Speakers && t.number <= maxTracks {
			t.file = &file{r: r, name: r.o.Name + "_" + strconv.Itoa(t.number) + "." + r.o.Format}
			t.file.opened = func() { r.note(t) }
		}
	}
	r.tracks = append(r.tracks, fresh...)
}

// note writes which file is whose.
func (r *Recorder) note(t *Track) {
	if r.index == nil {
		f, err := os.OpenFile(filepath.Join(r.o.Dir, r.o.Name+".jsonl"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			r.fault(time.Now(), err)
			return
		}
		r.index = f
	}
	b, err := json.Marshal(struct {
		File string    `json:"file"`
		ID   string    `json:"id"`
		Name string    `json:"name"`
		At   time.Time `json:"at"`
	}{t.file.name, t.id, t.name, t.joined})
	if err == nil {
		_, err = r.index.Write(append(b, '\n'))
	}
	if err != nil {
		r.fault(time.Now(), err)
	}
}

// may reports whether the disk takes anything now.
func (r *Recorder) may(now time.Time) bool { return !r.full && !now.Before(r.blocked) }

func (r *Recorder) try(now time.Time, f func() error) {
	if err := f(); err != nil {
		r.fault(now, err)
	}
}

// fault stops writing for a while.
func (r *Recorder) fault(now time.Time, err error) {
	r.o.Counts.Errors.Add(1)
	r.blocked = now.Add(pauseAfter)
	if r.err == nil {
		r.err = fmt.Errorf("the recording is not whole: %w", err)
	}
	r.faults.Do(now, func(more int64) {
		r.log.Error("the sound of a meeting cannot be recorded; its transcript goes on", "more", more, xlog.Err, err)
	})
}

var (
	errMax  = errors.New("its bound is reached")
	errFree = errors.New("the disk is nearly full")
)

// wrote counts what a file has taken.
func (r *Recorder) wrote(n int64) {
	r.o.Counts.Bytes.Add(n)
	if r.bytes += n; r.o.MaxBytes > 0 && r.bytes >= r.o.MaxBytes && !r.full {
		r.full = true
		r.fault(time.Now(), errMax)
	}
}

// lookAtDisk leaves the disk what others need of it.
func (r *Recorder) lookAtDisk(now time.Time) {
	if r.o.MinFree <= 0 || r.full {
		return
	}
	if free, err := freeSpace(r.o.Dir); err == nil && free < r.o.MinFree {
		r.fault(now, errFree)
	}
}

// position is where a time lies, in samples.
func position(d time.Duration) int64 { return int64(d) / int64(time.Second/Rate) }
