package deepgram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "topsecret"

// server is a counterpart that checks what it is asked, and misbehaves.
func server(t *testing.T, temper *prove.Temper) *prove.Server {
	return prove.Near(t, temper, func(ctx context.Context, c *websocket.Conn, r *http.Request, fault prove.Fault, after int) {
		if q := r.URL.RawQuery; r.Header.Get("Authorization") != "Token "+key ||
			q != "channels=1&encoding=linear16&endpointing=300&interim_results=true&language=pt-BR&model=nova-3&sample_rate=16000&smart_format=true" {
			t.Errorf("%s %v", q, r.Header)
		}
		ear, covered := prove.Ear{}, time.Duration(0)
		say := func(heard []prove.Heard) bool {
			for _, h := range heard {
				text, _ := json.Marshal(h.Text)
				if h.Final && fault == prove.Half && after%2 == 0 {
					return false
				}
				_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil,
					`{"type":"Results","channel_index":[0,1],"start":%f,"duration":%f,"is_final":%v,"speech_final":%v,"channel":{"alternatives":[{"transcript":%s,"confidence":0.9,"words":[{"word":"a","start":%f,"end":%f}]}]}}`,
					covered.Seconds(), (h.End-covered).Seconds(), h.Final, h.Final, text, h.Start.Seconds(), h.End.Seconds()))
				if h.Final {
					covered = h.End
					if fault == prove.Half {
						return false
					}
				}
			}
			return true
		}
		for n := 0; ; n++ {
			kind, b, err := c.Read(ctx)
			if err != nil || fault != prove.Half && !prove.Misbehave(ctx, c, fault, after, n) {
				return
			}
			if kind == websocket.MessageText {
				if string(b) != `{"type":"CloseStream"}` {
					t.Errorf("%s", b)
				}
				if say(ear.Finish()) {
					_ = c.Write(ctx, websocket.MessageText, []byte(`{"type":"Metadata","duration":1.0}`))
					_ = c.Close(websocket.StatusNormalClosure, "")
				}
				return
			}
			if len(b) > 3200 {
				t.Errorf("%d bytes", len(b))
			}
			if !say(ear.Hear(b)) {
				return
			}
		}
	})
}

func service(s *prove.Server) *Service {
	return New(Options{URL: s.URL + "/v1/listen", Key: key, Transport: s.Via})
}

var who = recognize.Who{ID: "a", Language: "pt-BR"}

// TestT34_Deepgram: no final is lost or doubled.
func TestT34_Deepgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temper := prove.Moody(prove.Drops(12), prove.Refuse, prove.Garbage, prove.Drop, prove.Half, prove.Late)
		s := server(t, temper)
		prove.Listen(t, service(s), 8*prove.Drops(12), recognize.Options{Who: who}, temper)
		if s.Most.Load() != 1 {
			t.Errorf("%d connections at once", s.Most.Load())
		}
	})
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, temper := time.Now(), prove.Moody(1, prove.Stall)
		p := prove.Listen(t, service(server(t, temper)), 8, recognize.Options{Who: who}, temper)
		if p.Counts.Lost.Load() != 1 || time.Since(began) > 30*time.Second {
			t.Errorf("%d streams were lost; it took %v", p.Counts.Lost.Load(), time.Since(began))
		}
	})
}

func TestMessages(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"Results","start":1,"duration":0.5,"is_final":true,"channel":{"alternatives":[{"transcript":"olá","confidence":0.98,"words":[]}]}}`: "olá true 1s 1.5s",
		`{"type":"Results","start":0,"duration":1,"channel":{"alternatives":[]}}`:                                                                    " false 0s 1s",
		`{"type":"SpeechStarted"}`: "", `{"type":"Metadata"}`: "", `{}`: "", `{"type":5}`: "error", `x`: "error", `{"type":"Results","start":"x"}`: "error",
	} {
		results, _, err := (&dialect{}).Heard([]byte(in))
		got := ""
		for _, r := range results {
			got = fmt.Sprintf("%s %v %v %v", r.Text, r.Final, r.Start, r.End)
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// TestRefused: whoever reads the log finds what to do; what the service says beside its status is not told.
func TestRefused(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "spoken words, topsecret", code) }))
		_, err := New(Options{URL: "ws" + strings.TrimPrefix(stranger.URL, "http"), Key: key}).Open(t.Context(), who)
		if want := fmt.Sprintf("%v: it answers %d: set its key below transcription in jigasi.yaml", recognize.ErrCredential, code); !errors.Is(err, recognize.ErrCredential) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		stranger.Close()
	}
	s := prove.Serve(t, prove.Moody(1, prove.Refuse), nil)
	if _, err := service(s).Open(t.Context(), who); err == nil || err.Error() != "the service answers 503" {
		t.Error(err)
	}
	if n := New(Options{Key: key}).Needs(); !n.Pace || n.Idle >= 10*time.Second || !strings.HasPrefix(New(Options{}).o.URL, "wss://") {
		t.Errorf("%+v", n)
	}
}

// TestLanguages: Deepgram refuses a tag with a region unless it is one of its own, and browsers give one to each language.
// What it does not know goes to the next service, and the log says where to look.
func TestLanguages(t *testing.T) {
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("language")
		w.Header().Set("dg-error", "Bad Request: No such model/language/tier combination found.")
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer s.Close()
	for tag, want := range map[string]string{
		"": "en", "en-US": "en-US", "de-DE": "de", "de-CH": "de-CH", "fr-FR": "fr", "fr-CA": "fr-CA", "es-ES": "es", "it-IT": "it", "pt-PT": "pt-PT", "no-NO": "no",
		"nb-NO": "no", "he-IL": "he", "ar-EG": "ar", "fil-PH": "tl", "zh": "zh", "zh-TW": "zh-TW", "ko-KR": "ko-KR", "multi": "multi", "tr": "tr",
	} {
		_, err := New(Options{URL: "ws" + strings.TrimPrefix(s.URL, "http"), Key: key}).Open(t.Context(), recognize.Who{ID: "a", Language: tag})
		if asked != want || !errors.Is(err, recognize.ErrLanguage) || !strings.Contains(err.Error(), "transcription.deepgram.model") {
			t.Errorf("%s: %s: %v", tag, asked, err)
		}
	}
}
