package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"jigasi/internal/audio"
)

// screen writes the demo's output. On a terminal the meters stay in place; elsewhere there is a
// line of them each second.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	style style
	tty   bool
	drawn bool
	last  time.Time
}

// style is how bars and marks look.
type style struct {
	full, empty, arrow       string
	bold, dim, good, bad, no string
}

func newScreen(w io.Writer, env func(string) string) *screen {
	s := &screen{w: w, style: style{full: "#", empty: ".", arrow: "->"}}
	if f, ok := w.(*os.File); ok && env("TERM") != "dumb" {
		if info, err := f.Stat(); err == nil {
			s.tty = info.Mode()&os.ModeCharDevice != 0
		}
	}
	locale := env("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = env(name)
		}
	}
	if l := strings.ToLower(locale); strings.HasSuffix(l, "utf-8") || strings.HasSuffix(l, "utf8") {
		s.style.full, s.style.empty, s.style.arrow = "█", "░", "→"
	}
	if s.tty && env("NO_COLOR") == "" {
		s.style.bold, s.style.dim, s.style.good, s.style.bad, s.style.no = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"
	}
	return s
}

func (s *screen) title(text string) {
	s.say(s.style.bold + text + s.style.no + "\n")
}

// say writes lines; the meters come under them again.
func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintln(s.w, text)
}

func (s *screen) step(e step) {
	s.say(fmt.Sprintf("%s%9.1f ms%s  %-8s %s", s.style.dim, e.MS, s.style.no, e.Where, e.What))
}

// clear is called with mu held.
func (s *screen) clear() {
	if s.drawn {
		fmt.Fprint(s.w, "\r\x1b[2K")
		s.drawn = false
	}
}

// meter is how loud one is heard by another, in -dBov.
type meter struct {
	from, to string
	level    uint8
}

// meters draws levels side by side, in less than 80 columns.
func (s *screen) meters(list []meter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tty && time.Since(s.last) < time.Second {
		return
	}
	s.last = time.Now()
	var b strings.Builder
	for _, m := range list {
		b.WriteString("  " + m.from + " " + s.style.arrow + " " + m.to + " " + s.bar(m.level))
	}
	if s.tty {
		s.clear()
		fmt.Fprint(s.w, b.String())
		s.drawn = true
		return
	}
	fmt.Fprintln(s.w, b.String())
}

// width of a bar; it is empty at quietest and full at 0 dBov.
const (
	width    = 12
	quietest = 60
)

func (s *screen) bar(level uint8) string {
	n := max(0, quietest-int(level)) * width / quietest
	text := "  silent "
	if level < audio.Silent {
		text = fmt.Sprintf(" %3d dBov", -int(level))
	}
	return strings.Repeat(s.style.full, n) + strings.Repeat(s.style.empty, width-n) + text
}

// verdict tells who hears whom.
func (s *screen) verdict(r report) {
	s.say("")
	for _, p := range r.Hearing {
		if !p.Wanted {
			continue
		}
		mark := s.style.good + "yes" + s.style.no
		if !p.Good {
			mark = s.style.bad + "NO " + s.style.no
		}
		s.say(fmt.Sprintf("  %-5s hears %-5s (%d Hz)  %s  %6.1f dBov", p.Who, p.Whom, p.Hz, mark, p.Level))
	}
	for _, why := range r.Reasons {
		s.say("  problem: " + why)
	}
	if r.Good {
		s.say("\n" + s.style.good + "verdict: each hears exactly the others" + s.style.no)
	} else {
		s.say("\n" + s.style.bad + "verdict: this call is not right" + s.style.no)
	}
}
