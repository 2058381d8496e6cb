//go:build lab

package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"jigasi/internal/cli"
	"jigasi/internal/lab/voskd"
)

// sentences are spoken by flite, and what is a must: the engine of the lab hears these words.
var sentences = []struct{ said, must string }{
	{"please call the meeting room one two three", "please call the meeting room one two three"},
	{"the meeting starts at nine in the morning", "the meeting starts at nine in the morning"},
	{"we will talk about the new telephone line", "we will talk about the new telephone line"},
	{"please send the report before friday", "please send report before friday"},
}

// speech makes a WAV file of the sentences, with pauses between them.
func speech(t *testing.T, dir string) string {
	t.Helper()
	args := []string{}
	for i, s := range sentences {
		one, padded := filepath.Join(dir, fmt.Sprintf("s%d.wav", i)), filepath.Join(dir, fmt.Sprintf("p%d.wav", i))
		if out, err := exec.Command(need(t, "flite"), "-voice", "rms", "-t", s.said, "-o", one).CombinedOutput(); err != nil {
			t.Fatalf("flite: %v %s", err, out)
		}
		if out, err := exec.Command(need(t, "sox"), one, "-r", "16000", "-c", "1", "-b", "16", padded, "pad", "0.4", "1.0").CombinedOutput(); err != nil {
			t.Fatalf("sox: %v %s", err, out)
		}
		args = append(args, padded)
	}
	path := filepath.Join(dir, "speech.wav")
	if out, err := exec.Command("sox", append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("sox: %v %s", err, out)
	}
	return path
}

// transcribe runs the command and gives the texts of its JSON.
func transcribe(t *testing.T, args ...string) []string {
	t.Helper()
	var out, errs bytes.Buffer
	if status := cli.Transcribe(append(args, "--format", "json"), &out, &errs, func(string) string { return "" }); status != 0 {
		t.Fatalf("status %d\n%s", status, errs.String())
	}
	t.Log(strings.TrimSpace(errs.String()))
	var m struct {
		Events []struct {
			Event      string
			Transcript []struct{ Text string }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range m.Events {
		if e.Event == "SPEECH" {
			texts = append(texts, e.Transcript[0].Text)
		}
	}
	return texts
}

// TestTranscribe: a voice of flite through the command, the Vosk protocol and PocketSphinx: the words
// that must be found are, and the word error rate is told.
func TestTranscribe(t *testing.T) {
	dir := t.TempDir()
	s, err := voskd.Start(dir)
	if err != nil {
		t.Fatalf("%v: run make lab-install", err)
	}
	defer s.Close()
	libre := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Q, Source, Target string }
		if body, _ := io.ReadAll(r.Body); json.Unmarshal(body, &in) != nil || in.Source != "en" || in.Target != "de" {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"translatedText": "[de] " + in.Q})
	}))
	defer libre.Close()
	for name, gate := range map[string]string{"all sound": "false", "gate": "true"} {
		t.Run(name, func(t *testing.T) {
			config := filepath.Join(dir, "jigasi.yaml")
			yaml := fmt.Sprintf("sip: {trunks: 192.0.2.0/24}\ntranscription:\n  gate: %s\n  vosk: {url: %q}\n  translation: {service: libre, libre: {url: %q}}\n", gate, s.URL, libre.URL)
			if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			wav := speech(t, dir)
			heard := transcribe(t, wav, "--config", config)
			var said []string
			for i, s := range sentences {
				said = append(said, strings.Fields(s.said)...)
				if i < len(heard) && !within(strings.Fields(s.must), strings.Fields(heard[i])) {
					t.Errorf("heard %q, where %q was said", heard[i], s.said)
				}
			}
			if len(heard) != len(sentences) {
				t.Errorf("%d utterances, want %d: %q", len(heard), len(sentences), heard)
			}
			words := strings.Fields(strings.Join(heard, " "))
			errors := distance(said, words)
			t.Logf("word error rate %.1f %% (%d of %d words)", 100*float64(errors)/float64(len(said)), errors, len(said))
			if gate == "false" {
				return
			}
			for i, text := range transcribe(t, wav, "--config="+config, "--translate=de") {
				if i < len(heard) && text != "[de] "+heard[i] {
					t.Errorf("translated: %q", text)
				}
			}
		})
	}
}

// within reports whether the words of must stand in heard in their order.
func within(must, heard []string) bool {
	for _, w := range heard {
		if len(must) > 0 && w == must[0] {
			must = must[1:]
		}
	}
	return len(must) == 0
}

// distance counts words put in, left out and replaced.
func distance(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		last := row[0]
		row[0] = i + 1
		for j := range b {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
