package xlog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A Line is one line of a Journal.
type Line struct {
	At    time.Time
	Level slog.Level
	Text  string
	Attrs map[string]string
}

// maxLines bounds a journal: its first and its last lines are kept.
const maxLines = 200

// A Journal keeps what is logged of one thing that lives, such as a call, so that its story can be
// read without the log. It is safe for concurrent use.
type Journal struct {
	mu    sync.Mutex
	lines []Line
}

// Logger writes to log as before, and every line from Debug on to the journal too.
func (j *Journal) Logger(log *slog.Logger) *slog.Logger {
	return slog.New(tee{next: log.Handler(), j: j})
}

// Lines are those so far.
func (j *Journal) Lines() []Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Line(nil), j.lines...)
}

func (j *Journal) add(l Line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) == maxLines {
		j.lines = append(j.lines[:maxLines/2], j.lines[maxLines/2+1:]...)
	}
	j.lines = append(j.lines, l)
}

// tee is a slog.Handler before another.
type tee struct {
	next  slog.Handler
	j     *Journal
	attrs []slog.Attr
}

func (t tee) Enabled(context.Context, slog.Level) bool { return true }

func (t tee) Handle(ctx context.Context, r slog.Record) error {
	l := Line{At: r.Time, Level: r.Level, Text: r.Message, Attrs: map[string]string{}}
	note := func(a slog.Attr) bool {
		if a.Key != "stack" { // too long for a story
			l.Attrs[a.Key] = a.Value.Resolve().String()
		}
		return true
	}
	for _, a := range t.attrs {
		note(a)
	}
	r.Attrs(note)
	t.j.add(l)
	if !t.next.Enabled(ctx, r.Level) {
		return nil
	}
	return t.next.Handle(ctx, r)
}

func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tee{t.next.WithAttrs(attrs), t.j, append(t.attrs[:len(t.attrs):len(t.attrs)], attrs...)}
}

func (t tee) WithGroup(name string) slog.Handler { return tee{t.next.WithGroup(name), t.j, t.attrs} }
