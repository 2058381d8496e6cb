package call_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/call"
	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/testleg"
)

// strength is the share of hz in pcm at 16 kHz, 0..1.
func strength(pcm []int16, hz float64) float64 {
	if len(pcm) == 0 {
		return 0
	}
	var re, im, sum float64
	for i, s := range pcm {
		x := 2 * math.Pi * hz * float64(i) / 16000
		re += float64(s) * math.Cos(x)
		im += float64(s) * math.Sin(x)
		sum += float64(s) * float64(s)
	}
	if sum == 0 {
		return 0
	}
	return 2 * (re*re + im*im) / (float64(len(pcm)) * sum)
}

type heard interface{ Heard() []int16 }

func expect(t *testing.T, who string, h heard, hears, not float64) {
	t.Helper()
	pcm := h.Heard()
	if s := strength(pcm, hears); s < 0.9 {
		t.Errorf("%s hears %v Hz with %.2f of its %d samples, want 0.9", who, hears, s, len(pcm))
	}
	if s := strength(pcm, not); s > 0.05 {
		t.Errorf("%s hears itself, %v Hz, with %.2f", who, not, s)
	}
}

func TestCallFromLobbyToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, st := testleg.NewPhone(400), testleg.NewSeat(1000)
		c := call.Start(t.Context(), ph, st, call.Options{})
		st.Script(leg.Waiting)
		time.Sleep(10 * time.Minute) // in the lobby
		if ph.Answered() != 1 {
			t.Errorf("the waiting phone was answered %d times, want once, after 15 s", ph.Answered())
		}
		st.Script(leg.Ready)
		synctest.Wait()
		st.Script(leg.Up)
		ph.Script(leg.Up)
		time.Sleep(time.Second)
		ph.Press('5')
		synctest.Wait()
		if got := c.State(); got != call.Active {
			t.Fatalf("state %s, want active", got)
		}
		c.Hangup(cause.Cause{Code: cause.Normal})
		<-c.Done()
		expect(t, "phone", ph, 1000, 400)
		expect(t, "meeting", st, 400, 1000)
		if d, ok := st.Signals()[0].(leg.Digit); !ok || d.Key != '5' {
			t.Errorf("the meeting got %v, want digit 5", st.Signals())
		}
	})
}

func TestPhoneSurvivesMovingSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, st := testleg.NewPhone(400), testleg.NewSeat(1000)
		c := call.Start(t.Context(), ph, st, call.Options{})
		st.Script(leg.Ready, leg.Up)
		ph.Script(leg.Up)
		for range 5 {
			synctest.Wait()
			if c.State() != call.Active {
				t.Fatalf("state %s, want active", c.State())
			}
			st.Script(leg.Moving)
			time.Sleep(20 * time.Second)
			if c.State() != call.Rejoining {
				t.Fatalf("state %s, want rejoining", c.State())
			}
			st.Script(leg.Ready, leg.Up)
		}
		synctest.Wait()
		st.Script(leg.Moving)
		time.Sleep(61 * time.Second)
		<-c.Done()
		if c.Cause().Code != cause.Lost || ph.Why().Code != cause.Lost {
			t.Errorf("cause %v, phone told %v, want lost", c.Cause(), ph.Why())
		}
	})
}

// The focus takes the session from a phone that is alone; that is no lost meeting.
func TestPhoneStaysAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, st := testleg.NewPhone(400), testleg.NewSeat(1000)
		c := call.Start(t.Context(), ph, st, call.Options{})
		st.Script(leg.Ready, leg.Up)
		ph.Script(leg.Up)
		synctest.Wait()
		st.Script(leg.Moving, leg.Waiting)
		time.Sleep(10 * time.Minute)
		if c.State() != call.Rejoining {
			t.Fatalf("state %s, want rejoining", c.State())
		}
		st.Script(leg.Ready, leg.Up)
		synctest.Wait()
		if c.State() != call.Active {
			t.Fatalf("state %s after somebody came, want active", c.State())
		}
		st.Script(leg.Over)
		<-c.Done()
	})
}

// Who waits for people is answered to be told so; who waits for machines rings on for a while.
func TestLobbyIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, st := testleg.NewPhone(400), testleg.NewSeat(1000)
		c := call.Start(t.Context(), ph, st, call.Options{})
		ph.Script(leg.Ready)
		st.Tell(leg.Event{Phase: leg.Waiting, Why: cause.Cause{Code: cause.NoBridge}})
		synctest.Wait()
		if ph.Answered() != 0 {
			t.Error("answered although there is only no bridge")
		}
		st.Tell(leg.Event{Phase: leg.Waiting, Why: cause.Cause{Code: cause.LobbyWait}})
		synctest.Wait()
		if ph.Answered() == 0 || c.State() != call.Waiting {
			t.Errorf("answered %d times in %s", ph.Answered(), c.State())
		}
		ph.Script(leg.Up)
		st.Tell(leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.LobbyDenied, Text: "denied"}})
		synctest.Wait()
		if c.State() != call.Farewell {
			t.Errorf("state %s, want farewell", c.State())
		}
		<-c.Done()
		if sig := ph.Signals(); len(sig) != 1 || sig[0].(leg.Farewell).Why.Code != cause.LobbyDenied {
			t.Errorf("the phone was told %v", sig)
		}
	})
}

