package openai

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
)

// liveServer is a counterpart that hears what is said as it comes, and ends nothing by itself.
func liveServer(t *testing.T, temper *prove.Temper) *prove.Server {
	return prove.Near(t, temper, func(ctx context.Context, c *websocket.Conn, _ *http.Request, fault prove.Fault, after int) {
		say := func(format string, args ...any) {
			_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, format, args...))
		}
		ear, n, said, told := prove.Ear{Rate: 24000, Gain: 1.0101}, 0, []string{}, 0
		hear := func(heard []prove.Heard) {
			for _, h := range heard {
				words := strings.Fields(h.Text)
				for _, w := range words[min(told, len(words)):] {
					say(`{"type":"conversation.item.input_audio_transcription.delta","item_id":"item_%d","delta":%q}`, n, w+" ")
				}
				if told = len(words); h.Final {
					said, told = append(said, h.Text), 0
				}
			}
		}
		for k := 0; ; k++ {
			_, b, err := c.Read(ctx)
			if err != nil || !prove.Misbehave(ctx, c, fault, after, k) {
				return
			}
			var m struct{ Type, Audio string }
			if err := json.Unmarshal(b, &m); err != nil {
				t.Error(err)
			}
			switch {
			case k == 0:
				if !strings.Contains(string(b), `"turn_detection":null`) {
					t.Errorf("%s", b)
				}
			case m.Type == "input_audio_buffer.append":
				pcm, _ := base64.StdEncoding.DecodeString(m.Audio)
				hear(ear.Hear(pcm))
			case m.Type == "input_audio_buffer.commit":
				if hear(ear.Finish()); len(said) == 0 {
					say(`{"type":"error","error":{"type":"invalid_request_error","code":"input_audio_buffer_commit_empty"}}`)
					continue
				}
				say(`{"type":"input_audio_buffer.committed","item_id":"item_%d"}`, n)
				say(`{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_%d","transcript":%q}`, n, strings.Join(said, " "))
				n, said, told = n+1, nil, 0
			default:
				t.Errorf("%s", b)
			}
		}
	})
}

// TestT34_Live: a model that does not find the end of a turn is told it; no final is lost, doubled or out of order.
func TestT34_Live(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temper := prove.Moody(prove.Drops(12), prove.Refuse, prove.Garbage, prove.Drop, prove.Late)
		s := liveServer(t, temper)
		service := New(Options{URL: "http" + strings.TrimPrefix(s.URL, "ws") + "/v1", Key: key, Model: "gpt-live-transcribe", Realtime: true, Transport: s.Via})
		p := prove.Listen(t, service, 8*prove.Drops(12), recognize.Options{Who: who}, temper)
		if p.Counts.Interims.Load() == 0 {
			t.Error("no interims")
		}
	})
}

// TestTurns: a pause ends a turn, after long a breath, and at last nothing at all does; silence is thrown away.
func TestTurns(t *testing.T) {
	loud, quiet := make([]int16, frame), make([]int16, frame)
	for i := range loud {
		loud[i] = int16(8000 * (1 - 2*(i%2)))
	}
	for name, c := range map[string]struct {
		sound func(at time.Duration) []int16
		event string
		from  time.Duration
		to    time.Duration
	}{
		"pause": {func(at time.Duration) []int16 {
			if at < 2*time.Second {
				return loud
			}
			return quiet
		}, "commit", 2400 * time.Millisecond, 2600 * time.Millisecond},
		"breath": {func(at time.Duration) []int16 {
			if at%time.Second < 800*time.Millisecond {
				return loud
			}
			return quiet
		}, "commit", 9 * time.Second, 10 * time.Second},
		"neither": {func(time.Duration) []int16 { return loud }, "commit", 12900 * time.Millisecond, 13100 * time.Millisecond},
		"silence": {func(time.Duration) []int16 { return quiet }, "clear", 9900 * time.Millisecond, 10100 * time.Millisecond},
	} {
		turn, at, event := turns{}, time.Duration(0), ""
		for turn.voice.Voice(quiet); event == "" && at < time.Minute; at += 20 * time.Millisecond {
			event = turn.next(c.sound(at))
		}
		if event != c.event || at < c.from || at > c.to {
			t.Errorf("%s: %q after %v", name, event, at)
		}
	}
}
