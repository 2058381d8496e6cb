package words

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
)

// TestT31_ArchiveTellsNothing: where nothing works, no secret, no address that may hold one, and no word is logged.
func TestT31_ArchiveTellsNothing(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "canary-answer", http.StatusInternalServerError)
	}))
	defer s.Close()
	c := config.Default().Transcription
	c.Directory, c.Allow, c.ScriptTimeout = t.TempDir(), []string{"127.0.0.1"}, time.Second
	c.Posts = []string{s.URL + "/?token=canary-token", "https://canary-user:canary-password@127.0.0.1:1/"}
	c.Actions = []config.Action{{Name: "a", Phrase: "canary-word", URL: s.URL + "/canary-path"}}
	c.Scripts = []string{"/bin/echo"}
	c.S3 = config.Bucket{Endpoint: s.URL, Bucket: "b", KeyID: "k", Secret: "canary-secret"}
	c.WebDAV = config.WebDAV{URL: s.URL + "/dav", User: "me", Password: "canary-dav"}
	c.Record = config.Record{Format: "wav", Mix: true}
	var log bytes.Buffer
	a, err := Archive(c, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	session := a.Open("canary-room", time.Now())
	o := scribe.Options{Room: "canary-room"}
	session.Attach(&o)
	if !session.Recorded() || o.Ears == nil || o.Journal == nil {
		t.Error("what is configured is not there")
	}
	said := transcript.Entry{Kind: transcript.Speech, At: time.Now(), ID: "1", Text: "a canary-word is said", Person: transcript.Person{ID: "p", Name: "canary-name"}}
	if err := o.Journal.Append(said); err != nil {
		t.Fatal(err)
	}
	for _, p := range o.Publishers {
		if err := p.Publish(t.Context(), said); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Journal.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	end, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	if err := session.End(end); err != nil {
		t.Fatal(err)
	}
	if err := a.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if n := a.Counts(); n.CopyErrors.Load() < 2 || n.PostErrors.Load() < 2 || n.Scripts.Load() != 1 {
		t.Errorf("%d copies and %d posts failed, %d scripts ran", n.CopyErrors.Load(), n.PostErrors.Load(), n.Scripts.Load())
	}
	if text := log.String(); strings.Contains(text, "canary") || !strings.Contains(text, "not where it should be") {
		t.Error(text)
	}
}

func TestArchiveThatCannotBe(t *testing.T) {
	for want, change := range map[string]func(*config.Transcription){
		"transcription.allow":  func(c *config.Transcription) { c.Allow = []string{"http://x"} },
		"transcription.s3":     func(c *config.Transcription) { c.S3.Endpoint = "https://s3.example.com" },
		"transcription.webdav": func(c *config.Transcription) { c.WebDAV.URL = "ftp://x" },
	} {
		c := config.Default().Transcription
		change(&c)
		if _, err := Archive(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
