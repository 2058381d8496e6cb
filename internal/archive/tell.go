package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"jigasi/internal/transcript"
	"jigasi/internal/xlog"
)

// A feed is a URL that is told of events. What it is told of, pick says: a new one for each pass over a session.
type feed struct {
	url  string
	pick func() picker
}

// A picker gives what is posted of an event, and whether anything is.
type picker func(room string, e transcript.Entry) (any, bool)

// posting is an event as it is posted.
type posting struct {
	Room string `json:"room_name"`
	transcript.Message
}

// feeds are the URLs and the actions.
func (a *Archive) feeds() []feed {
	var out []feed
	for _, u := range a.opt.Posts {
		out = append(out, feed{u, func() picker { return pickAll }})
	}
	for _, act := range a.opt.Actions {
		out = append(out, feed{act.URL, act.picker})
	}
	return out
}

// pickAll takes what is final and spoken, and who came and went.
func pickAll(room string, e transcript.Entry) (any, bool) {
	if e.Interim || e.Kind == transcript.Translation {
		return nil, false
	}
	return posting{room, transcript.MessageOf(e)}, true
}

// picker takes sentences with the phrase in them, as what follows it, and the end of a meeting that had one.
func (act Action) picker() picker {
	fired := false
	return func(room string, e transcript.Entry) (any, bool) {
		switch {
		case e.Kind == transcript.End && fired:
			return posting{room, transcript.MessageOf(e)}, true
		case e.Kind != transcript.Speech || e.Interim:
			return nil, false
		}
		rest, ok := after(e.Text, act.Phrase)
		if !ok {
			return nil, false
		}
		fired = true
		e.Text = strings.TrimSpace(rest)
		return posting{room, transcript.MessageOf(e)}, true
	}
}

// after is what follows a phrase in a text, in whatever case it is written.
func after(text, phrase string) (string, bool) {
	n := utf8.RuneCountInString(phrase)
	for i := range text {
		if n == 0 {
			break
		}
		end, left := i, n
		for left > 0 && end < len(text) {
			_, size := utf8.DecodeRuneInString(text[end:])
			end, left = end+size, left-1
		}
		if left > 0 {
			break
		}
		if strings.EqualFold(text[i:end], phrase) {
			return text[end:], true
		}
	}
	return "", false
}

const (
	postLimit  = 10 * time.Second
	firstRetry = time.Second
	lastRetry  = time.Minute
	maxTold    = 1000 // events that wait for one URL; beyond, all of the rest comes from the journal
)

var errRefused = errors.New("it is refused")

// post sends one event. errRefused says that it would be refused again.
func (a *Archive) post(ctx context.Context, url string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	ctx, cancel := context.WithTimeout(ctx, postLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("%w: not a URL", errRefused)
	}
	r.Header.Set("Content-Type", "application/json; charset=UTF-8")
	status, _, err := a.opt.Client.Do(r)
	switch {
	case err != nil && status == 0:
		return err
	case status >= 200 && status < 300: // also where the answer is too long: it was taken
		return nil
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests && status != http.StatusUnauthorized && status != http.StatusNotFound:
		return fmt.Errorf("%w with status %d", errRefused, status)
	}
	return fmt.Errorf("status %d", status)
}

// tell posts one event and counts; done says that it needs not be tried again.
func (a *Archive) tell(ctx context.Context, url string, body any) (done bool, err error) {
	switch err = a.post(ctx, url, body); {
	case err == nil:
		a.counts.Posted.Add(1)
		return true, nil
	case errors.Is(err, errRefused):
		a.counts.PostsRefused.Add(1)
		return true, err
	}
	if ctx.Err() == nil {
		a.counts.PostErrors.Add(1)
	}
	return false, err
}

// A teller tells one URL of the events of a session while it lasts, in order, and again where that fails. It is a
// publisher of the scribe's with a queue of its own.
type teller struct {
	s      *Session
	index  int // of the feed
	feed   feed
	pick   picker // owned by Publish
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	queue  []any
	wake   chan struct{}
	ended  bool
	behind bool // too many waited: the journal has the rest
	told   int
}

func newTeller(s *Session, index int, f feed) *teller {
	t := &teller{s: s, index: index, feed: f, pick: f.pick(), done: make(chan struct{}), wake: make(chan struct{}, 1)}
	var ctx context.Context
	ctx, t.cancel = context.WithCancel(s.a.ctx)
	go t.run(ctx)
	return t
}

// Name implements scribe.Publisher.
func (t *teller) Name() string { return fmt.Sprintf("post %d", t.index+1) }

// Publish implements scribe.Publisher. It does not wait.
func (t *teller) Publish(_ context.Context, e transcript.Entry) error {
	body, ok := t.pick(t.s.room, e)
	if !ok {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.behind = t.behind || len(t.queue) >= maxTold; t.behind {
		return nil
	}
	t.queue = append(t.queue, body)
	t.poke()
	return nil
}

func (t *teller) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *teller) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.poke()
}

// wait stops the teller, when it is done or ctx is, and reports whether it has told all.
func (t *teller) wait(ctx context.Context) bool {
	stop := context.AfterFunc(ctx, t.cancel)
	defer stop()
	<-t.done
	t.cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue) == 0 && !t.behind
}

func (t *teller) sent() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told
}

// first is what is to be told next; nil is nothing yet, and over says that nothing will come.
func (t *teller) first() (body any, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) > 0 {
		return t.queue[0], false
	}
	return nil, t.ended
}

func (t *teller) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue, t.told = t.queue[1:], t.told+1
}

func (t *teller) run(ctx context.Context) {
	defer close(t.done)
	var sometimes xlog.Sometimes
	wait := firstRetry
	for ctx.Err() == nil {
		body, over := t.first()
		switch {
		case over:
			return
		case body == nil:
			select {
			case <-t.wake:
			case <-ctx.Done():
			}
			continue
		}
		done, err := t.s.a.tell(ctx, t.feed.url, body)
		if err != nil && ctx.Err() == nil {
			sometimes.Do(time.Now(), func(more int64) {
				t.s.a.log.Warn("an event was not taken", "post", t.index+1, "again", !done, "more", more, xlog.Err, err)
			})
		}
		if done {
			t.next()
			wait = firstRetry
			continue
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
		wait = min(2*wait, lastRetry)
	}
}

// tellRest tells each URL what the journal has and it was not told yet.
func (a *Archive) tellRest(ctx context.Context, l *ledger) error {
	feeds := a.feeds()
	if len(feeds) == 0 {
		return nil
	}
	entries, err := readJournal(l.dir)
	if err != nil && len(entries) == 0 {
		return err
	}
	room := ""
	var errs []error
	for i, f := range feeds {
		pick, n, told := f.pick(), 0, l.toldTo(i)
		for _, e := range entries {
			if e.Kind == transcript.Start {
				room = e.Room
			}
			body, ok := pick(room, e)
			if !ok {
				continue
			}
			if n++; n <= told {
				continue
			}
			if done, err := a.tell(ctx, f.url, body); !done {
				errs = append(errs, fmt.Errorf("post %d: %w", i+1, err))
				break
			}
			told = n
		}
		if told > l.toldTo(i) {
			errs = append(errs, l.tell(i, told))
		}
	}
	return errors.Join(errs...)
}
