package export

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/transcript"
	"jigasi/internal/xlog"

	"github.com/coder/websocket"
)

const secret = xlog.Secret("0123456789abcdef")

// TestWhoMayExport: only who has the token, by header or URL; elsewhere than on loopback there must be one.
func TestWhoMayExport(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Host: "0.0.0.0"}); err == nil {
		t.Error("open to everybody")
	}
	if _, err := New(Options{Host: "::", Token: secret}); err != nil {
		t.Error(err)
	}
	s := begin(t, Options{Token: secret})
	ask := func(query, auth string) int {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+query, nil)
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		return answer.StatusCode
	}
	defer http.DefaultClient.CloseIdleConnections()
	for _, wrong := range []string{"Bearer 0123456789abcdee", "Bearer", "Basic 0123456789abcdef", "", "Bearer " + strings.Repeat("x", 8000)} {
		if got := ask("/transcribe/m", wrong); got != http.StatusUnauthorized {
			t.Errorf("%.40q: %d", wrong, got)
		}
	}
	if got := ask("/transcribe/m?token=wrong", ""); got != http.StatusUnauthorized || s.Counts().Strangers.Load() != 6 || s.Meetings() != 0 {
		t.Errorf("%d, %d strangers", got, s.Counts().Strangers.Load())
	}
	right := "Bearer " + secret.Reveal()
	for path, want := range map[string]int{"/transcribe/": 404, "/": 404, "/transcribe/a/b": 404, "/transcribe/a%00b": 404, "/transcribe/" + strings.Repeat("a", 300): 404, "/transcribe/m": 426} {
		if got := ask(path, right); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for _, u := range []string{url(s, "m"), fmt.Sprintf("ws://%s/transcribe?sessionId=n", s.Addr())} {
		connect(t, u, http.Header{"Authorization": {"bearer " + secret.Reveal()}})
	}
	connect(t, url(s, "o?token="+secret.Reveal()), nil)
	if c, _, err := websocket.Dial(t.Context(), url(s, "o?token="+secret.Reveal()), &websocket.DialOptions{Subprotocols: []string{"mine", "other"}}); err != nil || c.Subprotocol() != "mine" {
		t.Errorf("%v", err)
	} else {
		_ = c.CloseNow()
	}
	eventually(t, "three", func() bool { return s.Meetings() == 3 })
}

// TestExportOfGarbage: what cannot be read is counted, the rest is heard; who sends nothing else is closed out, and so
// is a language of a megabyte.
func TestExportOfGarbage(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{})
	b := connect(t, url(s, "m"), nil)
	b.start("a-a0")
	k := b.talker("a-a0", 340)
	for n, sentence := range []string{"w1 w2", "w3 w4", "w5 w6"} {
		for _, bad := range []string{``, `{`, `{"event":"media","media":{"tag":"a-a0","chunk":"x","timestamp":"1","payload":"AA=="}}`, `{"event":"media","media":{}}`} {
			b.send("%s", bad)
		}
		b.media("a-a0", k.chunk, k.at, []byte{0xff}) // no packet
		k.say(saying(sentence))
		eventually(t, sentence, func() bool { return len(b.finals("a")) == n+1 })
	}
	if c := s.Counts(); c.Malformed.Load() != 12 || c.Damaged.Load() != 3 {
		t.Errorf("%d malformed, %d damaged", c.Malformed.Load(), c.Damaged.Load())
	}
	for range maxMalformed {
		_ = b.c.Write(t.Context(), websocket.MessageBinary, []byte{1})
	}
	<-b.over
	b = connect(t, url(s, "n"), nil)
	_ = b.c.Write(t.Context(), websocket.MessageText, []byte(`{"event":"start","start":{"tag":"a","customParameters":{"language":"`+strings.Repeat("en-", 350000)+`"}}}`))
	<-b.over
}

