package app_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/lab"
	"jigasi/internal/lab/soak"
	"jigasi/internal/xlog"
)

// failpoints is a log whose lines are places: it notes those that one room's calls pass, and panics
// at the one that is armed, on whatever goroutine is there.
type failpoints struct {
	mu    sync.Mutex
	seen  []string
	armed string
	fired bool
}

// spared is the room whose calls never meet a panic.
const spared = "alpha"

type pointHandler struct {
	*failpoints
	room string
}

func (h pointHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h pointHandler) WithGroup(string) slog.Handler            { return h }

func (h pointHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == xlog.Room {
			h.room = a.Value.String()
		}
	}
	return h
}

func (h pointHandler) Handle(_ context.Context, r slog.Record) error {
	if h.room == spared {
		return nil
	}
	place := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == xlog.To && r.Message == "call state" {
			place += " " + a.Value.String()
		}
		return true
	})
	h.mu.Lock()
	if !slices.Contains(h.seen, place) {
		h.seen = append(h.seen, place)
	}
	hit := h.armed == place
	if hit {
		h.armed, h.fired = "", true
	}
	h.mu.Unlock()
	if hit {
		panic("failpoint: " + place)
	}
	return nil
}

func (f *failpoints) arm(place string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.fired = place, false
}

// disarm reports whether the panic has happened.
func (f *failpoints) disarm() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = ""
	return f.fired
}

func (f *failpoints) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = nil
}

func (f *failpoints) places() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// T33: a panic at each place that a call passes ends that call at most; one that runs beside it loses
// no packet either way, and nothing is left of the other.
func TestT33_PanicCostsOneCall(t *testing.T) {
	t.Parallel()
	points := &failpoints{}
	m := startWith(t, lab.Options{}, slog.New(pointHandler{failpoints: points}), withBrewery)
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	uri, answered, _ := phones(t, m.handsets, 200)
	near := m.Join(spared, 620)
	m.Join(spared, 880)
	beside := m.call(t, spared, 440, "PCMU")
	heard := func() bool { return hears(near, 440)() && beside.tone(620) > -26 && beside.tone(880) > -26 }
	eventually(t, 20*time.Second, "everybody hears everybody", heard)
	id, nick, ports := m.app.Calls()[0].ID, m.nick(t), m.app.PortsInUse()
	lost := func() int { return beside.port.Stats().Lost + near.Hears()[nick].Lost() }
	was := lost()
	m.Join("beta", 500)

	done := map[string]bool{}
	for _, way := range []struct {
		kind   string
		victim func()
	}{
		{"in", func() { m.victim(t) }},
		{"out", func() { m.dialled(t, uri, answered) }},
	} {
		points.forget()
		way.victim()
		m.gone(t, "a call "+way.kind+" without a failpoint")
		places := points.places()
		t.Logf("a call %s passes %d places: %q", way.kind, len(places), places)
		for _, place := range places {
			if strings.Contains(place, "phone") && !soak.Full() { // it is shown in the room for 5 s
				continue
			}
			points.arm(place)
			way.victim()
			m.gone(t, place)
			if points.disarm() {
				done[way.kind+": "+place] = true
			}
			eventually(t, 5*time.Second, "its ports are given back after "+place, func() bool { return m.app.PortsInUse() == ports })
		}
	}
	beside.deaf()
	eventually(t, 20*time.Second, "the call beside is heard", heard)
	if n := lost() - was; n != 0 {
		t.Errorf("the call beside lost %d packets", n)
	}
	if all := m.app.Calls(); len(all) != 1 || all[0].ID != id || all[0].State != call.Active {
		t.Errorf("the call beside: %+v", all)
	}
	if len(done) < 20 {
		t.Errorf("panics at %d places, want 20: %v", len(done), slices.Sorted(maps.Keys(done)))
	}
}

// gone waits until the only call is the one beside.
func (m *meeting) gone(t *testing.T, after string) {
	t.Helper()
	eventually(t, 45*time.Second, "only the call beside is left after "+after, func() bool {
		return len(m.app.Calls()) == 1 && len(m.XMPP.Room("beta").Nicks()) == 2
	})
}

// victim calls in, talks, and hangs up, unless the call ends before.
func (m *meeting) victim(t *testing.T) {
	t.Helper()
	c, _ := m.tryCall(t, "beta", 700, "PCMU")
	if c == nil {
		return
	}
	limit := time.After(3 * time.Second)
	for up := false; !up; {
		select {
		case <-c.over:
			return
		case <-limit:
			up = true
		case <-time.After(20 * time.Millisecond):
			up = c.tone(500) > -26
		}
	}
	c.port.SendKey('5', 100)
	c.d.Hangup(cause.Cause{Code: cause.Normal})
	<-c.over
}

// dialled has a phone called from the meeting and hang up, unless the call ends before.
func (m *meeting) dialled(t *testing.T, uri string, answered <-chan *caller) {
	t.Helper()
	res := m.Focus.Dial("beta@"+m.XMPP.MUC(), uri)
	if res == nil {
		t.Error("the focus got no answer to its dial")
		return
	}
	limit := time.After(10 * time.Second)
	for {
		select {
		case c := <-answered:
			for end := time.Now().Add(3 * time.Second); c.tone(500) < -26 && time.Now().Before(end) && len(m.app.Calls()) > 1; {
				time.Sleep(20 * time.Millisecond)
			}
			c.d.Hangup(cause.Cause{Code: cause.Normal})
			return
		case <-limit:
			t.Error("the phone was not called, and the call does not end")
			return
		case <-time.After(20 * time.Millisecond):
			if len(m.app.Calls()) == 1 {
				return
			}
		}
	}
}
