package app_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/audio"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
)

// tones is a Vosk that hears who says which tone: a word for each second of one.
func tones(t *testing.T, list ...float64) *prove.Server {
	return prove.Serve(t, nil, func(ctx context.Context, c *websocket.Conn, _ *http.Request, _ prove.Fault, _ int) {
		block, blocks := make([]int16, 0, 320), map[float64]int{}
		for {
			kind, b, err := c.Read(ctx)
			if err != nil {
				return
			}
			said := ""
			for ; kind == websocket.MessageBinary && len(b) > 1; b = b[2:] {
				if block = append(block, int16(binary.LittleEndian.Uint16(b))); len(block) < 320 {
					continue
				}
				for _, hz := range list {
					if audio.Goertzel(block, hz, 16000) > -35 {
						if blocks[hz]++; blocks[hz]%50 == 0 {
							said = fmt.Sprintf("tone%.0f", hz)
						}
					}
				}
				block = block[:0]
			}
			switch {
			case kind == websocket.MessageText && strings.Contains(string(b), "eof"):
				_ = c.Write(ctx, websocket.MessageText, []byte(`{"text" : ""}`))
				return
			case kind == websocket.MessageText:
			case said != "":
				_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"text" : %q}`, said))
			default:
				_ = c.Write(ctx, websocket.MessageText, []byte(`{"partial" : ""}`))
			}
		}
	})
}

// TestMeetingIsTranscribedByTheBridgesFeed: two people and a phone say a tone each; the bridge exports the meeting, and
// what each says comes back under its own name, and stands in the transcript; health, metrics and the end know of it.
func TestMeetingIsTranscribedByTheBridgesFeed(t *testing.T) {
	t.Parallel()
	vosk := tones(t, 440, 620, 880)
	dir, port := t.TempDir(), ports.Free(t)
	const token = "a-token-of-the-bridge"
	hook, posted := listener(t)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nls \"$1\" >>"+script+".out\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Admin.Port = ports.Free(t)
		c.Transcription.Vosk.URL, c.Transcription.Directory = vosk.URL, dir
		c.Transcription.Export.Port, c.Transcription.Export.Token = port, token
		follow(c, ports.Free(t), hook.URL, script)
	})
	alice, bob := m.Join("words", 440), m.Join("words", 620)
	m.call(t, "words", 880, "PCMU")
	x := m.Bridge.Export("words@"+m.XMPP.MUC(), fmt.Sprintf("ws://127.0.0.1:%d/transcribe/9ef4d8e6", port), http.Header{"Authorization": {"Bearer " + token}})
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	heard := func(who, what string) int {
		n := 0
		for _, r := range x.Results() {
			switch {
			case r.Interim || r.Type != "transcription-result" || len(r.Transcript) == 0:
			case r.Participant.ID == who && r.Transcript[0].Text == what:
				n++
			case r.Participant.ID == who:
				t.Errorf("%s said %q", who, r.Transcript[0].Text)
			}
		}
		return n
	}
	phone := ""
	eventually(t, 20*time.Second, "the phone is there", func() bool {
		for _, nick := range alice.Others() {
			if nick != bob.Nick() && nick != "focus" {
				phone = nick
			}
		}
		return phone != ""
	})
	for who, what := range map[string]string{alice.Nick(): "tone440", bob.Nick(): "tone620", phone: "tone880"} {
		eventually(t, 20*time.Second, who+" says "+what, func() bool { return heard(who, what) >= 2 })
	}
	if p := page(t, "http://"+m.app.AdminAddr()+"/metrics"); !strings.Contains(p, "jigasi_transcription_meetings 1") || !strings.Contains(p, "jigasi_transcription_speakers 3") {
		t.Errorf("the metrics do not show the meeting:\n%s", p)
	}
	metrics := page(t, "http://"+m.app.AdminAddr()+"/metrics")
	for _, want := range []string{
		`jigasi_speech_up{service="vosk"} 1`, `jigasi_speech_streams{service="vosk"} 3`, `jigasi_speech_latency_seconds_bucket{service="vosk",le="+Inf"}`,
		`jigasi_speech_last_result_seconds{service="vosk"}`, `jigasi_transcription_waiting{queue="publish"}`, `jitsi_jigasi_total_transcriber_started_total 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s:\n%s", want, metrics)
		}
	}
	var stats map[string]any
	if err := json.Unmarshal([]byte(page(t, "http://"+m.app.AdminAddr()+"/about/stats")), &stats); err != nil || stats["total_transcriber_started"] != 1.0 || stats["total_transcriber_vsk_millis"].(float64) < 1000 || stats["total_transcriber_ggl_millis"] != 0.0 {
		t.Errorf("%v %v", err, stats)
	}
	if p := page(t, "http://"+m.app.AdminAddr()+"/readyz"); !strings.Contains(p, "transcription") {
		t.Errorf("/readyz does not speak of it:\n%s", p)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, 20*time.Second, "a transcript", func() bool {
		files, _ := filepath.Glob(dir + "/*/*.txt")
		if len(files) != 1 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && strings.Contains(string(text), alice.Nick()+": tone440") && strings.Contains(string(text), phone+": tone880") && strings.Contains(string(text), "End of transcript")
	})
	followed(t, m, dir, script, posted)
}

// TestServiceThatRefusesUs: a service that does not know our key is told of in the room, once, and takes the calls of
// nobody; with another one to go on with, the captions come from that, and the room is told nothing.
func TestServiceThatRefusesUs(t *testing.T) {
	t.Parallel()
	vosk := tones(t, 440, 620)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "spoken", http.StatusUnauthorized) }))
	defer refusing.Close()
	port := ports.Free(t)
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Transcription.Service, c.Transcription.Deepgram.Key, c.Transcription.Deepgram.URL = "deepgram", "k", "ws"+strings.TrimPrefix(refusing.URL, "http")
		c.Transcription.Rooms = []config.RoomRule{{Match: "*@*", Fallback: []string{"vosk"}}}
		c.Transcription.Vosk.URL, c.Transcription.Directory, c.Transcription.Export.Port = vosk.URL, t.TempDir(), port
	})
	alice, bob := m.Join("refused", 440), m.Join("refused", 620)
	for query, want := range map[string]string{"": "Transcriber is not properly configured", "?room=refused@muc": "tone440"} {
		x := m.Bridge.Export("refused@"+m.XMPP.MUC(), fmt.Sprintf("ws://127.0.0.1:%d/transcribe/%d%s", port, len(query), query), nil)
		told := func() (text string, n int) {
			for _, r := range x.Results() {
				if r.Participant.ID == "transcriber" && !r.Interim {
					text, n = r.Transcript[0].Text, n+1
				}
				if r.Participant.ID == alice.Nick() && !r.Interim {
					text = r.Transcript[0].Text
				}
			}
			return text, n
		}
		eventually(t, 20*time.Second, want, func() bool { text, _ := told(); return strings.HasPrefix(text, want) })
		if _, n := told(); n != 1-min(len(query), 1) {
			t.Errorf("%q: told %d times", query, n)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(bob.Others()) == 0 {
		t.Error("the meeting is over")
	}
}

// TestFeedThatCannotBe: what the configuration check cannot see is said at the start.
func TestFeedThatCannotBe(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*config.Export){
		"transcription.export": func(e *config.Export) { e.CertFile, e.KeyFile = bad, bad },
		"no token":             func(e *config.Export) { e.Host = "0.0.0.0" },
	} {
		cfg := config.Default()
		cfg.Transcription.Export.Port = 1
		change(&cfg.Transcription.Export)
		if _, err := app.New(cfg, app.Options{Version: "test"}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
