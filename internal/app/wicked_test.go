package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/lab/soak"

	"github.com/coder/websocket"
)

// wicked is a Vosk server that does to each of its first connections something else, and then serves as the good one does.
func wicked(t *testing.T, good string) (url string, done *atomic.Int64) {
	t.Helper()
	behind, err := neturl.Parse("http" + strings.TrimPrefix(good, "ws"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	done = &atomic.Int64{}
	var running sync.WaitGroup
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		n := done.Add(1)
		switch n {
		case 1:
			http.Error(w, "spoken", http.StatusBadGateway)
			return
		case 2:
			_, _ = io.WriteString(w, "no WebSocket")
			return
		case 3, 4, 5, 6, 7:
		default:
			proxy.ServeHTTP(w, r)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for k := range 20000 {
			text := ""
			switch n {
			case 3:
				text = `{"spoken": [` // no JSON
			case 4:
				text = fmt.Sprintf(`{"partial" : "spoken %d"}`, k) // and so on
			case 5:
				text = `{"text" : "` + strings.Repeat("x", 8<<20) + `"}`
			case 6:
				text = `{"partial" : "spoken, but`
			}
			if c.Write(r.Context(), websocket.MessageText, []byte(text)) != nil || n >= 6 {
				return // 7 hangs up with nothing but an empty message
			}
		}
	}))
	t.Cleanup(func() { h.Close(); running.Wait() })
	return "ws" + strings.TrimPrefix(h.URL, "http"), done
}

// TestBadSpeechServiceCostsNoCall: whatever a speech service does, people and phones hear each other, and when it works
// there are captions, without anybody doing anything.
func TestBadSpeechServiceCostsNoCall(t *testing.T) {
	t.Parallel()
	vosk, port := tones(t, 440, 700), ports.Free(t)
	url, done := wicked(t, vosk.URL)
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Admin.Port = ports.Free(t)
		c.Transcription.Vosk.URL, c.Transcription.Directory, c.Transcription.Export.Port = url, t.TempDir(), port
		c.Transcription.Translation.Service, c.Transcription.Translation.Libre.URL, c.Transcription.Export.Translate = "libre", shouter(t), []string{"fr"}
	})
	alice := m.Join("words", 440)
	phone := m.call(t, "words", 700, "PCMU")
	heard := func() bool { return hears(alice, 700)() && phone.tone(440) > -26 }
	eventually(t, 20*time.Second, "they hear each other", heard)
	phone.silence()
	x := m.Bridge.Export("words@"+m.XMPP.MUC(), fmt.Sprintf("ws://127.0.0.1:%d/transcribe/1", port), nil)
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	eventually(t, 90*time.Second, "the service has done its worst", func() bool { return done.Load() > 7 })
	if gap := phone.silence(); soak.Full() && gap > 200*time.Millisecond {
		t.Errorf("the phone heard nothing for %v", gap)
	}
	phone.deaf()
	eventually(t, 20*time.Second, "they hear each other still", heard)
	for _, want := range []string{"tone440", "tone700"} {
		eventually(t, 60*time.Second, want, func() bool {
			for _, r := range x.Results() {
				if !r.Interim && len(r.Transcript) > 0 && r.Transcript[0].Text == want {
					return true
				}
			}
			return false
		})
	}
	eventually(t, 20*time.Second, "its numbers are shown", func() bool { return len(lacking(t, m)) == 0 })
}

// lacking are the numbers of transcription that ought to be above 0 by then, and are not.
func lacking(t *testing.T, m *meeting) (out []string) {
	t.Helper()
	shown := page(t, "http://"+m.app.AdminAddr()+"/metrics")
	for _, name := range []string{
		`jigasi_speech_refused_total{service="vosk"}`, `jigasi_speech_lost_total{service="vosk"}`, `jigasi_speech_reconnects_total{service="vosk"}`,
		`jigasi_speech_streams{service="vosk"}`, `jigasi_speech_streams_total{service="vosk"}`, `jigasi_speech_sent_seconds_total{service="vosk"}`,
		`jigasi_speech_finals_total{service="vosk"}`, `jigasi_speech_interims_total{service="vosk"}`, `jigasi_speech_latency_seconds_count{service="vosk"}`,
		`jigasi_speech_rests_total{service="vosk"}`, `jigasi_transcription_streams`, `jigasi_transcription_sent_seconds_total`, `jigasi_transcription_finals_total`,
		`jigasi_transcription_streams_lost_total`, `jigasi_transcription_streams_refused_total`, `jigasi_transcription_translated_total`, `jigasi_transcription_translate_seconds_count`,
	} {
		if found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` ([0-9.e+]+)$`).FindStringSubmatch(shown); found == nil || found[1] == "0" {
			out = append(out, name)
		}
	}
	for _, name := range []string{`jigasi_transcription_lost_seconds_total`, `jigasi_transcription_waiting{queue="publish"}`, `jigasi_transcription_waiting{queue="translate"}`, `jigasi_transcription_interims_dropped_total`} {
		if !strings.Contains(shown, "\n"+name+" ") {
			out = append(out, name)
		}
	}
	return out
}
