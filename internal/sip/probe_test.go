package sip_test

import (
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/sip"
	"jigasi/internal/siptx"

	gosip "github.com/emiago/sipgo/sip"
)

// asked runs Probe and gives how long it took.
func (s *scene) asked() time.Duration {
	start := time.Now()
	s.ua.Probe(s.Context())
	return time.Since(start)
}

// T36: a registrar that falls silent is noticed by whoever asks within two seconds, and seen again as soon as it answers.
func TestT36_SilentRegistrarIsNoticed(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		s.register("")
		go func() { s.phone.respond(s.phone.method("OPTIONS"), 200, "", "") }()
		if took := s.asked(); took > time.Second || !registered(s).Registered {
			t.Fatalf("after an answer: %+v, %v", registered(s), took)
		}
		if took := s.asked(); took > time.Millisecond {
			t.Errorf("asked again at once, for %v", took)
		}
		time.Sleep(3 * time.Second)
		if took := s.asked(); took > 2*time.Second || registered(s).Registered {
			t.Errorf("in silence: %+v, %v", registered(s), took)
		}
		time.Sleep(time.Second)
		for range 3 { // what was sent into the silence
			s.phone.method("OPTIONS")
		}
		time.Sleep(2 * time.Second)
		go func() { s.phone.respond(s.phone.method("OPTIONS"), 405, "", "") }()
		s.asked()
		if r := registered(s); !r.Registered || r.Status != "registered" {
			t.Errorf("after an answer again: %+v", r)
		}
	})
}

// A server that never answered an OPTIONS is not judged by it.
func TestServerWithoutOPTIONSIsNotJudged(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		s.register("")
		for range 3 {
			s.asked()
			time.Sleep(3 * time.Second)
		}
		if r := registered(s); !r.Registered {
			t.Errorf("stands at %+v", r)
		}
	})
}

// T36: when a registrar that was away answers again, it is registered at, at once and not by the back-off; one that refuses is not.
func TestT36_RegistersWhenTheServerIsBack(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		var up atomic.Bool
		done := make(chan struct{})
		defer close(done)
		go func() {
			for {
				select {
				case m := <-s.phone.inbox:
					if req, ok := m.(*gosip.Request); ok && up.Load() {
						s.phone.respond(req, 200, "Expires: 600\n", "")
					}
				case <-done:
					return
				}
			}
		}()
		time.Sleep(10 * time.Minute) // nobody answers: the pauses are long now
		up.Store(true)
		began := time.Now()
		for !registered(s).Registered && time.Since(began) < time.Minute {
			s.asked()
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("registered %v after the server was back", took)
		}
	})
}

// TestStopDoesNotWaitForASilentRegistrar: an attempt that nobody answers is given up soon after the gateway is to stop.
func TestStopDoesNotWaitForASilentRegistrar(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		s.phone.method("REGISTER")
		start := time.Now()
		ctx, cancel := contextFor(20 * time.Second)
		defer cancel()
		_ = s.ua.Close(ctx)
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("stopped after %v", took)
		}
	})
}

// TestStopTakesBackARegistrationUnderWay: what was asked for before the stop and granted after it is taken back.
func TestStopTakesBackARegistrationUnderWay(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		first := s.phone.method("REGISTER")
		taken := make(chan string, 1)
		go func() {
			time.Sleep(100 * time.Millisecond)
			s.phone.respond(first, 200, "Expires: 600\n", "")
			last := s.phone.method("REGISTER")
			s.phone.respond(last, 200, "", "")
			taken <- siptx.Value(last, "Expires")
		}()
		ctx, cancel := contextFor(20 * time.Second)
		defer cancel()
		_ = s.ua.Close(ctx)
		if expires := <-taken; expires != "0" {
			t.Errorf("taken back with Expires: %s", expires)
		}
	})
}
