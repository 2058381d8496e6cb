package queue

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/lab/liveq"
	"jigasi/internal/stanza"

	"github.com/coder/websocket"
)

const room = "alpha@conference.meet.test"

// open starts a lab's service and ours for it.
func open(t *testing.T) (*liveq.Server, *Service) {
	t.Helper()
	l, err := liveq.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := l.Key(key); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{URL: l.URL(), KeyFile: key, KeyID: liveq.KeyID})
	if err != nil {
		t.Fatal(err)
	}
	s.apart, s.beat = 10*time.Millisecond, 50*time.Millisecond
	return l, s
}

type answer struct {
	within time.Duration
	err    error
}

func wait(t *testing.T, s *Service) <-chan answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	out := make(chan answer, 1)
	go func() {
		d, err := s.Live(ctx, stanza.ParseJID(room))
		out <- answer{d, err}
	}()
	return out
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

// TestQueue: the token is believed, the room is subscribed to, and only "live" is the end; a lost connection is made again.
func TestQueue(t *testing.T) {
	l, s := open(t)
	l.SetBeat(0, 20)
	got := wait(t, s)
	eventually(t, "it waits", func() bool { return l.Waiting(room) == 1 })
	for _, body := range []string{"", "[]", "{", `{"status":"queued"}`, `{"status":7}`, "null"} {
		l.Say(room, body)
	}
	eventually(t, "heart-beats", func() bool { _, beats := l.Joins(); return beats > 1 })
	l.Drop()
	eventually(t, "it waits again", func() bool { n, _ := l.Joins(); return n == 2 && l.Waiting(room) == 1 })
	l.Say(room, `{"status":"live","randomDelayMs":1500}`)
	if a := <-got; a.err != nil || a.within != 1500*time.Millisecond {
		t.Errorf("%+v", a)
	}
	eventually(t, "it hangs up", func() bool { return l.Waiting(room) == 0 })
}

// TestSilentQueue: a service that sends no heart-beats although it should is given up, and connected to again.
func TestSilentQueue(t *testing.T) {
	l, s := open(t)
	l.SetBeat(50, 0)
	got := wait(t, s)
	eventually(t, "it connects again and again", func() bool { n, _ := l.Joins(); return n >= 2*maxFailures })
	l.SetBeat(0, 0)
	eventually(t, "it waits", func() bool { return l.Waiting(room) == 1 })
	for end := time.Now().Add(20 * time.Second); ; {
		l.Say(room, `{"status":"live"}`)
		select {
		case a := <-got:
			if a.err != nil || a.within != 0 {
				t.Errorf("%+v", a)
			}
			return
		case <-time.After(20 * time.Millisecond):
			if time.Now().After(end) {
				t.Fatal("not told")
			}
		}
	}
}

// TestQueueRefuses: who waits is told after a few tries, by an error that holds nothing of the token.
func TestQueueRefuses(t *testing.T) {
	l, s := open(t)
	l.Refuse(true)
	if a := <-wait(t, s); a.err == nil || !strings.Contains(a.err.Error(), "refuses") {
		t.Errorf("%+v", a)
	}
	l.Close()
	if a := <-wait(t, s); a.err == nil || !strings.Contains(a.err.Error(), "reached") {
		t.Errorf("%+v", a)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("hung up"))
	if _, err := s.Live(ctx, stanza.ParseJID(room)); err == nil || err.Error() != "hung up" {
		t.Errorf("%v", err)
	}
}

// TestOddQueues: a redirect is not followed, and what floods or is no WebSocket is an error.
func TestOddQueues(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"no":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"a flood": func(w http.ResponseWriter, r *http.Request) {
			if c, err := websocket.Accept(w, r, nil); err == nil {
				_, _, _ = c.Read(r.Context())
				_ = c.Write(r.Context(), websocket.MessageText, make([]byte, maxFrame+1))
				_, _, _ = c.Read(r.Context())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := httptest.NewServer(serve)
			defer h.Close()
			s, err := New(Options{URL: "ws" + strings.TrimPrefix(h.URL, "http")})
			if err != nil {
				t.Fatal(err)
			}
			s.apart = time.Millisecond
			if a := <-wait(t, s); a.err == nil {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, "/does/not/exist"} {
		if _, err := New(Options{URL: "ws://x", KeyFile: file, KeyID: "k"}); err == nil || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestBeats: each side's offer counts, the slower one wins, and nothing can be had to wait for ever.
func TestBeats(t *testing.T) {
	for header, want := range map[string][2]time.Duration{
		"15000,15000": {15 * time.Second, 15 * time.Second}, "0,0": {0, 0}, "20000,0": {0, 20 * time.Second}, "0,30000": {30 * time.Second, 0},
		"1,1": {15 * time.Second, 15 * time.Second}, "x": {0, 0}, "999999999,-3": {0, maxBeat},
	} {
		f := parse([]byte("CONNECTED\r\nheart-beat:" + header + "\r\n\r\n\x00"))
		if out, in := f.beats(15 * time.Second); out != want[0] || in != want[1] || f.command != "CONNECTED" {
			t.Errorf("%s: %v and %v, want %v", header, out, in, want)
		}
	}
	if out, in := parse([]byte("CONNECTED\n\n\x00")).beats(time.Second); out != time.Second || in != time.Second {
		t.Errorf("without: %v and %v", out, in)
	}
}

// FuzzFrame: no message of the service breaks anything, and no delay is negative or longer than an hour.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("MESSAGE\nsubscription:1\n\n{\"status\":\"live\",\"randomDelayMs\":1e300}\x00"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x := parse(b)
		if d, _ := x.live(); d < 0 || d > time.Hour {
			t.Errorf("%v", d)
		}
		if out, in := x.beats(time.Second); out < 0 || in < 0 || out > maxBeat || in > maxBeat {
			t.Errorf("%v %v", out, in)
		}
	})
}
