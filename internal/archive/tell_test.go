package archive

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func inBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestPosts(t *testing.T) {
	t.Parallel()
	h, act := &hook{}, &hook{}
	a := open(t, Options{Posts: []string{h.start(t)}, Actions: []Action{{"note", "Take A Note", act.start(t)}}, Client: loopback(t)})
	s := meet(t, a, "standup@conf", time.Unix(1732287852, 0), "hello", "please take a note  buy milk ", "bye")
	end(t, s)
	if got := strings.Join(h.events(), "|"); got != "START|JOIN|hello|please take a note  buy milk |bye|END" {
		t.Error(got)
	}
	if got := strings.Join(act.events(), "|"); got != "buy milk|END" {
		t.Error(got)
	}
	for i, want := range []string{
		"map[event:START room_name:standup@conf timestamp:1.732287852e+12]",
		"map[event:JOIN participant:map[id:0a1b2c3d name:Alice] room_name:standup@conf timestamp:1.732287852e+12]",
	} {
		if got := fmt.Sprint(h.got[i]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	m := h.got[2]
	for _, key := range []string{"room_name", "event", "timestamp", "participant", "transcript", "language", "is_interim", "message_id", "stability"} {
		if _, ok := m[key]; !ok {
			t.Errorf("%s is missing in %v", key, m)
		}
	}
	if a.counts.Posted.Load() != 8 {
		t.Error(a.counts.Posted.Load())
	}
}

// TestPostsAreTriedAgain: a URL that hangs, refuses or fails holds nobody up; what it takes later is in order.
func TestPostsAreTriedAgain(t *testing.T) {
	t.Parallel()
	bad, good := &hook{status: http.StatusServiceUnavailable}, &hook{}
	a := open(t, Options{Dir: t.TempDir(), Posts: []string{bad.start(t), good.start(t)}, Client: loopback(t)})
	s := meet(t, a, "r", time.Now(), "one", "two")
	until(t, "telling the other", func() bool { return len(good.events()) == 5 })
	until(t, "trying", func() bool { return bad.tried() > 0 })
	bad.set(0, false)
	until(t, "telling", func() bool { return len(bad.events()) == 5 })
	if got := strings.Join(bad.events(), " "); got != "START JOIN one two END" {
		t.Error(got)
	}
	end(t, s)
	bad.set(http.StatusBadRequest, false)
	s = meet(t, a, "r", time.Now(), "three")
	end(t, s)
	if a.counts.PostsRefused.Load() != 4 || len(bad.events()) != 5 {
		t.Error("what is refused is tried again")
	}
}

// TestPostsOutliveTheMeeting: what a URL did not take while the meeting lasted it is told later, from where it was.
func TestPostsOutliveTheMeeting(t *testing.T) {
	t.Parallel()
	h := &hook{most: 3}
	a := open(t, Options{Dir: t.TempDir(), Posts: []string{h.start(t)}, Client: loopback(t)})
	s := meet(t, a, "r", time.Now(), "one", "two", "three")
	until(t, "refusing", func() bool { return h.tried() > 3 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.End(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.events(), " "); got != "START JOIN one" {
		t.Error(got)
	}
	h.mu.Lock()
	h.most = 0
	h.mu.Unlock()
	until(t, "telling the rest", func() bool {
		_ = a.finish(t.Context(), s.name) // the back-off has a test of its own
		return len(h.events()) == 6
	})
	if got := strings.Join(h.events(), " "); got != "START JOIN one two three END" {
		t.Error(got)
	}
}

// TestHangingURL: one that takes a connection and never answers holds up neither the meeting nor the other URL.
func TestHangingURL(t *testing.T) {
	t.Parallel()
	stuck, good := &hook{hang: true}, &hook{}
	a := open(t, Options{Dir: t.TempDir(), Forms: []string{"txt"}, Posts: []string{stuck.start(t), good.start(t)}, Client: loopback(t)})
	s := meet(t, a, "r", time.Now(), "one", "two")
	until(t, "telling the other", func() bool { return s.tellers[1].sent() == 5 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.End(ctx); err != nil {
		t.Fatal(err)
	}
	if text := string(read(t, filepath.Join(a.opt.Dir, s.name, s.file+".txt"))); !strings.Contains(text, "Alice: two") {
		t.Error(text)
	}
	stuck.set(0, false)
	until(t, "telling the rest", func() bool {
		_ = a.finish(t.Context(), s.name)
		return len(stuck.events()) == 5
	})
	if got := strings.Join(stuck.events(), " "); got != "START JOIN one two END" || len(good.events()) != 5 {
		t.Error(got, good.events())
	}
}

func TestPhrases(t *testing.T) {
	for _, test := range []struct {
		text, phrase, want string
		ok                 bool
	}{
		{"please Take a NOTE: milk", "take a note", ": milk", true}, {"take a not", "take a note", "", false}, {"İstanbul straße x", "STRAßE", " x", true},
		{"", "a", "", false}, {"a", "", "", false}, {"aab", "ab", "", true}, {"say K now", "\u212a", " now", true}, {"a.b", "a?b", "", false},
	} {
		if got, ok := after(test.text, test.phrase); got != test.want || ok != test.ok {
			t.Errorf("%q in %q: %q %v", test.phrase, test.text, got, ok)
		}
	}
}
