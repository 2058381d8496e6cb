package xlog

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// TestT31_SecretIsNeverPrinted: whatever is done to it by accident.
func TestT31_SecretIsNeverPrinted(t *testing.T) {
	const canary = "Tr0ub4dor&3"
	s := Secret(canary)
	type holder struct {
		Password Secret `json:"password" xml:"password"`
		Nested   struct{ P *Secret }
		List     []Secret
		Map      map[string]Secret
	}
	h := holder{Password: s, List: []Secret{s}, Map: map[string]Secret{"k": s}}
	h.Nested.P = &s
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
		fmt.Fprintf(&out, verb+"\n", []any{s, h})
	}
	fmt.Fprintln(&out, s, h, fmt.Errorf("login as x with %v: %w", s, fmt.Errorf("%+v", h)))
	for _, handler := range []slog.Handler{
		slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}), slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}),
	} {
		log := slog.New(handler)
		log.Debug("x", "password", s, "holder", h, "pointer", &h, slog.Group("g", "password", s))
		log.With("password", s).WithGroup("g").Info("x", slog.Any("list", []Secret{s}))
	}
	for _, v := range []any{s, h, &h} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	if b, err := xml.Marshal(s); err != nil {
		t.Fatal(err)
	} else {
		out.Write(b)
	}
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), "Tr0ub4dor\\u0026", "Tr0ub4dor&amp;"} {
		if at := strings.Index(out.String(), form); at >= 0 {
			t.Errorf("printed: ...%q", out.String()[max(0, at-60):at+len(form)])
		}
	}
	if s.Reveal() != canary {
		t.Error("nobody can use it")
	}
}

// TestNumber: enough to tell two calls apart, too little to call anybody.
func TestNumber(t *testing.T) {
	for in, want := range map[string]string{
		"+4930123456": "+xxxxxxx456", "030 12 34 56": "xxx xx x4 56", "sip:+15551234@host": "sip:+xxxxx234@host", "1234": "x234",
		"100": "100", "alice": "alice", "": "", "bob42": "bob42", "+49 (30) 1234-5678": "+xx (xx) xxxx-x678",
	} {
		if got := Number(in); got != want {
			t.Errorf("%q prints as %q, want %q", in, got, want)
		}
	}
}

func TestSometimes(t *testing.T) {
	var s Sometimes
	now := time.Unix(1000, 0)
	var told []int64
	for i := range 35 { // ten a second
		s.Do(now.Add(time.Duration(i)*100*time.Millisecond), func(skipped int64) { told = append(told, skipped) })
	}
	if fmt.Sprint(told) != "[0 9 9 9]" {
		t.Errorf("told %v", told)
	}
	var n sync.WaitGroup
	var mu sync.Mutex
	ran := int64(0)
	c := Sometimes{Every: time.Hour}
	for range 50 {
		n.Go(func() {
			c.Do(now, func(skipped int64) { mu.Lock(); ran += 1 + skipped; mu.Unlock() })
		})
	}
	n.Wait()
	c.Do(now.Add(2*time.Hour), func(skipped int64) { ran += skipped })
	if ran != 50 {
		t.Errorf("%d of 50 are accounted for", ran)
	}
}

// TestT55_SometimesOnASetClock: a clock on the wall that is set back silences nothing, and one set forward lets nothing more through.
func TestT55_SometimesOnASetClock(t *testing.T) {
	for _, jump := range []int64{-86400, -3600, 1, 3600, 86400} {
		var s Sometimes
		told := 0
		say := func(now time.Time) { s.Do(now, func(int64) { told++ }) }
		now := time.Now()
		say(now)
		const nanoseconds = 30 // bits below the seconds, of a time that has both
		set := func(at time.Time) time.Time {
			*(*uint64)(unsafe.Pointer(&at)) += uint64(jump << nanoseconds)
			return at
		}
		if at := set(now); at.Sub(now) != 0 || at.Unix()-now.Unix() != jump {
			t.Fatalf("the clock was not set by %d s: %v, %v", jump, now, at)
		}
		if say(set(now.Add(900 * time.Millisecond))); told != 1 {
			t.Errorf("set by %d s: said again too early", jump)
		}
		if say(set(now.Add(1100 * time.Millisecond))); told != 2 {
			t.Errorf("set by %d s: not said again", jump)
		}
	}
}

func TestOr(t *testing.T) {
	Or(nil).Error("goes nowhere")
	if log := slog.New(slog.DiscardHandler); Or(log) != log {
		t.Error("another logger")
	}
}
