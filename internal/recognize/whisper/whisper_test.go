package whisper

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
	"jigasi/internal/xlog"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// skynet is a counterpart that checks every byte and every token.
type skynet struct {
	*prove.Server
	byes  atomic.Int64
	mu    sync.Mutex
	paths map[string]bool
}

func start(t *testing.T, temper *prove.Temper, public *rsa.PublicKey) *skynet {
	s := &skynet{paths: map[string]bool{}}
	s.Server = prove.Near(t, temper, func(ctx context.Context, c *websocket.Conn, r *http.Request, fault prove.Fault, after int) {
		s.mu.Lock()
		s.paths[r.URL.Path] = true
		s.mu.Unlock()
		if public != nil {
			verify(t, r.Header.Get("Authorization"), public)
		}
		ears := map[string]*prove.Ear{}
		var mu sync.Mutex
		say := func(who string, heard []prove.Heard) {
			for _, h := range heard {
				kind := map[bool]string{true: "final", false: "interim"}[h.Final]
				text, _ := json.Marshal(h.Text)
				_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"id":"x","participant_id":%q,"ts":1732287845123,"text":%s,"audio":"","type":%q,"variance":1}`, who, text, kind))
			}
		}
		for n := 0; ; n++ {
			kind, b, err := c.Read(ctx)
			if err != nil {
				return
			}
			if len(b) == 1 && b[0] == 0 {
				s.byes.Add(1)
				return
			}
			if !prove.Misbehave(ctx, c, fault, after%8, n) {
				return
			}
			head, zeros, ok := strings.Cut(string(b[:min(60, len(b))]), "\x00")
			who, lang, _ := strings.Cut(head, "|")
			if kind != websocket.MessageBinary || len(b) < 62 || !ok || strings.Trim(zeros, "\x00") != "" || lang != "en" || len(b) > 60+32000 {
				t.Errorf("a message of %d bytes that begins with %q", len(b), b[:min(60, len(b))])
			}
			mu.Lock()
			if ears[who] == nil {
				ears[who] = &prove.Ear{}
			}
			ear := ears[who]
			say(who, ear.Hear(b[60:]))
			samples := ear.Listened()
			mu.Unlock()
			flush := time.AfterFunc(2*time.Second, func() { // nothing for so long is a final
				mu.Lock()
				defer mu.Unlock()
				if ear.Listened() == samples {
					say(who, ear.Finish())
				}
			})
			defer flush.Stop()
		}
	})
	return s
}

// goodbye waits until n sockets have been ended by a zero byte.
func (s *skynet) goodbye(n int64) {
	for range 500 {
		if s.byes.Load() >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func verify(t *testing.T, auth string, public *rsa.PublicKey) {
	parts := strings.Split(strings.TrimPrefix(auth, "Bearer "), ".")
	if len(parts) != 3 {
		t.Errorf("no token: %q", auth)
		return
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], sig); err != nil {
		t.Error(err)
	}
	var head struct{ Kid, Alg string }
	var body struct {
		Iss, Aud string
		Iat, Exp int64
	}
	for i, v := range []any{&head, &body} {
		b, _ := base64.RawURLEncoding.DecodeString(parts[i])
		if err := json.Unmarshal(b, v); err != nil {
			t.Error(err)
		}
	}
	if head.Kid != "jigasi/prod" || head.Alg != "RS256" || body.Iss != "jigasi" || body.Aud != "jitsi" || body.Exp-body.Iat != 300 || time.Since(time.Unix(body.Iat, 0)).Abs() > time.Minute {
		t.Errorf("%+v %+v", head, body)
	}
}

// TestT34_Whisper: the socket is refused and lost at random; no final is lost or doubled.
func TestT34_Whisper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := prove.Drops(12)
		temper := prove.Moody(n, prove.Refuse, prove.Drop, prove.Garbage, prove.Late)
		s := start(t, temper, nil)
		service, err := New(Options{URL: s.URL + "/streaming-whisper/ws/", Transport: s.Via})
		if err != nil {
			t.Fatal(err)
		}
		prove.Listen(t, service, 2*n, recognize.Options{}, temper)
		s.goodbye(1)
		if s.Most.Load() != 1 || s.byes.Load() != 1 || len(s.paths) != 1 {
			t.Errorf("%d sockets at once, %d byes, %v", s.Most.Load(), s.byes.Load(), s.paths)
		}
	})
}

// TestRoom: speakers of one session share a socket, those of another have their own; one byte ends it.
func TestRoom(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"one line": base64.StdEncoding.EncodeToString(der), "PEM": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, nil, &key.PublicKey)
				service, err := New(Options{URL: s.URL, Key: xlog.Secret(text), KeyName: "jigasi/prod", Transport: s.Via})
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for _, who := range []string{"a1", "a2", "b1"} {
					wg.Go(func() {
						prove.Listen(t, service, 2, recognize.Options{Who: recognize.Who{Session: who[:1], ID: who, Language: "en-US"}}, nil)
					})
				}
				wg.Wait()
				s.goodbye(2)
				if s.Count.Load() != 2 || s.byes.Load() != 2 || len(s.paths) != 2 {
					t.Errorf("%d sockets, %d byes, %v", s.Count.Load(), s.byes.Load(), s.paths)
				}
			})
		})
	}
}

func TestMessages(t *testing.T) {
	for in, want := range map[string]string{
		`{"id":"0192","participant_id":"0a1b2c3d","ts":1732287845123,"text":"good morning","audio":"","type":"interim","variance":0.5}`: "0a1b2c3d false good morning 0.5",
		`{"participant_id":"x","text":"a","type":"final","variance":1}`:                                                                 "x true a 1",
		`{"participant_id":"x","text":"a"}`: "x false a 0",
		`{}`:                                " false  0",
		`[]`:                                "error",
		`{"text":1}`:                        "error",
	} {
		who, r, err := parse([]byte(in))
		got := fmt.Sprint(who, r.Final, " ", r.Text, " ", r.Stability)
		if who != "" || err == nil {
			got = fmt.Sprintf("%s %v %s %v", who, r.Final, r.Text, r.Stability)
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestBadKeyAndSpeaker(t *testing.T) {
	for _, key := range []string{"topsecret", "dG9wc2VjcmV0", "-----BEGIN PRIVATE KEY-----\ndG9wc2VjcmV0\n-----END PRIVATE KEY-----\n"} {
		if _, err := New(Options{Key: xlog.Secret(key), KeyName: "k"}); err == nil || strings.Contains(err.Error(), key) {
			t.Error(err)
		}
	}
	s, _ := New(Options{URL: "ws://127.0.0.1:1"})
	for _, id := range []string{"", "a|b", strings.Repeat("x", 58)} {
		if _, err := s.Open(t.Context(), recognize.Who{ID: id, Language: "en"}); err == nil || !strings.Contains(err.Error(), "does not fit") {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := s.Open(t.Context(), recognize.Who{ID: "a"}); err == nil || bytes.Contains([]byte(err.Error()), []byte("ws://")) {
		t.Error(err)
	}
}
