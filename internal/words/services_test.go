package words

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/recognize"
	"jigasi/internal/xlog"
)

// names are the members that a room would use, in order.
func names(t *testing.T, s *Services, room string) string {
	t.Helper()
	c, err := s.choose(t.Context(), strings.ToLower(room))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range c.Members {
		out = append(out, m.Name)
	}
	spare := ""
	if c.Spare != nil {
		spare = " then " + c.Spare.Name
	}
	return fmt.Sprint(strings.Join(out, ","), " ", len(c.Budget), spare)
}

// TestServiceOfARoom: the first rule that matches counts, else what holds for everybody; budgets are those of the room
// and of its tenant, and nothing that is free is counted.
func TestServiceOfARoom(t *testing.T) {
	c := config.Default().Transcription
	c.Deepgram.Key = "k"
	c.Fallback = []string{"whisper", "vosk"}
	c.Rooms = []config.RoomRule{
		{Match: "*@conference.school.example", Service: "whisper", Fallback: []string{"vosk"}},
		{Match: "[Firm]*", Service: "deepgram", Minutes: 3},
		{Match: "standup?@*"},
	}
	c.Budget = config.Budget{Tenant: 100, Period: time.Hour, Service: "whisper"}
	s, err := NewServices(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for room, want := range map[string]string{
		"math@conference.school.example": "whisper,vosk 0",
		"[firm]a/b@conference.meet":      "deepgram,whisper,vosk 2 then whisper",
		"[FIRM]x@conference.meet":        "deepgram,whisper,vosk 2 then whisper",
		"standup1@conference.meet":       "vosk,whisper 1 then whisper",
		"firmx@conference.meet":          "vosk,whisper 1 then whisper",
		"9ef4d8e6":                       "vosk,whisper 1 then whisper",
	} {
		if got := names(t, s, room); got != want {
			t.Errorf("%s: %s, want %s", room, got, want)
		}
	}
	a, _ := s.choose(t.Context(), "[firm]one@c.meet")
	b, _ := s.choose(t.Context(), "[firm]two@c.meet")
	a.Budget.Spend(4*time.Minute, time.Now())
	if !a.Budget.Spent(time.Now()) || b.Budget.Spent(time.Now()) {
		t.Error("the minutes of one room are those of another")
	}
	if a, _ = s.choose(t.Context(), "[firm]one@c.meet"); !a.Budget.Spent(time.Now()) {
		t.Error("a room gets its minutes back by beginning anew")
	}
	b.Budget.Spend(97*time.Minute, time.Now())
	if c, _ := s.choose(t.Context(), "[firm]three@c.meet"); !c.Budget.Spent(time.Now()) {
		t.Error("the minutes of a tenant are not those of all its rooms")
	}
	if c, _ := s.choose(t.Context(), "three@c.meet"); c.Budget.Spent(time.Now()) {
		t.Error("one tenant pays for another")
	}
	if len(s.Members()) != 3 || s.Err() != nil {
		t.Errorf("%d members, %v", len(s.Members()), s.Err())
	}
	for i := range maxMeters + 100 {
		s.budget(fmt.Sprintf("room%d@d%d", i, i), 5)
	}
	if len(s.meters) > maxMeters {
		t.Errorf("%d meters", len(s.meters))
	}
	c.Fallback = []string{"oracle"}
	if _, err := NewServices(c, nil, nil); err == nil || !strings.Contains(err.Error(), "compartment") {
		t.Error(err)
	}
	c.Fallback, c.Remote = nil, config.RemoteChoice{URL: "http://x", Key: "topsecret", KeyName: "k", Audience: "a"}
	if _, err := NewServices(c, nil, nil); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Error(err)
	}
}

