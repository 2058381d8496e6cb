package bench

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"jigasi/internal/recognize"
)

// TestSink: the end of what is said is heard with the chunk that ends the silence behind it, and covers all of that.
func TestSink(t *testing.T) {
	s := &sink{}
	st, err := s.Open(t.Context(), recognize.Who{})
	if err != nil {
		t.Fatal(err)
	}
	chunk := func(value int16) []byte {
		var b []byte
		for range recognize.Rate / 10 {
			b = binary.LittleEndian.AppendUint16(b, uint16(value))
		}
		return b
	}
	for _, v := range []int16{0, 8000, 8000, 0, 0, 0, 0, 8000, 0, 0, 0} {
		if err := st.Write(chunk(v)); err != nil {
			t.Fatal(err)
		}
	}
	st.Close()
	var got []string
	for r := range st.Results() {
		got = append(got, r.Text)
		if !r.Final || r.End <= r.Start {
			t.Errorf("%+v", r)
		}
	}
	if strings.Join(got, ",") != "30,55" || s.bytes.Load() != 11*3200 {
		t.Errorf("finals with packets %q, %d bytes", got, s.bytes.Load())
	}
}

// TestWordsTable: the median of the phases is the figure, a phase that has no delays shows none.
func TestWordsTable(t *testing.T) {
	r := &wordsRun{WordsOptions: WordsOptions{Out: io.Discard}, rows: []wordRow{
		{door: "brewery", rooms: 4, cpu: 30, floor: 20, p50: 1, p95: 2}, {door: "brewery", rooms: 8, cpu: 24, floor: 20, p50: 1, p95: 90},
		{door: "brewery", rooms: 8, cpu: 26, floor: 20, p50: 1, p95: 3}, {door: theFeed, rooms: 1, cpu: 40, floor: 20, p50: 9, p95: 31, goroutines: 7, heap: 2048},
		{door: theFeed + ", 200 people", rooms: 1, cpu: 80, floor: 20},
	}}
	if err := r.report(); err != nil {
		t.Fatal(err)
	}
	text := r.table()
	for _, want := range []string{"| brewery | 4 | 30.0 | 20.0 | 1.50 | 90 | 1.0, 2.0 |", "| bridge's feed | 1 | 40.0 | 20.0 | 2.00 | 120 | 9.0, 31.0 |", "200 people | 1 | 80.0 | 20.0 | 4.00 | 240 |  |",
		"brewery: R, median of the phases | **1.30** (aim: 1.5)", "feed: R, median of the phases | **2.00**", "published final, beyond the service's own time, p95, median of the phases | 31.0 ms", "7 goroutines and 2.0 MiB"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
