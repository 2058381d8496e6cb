package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/config"
)

// listener is who is told of what is said; posted says how many sentences came.
func listener(t *testing.T) (*httptest.Server, func() int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if b, _ := io.ReadAll(r.Body); strings.Contains(string(b), `"text":"tone`) {
			n.Add(1)
		}
	}))
	t.Cleanup(s.Close)
	return s, n.Load
}

// follow configures all that follows a transcript.
func follow(c *config.Config, port int, hook, script string) {
	tr := &c.Transcription
	tr.HTTP.Port, tr.BaseURL, tr.Advertise = port, "http://127.0.0.1/", true
	tr.Posts, tr.Allow, tr.Scripts = []string{hook}, []string{"127.0.0.1"}, []string{script}
	tr.Record = config.Record{Format: "wav", Mix: true, Speakers: true}
}

// followed checks that it happened.
func followed(t *testing.T, m *meeting, dir, script string, posted func() int64) {
	t.Helper()
	if posted() < 6 {
		t.Errorf("%d sentences were posted", posted())
	}
	eventually(t, 20*time.Second, "the script", func() bool {
		b, err := os.ReadFile(script + ".out")
		return err == nil && strings.Contains(string(b), ".txt")
	})
	files, _ := filepath.Glob(dir + "/*/*.txt")
	rel, err := filepath.Rel(dir, files[0])
	if err != nil {
		t.Fatal(err)
	}
	if p := page(t, "http://"+m.app.TranscriptAddr()+"/"+rel); !strings.Contains(p, ": tone440") {
		t.Errorf("what is served: %s", p)
	}
	heard := map[float64]bool{}
	waves, _ := filepath.Glob(dir + "/*/*_?.wav")
	for _, path := range waves {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		pcm, rate, err := audio.ReadWAV(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, hz := range []float64{440, 620, 880} {
			for at := 0; at+rate <= len(pcm); at += rate {
				heard[hz] = heard[hz] || audio.Goertzel(pcm[at:at+rate], hz, rate) > -45
			}
		}
	}
	if mix, _ := filepath.Glob(dir + "/*/*Z_????????-????-????-????-????????????.wav"); len(mix) != 1 || len(heard) != 3 || !heard[440] || !heard[620] || !heard[880] {
		t.Errorf("%v, heard %v in %d files", mix, heard, len(waves))
	}
	if p := page(t, "http://"+m.app.AdminAddr()+"/metrics"); !strings.Contains(p, `jigasi_transcript_steps_total{kind="script"} 1`) || !strings.Contains(p, `jigasi_transcript_requests_total{answer="served"} 1`) {
		t.Errorf("the metrics do not show it:\n%s", p)
	}
}
