package control

import (
	"context"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/rayo"
)

// TestReal29_AnswerInTimeRefuseFast: the focus waits 15 s for a gateway, and asks the next one at once
// after a refusal: what is known to fail is refused at once, what hangs before the focus gives up,
// and what works is answered when it works.
func TestReal29_AnswerInTimeRefuseFast(t *testing.T) {
	dial := func(after time.Duration, err error) func(*Options) {
		return func(o *Options) {
			good := o.Dial
			o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
				select {
				case <-time.After(after):
				case <-ctx.Done():
					return exchange.Dialled{}, cause.Cause{Code: cause.Cancelled, Err: ctx.Err()}
				}
				if err != nil {
					return exchange.Dialled{}, err
				}
				return good(ctx, r)
			}
		}
	}
	for _, tt := range []struct {
		name     string
		iq       string
		set      func(*Options)
		stats    func(*Stats)
		min, max time.Duration
		want     string
	}{
		{"at once", dialIQ, nil, nil, 0, 0, ""},
		{"a slow room", dialIQ, dial(9*time.Second, nil), nil, 9 * time.Second, 9 * time.Second, ""},
		{"a room that never opens", dialIQ, dial(time.Hour, nil), nil, 5 * time.Second, 14 * time.Second, "remote-server-timeout"},
		{"full", dialIQ, dial(0, cause.Cause{Code: cause.Full}), nil, 0, 0, "resource-constraint"},
		{"draining", dialIQ, nil, func(s *Stats) { s.Draining = true }, 0, 0, "service-unavailable"},
		{"no telephone", dialIQ, nil, func(s *Stats) { s.SIP = false }, 0, 0, "service-unavailable"},
		{"no transcriber", strings.Replace(dialIQ, "+15551234", rayo.Transcribe, 1), nil, nil, 0, 0, "not-acceptable"},
		{"no such account", dialIQ, dial(0, cause.Cause{Code: cause.Unavailable}), nil, 0, 0, "internal-server-error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.set, func(s *stage) {
				s.join()
				if tt.stats != nil {
					s.change(tt.stats)
					s.hear() // the focus may know before it asks
				}
				began := time.Now()
				s.say("<iq type='set' id='1' from='" + focus + "'>" + tt.iq + "</iq>")
				e := s.hear()
				if took := time.Since(began); took < tt.min || took > tt.max || condition(e) != tt.want {
					t.Errorf("answers %v after %v", e, took)
				}
			})
		})
	}
}
