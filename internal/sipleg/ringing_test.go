package sipleg_test

import (
	"net"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
)

// TestRingingIsHeard: a caller's own telephone makes the ringing tone for as long as nobody sends it sound (RFC 3960, 3.2), so it is sent none
// before it is answered, unless early media was asked for.
func TestRingingIsHeard(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"ringing": false, "early media": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opt.EarlyMedia = early
			phone, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer phone.Close()
			d := r.dial(describe(phone.LocalAddr().(*net.UDPAddr).Port))
			l, err := sipleg.Accept(r.call(), r.opt)
			if err != nil {
				t.Fatal(err)
			}
			legEvent(t, l, phase(leg.Ready))
			sipEvent(t, d, sip.Progress)
			comes := func(limit time.Duration) bool {
				_ = phone.SetReadDeadline(time.Now().Add(limit))
				_, err := phone.Read(make([]byte, 1500))
				return err == nil
			}
			if limit := map[bool]time.Duration{false: 300 * time.Millisecond, true: 15 * time.Second}[early]; comes(limit) != early {
				t.Errorf("sound before the answer: %v, want %v", !early, early)
			}
			l.Answer()
			sipEvent(t, d, sip.Answered)
			if !comes(15 * time.Second) {
				t.Error("no sound after the answer")
			}
			d.Hangup(cause.Cause{Code: cause.Normal})
			over(t, l, cause.Normal)
		})
	}
}
