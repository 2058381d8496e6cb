package app_test

import (
	"testing"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/config"
	"jigasi/internal/lab"
)

// TestAloneUntilSomebodyComes: the focus offers nobody a session who is alone; the phone is answered all the same after a while, waits
// in the room, and has the meeting when somebody comes.
func TestAloneUntilSomebodyComes(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(cfg *config.Config) { cfg.Meeting.AloneAnswer = 300 * time.Millisecond })
	p := m.call(t, "alpha", 440, "PCMU")
	all := m.app.Calls()
	if len(all) != 1 || all[0].State != call.Waiting {
		t.Fatalf("%+v", all)
	}
	if n := len(m.Focus.Members("alpha")); n != 1 {
		t.Errorf("%d members in the room", n)
	}
	a := m.Join("alpha", 620)
	eventually(t, 10*time.Second, "they hear each other", func() bool { return hears(a, 440)() && p.tone(620) > -26 })
}
