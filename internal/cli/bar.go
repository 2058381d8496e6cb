package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"jigasi/internal/scribe"
)

// A bar shows on a terminal how far a file is. It shows nothing that is said.
type bar struct {
	w     io.Writer
	tty   bool
	total time.Duration
	start time.Time
	last  time.Time
}

func newBar(w io.Writer, total time.Duration) *bar {
	return &bar{w: w, tty: isTerminal(w), total: total, start: time.Now()}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const barWidth = 30

// show draws the bar, ten times a second at most.
func (b *bar) show(at time.Duration) {
	now := time.Now()
	if !b.tty || now.Sub(b.last) < 100*time.Millisecond {
		return
	}
	b.last = now
	_, _ = fmt.Fprint(b.w, "\r"+b.line(at, now))
}

func (b *bar) line(at time.Duration, now time.Time) string {
	share := float64(at) / float64(max(b.total, 1))
	full := int(share * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f%%  %.1f of %.1f s, %.1f times real time ", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full),
		100*share, at.Seconds(), b.total.Seconds(), at.Seconds()/max(now.Sub(b.start).Seconds(), 0.001))
}

// done clears the bar and says in a line what happened.
func (b *bar) done(c *scribe.Counts) {
	if b.tty {
		_, _ = fmt.Fprint(b.w, "\r\x1b[K")
	}
	took := time.Since(b.start)
	w := &c.Words
	say(b.w, "%.1f s of sound in %.1f s; %s, %s, %d lost", b.total.Seconds(), took.Seconds(), plural(int(w.Finals.Load()), "utterance"), plural(int(w.Opened.Load()), "stream"), w.Lost.Load())
	if n := c.TranslateErrors.Load() + c.TranslateDropped.Load(); n > 0 {
		say(b.w, "%s not translated", plural(int(n), "utterance"))
	}
}