// TestExportIsBounded: meetings, speakers of a meeting, and tags that only announce themselves.
func TestExportIsBounded(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{Meetings: 2, Speakers: 2})
	b := connect(t, url(s, "a"), nil)
	connect(t, url(s, "b"), nil)
	eventually(t, "two", func() bool { return s.Meetings() == 2 })
	if _, answer, err := websocket.Dial(t.Context(), url(s, "c"), nil); err == nil || answer == nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%v", err)
	}
	for n := range maxTags + 50 {
		b.start(fmt.Sprintf("idle%d-a0", n))
	}
	for n := range 3 {
		b.talker(fmt.Sprintf("p%d-a0", n), 340).say(saying("w1 w2"))
	}
	eventually(t, "two", func() bool { return len(b.finals("p0")) == 1 && len(b.finals("p1")) == 1 })
	eventually(t, "the third is not heard", func() bool { return s.Counts().Unheard.Load() >= 50 })
	if s.Counts().Busy.Load() != 1 || len(b.finals("p2")) != 0 {
		t.Errorf("%d busy, %q", s.Counts().Busy.Load(), b.finals("p2"))
	}
}

// TestExportDrains: what runs goes on, with its bridge coming back; nothing new begins; and a stop lets last words come.
func TestExportDrains(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{})
	b := connect(t, url(s, "m"), nil)
	b.talker("a-a0", 340).say(saying("w1 w2"))
	eventually(t, "a meeting", func() bool { return s.Meetings() == 1 })
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if s.Drain(short) == nil {
		t.Error("there is still a meeting")
	}
	if _, _, err := websocket.Dial(t.Context(), url(s, "new"), nil); err == nil {
		t.Error("a new meeting while draining")
	}
	_ = b.c.CloseNow()
	b = connect(t, url(s, "m"), nil)
	k := b.talker("b-a0", 340)
	sound := saying("w3 w4", "w5 w6")
	k.say(sound[:len(sound)-6400]) // the pause that would end the last sentence is missing
	eventually(t, "the first", func() bool { return len(b.finals("b")) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	<-b.over
	if got := b.finals("b"); len(got) != 2 || got[1] != "w5 w6" {
		t.Errorf("%q", got)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestResultsWaitForTheBridge: what is understood while the bridge is away is sent when it is back, and what it does not
// come back for is counted and takes nothing from the transcript.
func TestResultsWaitForTheBridge(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{})
	b := connect(t, url(s, "m"), nil)
	eventually(t, "a meeting", func() bool { return s.Meetings() == 1 })
	s.mu.Lock()
	m := s.meetings["m"]
	s.mu.Unlock()
	_ = b.c.CloseNow()
	eventually(t, "the bridge is away", func() bool { m.back.mu.Lock(); defer m.back.mu.Unlock(); return m.back.socket == nil })
	said := transcript.Entry{Kind: transcript.Speech, At: time.Now(), ID: "1", Person: transcript.Person{ID: "a"}, Text: "w1 w2"}
	done := make(chan error, 1)
	go func() { done <- m.back.Publish(t.Context(), said) }()
	interim := said
	interim.Interim = true
	if err := m.back.Publish(t.Context(), interim); err != nil {
		t.Error(err)
	}
	b = connect(t, url(s, "m"), nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "the result", func() bool { return len(b.finals("a")) == 1 })
	_ = b.c.CloseNow()
	eventually(t, "the bridge is away", func() bool { m.back.mu.Lock(); defer m.back.mu.Unlock(); return m.back.socket == nil })
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.back.Publish(short, said); err != nil || s.Counts().Undelivered.Load() != 1 {
		t.Errorf("%v, %d undelivered", err, s.Counts().Undelivered.Load())
	}
}

// TestListenerLost: health is told when nothing can come in any more.
func TestListenerLost(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{})
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	_ = s.ln.Close()
	eventually(t, "an error", func() bool { return s.Err() != nil })
}

// TestExportOverTLS: with a certificate it is wss, by which a meeting is heard as well, and plain text finds nothing.
func TestExportOverTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	s := begin(t, Options{TLS: &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}})
	c, _, err := websocket.Dial(t.Context(), strings.Replace(url(s, "m"), "ws:", "wss:", 1), &websocket.DialOptions{HTTPClient: web.Client()})
	if err != nil {
		t.Fatal(err)
	}
	b := listen(t, c)
	b.start("a-a0")
	b.talker("a-a0", 340).say(saying(script(3, 2)...))
	eventually(t, "both", func() bool { return len(b.finals("a")) == 2 })
	if got := b.finals("a"); !slices.Equal(got, script(3, 2)) {
		t.Errorf("%q", got)
	}
	if _, _, err := websocket.Dial(t.Context(), url(s, "m"), nil); err == nil {
		t.Error("plain text was taken")
	}
}
