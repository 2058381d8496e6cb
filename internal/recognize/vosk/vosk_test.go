package vosk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

// server speaks the protocol as the reference server does, and checks every byte.
func server(t *testing.T, words bool) prove.Handler {
	return func(ctx context.Context, c *websocket.Conn, r *http.Request, fault prove.Fault, after int) {
		say := func(format string, args ...any) {
			_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, format, args...))
		}
		final := func(h prove.Heard) {
			text, _ := json.Marshal(h.Text)
			if words {
				say(`{"result" : [{"conf" : 0.8, "end" : %f, "start" : %f, "word" : "a"}, {"conf" : 1.0, "end" : %f, "start" : %f, "word" : "b"}], "text" : %s}`,
					h.End.Seconds()-.1, h.Start.Seconds(), h.End.Seconds(), h.End.Seconds()-.1, text)
				return
			}
			say(`{"text" : %s}`, text)
		}
		kind, b, err := c.Read(ctx)
		if err != nil {
			return
		}
		if kind != websocket.MessageText || string(b) != `{"config" : {"sample_rate" : 16000.0 }}` {
			t.Errorf("the first message is %s", b)
		}
		ear, partial := prove.Ear{Pause: 450 * time.Millisecond}, ""
		for n := 0; ; n++ {
			kind, b, err := c.Read(ctx)
			if err != nil {
				return
			}
			if kind == websocket.MessageText {
				if string(b) != `{"eof" : 1}` {
					t.Errorf("the last message is %s", b)
				}
				if rest := ear.Finish(); len(rest) > 0 {
					final(rest[0])
				} else {
					say(`{"text" : ""}`)
				}
				return
			}
			if len(b) > 6400 {
				t.Errorf("a message of %d bytes", len(b))
			}
			heard := ear.Hear(b)
			half := fault == prove.Half && n >= after && len(heard) > 0 && heard[len(heard)-1].Final
			if !half && fault != prove.Half && !prove.Misbehave(ctx, c, fault, after, n) || half && n%2 == 0 {
				return
			}
			switch {
			case len(heard) > 0 && heard[len(heard)-1].Final:
				final(heard[len(heard)-1])
				partial = ""
			case len(heard) > 0:
				partial = heard[len(heard)-1].Text
				fallthrough
			default:
				say(`{"partial" : %q}`, partial)
			}
			if half {
				return
			}
		}
	}
}

// TestT34_Vosk: the server misbehaves in every way at random frames; no final is lost or doubled, and
// there is one connection at a time.
func TestT34_Vosk(t *testing.T) { synctest.Test(t, faultsLoseNothing) }

func faultsLoseNothing(t *testing.T) {
	for _, words := range []bool{true, false} {
		temper := prove.Moody(prove.Drops(12), prove.Refuse, prove.Garbage, prove.Drop, prove.Half, prove.Late)
		s := prove.Near(t, temper, server(t, words))
		p := prove.Listen(t, New(Options{URL: s.URL, Transport: s.Via}), 8*prove.Drops(12), recognize.Options{}, temper)
		if s.Most.Load() != 1 {
			t.Errorf("%d connections at once", s.Most.Load())
		}
		for _, said := range p.Said {
			if said.Final && words && (said.Confidence < .89 || said.Confidence > .91) {
				t.Errorf("confidence %v", said.Confidence)
			}
		}
	}
}

// TestStall: a server that accepts and says nothing is left for another.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, temper := time.Now(), prove.Moody(1, prove.Stall)
		s := prove.Near(t, temper, server(t, true))
		p := prove.Listen(t, New(Options{URL: s.URL, Transport: s.Via}), 8, recognize.Options{}, temper)
		if p.Counts.Lost.Load() != 1 || time.Since(began) > 15*time.Second {
			t.Errorf("%d streams were lost; it took %v", p.Counts.Lost.Load(), time.Since(began))
		}
	})
}

func TestLanguages(t *testing.T) {
	s := prove.Serve(t, nil, server(t, true))
	o := Options{URLs: map[string]string{"en": s.URL, "pt": s.URL}}
	for _, lang := range []string{"en-US", "pt-BR", ""} {
		prove.Listen(t, New(o), 2, recognize.Options{Who: recognize.Who{ID: "x", Language: lang}}, nil)
	}
	if _, err := New(o).Open(t.Context(), recognize.Who{Language: "fr-FR"}); err == nil || !errors.Is(err, recognize.ErrLanguage) || !strings.Contains(err.Error(), `no server for "fr"`) {
		t.Error(err)
	}
}

// TestMessages: what servers of all versions say.
func TestMessages(t *testing.T) {
	for in, want := range map[string]string{
		`{"partial" : "hello wor"}`: "interim hello wor",
		`{"result" : [{"conf" : 0.98, "end" : 1.2, "start" : 0.9, "word" : "hello"}], "text" : "hello world"}`: "final hello world",
		`{"text" : ""}`: "final ",
		`{"alternatives" : [{"confidence" : 210.3, "text" : "hello world"}]}`:                                                                         "final hello world",
		`{"alternatives" : [{"confidence" : 9, "text" : "hello", "result" : [{"end" : 0.5, "start" : 0.1, "word" : "hello"}]}, {"text" : "yellow"}]}`: "final hello",
		`{"alternatives" : []}`: "final ",
		`{"status": "ok"}`:      "error", `[]`: "error", `null`: "error", ``: "error", `{"partial": 5}`: "error",
	} {
		d := &dialect{}
		results, _, err := d.Heard([]byte(in))
		got := "error"
		if err == nil {
			got = map[bool]string{true: "final ", false: "interim "}[results[0].Final] + results[0].Text
		}
		if got != want || err != nil && strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: %s %v, want %s", in, got, err, want)
		}
	}
}

// TestT31_NothingSpokenIsLogged: through faults of every kind, nothing that was said and nothing a
// server wrote is in the log, at any level.
func TestT31_NothingSpokenIsLogged(t *testing.T) { synctest.Test(t, nothingSpokenIsLogged) }

func nothingSpokenIsLogged(t *testing.T) {
	var log bytes.Buffer
	temper := prove.Moody(6, prove.Refuse, prove.Garbage, prove.Drop, prove.Half)
	s := prove.Near(t, temper, server(t, false))
	prove.Listen(t, New(Options{URL: s.URL + "/?token=topsecret", Transport: s.Via}), 40, recognize.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, temper)
	if log.Len() == 0 {
		t.Fatal("nothing is logged")
	}
	for _, word := range []string{"w0", "w1", "w5", "spoken", "topsecret"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("%q is in the log:\n%s", word, log.String())
		}
	}
}

func TestUnreachable(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := New(Options{URL: "ws://127.0.0.1:1/?token=topsecret"}).Open(ctx, recognize.Who{}); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Error(err)
	}
}
