package prove

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/recognize"
)

// A Proof is one speaker's way through a service, with all that came out.
type Proof struct {
	Said   []recognize.Said
	Counts recognize.Counts
}

// Finals are the texts of all finals.
func (p *Proof) Finals() []string {
	var out []string
	for _, s := range p.Said {
		if s.Final && s.Text != "" {
			out = append(out, s.Text)
		}
	}
	return out
}

// Listen lets somebody say n utterances to a service, as fast as it takes them, and as long as
// the counterpart has faults to make. The test fails unless every utterance comes out once, in
// order, after interims that belong to it, in about the time that the sound takes and a minute for each fault, and nothing
// that is said gets into the log (T31).
func Listen(t *testing.T, service recognize.Service, n int, o recognize.Options, temper *Temper) *Proof {
	t.Helper()
	p := &Proof{}
	var mu sync.Mutex
	o.Service, o.Counts = service, &p.Counts
	o.Emit = func(s recognize.Said) { mu.Lock(); p.Said = append(p.Said, s); mu.Unlock() }
	var log bytes.Buffer
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if o.Who.ID == "" {
		o.Who = recognize.Who{Session: "s", ID: "0a1b2c3d", Language: "en-US"}
	}
	if o.FirstDelay == 0 {
		o.FirstDelay = 5 * time.Millisecond
	}
	if o.EndLimit == 0 {
		o.EndLimit = 60 * time.Second
	}
	sound := Say(n)
	limit := time.Minute + 4*time.Duration(len(sound))*time.Second/rate // in real time as in virtual
	if temper != nil {
		limit += time.Duration(temper.Left()) * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s := recognize.Listen(ctx, o)
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for len(sound) > 0 {
		if err := s.Ready(ctx); err != nil {
			t.Fatalf("the sound does not go on: %v", err)
		}
		k := min(320, len(sound))
		s.Push(sound[:k], clock)
		clock, sound = clock.Add(20*time.Millisecond), sound[k:]
	}
	s.End()
	<-s.Done()
	if temper != nil && temper.Left() > 0 {
		t.Errorf("the counterpart has %d faults left", temper.Left())
	}
	p.check(t, n)
	if spoken := regexp.MustCompile(`\bw\d|spoken|topsecret`).FindString(log.String()); spoken != "" {
		t.Errorf("%q is in the log:\n%s", spoken, log.String())
	}
	return p
}

func (p *Proof) check(t *testing.T, n int) {
	t.Helper()
	want := Script(n)
	if got := p.Finals(); !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("%d ms dropped; %d finals, want %d; from number %d:\n got %s\nwant %s", p.Counts.DroppedMS.Load(), len(got), len(want), i, window(got, i), window(want, i))
			}
		}
	}
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	final := 0
	for _, s := range p.Said {
		if !s.Final && final < n && !strings.HasPrefix(want[final], s.Text) {
			t.Errorf("the interim %q is not of %q", s.Text, want[final])
		}
		if began := s.Began.Sub(started); began < 0 || s.Until.Before(s.Began) {
			t.Errorf("%q from %v to %v", s.Text, began, s.Until.Sub(started))
		}
		if s.Final && s.Text != "" {
			final++
		}
	}
	if dropped := p.Counts.DroppedMS.Load(); dropped != 0 {
		t.Errorf("%d ms of sound were dropped", dropped)
	}
	if a, b := p.Counts.Streams.Load(), p.Counts.Speakers.Load(); a != 0 || b != 0 {
		t.Errorf("%d streams and %d speakers are left", a, b)
	}
}

func window(s []string, i int) string {
	return fmt.Sprintf("%q", s[max(0, min(i-1, len(s))):min(len(s), i+3)])
}
