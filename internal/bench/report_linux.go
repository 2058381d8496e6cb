package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"jigasi/internal/codec"
)

// figures are what a run comes to.
type figures struct {
	main         []phase // the highest load
	ratio        float64
	slope, idle  float64 // least squares over all phases that count
	perCall      float64 // share of a core that one more call takes
	memory, base float64 // KiB a call, and without calls
	delays       [2][]float64
}

func (r *run) figures() (figures, error) {
	var f figures
	var good []phase
	for _, p := range r.phases {
		if p.void == "" {
			good = append(good, p)
		}
	}
	if len(good) == 0 {
		return f, errors.New("bench: no phase counts: this machine is too busy")
	}
	most := slices.MaxFunc(good, func(a, b phase) int { return a.calls - b.calls }).calls
	var ratios, x, y []float64
	for _, p := range good {
		if p.calls == most {
			f.main, ratios = append(f.main, p), append(ratios, p.ratio())
		}
		x, y = append(x, float64(p.calls)), append(y, p.core())
		for i := range p.delays {
			f.delays[i] = append(f.delays[i], p.delays[i]...)
		}
	}
	f.ratio = median(ratios)
	f.slope, f.idle = slope(good)
	f.perCall, _ = line(x, y)
	var n, kib []float64
	for _, m := range r.memory {
		n, kib = append(n, m[0]), append(kib, m[1])
	}
	f.memory, f.base = line(n, kib)
	return f, nil
}

// report prints the figures and writes them to the page.
func (r *run) report() error {
	f, err := r.figures()
	if err != nil {
		return err
	}
	text := r.table(f)
	r.say("\n%s", text)
	if r.opt.Page != "" {
		if err := writePage(r.opt.Page, figuresBegin, figuresEnd, text); err != nil {
			return err
		}
	}
	r.say("R=%.2f", f.ratio)
	return nil
}

// table is the figures as Markdown.
func (r *run) table(f figures) string {
	var b strings.Builder
	row := func(what, format string, a ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, a...))
	}
	last := f.main[len(f.main)-1]
	fmt.Fprintf(&b, "Measured %s; %s; PCMU phones, everybody speaking, one speaker in each room.\n\n", time.Now().UTC().Format(time.DateOnly), codec.OpusBuild())
	b.WriteString("| calls | core | machine | us a call and 20 ms | floor | R | switches a call and second | ms to the bridge, p95 | ms to the phone, p95 | |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, p := range r.phases {
		fmt.Fprintf(&b, "| %d | %.0f %% | %.0f %% | %.1f | %.1f | %.2f | %.1f | %.1f | %.1f | %s |\n", p.calls, 100*p.core(), 100*p.machine,
			us(p.cpu)/float64(max(1, p.up)), us(p.floor.both()), p.ratio(), float64(p.switches)/float64(p.calls)/p.length.Seconds(),
			percentile(p.delays[0], 0.95), percentile(p.delays[1], 0.95), void(p))
	}
	b.WriteString("\n| | |\n|---|---|\n")
	row(fmt.Sprintf("R at %d calls, %.0f %% of a core", last.calls, 100*last.core()), "**%.2f** (aim: 1.5)", f.ratio)
	row("slope ratio: what one more call costs, in floors", "%.2f", f.slope)
	row("idle tax: what does not grow with the work (intercept)", "%.1f %% of a core", 100*f.idle)
	row(fmt.Sprintf("%d silent calls", r.idle.calls), "%.1f %% of a core", 100*r.idle.core())
	row("calls on one core, by the slope", "%.0f; three quarters of it: %.0f", (1-f.idle)/f.perCall, (0.75-f.idle)/f.perCall)
	row("memory a call (PSS)", "%.0f KiB (aim: 500), and %.0f MiB without calls", f.memory, f.base/1024)
	row("threads", "%d", r.threads)
	row(fmt.Sprintf("INVITE to 200, %d calls", len(r.answers)), "p50 %.0f ms, p95 %.0f ms", median(r.answers), percentile(r.answers, 0.95))
	row("INVITE to the first sound at the phone", "p50 %.0f ms (aim: 300), p95 %.0f ms", median(r.sounds[1]), percentile(r.sounds[1], 0.95))
	row("INVITE to the first sound at the bridge", "p50 %.0f ms, p95 %.0f ms", median(r.sounds[0]), percentile(r.sounds[0], 0.95))
	row(fmt.Sprintf("added latency, phone to bridge, %d pulses", len(f.delays[0])), "p50 %.1f ms, p95 %.1f ms (aim: 15)", median(f.delays[0]), percentile(f.delays[0], 0.95))
	row(fmt.Sprintf("added latency, bridge to phone, %d pulses", len(f.delays[1])), "p50 %.1f ms, p95 %.1f ms (aim: 60)", median(f.delays[1]), percentile(f.delays[1], 0.95))
	return b.String()
}

func void(p phase) string {
	if p.void == "" {
		return ""
	}
	return "void: " + p.void
}

const (
	figuresBegin = "<!-- figures: written by make bench -->"
	figuresEnd   = "<!-- end of figures -->"
	roomBegin    = "<!-- figures of a room: written by make bench-room -->"
	roomEnd      = "<!-- end of the figures of a room -->"
)

// writePage puts text between two marks of the page.
func writePage(path, begin, end, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	out, err := fill(page, begin, end, text)
	if err != nil {
		return fmt.Errorf("bench: %s: %w", path, err)
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

func fill(page []byte, begin, end, text string) ([]byte, error) {
	head, rest, ok := bytes.Cut(page, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, errors.New("the marks of the figures are not there")
	}
	return slices.Concat(head, []byte(begin+"\n\n"+text+"\n"+end), tail), nil
}
