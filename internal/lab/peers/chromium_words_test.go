//go:build lab

package peers

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab/voskd"
)

// subtitles are what a browser knows of a transcription.
type subtitles struct {
	ID             string
	Status, Hidden []string
	Words          []struct {
		Type, Language, Text string
		ID                   string `json:"message_id"`
		Interim              bool   `json:"is_interim"`
		Participant          struct{ ID, Name string }
		Transcript           []struct{ Text string }
	}
}

func (b *browser) subtitles(t *testing.T) (s subtitles) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.line) > 0 {
		if err := json.Unmarshal(b.line, &s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// said are the sentences of one person so far, and translated those in a language.
func (s subtitles) said(id string) (said, translated []string) {
	for _, w := range s.Words {
		switch {
		case w.Participant.ID != id || w.Interim:
		case w.Type == "transcription-result":
			said = append(said, w.Transcript[0].Text)
		case w.Type == "translation-result" && w.Language == "de":
			translated = append(translated, w.Text)
		}
	}
	return said, translated
}

// hostile is what a translator puts in front of its sentences: quotes, entities, markup, emoji, what is read from right to
// left, and ten kilobytes.
var hostile = `&quot;de&quot; "x" 'y' &amp; <b> \ 👩‍👩‍👧 שלום مرحبا ` + strings.Repeat("ü", 5000) + " "

// TestChromiumReadsWhatIsSaid: a person in a browser turns subtitles on as the web client does, speaks with the voice of flite,
// and reads what PocketSphinx has understood, and its translation, by lib-jitsi-meet; then turns them off.
func TestChromiumReadsWhatIsSaid(t *testing.T) {
	dir := t.TempDir()
	engine, err := voskd.Start(dir)
	if err != nil {
		t.Fatalf("%v: run make lab-install", err)
	}
	t.Cleanup(engine.Close)
	libre := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Q, Source, Target string }
		if body, _ := io.ReadAll(r.Body); json.Unmarshal(body, &in) != nil || in.Source != "en" {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"translatedText": strings.Replace(hostile, "de", in.Target, 1) + in.Q})
	}))
	t.Cleanup(libre.Close)
	wav := filepath.Join(dir, "says.wav")
	if out, err := exec.Command(need(t, "sox"), speech(t, dir), "-r", "48000", wav).CombinedOutput(); err != nil {
		t.Fatalf("sox: %v %s", err, out)
	}
	m := meet(t, "")
	g := gatewayAt(t, m, func(c *config.Config) {
		brewing(c)
		w := &c.Transcription
		w.Enabled, w.User, w.Password, w.Directory = true, "transcriber@recorder.meet.test", "hidden", filepath.Join(dir, "transcripts")
		w.Vosk.URL, w.Translation.Service, w.Translation.Libre.URL = engine.URL, "libre", libre.URL
		c.Meeting.TrustedDomains = []string{"recorder.meet.test"}
	})
	page := serve(t, map[string]string{
		"/": "testdata/words.html", "/jquery.js": cache + "/jquery/package/dist/jquery.min.js",
		"/lib-jitsi-meet.js": cache + "/lib-jitsi-meet/package/lib-jitsi-meet.min.js",
	})
	b := browseSaying(t, page, "ws://"+addr(m.ports["HTTP"])+"/xmpp-websocket", "alpha", wav)
	eventually(t, 60*time.Second, "the browser joins", func() bool { return b.now().Joined })
	shown, _ := brewed(t, m, g)
	if s := stats(shown); s["supports_transcription"] != "true" || s["supports_sip"] != "true" {
		t.Errorf("the brewery reads %v", s)
	}
	b.run(t, "lab.captions('de')")
	eventually(t, 30*time.Second, "the library says that transcription is on", func() bool { return slices.Equal(b.subtitles(t).Status, []string{"ON"}) })
	understood := func() (n int) {
		said, _ := b.subtitles(t).said(b.subtitles(t).ID)
		heard := strings.Fields(strings.Join(said, " "))
		for _, s := range sentences {
			if within(strings.Fields(s.must), heard) {
				n++
			}
		}
		return n
	}
	eventually(t, 90*time.Second, "the browser reads what it says", func() bool { return understood() >= 3 })
	eventually(t, 20*time.Second, "it reads the translations", func() bool {
		said, translated := b.subtitles(t).said(b.subtitles(t).ID)
		return len(translated) > 0 && slices.Contains(said, strings.TrimPrefix(translated[0], hostile))
	})
	said, translated := b.subtitles(t).said(b.subtitles(t).ID)
	t.Logf("%d sentences, of %d the words that must be are in %d: %q, %d translated", len(said), len(sentences), understood(), said, len(translated))
	if hidden := b.subtitles(t).Hidden; !slices.Equal(hidden, []string{"Transcriber"}) || b.now().Failed != "" {
		t.Errorf("hidden members %q, failed %q", hidden, b.now().Failed)
	}
	b.run(t, "lab.hush()")
	eventually(t, 30*time.Second, "the library says that transcription is off", func() bool { return slices.Equal(b.subtitles(t).Status, []string{"ON", "OFF"}) })
	eventually(t, 20*time.Second, "no call is left", func() bool { return len(g.Calls()) == 0 })
}
