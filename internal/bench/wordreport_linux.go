package bench

import (
	"fmt"
	"strings"
	"time"

	"jigasi/internal/codec"
)

const (
	wordsBegin = "<!-- figures of words: written by make bench-words -->"
	wordsEnd   = "<!-- end of the figures of words -->"
)

// report prints the figures and writes them to the page.
func (r *wordsRun) report() error {
	text := r.table()
	fmt.Fprintf(r.Out, "\n%s\n", text)
	if r.Page != "" {
		return writePage(r.Page, wordsBegin, wordsEnd, text)
	}
	return nil
}

// of gives the medians of the phases of a door, in rooms of talkers.
func (r *wordsRun) of(door string) (ratio, p95 float64) {
	var ratios, late []float64
	for _, row := range r.rows {
		if row.door == door {
			ratios, late = append(ratios, row.ratio()), append(late, row.p95)
		}
	}
	return median(ratios), median(late)
}

func (r *wordsRun) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s; %s; rooms of %d talkers into a counting sink.\n\n", time.Now().Format("2006-01-02"), codec.OpusBuild(), talkers)
	b.WriteString("| door | rooms | us a packet | floor | R | ms of CPU a speaker-minute | ms added, p50 and p95 |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, row := range r.rows {
		added := ""
		if row.p95 > 0 {
			added = fmt.Sprintf("%.1f, %.1f", row.p50, row.p95)
		}
		fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f | %.2f | %.0f | %s |\n", row.door, row.rooms, row.cpu, row.floor, row.ratio(), row.cpu*3, added)
	}
	b.WriteString("\n| | |\n|---|---|\n")
	for _, door := range []string{"brewery", theFeed} {
		ratio, p95 := r.of(door)
		fmt.Fprintf(&b, "| %s: R, median of the phases | **%.2f** (aim: %.1f) |\n", door, ratio, aimWords)
		fmt.Fprintf(&b, "| %s: end of speech to published final, beyond the service's own time, p95, median of the phases | %.1f ms (aim: %.0f) |\n", door, p95, aimDelay)
	}
	for _, row := range r.rows {
		if row.goroutines > 0 {
			fmt.Fprintf(&b, "| %s, rooms: %d | %d goroutines and %.1f MiB of heap more than without |\n", row.door, row.rooms, row.goroutines, float64(row.heap)/1024)
		}
	}
	return b.String()
}
