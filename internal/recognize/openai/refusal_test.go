package openai

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jigasi/internal/audio"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
)

// TestRefusal: the reason is told by the code of the answer, where it looks like one; a language that the model does not
// know is nobody's failure.
func TestRefusal(t *testing.T) {
	for body, want := range map[string]string{
		`429 {"error":{"message":"You said topsecret","code":"insufficient_quota"}}`:                             "quota is used up (insufficient_quota)",
		`429 {"error":{"message":"spoken","code":"rate_limit_exceeded"}}`:                                        "(rate_limit_exceeded)",
		`404 {"error":{"code":"model_not_found"}}`:                                                               "the path of its address, or the model, is wrong below transcription in jigasi.yaml (model_not_found)",
		`400 {"error":{"message":"Invalid language","param":"language","code":"invalid_language_format"}}`:       recognize.ErrLanguage.Error(),
		`400 {"error":{"message":"Language 'xx' is not supported.","param":null,"code":"unsupported_language"}}`: recognize.ErrLanguage.Error(),
		`400 {"error":{"message":"too short","code":"audio_too_short"}}`:                                         "(audio_too_short)",
		`400 {"error":{"message":"x","code":400,"param":"language"}}`:                                            "the service answers 400",
		`500 spoken words`: "the service answers 500",
		`401 {"error":{"message":"Incorrect API key provided: topsecret","code":"invalid_api_key"}}`: recognize.ErrCredential.Error(),
	} {
		status, rest, _ := strings.Cut(body, " ")
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(map[string]int{"400": 400, "401": 401, "404": 404, "429": 429, "500": 500}[status])
			_, _ = io.WriteString(w, rest)
		}))
		st, err := New(Options{URL: s.URL, Key: key}).Open(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		var sound []byte
		for _, v := range prove.Say(1) {
			sound = append(sound, byte(v), byte(v>>8))
		}
		_ = errors.Join(st.Write(sound), st.CloseSend())
		for r := range st.Results() {
			t.Error(r)
		}
		if err := st.Err(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "spoken") || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v", body, err)
		}
		st.Close()
		s.Close()
	}
}

// TestShortest: what is shorter than OpenAI takes is made longer by silence.
func TestShortest(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, _, err := r.FormFile("file")
		if err != nil {
			t.Error(err)
			return
		}
		pcm, _, err := audio.ReadWAV(file)
		if err != nil || len(pcm) < recognize.Rate/10 {
			http.Error(w, `{"error":{"code":"audio_too_short"}}`, http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"text":"hm"}`)
	}))
	defer s.Close()
	st, err := New(Options{URL: s.URL}).Open(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var sound []byte
	for range recognize.Rate * 6 / 100 { // 60 ms
		sound = append(sound, 0, 0x20)
	}
	if err := errors.Join(st.Write(sound), st.CloseSend()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := range st.Results() {
		n += len(r.Text)
	}
	if n != 2 || st.Err() != nil {
		t.Errorf("%d bytes of text: %v", n, st.Err())
	}
}
