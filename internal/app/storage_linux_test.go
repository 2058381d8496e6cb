package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab/ports"
	"jigasi/internal/lab/soak"

	"golang.org/x/sys/unix"
)

// spoken are the lines of a transcript with a word in it, and how often each word is there.
func spoken(t *testing.T, dir string, words ...string) map[string]int {
	t.Helper()
	out := map[string]int{}
	files, _ := filepath.Glob(dir + "/*/*.txt")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			out[w] += strings.Count(string(text), ": "+w)
		}
	}
	return out
}

// T35: the disk of the transcripts is full, or cannot be written at all, while two people and a phone talk. The call
// goes on as if nothing was, words are shown as before, and when there is room again the transcript lacks none.
func TestT35_CallsGoOn(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]struct {
		breaks func(t *testing.T, p *process, dir string)
		mends  func(t *testing.T, p *process, dir string)
	}{
		"full": {
			func(t *testing.T, p *process, _ string) { p.limitFile(t, 200) }, // no file may grow beyond
			func(t *testing.T, p *process, _ string) { p.limitFile(t, unix.RLIM_INFINITY) },
		},
		"not there": {
			nil,
			func(t *testing.T, _ *process, dir string) {
				if err := os.Remove(dir); err != nil { // a file, so far
					t.Error(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vosk, port, dir := tones(t, 500, 700), ports.Free(t), filepath.Join(t.TempDir(), "transcripts")
			if disk.breaks == nil {
				if err := os.WriteFile(dir, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := spawnWith(t, func(cfg *config.Config) {
				cfg.Limits.Drain = time.Second
				cfg.Transcription.Vosk.URL, cfg.Transcription.Directory = vosk.URL, dir
				cfg.Transcription.Export.Port, cfg.Transcription.Export.Token = port, "a-token-of-the-bridge"
			})
			m := p.phones(t)
			alice := p.Join("words", 500)
			phone := m.call(t, "words", 700, "PCMU")
			heard := func() bool { return hears(alice, 700)() && phone.tone(500) > -26 }
			eventually(t, 20*time.Second, "they hear each other", heard)
			x := m.Bridge.Export("words@"+m.XMPP.MUC(), fmt.Sprintf("ws://127.0.0.1:%d/transcribe/1", port), http.Header{"Authorization": {"Bearer a-token-of-the-bridge"}})
			defer func() { _ = x.Close() }()
			shown := func() map[string]int { // what the bridge was told
				out := map[string]int{}
				for _, r := range x.Results() {
					if !r.Interim && len(r.Transcript) > 0 {
						out[r.Transcript[0].Text]++
					}
				}
				return out
			}
			said := func(n int) func() bool {
				return func() bool { s := shown(); return s["tone500"] >= n && s["tone700"] >= n }
			}
			eventually(t, 20*time.Second, "words are shown", said(1))
			if disk.breaks != nil {
				disk.breaks(t, p, dir)
			}
			phone.silence()
			more := shown()["tone500"] + soak.Count(3, 30)
			eventually(t, 2*patience, "words are shown while the disk is "+name, said(more))
			if gap := phone.silence(); soak.Full() && gap > 200*time.Millisecond {
				t.Errorf("the phone heard nothing for %v", gap)
			}
			phone.deaf()
			eventually(t, 20*time.Second, "they hear each other still", heard)
			disk.mends(t, p, dir)
			eventually(t, 20*time.Second, "words are shown as before", said(more+2))
			phone.d.Hangup(cause.Cause{Code: cause.Normal})
			if err := x.Close(); err != nil {
				t.Error(err)
			}
			want := shown()
			eventually(t, 20*time.Second, fmt.Sprintf("the transcript has what was shown, %v", want), func() bool {
				got := spoken(t, dir, "tone500", "tone700")
				return got["tone500"] >= want["tone500"] && got["tone700"] >= want["tone700"]
			})
			t.Logf("shown %v, written %v", want, spoken(t, dir, "tone500", "tone700"))
		})
	}
}

// limitFile lets no file of the process grow beyond a size.
func (p *process) limitFile(t *testing.T, most uint64) {
	t.Helper()
	lim := unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &lim, nil); err != nil {
		t.Fatal(err)
	}
}
