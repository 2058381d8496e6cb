package app_test

import (
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/stanza"
)

// connected has a phone at 440 Hz and a person at 620 Hz in a room, hearing each other.
func connected(t *testing.T, m *meeting) (p *caller, heard func() bool) {
	t.Helper()
	b := m.Join("alpha", 620)
	m.Join("alpha", 880)
	p = m.call(t, "alpha", 440, "PCMU")
	heard = func() bool { return hears(b, 440)() && p.tone(620) > -26 && p.tone(880) > -26 }
	eventually(t, 6*time.Second, "everybody hears everybody", heard)
	return p, heard
}

func (m *meeting) nick(t *testing.T) string {
	t.Helper()
	all := m.app.Calls()
	if len(all) != 1 {
		t.Fatalf("%d calls", len(all))
	}
	return all[0].Occupant.Resource
}

// TestCallSurvives: what happens to the meeting, and the phone stays up and is heard again.
func TestCallSurvives(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, m *meeting)
	}{
		{"session-terminate and a new session-initiate", func(t *testing.T, m *meeting) { m.Focus.Move("alpha", m.Bridge) }},
		{"transport-replace", func(t *testing.T, m *meeting) { m.Focus.ReplaceTransport("alpha", m.nick(t), m.Bridge) }},
		{"XMPP connection lost", func(t *testing.T, m *meeting) { m.XMPP.DropAll() }},
		{"bridge dies and another comes", func(t *testing.T, m *meeting) {
			b, err := sfu.New()
			if err != nil {
				t.Fatal(err)
			}
			m.Bridge.Kill()
			m.Focus.UseBridge(nil)
			time.Sleep(300 * time.Millisecond)
			m.Focus.Move("alpha", b)
		}},
		{"focus leaves and returns", func(t *testing.T, m *meeting) {
			m.StopFocus()
			time.Sleep(200 * time.Millisecond)
			m.StartFocus()
			time.Sleep(100 * time.Millisecond)
		}},
		{"focus dies with our request", func(t *testing.T, m *meeting) {
			m.StopFocus()
			m.XMPP.Attach("focus."+lab.Domain, func(*stanza.Elem) {})
			time.Sleep(1500 * time.Millisecond)
			m.StartFocus()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := start(t, lab.Options{}, func(cfg *config.Config) { cfg.Admin.Port = ports.Free(t) })
			p, heard := connected(t, m)
			id := m.app.Calls()[0].ID
			tt.do(t, m)
			p.deaf()
			eventually(t, 25*time.Second, "everybody hears everybody again", heard)
			if all := m.app.Calls(); len(all) != 1 || all[0].ID != id {
				t.Errorf("calls %+v, want the same one", all)
			}
			moved := map[bool]float64{true: 1}[tt.name == "transport-replace"]
			if got := m.stats(t)["total_calls_with_jvb_migrate"]; got != moved {
				t.Errorf("%v calls that moved to another bridge, want %v", got, moved)
			}
			p.d.Hangup(cause.Cause{Code: cause.Normal})
			eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
		})
	}
}

// TestEndsFromTheRoom: only being removed ends a call from the room's side (real.md 24, 25).
func TestEndsFromTheRoom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(m *meeting, nick string)
	}{
		{"kick", func(m *meeting, nick string) { m.XMPP.Room("alpha").Kick(nick, "bye", false) }},
		{"ban", func(m *meeting, nick string) { m.XMPP.Room("alpha").Kick(nick, "bye", true) }},
		{"destroy", func(m *meeting, _ string) { m.XMPP.Room("alpha").Destroy("the end") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := start(t, lab.Options{}, briefly(t))
			connected(t, m)
			tt.do(m, m.nick(t))
			eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
		})
	}
}

// TestReal07_NoBridgeIsAWait: without a bridge the phone rings on, and is answered once there is one.
func TestReal07_NoBridgeIsAWait(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	m.Focus.UseBridge(nil)
	b := m.Join("alpha", 620)
	done := make(chan *caller, 1)
	go func() { done <- m.call(t, "alpha", 440, "PCMU") }()
	eventually(t, 3*time.Second, "the call waits", func() bool {
		all := m.app.Calls()
		return len(all) == 1 && all[0].State == call.Waiting
	})
	m.Focus.UseBridge(m.Bridge)
	p := <-done
	eventually(t, 5*time.Second, "they hear each other", func() bool { return hears(b, 440)() && p.tone(620) > -26 })
}

// TestReal16_LeavingBringsNoSourceRemove: who leaves the room is no longer heard, and memory of it goes.
func TestReal16_LeavingBringsNoSourceRemove(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 6*time.Second, "the phone hears both", func() bool { return p.tone(620) > -26 && p.tone(880) > -26 })
	a.Leave()
	eventually(t, 3*time.Second, "who left is silent", func() bool { return p.tone(620) < -60 && p.tone(880) > -26 })
}

// TestReal21_RestartIsAskedWhenTheBridgeIsSilent: ICE loses consent, the gateway asks for a new session.
func TestReal21_RestartIsAskedWhenTheBridgeIsSilent(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	p, heard := connected(t, m)
	m.Bridge.Kill() // nobody tells the focus
	b, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	p.deaf()
	m.Bridge = b
	m.Focus.UseBridge(b)
	eventually(t, 25*time.Second, "the phone is back on another bridge", func() bool { return m.nick(t) != "" && b.Endpoints() > 0 })
	_ = heard
	eventually(t, 5*time.Second, "the call is active", func() bool { return m.app.Calls()[0].State == call.Active })
}
