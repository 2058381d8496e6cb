package app_test

import (
	"fmt"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
)

// seat is somebody in a meeting, with a tone.
type seat struct {
	hz   float64
	bot  *bot.Bot
	call *caller
}

func (s *seat) hush(on bool) {
	if s.bot != nil {
		s.bot.Hush(on)
		return
	}
	if on {
		s.call.say(0)
	} else {
		s.call.say(s.hz)
	}
}

// hears lists whom s hears of all.
func (s *seat) hears(all []*seat) (names string) {
	for _, o := range all {
		heard := s.call != nil && s.call.tone(o.hz) > -30
		if s.bot != nil {
			heard = hears(s.bot, o.hz)()
		}
		if heard {
			names += fmt.Sprintf(" %v", o.hz)
		}
	}
	return names
}

// everybody waits until each one hears exactly those who speak, but for himself.
func everybody(t *testing.T, what string, all []*seat, speaking ...*seat) {
	t.Helper()
	talks := map[*seat]bool{}
	for _, s := range speaking {
		talks[s] = true
	}
	for _, s := range all {
		s.hush(!talks[s])
	}
	wrong := ""
	limit := patience
	if raceEnabled {
		limit *= 3
	}
	eventually(t, limit, what, func() bool {
		wrong = ""
		for _, s := range all {
			want := ""
			for _, o := range all {
				if o != s && talks[o] {
					want += fmt.Sprintf(" %v", o.hz)
				}
			}
			if got := s.hears(all); got != want {
				wrong += fmt.Sprintf("\n%v hears%s instead of%s", s.hz, got, want)
			}
		}
		return wrong == ""
	})
	if t.Failed() {
		t.Fatal(what + wrong)
	}
}

// TestPhonesOfOneRoom: three phones, with a codec each, and two people hear each other, whoever speaks; also when
// the first of them, whose connection the others were served by, leaves in the midst of it.
func TestPhonesOfOneRoom(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, nil)
	a := &seat{hz: 620, bot: m.Join("alpha", 620)}
	b := &seat{hz: 880, bot: m.Join("alpha", 880)}
	p := &seat{hz: 440, call: m.call(t, "alpha", 440, "PCMU")}
	q := &seat{hz: 500, call: m.call(t, "alpha", 500, "G722")}
	third := "opus"
	if raceEnabled { // Opus in Go under the race detector takes more than there is of two processors
		third = "PCMA"
	}
	r := &seat{hz: 740, call: m.call(t, "alpha", 740, third)}
	s := &seat{hz: 1040, call: m.call(t, "alpha", 1040, "PCMU")}
	all := []*seat{a, b, p, q, r, s}
	everybody(t, "two people speak", all, a, b)
	everybody(t, "a phone speaks", all, p)
	everybody(t, "two phones speak", all, q, r)
	everybody(t, "a phone and two people speak", all, a, b, r)
	everybody(t, "three phones speak", all, p, q, r)
	everybody(t, "a person and two phones speak", all, a, p, s)
	everybody(t, "nobody speaks", all)
	everybody(t, "one person speaks", all, a)
	for _, x := range []*seat{q, r, s} {
		x.call.silence()
	}
	p.call.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 5*time.Second, "the phone leaves", func() bool { return len(a.bot.Others()) == 4 })
	all = []*seat{a, b, q, r, s}
	everybody(t, "the one person still speaks", all, a)
	everybody(t, "a phone and a person speak", all, b, s)
}
