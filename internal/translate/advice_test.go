package translate_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"jigasi/internal/translate"
	"jigasi/internal/translate/google"
	"jigasi/internal/translate/libre"
	"jigasi/internal/translate/openai"
)

// TestAdvice: of each way in which translation commonly fails at first the log says what to do.
func TestAdvice(t *testing.T) {
	code := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, said+key, code) }))
	defer s.Close()
	for _, c := range services {
		for c2, want := range map[int]string{400: "lacks one of the two languages", 401: "is its key below transcription.translation right?", 403: "is its key", 404: "path of its address", 429: "quota", 456: "quota", 500: "500"} {
			code = c2
			if _, err := c.make(s.URL).Translate(t.Context(), said, "en", "fr"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), strconv.Itoa(code)) {
				t.Errorf("%s, %d: %v", c.name, code, err)
			}
		}
		if _, err := c.make("http://127.0.0.1:1").Translate(t.Context(), said, "en", "fr"); err == nil || !strings.Contains(err.Error(), "the service at 127.0.0.1:1 cannot be reached: connection refused: ") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestQuotaProject: who is a person to Google names the project that pays; nobody else does.
func TestQuotaProject(t *testing.T) {
	var asked http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.Header }))
	defer s.Close()
	for _, quota := range []string{"", "payer"} {
		o := google.Options{URL: s.URL, Token: func(context.Context) (string, error) { return key, nil }, Quota: func() string { return quota }}
		_, _ = google.New(o).Translate(t.Context(), said, "en", "fr")
		if got := asked.Get("X-Goog-User-Project"); got != quota || asked.Get("Authorization") != "Bearer "+key {
			t.Errorf("%q, want %q", got, quota)
		}
	}
}

// TestAsked: the language of a speaker is named as each service has it, and models that refuse a temperature are given none.
func TestAsked(t *testing.T) {
	var asked map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = map[string]any{}
		_ = json.NewDecoder(r.Body).Decode(&asked)
	}))
	defer s.Close()
	for _, c := range []struct {
		service  translate.Translator
		from, is string
	}{
		{libre.New(libre.Options{URL: s.URL}), "fil", "tl"}, {libre.New(libre.Options{URL: s.URL}), "no", "nb"}, {libre.New(libre.Options{URL: s.URL}), "pt", "pt"},
		{google.New(google.Options{URL: s.URL, Key: key}), "nb", "no"}, {google.New(google.Options{URL: s.URL, Key: key}), "fil", "fil"},
	} {
		if _, err := c.service.Translate(t.Context(), said, c.from, "fr"); err == nil || asked["source"] != c.is {
			t.Errorf("%T: %v is %v, want %s", c.service, err, asked["source"], c.is)
		}
	}
	for model, want := range map[string]bool{"gpt-4o-mini": true, "llama3": true, "": true, "gpt-5-mini": false, "o4-mini": false} {
		_, _ = openai.New(openai.Options{URL: s.URL, Model: model}).Translate(t.Context(), said, "en", "fr")
		if _, got := asked["temperature"]; got != want {
			t.Errorf("%s: %v", model, asked)
		}
	}
}