// TestRemoteChoice: the operator's server is asked as Jigasi asks it, once in a while for each room; what it says
// counts, and where it says nothing of use the configuration does, or what it said last.
func TestRemoteChoice(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []*http.Request
	status, body := 200, ""
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer web.Close()
	answer := func(code int, text string) {
		mu.Lock()
		defer mu.Unlock()
		status, body, asked = code, text, nil
	}
	c := config.Default().Transcription
	c.Remote = config.RemoteChoice{URL: web.URL + "/ts", Key: xlog.Secret(base64.StdEncoding.EncodeToString(der)), KeyName: "kid", Audience: "aud", Cache: time.Hour}
	s, err := NewServices(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	answer(200, `{"transcriberType":"EGHT_WHISPER","more":[1]}`)
	for range 3 {
		if got := names(t, s, "StandUp@conference.meet.example.com"); got != "whisper,vosk 0" {
			t.Error(got)
		}
	}
	if len(asked) != 1 || asked[0].Method != "GET" || asked[0].RequestURI != "/ts?conferenceFullName=standup%40conference.meet.example.com" ||
		asked[0].Header.Get("Content-Type") != "application/json" || strings.Count(asked[0].Header.Get("Authorization"), ".") != 2 || !strings.HasPrefix(asked[0].Header.Get("Authorization"), "Bearer ") {
		t.Errorf("%d requests, %+v", len(asked), asked)
	}
	for text, want := range map[string]string{
		`{"transcriberType":"GOOGLE"}`:                 "google,vosk 0",
		`{"transcriber":"VOSK"}`:                       "vosk 0",
		`{"transcriberType":"openai"}`:                 "openai,vosk 0",
		`{"transcriberType":"ORACLE_CLOUD_AI_SPEECH"}`: "vosk 0", // which is not configured
		`{"transcriberType":"org.jitsi.jigasi.transcription.WhisperTranscriptionService"}`: "whisper,vosk 0",
		`{"transcriberType":"EAR"}`: "vosk 0", `[`: "vosk 0", `{}`: "vosk 0", strings.Repeat(" ", remoteAnswer) + `{"transcriberType":"GOOGLE"}`: "vosk 0",
	} {
		answer(200, text)
		if got := names(t, s, fmt.Sprintf("%x@y", sha256.Sum256([]byte(text)))); got != want {
			t.Errorf("%.60s: %s, want %s", text, got, want)
		}
	}
	for _, code := range []int{201, 302, 404, 500} {
		answer(code, `{"transcriberType":"GOOGLE"}`)
		if got := names(t, s, fmt.Sprint(code, "@y")); got != "vosk 0" {
			t.Errorf("%d: %s", code, got)
		}
	}
	if n := s.RemoteErrors.Load(); n != 8 {
		t.Errorf("%d errors are counted", n)
	}
	s.remote.c.Cache = 0 // asked each time, and now it fails
	if got := names(t, s, "standup@conference.meet.example.com"); got != "whisper,vosk 0" {
		t.Errorf("what was said last is forgotten: %s", got)
	}
	for i := range remoteRooms + 10 {
		s.remote.known[fmt.Sprint(i)] = answerOf("vosk")
	}
	answer(200, `{"transcriberType":"VOSK"}`)
	if names(t, s, "new@y"); len(s.remote.known) > remoteRooms {
		t.Errorf("%d answers are kept", len(s.remote.known))
	}
}

func answerOf(service string) answer { return answer{service, time.Now()} }

// TestRemoteChoiceHangs: a server that does not answer costs three seconds at most, before the first word of a session
// and never in the way of others.
func TestRemoteChoiceHangs(t *testing.T) {
	var hung atomic.Int64
	release := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		hung.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer web.Close()
	defer close(release)
	c := config.Default().Transcription
	c.Remote = config.RemoteChoice{URL: web.URL + "/{tenant}", Cache: time.Minute}
	s, err := NewServices(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := s.choose(ctx, "x@y"); err != nil || got.Members[0].Name != "vosk" || hung.Load() != 1 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := s.Room("x@y").Open(ctx, recognize.Who{}); err == nil || errors.Is(err, recognize.ErrCredential) {
		t.Error(err)
	}
}
