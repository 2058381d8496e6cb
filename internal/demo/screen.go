package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// screen writes the demo's output. On a terminal the meters stay in place.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	tty   bool
	drawn bool
	last  time.Time
}

func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	tty := false
	if ok {
		if info, err := f.Stat(); err == nil {
			tty = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return &screen{w: w, tty: tty}
}

func (s *screen) title(text string) { s.say(text + "\n" + strings.Repeat("-", len(text))) }

// say writes a line above the meters.
func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintln(s.w, text)
}

func (s *screen) clear() {
	if s.drawn {
		fmt.Fprint(s.w, "\r\x1b[2K")
		s.drawn = false
	}
}

// meters draws how loud the room hears the phone, and the phone the room.
func (s *screen) meters(_ string, room, phone uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("  phone -> room %s  room -> phone %s", bar(room), bar(phone))
	if s.tty {
		s.clear()
		fmt.Fprint(s.w, line)
		s.drawn = true
		return
	}
	if time.Since(s.last) >= time.Second {
		s.last = time.Now()
		fmt.Fprintln(s.w, line)
	}
}

// bar is a level as a bar of 20: -60 dBov and less is empty.
func bar(level uint8) string {
	n := max(0, min(20, (60-int(level))/2))
	if level >= 127 {
		return strings.Repeat(".", 20) + "   silent"
	}
	return strings.Repeat("#", n) + strings.Repeat(".", 20-n) + fmt.Sprintf(" -%2d dBov", level)
}

func (s *screen) verdict(r report) {
	s.say("")
	for _, p := range r.Hearing {
		if p.Wanted {
			mark := "yes"
			if !p.Good {
				mark = "NO"
			}
			s.say(fmt.Sprintf("  %-5s hears %-5s (%d Hz): %-3s %6.1f dBov", p.Who, p.Whom, p.Hz, mark, p.Level))
		}
	}
	for _, why := range r.Reasons {
		s.say("  problem: " + why)
	}
	if r.Good {
		s.say("\nverdict: each hears exactly the others")
	} else {
		s.say("\nverdict: this call is not right")
	}
}

// step is one event of the call.
type step struct {
	MS    float64 `json:"ms"`
	Where string  `json:"where"`
	What  string  `json:"what"`
}

// timeline collects the steps of a call. It is a slog.Handler: the gateway's part of the
// timeline is just its log at level info.
type timeline struct {
	show *screen

	mu    sync.Mutex
	began time.Time
	steps []step
}

func newTimeline(show *screen) *timeline { return &timeline{show: show} }

func (t *timeline) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = time.Now()
}

func (t *timeline) add(where, what string, at time.Time) {
	t.mu.Lock()
	if t.began.IsZero() {
		t.mu.Unlock()
		return
	}
	s := step{MS: float64(at.Sub(t.began).Microseconds()) / 1000, Where: where, What: what}
	t.steps = append(t.steps, s)
	t.mu.Unlock()
	t.show.say(fmt.Sprintf("  %8.1f ms  %-8s %s", s.MS, where, what))
}

func (t *timeline) all() []step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]step(nil), t.steps...)
}

// Enabled implements slog.Handler.
func (t *timeline) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// told are the attributes worth a place in the timeline.
var told = map[string]bool{"ready": true, "ms": true, "ice_ms": true, "dtls_ms": true, "codec": true, "others": true, "sources": true, "why": true, "cause": true, "err": true}

// Handle implements slog.Handler.
func (t *timeline) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if told[a.Key] {
			text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	})
	t.add("gateway", text, r.Time)
	return nil
}

// WithAttrs implements slog.Handler.
func (t *timeline) WithAttrs([]slog.Attr) slog.Handler { return t }

// WithGroup implements slog.Handler.
func (t *timeline) WithGroup(string) slog.Handler { return t }
