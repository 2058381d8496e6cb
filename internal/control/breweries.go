package control

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Breweries are the breweries of the program by id, which may come and go at run
// time. The zero value is ready. It is safe for concurrent use.
type Breweries struct {
	mu     sync.Mutex
	all    map[string]*Brewery
	closed bool
}

// ErrClosed is what Add says after Close.
var ErrClosed = errors.New("shutting down")

// Add starts a brewery and returns at once: it connects in its own time, and
// again and again. One of the same id is closed first, within ctx.
func (l *Breweries) Add(ctx context.Context, id string, o Options) error {
	if id == "" {
		return errors.New("a brewery needs an id")
	}
	if err := o.check(); err != nil { // before the old one goes
		return err
	}
	l.Remove(ctx, id)
	b, err := New(o)
	if err != nil {
		return err
	}
	l.mu.Lock()
	other := l.all[id]
	closed := l.closed
	if other == nil && !closed {
		if l.all == nil {
			l.all = map[string]*Brewery{}
		}
		l.all[id] = b
	}
	l.mu.Unlock()
	switch {
	case closed:
		return errors.Join(ErrClosed, b.Close(ctx))
	case other != nil:
		return errors.Join(errors.New("a brewery of this id was added meanwhile"), b.Close(ctx))
	}
	return nil
}

// Remove closes a brewery, within ctx, and reports whether there was one. Its calls go on.
func (l *Breweries) Remove(ctx context.Context, id string) bool {
	l.mu.Lock()
	b := l.all[id]
	delete(l.all, id)
	l.mu.Unlock()
	if b == nil {
		return false
	}
	_ = b.Close(ctx) // it goes on closing when ctx is done
	return true
}

// List gives the ids in order.
func (l *Breweries) List() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, len(l.all))
	for id := range l.all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Status tells how each brewery stands.
func (l *Breweries) Status() map[string]Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]Status, len(l.all))
	for id, b := range l.all {
		out[id] = b.Status()
	}
	return out
}

// Changed tells all of them that the stats may differ. It does not block.
func (l *Breweries) Changed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.all {
		b.Changed()
	}
}

// Close closes all, together, and waits for them or for ctx.
func (l *Breweries) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	all := l.all
	l.all = nil
	l.mu.Unlock()
	for _, b := range all {
		b.cancel()
	}
	var failed error
	for _, b := range all {
		failed = errors.Join(failed, b.Close(ctx))
	}
	return failed
}
