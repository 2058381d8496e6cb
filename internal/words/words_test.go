package words

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/gcloud"
	"jigasi/internal/recognize"
)

// TestEveryServiceIsReached: each service and translator that the configuration may name is made, and
// goes where the configuration says, with its key.
func TestEveryServiceIsReached(t *testing.T) {
	var mu sync.Mutex
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = r.URL.Path + " " + r.Header.Get("Authorization") + r.Header.Get("X-Goog-Api-Key") + r.Header.Get("Ocp-Apim-Subscription-Key")
		http.Error(w, "", http.StatusTeapot)
	}))
	defer s.Close()
	ws := "ws" + strings.TrimPrefix(s.URL, "http")
	c := config.Default().Transcription
	c.Vosk.URL, c.Whisper.URL, c.OpenAI.URL, c.Deepgram.URL = ws+"/vosk", ws+"/whisper", s.URL+"/v1", ws+"/deepgram"
	c.OpenAI.Key, c.Deepgram.Key, c.OpenAI.Realtime = "k", "k", true
	for name, want := range map[string]string{
		"": "/vosk ", "vosk": "/vosk ", "whisper": "/whisper/", "openai": "/v1/realtime Bearer k", "deepgram": "/deepgram Token k",
	} {
		service, end, err := Service(c, nil, name)
		if err != nil {
			t.Fatal(name, err)
		}
		defer end()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err = service.Open(ctx, recognize.Who{Session: "s", ID: "a", Language: "en"})
		cancel()
		mu.Lock()
		if err == nil || !strings.Contains(err.Error(), "418") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q %v", name, got, err)
		}
		mu.Unlock()
	}
	tr := c.Translation
	tr.Libre.URL, tr.DeepL.URL, tr.Bing.Endpoint, tr.OpenAI.URL = s.URL+"/libre", s.URL+"/deepl", s.URL+"/bing", s.URL+"/v1"
	tr.DeepL.Key, tr.Bing.Key, tr.OpenAI.Key, tr.Google.Key = "k", "k", "k", "k"
	for name, want := range map[string]string{"libre": "/libre ", "deepl": "/deepl DeepL-Auth-Key k", "bing": "/bing/translate k", "openai": "/v1/chat/completions Bearer k"} {
		c.Translation = tr
		c.Translation.Service = name
		made, err := Translator(c)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := made.Translate(t.Context(), "a", "en", "de"); err == nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	c.Translation.Service = "google"
	if _, err := Translator(c); err != nil {
		t.Error(err)
	}
	c.Translation.Service = "none"
	if _, err := Translator(c); err == nil {
		t.Error("a translator out of nothing")
	}
	c.Google.Credentials = "/nowhere/key.json"
	service, end, err := Service(c, nil, "google")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if _, err := service.Open(t.Context(), recognize.Who{}); !errors.Is(err, gcloud.ErrNone) {
		t.Error(err)
	}
	if _, _, err := Service(c, nil, "oracle"); err == nil {
		t.Error("oracle without a compartment")
	}
	c.Oracle.Compartment, c.Oracle.URL, c.Oracle.ConfigFile = "c", ws, "/nowhere/config"
	if service, _, err = Service(c, nil, "oracle"); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Open(t.Context(), recognize.Who{}); err == nil || !strings.Contains(err.Error(), "OCI configuration cannot be read") {
		t.Error(err)
	}
	if _, _, err := Service(c, nil, "ear"); err == nil {
		t.Error("a service out of nothing")
	}
}
