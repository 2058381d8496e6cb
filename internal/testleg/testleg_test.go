package testleg

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/media"
)

var (
	_ leg.Phone = (*Phone)(nil)
	_ leg.Seat  = (*Seat)(nil)
)

// loudness of hz in pcm at 16 kHz, as the amplitude of a sine.
func loudness(pcm []int16, hz float64) float64 {
	var re, im float64
	for i, s := range pcm {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / media.Wide)
		re, im = re+float64(s)*cos, im+float64(s)*sin
	}
	return 2 * math.Hypot(re, im) / float64(max(1, len(pcm)))
}

// TestTwoLegsHearEachOther: what a test concludes from these legs stands on this.
func TestTwoLegsHearEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := NewPhone(440), NewSeat(620)
		time.Sleep(time.Second) // not connected: no sound
		p.Connect(s.Audio())
		time.Sleep(time.Second)
		p.Connect(nil)
		time.Sleep(time.Second)
		for name, heard := range map[string][]int16{"phone": p.Heard(), "seat": s.Heard()} {
			own, other := 440.0, 620.0
			if name == "seat" {
				own, other = other, own
			}
			if n := len(heard); n < media.Wide*9/10 || n > media.Wide*11/10 {
				t.Errorf("the %s heard %d samples in a second", name, n)
			}
			if l := loudness(heard, other); l < 7000 || l > 9000 {
				t.Errorf("the %s hears the other at %.0f", name, l)
			}
			if l := loudness(heard, own); l > 500 {
				t.Errorf("the %s hears itself at %.0f", name, l)
			}
		}
		for _, l := range []leg.Leg{p, s} {
			if err := l.Hangup(context.Background(), cause.Cause{Code: cause.Busy}); err != nil {
				t.Error(err)
			}
			if err := l.Hangup(context.Background(), cause.Cause{Code: cause.Normal}); err != nil { // again
				t.Error(err)
			}
			if e := <-l.Events(); e.Phase != leg.Over || e.Why.Code != cause.Busy {
				t.Errorf("tells %+v", e)
			}
			if _, open := <-l.Events(); open {
				t.Error("something follows the end")
			}
		}
		p.Connect(s.Audio()) // a call may be late
	})
}

// TestScript: phases and signals come in order, and nothing after the end.
func TestScript(t *testing.T) {
	s := NewSeat(0)
	s.Script(leg.Trying, leg.Ready)
	s.Press('5')
	s.Answer()
	s.Answer()
	s.Send(leg.Status{Text: "x"})
	s.Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Kicked}})
	s.Script(leg.Up)
	var got []leg.Event
	for e := range s.Events() {
		got = append(got, e)
	}
	if len(got) != 4 || got[1].Phase != leg.Ready || got[2].Signal != (leg.Digit{Key: '5', Duration: 200}) || got[3].Why.Code != cause.Kicked {
		t.Errorf("tells %+v", got)
	}
	if s.Answered() != 2 || len(s.Signals()) != 1 || s.Signals()[0] != (leg.Status{Text: "x"}) {
		t.Errorf("answered %d times, %v", s.Answered(), s.Signals())
	}
}