// A bridge that is away keeps the phone waiting, but not for ever: the line costs money.
func TestPhoneSurvivesAnOutageOfTheBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, st := testleg.NewPhone(400), testleg.NewSeat(1000)
		c := call.Start(t.Context(), ph, st, call.Options{})
		st.Script(leg.Ready, leg.Up)
		ph.Script(leg.Up)
		synctest.Wait()
		away := func() {
			st.Script(leg.Moving)
			st.Tell(leg.Event{Phase: leg.Waiting, Why: cause.Cause{Code: cause.NoBridge, Text: "no_bridge"}})
		}
		away()
		time.Sleep(4 * time.Minute)
		if c.State() != call.Rejoining {
			t.Fatalf("state %s, want rejoining", c.State())
		}
		st.Script(leg.Ready, leg.Up)
		synctest.Wait()
		if c.State() != call.Active {
			t.Fatalf("state %s after the bridge came, want active", c.State())
		}
		away()
		time.Sleep(7 * time.Minute)
		<-c.Done()
		if c.Cause().Code != cause.NoBridge {
			t.Errorf("cause %v, want no_bridge", c.Cause())
		}
	})
}

func TestEnds(t *testing.T) {
	normal := leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Normal}}
	busy := leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Busy, Text: "Busy Here", Status: 486}}
	full := leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Full, Text: "full"}}
	kicked := leg.Event{Phase: leg.Over, Why: cause.Cause{Code: cause.Kicked, Text: "kicked"}}
	for _, tt := range []struct {
		name     string
		outgoing bool
		play     func(*testleg.Phone, *testleg.Seat, *call.Call, context.CancelFunc)
		want     cause.Code
		lasts    time.Duration
	}{
		{"caller hangs up while joining", false, func(p *testleg.Phone, _ *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			p.Tell(normal)
		}, cause.Normal, 0},
		{"busy is shown for five seconds", true, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Script(leg.Ready, leg.Up)
			synctest.Wait()
			p.Tell(busy)
		}, cause.Busy, 5 * time.Second},
		{"a room that goes while busy is shown cuts it short", true, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Script(leg.Ready, leg.Up)
			synctest.Wait()
			p.Tell(busy)
			synctest.Wait()
			s.Tell(kicked)
		}, cause.Busy, 0},
		{"kicked", false, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Script(leg.Ready, leg.Up)
			p.Script(leg.Up)
			synctest.Wait()
			s.Tell(kicked)
		}, cause.Kicked, testleg.FarewellLasts},
		{"kicked, and the phone does not hang up", false, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			p.Stubborn = true
			s.Script(leg.Ready, leg.Up)
			p.Script(leg.Up)
			synctest.Wait()
			s.Tell(kicked)
		}, cause.Kicked, 30 * time.Second},
		{"kicked while ringing", false, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			p.Script(leg.Ready)
			synctest.Wait()
			s.Tell(kicked)
		}, cause.Kicked, 0},
		{"full while ringing", false, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			p.Script(leg.Ready)
			synctest.Wait()
			s.Tell(full)
		}, cause.Full, testleg.FarewellLasts},
		{"full, dialled by us", true, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Tell(full)
		}, cause.Full, 0},
		{"nobody answers for the meeting", false, func(*testleg.Phone, *testleg.Seat, *call.Call, context.CancelFunc) {}, cause.Timeout, 30 * time.Second},
		{"a phone is not called into a meeting that everybody left", true, func(_ *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Tell(leg.Event{Phase: leg.Waiting, Why: cause.Cause{Code: cause.NoInvite, Text: "alone"}})
		}, cause.NoInvite, 2 * time.Minute},
		{"a phone that was called waits for people as one that has called", true, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			p.Script(leg.Ringing, leg.Up)
			s.Tell(leg.Event{Phase: leg.Waiting, Why: cause.Cause{Code: cause.LobbyWait, Text: "lobby"}})
		}, cause.Timeout, time.Hour + testleg.FarewellLasts},
		{"a phone is not called into a meeting without a bridge", true, func(_ *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Tell(leg.Event{Phase: leg.Waiting, Why: cause.Cause{Code: cause.NoBridge, Text: "no_bridge"}})
		}, cause.NoBridge, 2 * time.Minute},
		{"no media", false, func(p *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Script(leg.Ready)
			p.Script(leg.Up)
		}, cause.MediaFailed, 20*time.Second + testleg.FarewellLasts},
		{"phone never answers", true, func(_ *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Script(leg.Ready, leg.Up)
		}, cause.NoAnswer, 2*time.Minute + 0},
		{"waiting has a limit", false, func(_ *testleg.Phone, s *testleg.Seat, _ *call.Call, _ context.CancelFunc) {
			s.Script(leg.Waiting)
		}, cause.Timeout, time.Hour},
		{"context ends", false, func(_ *testleg.Phone, _ *testleg.Seat, _ *call.Call, cancel context.CancelFunc) {
			cancel()
		}, cause.Shutdown, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				ph, st := testleg.NewPhone(400), testleg.NewSeat(1000)
				began := time.Now()
				c := call.Start(ctx, ph, st, call.Options{Outgoing: tt.outgoing, TellFull: true})
				tt.play(ph, st, c, func() { cancel(cause.Cause{Code: cause.Shutdown}) })
				<-c.Done()
				cancel(nil)
				if c.Cause().Code != tt.want {
					t.Errorf("cause %v, want %v", c.Cause(), tt.want)
				}
				if lasted := time.Since(began); lasted != tt.lasts {
					t.Errorf("lasted %v, want %v", lasted, tt.lasts)
				}
			})
		})
	}
}
