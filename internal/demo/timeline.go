package demo

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// step is one event of the call.
type step struct {
	MS    float64 `json:"ms"`
	Where string  `json:"where"`
	What  string  `json:"what"`
}

// timeline collects the steps of a call and shows them. It is a slog.Handler: the gateway's part
// of the timeline is just its log at level info.
type timeline struct {
	show *screen
	over chan struct{} // closed when the gateway has said how the first call ended

	mu    sync.Mutex
	phase phase
	began time.Time
	steps []step
	why   string
}

// phase is what of the gateway's log belongs to the timeline.
type phase int

const (
	before  phase = iota // nothing yet
	talking              // all
	ending               // that it ended
	after                // nothing more
	visits               // all, and each call counts its time anew
)

func newTimeline(show *screen) *timeline { return &timeline{show: show, over: make(chan struct{})} }

func (t *timeline) enter(p phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase = p
	if p == talking {
		t.began = time.Now()
	}
}

func (t *timeline) start()   { t.enter(talking) }
func (t *timeline) ending()  { t.enter(ending) }
func (t *timeline) end()     { t.enter(after) }
func (t *timeline) perCall() { t.enter(visits) }

func (t *timeline) add(where, what string, at time.Time) {
	t.mu.Lock()
	if t.phase == before || t.phase == after {
		t.mu.Unlock()
		return
	}
	s := step{MS: ms(at.Sub(t.began)), Where: where, What: what}
	if t.phase != visits {
		t.steps = append(t.steps, s)
	}
	t.mu.Unlock()
	t.show.step(s)
}

func (t *timeline) all() []step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]step(nil), t.steps...)
}

// last is the latest step in words.
func (t *timeline) last() string {
	all := t.all()
	if len(all) == 0 {
		return "none"
	}
	s := all[len(all)-1]
	return s.Where + ": " + s.What
}

// cause is how the gateway says that the call ended; "" if it did not say.
func (t *timeline) cause() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}

// Enabled implements slog.Handler.
func (t *timeline) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// words are the attributes worth a place in the timeline, and how they read there.
var words = map[string]string{
	"ice_ms": "ICE %v ms", "dtls_ms": "DTLS %v ms", "codec": "%v", "others": "%v others there", "sources": "%v sources",
	"why": "%v", "err": "%v", "wait_ms": "after %v ms",
}

// untold are messages of the gateway that say nothing about this call.
var untold = map[string]bool{"XMPP connection without TLS": true, "gateway started": true, "gateway stopped": true, "serving HTTP": true}

const (
	callBegins = "call in"
	callEnds   = "call ended"
)

// Handle implements slog.Handler.
func (t *timeline) Handle(_ context.Context, r slog.Record) error {
	if untold[r.Message] {
		return nil
	}
	var notes []string
	why := ""
	r.Attrs(func(a slog.Attr) bool {
		if format, ok := words[a.Key]; ok {
			notes = append(notes, fmt.Sprintf(format, a.Value))
		}
		if a.Key == "cause" {
			why = a.Value.String()
		}
		return true
	})
	t.mu.Lock()
	if t.phase == ending && r.Message != callEnds {
		t.mu.Unlock()
		return nil
	}
	if t.phase == visits && r.Message == callBegins {
		t.began = r.Time
	}
	first := r.Message == callEnds && t.why == "" && t.phase != before
	if first {
		t.why = why
	}
	t.mu.Unlock()
	text := r.Message
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	t.add("gateway", text, r.Time)
	if first {
		close(t.over)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (t *timeline) WithAttrs([]slog.Attr) slog.Handler { return t }

// WithGroup implements slog.Handler.
func (t *timeline) WithGroup(string) slog.Handler { return t }
