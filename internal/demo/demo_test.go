package demo

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/lab/soak"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	soak.Together(3)
	goleak.VerifyTestMain(m)
}

// busy is for how many seconds a machine may have no time for sound.
const busy = 30

// loudest is the level of a tone in the second that has most of it.
func loudest(pcm []int16, hz float64, rate int) float64 {
	best := math.Inf(-1)
	for ; len(pcm) >= rate; pcm = pcm[rate/10:] {
		best = max(best, audio.Heard(pcm[:rate], hz, rate))
	}
	return best
}

func TestDemoSucceedsAndWritesItsFiles(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	dir := t.TempDir()
	if status := run(t.Context(), options{length: shortest, out: dir, again: busy}, newScreen(&out, os.Getenv), &errs); status != 0 {
		t.Fatalf("status %d\n%s%s", status, out.String(), errs.String())
	}
	for _, want := range []string{"INVITE sent", "180", "conference requested", "room joined", "session offered", "media connected", "200 OK", "first sound from the phone", "first sound heard by the phone", "verdict: each hears exactly the others"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "call.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil || !r.Good || len(r.Hearing) != 9 || r.Phone.Packets < 50 || r.Room.Packets < 50 {
		t.Errorf("call.json: %v, %+v", err, r)
	}
	for name, hz := range map[string]float64{"phone-heard.wav": annaTone, "room-heard.wav": phoneTone} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pcm, rate, err := audio.ReadWAV(f)
		f.Close()
		if err != nil || loudest(pcm, hz, rate) < -30 {
			t.Errorf("%s: %d samples at %d Hz, %v", name, len(pcm), rate, err)
		}
	}
}

// TestCaptions: everybody's tone is read as a sentence, under the right name.
func TestCaptions(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if status := run(t.Context(), options{length: shortest, captions: true, tones: true, again: busy}, newScreen(&out, os.Getenv), &errs); status != 0 {
		t.Fatalf("status %d\n%s%s", status, out.String(), errs.String())
	}
	for _, want := range []string{"caption  Anna: I say 620 hertz", "caption  Ben: I say 880 hertz", "caption  phone: I say 440 hertz"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestDemoFailsWithoutABridge(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if status := run(t.Context(), options{length: time.Second, noBridge: true, patience: 500 * time.Millisecond}, newScreen(&out, os.Getenv), &errs); status != 1 || !strings.Contains(out.String(), "not answered") {
		t.Errorf("status %d\n%s%s", status, out.String(), errs.String())
	}
}
