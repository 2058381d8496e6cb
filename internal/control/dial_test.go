package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/exchange"
	"jigasi/internal/rayo"
	"jigasi/internal/stanza"

	"github.com/google/go-cmp/cmp"
)

func TestDialRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, dial string
		set        func(*Options)
		stats      func(*Stats)
		want       string
		why        reason
	}{
		{"empty", "<dial xmlns='urn:xmpp:rayo:1' to=''/>", nil, nil, "bad-request", malformed},
		{"line break", "<dial xmlns='urn:xmpp:rayo:1' to='1&#10;2'/>", nil, nil, "bad-request", malformed},
		{"no room", "<dial xmlns='urn:xmpp:rayo:1' to='1'/>", nil, nil, "internal-server-error", noRoom},
		{"draining", dialIQ, nil, func(s *Stats) { s.Draining = true }, "service-unavailable", full},
		{"no phones", dialIQ, nil, func(s *Stats) { s.SIP = false }, "service-unavailable", unable},
		{"no transcriber", strings.Replace(dialIQ, "+15551234", rayo.Transcribe, 1), nil, nil, "not-acceptable", unable},
		{"full", dialIQ, fails(cause.Cause{Code: cause.Full}), nil, "resource-constraint", full},
		{"bad room", dialIQ, fails(cause.Cause{Code: cause.NoRoom}), nil, "internal-server-error", noRoom},
		{"password", dialIQ, fails(cause.Cause{Code: cause.PasswordNeeded}), nil, "not-authorized", failed},
		{"no answer", dialIQ, fails(cause.Cause{Code: cause.Timeout}), nil, "remote-server-timeout", late},
		{"other", dialIQ, fails(errors.New("x")), nil, "internal-server-error", failed},
		{"panic", dialIQ, func(o *Options) {
			o.Dial = func(context.Context, exchange.Request) (exchange.Dialled, error) { panic("defect") }
		}, nil, "internal-server-error", failed},
		{"silence", dialIQ, func(o *Options) {
			o.Dial = func(ctx context.Context, _ exchange.Request) (exchange.Dialled, error) {
				<-ctx.Done()
				return exchange.Dialled{}, ctx.Err()
			}
		}, nil, "remote-server-timeout", late},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.set, func(s *stage) {
				s.join()
				if tt.stats != nil {
					s.mu.Lock()
					tt.stats(&s.stats)
					s.mu.Unlock()
				}
				began := time.Now()
				s.say("<iq type='set' id='a=/+' from='" + focus + "'>" + tt.dial + "</iq>")
				e := s.hear()
				if condition(e) != tt.want || e.Get("id") != "a=/+" || e.Get("to") != focus {
					t.Errorf("answers %v", e)
				}
				if took := time.Since(began); took >= 15*time.Second {
					t.Errorf("answers after %v", took)
				}
				if s.b.counts[tt.why].Load() != 1 || refused(s.b) != 1 {
					t.Errorf("counted %v", s.b.Status().Refused)
				}
			})
		})
	}
}

func fails(err error) func(*Options) {
	return func(o *Options) {
		o.Dial = func(context.Context, exchange.Request) (exchange.Dialled, error) { return exchange.Dialled{}, err }
	}
}

func TestManyDialsAtOnce(t *testing.T) {
	block := func(o *Options) {
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			<-ctx.Done()
			return exchange.Dialled{}, ctx.Err()
		}
	}
	play(t, block, func(s *stage) {
		s.join()
		free := make(chan struct{}) // in the bubble of virtual time
		go func() {
			for range maxWaiting + 1 {
				<-s.sent
			}
			close(free)
		}()
		for i := range maxWaiting + 1 {
			s.say(fmt.Sprintf("<iq type='set' id='%d' from='%s'>%s</iq>", i, focus, dialIQ))
		}
		if n := s.b.counts[crowded].Load(); n != 1 {
			t.Errorf("%d refused", n)
		}
		<-free
	})
}

func TestHeadersAndHangup(t *testing.T) {
	var hung []string
	over := make(chan struct{})
	set := func(o *Options) {
		o.Rules, o.BOSH = &exchange.Rules{DomainBase: "x"}, "https://x"
		dial := o.Dial
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			d, err := dial(ctx, r)
			d.Done = over
			return d, err
		}
		o.Hangup = func(at stanza.JID, why cause.Cause) bool {
			hung = append(hung, at.String()+" "+why.Code.String())
			return true
		}
	}
	play(t, set, func(s *stage) {
		s.join()
		hangup := "<iq type='set' id='2' from='" + focus + "'><hangup xmlns='urn:xmpp:rayo:1'/></iq>"
		s.say(hangup)
		if e := s.hear(); condition(e) != "item-not-found" {
			t.Errorf("hangup of nothing: %v", e)
		}
		s.say("<iq type='set' id='1' from='" + focus + "'><dial xmlns='urn:xmpp:rayo:1' to='1'><header name='JvbRoomName' value='a@b'/>" +
			"<header name='JvbRoomPassword' value='pw'/><header name='X-B' value='2'/><header name='X-A' value='1'/></dial></iq>")
		if e := s.hear(); ref(e) != "xmpp:beta@conference.meet.localhost/12345678" {
			t.Errorf("ref %v", e)
		}
		r := s.dials[0]
		if diff := cmp.Diff([]exchange.Header{{Name: "X-B", Value: "2"}, {Name: "X-A", Value: "1"}}, r.Headers); diff != "" ||
			r.Password.Reveal() != "pw" || r.Rules.DomainBase != "x" || r.BOSH != "https://x" {
			t.Errorf("%+v %s", r, diff)
		}
		s.say(strings.Replace(hangup, focus, "guest@x", 1))
		if e := s.hear(); condition(e) != "forbidden" {
			t.Errorf("hangup by a guest: %v", e)
		}
		s.say(hangup)
		if e := s.hear(); condition(e) != "" || fmt.Sprint(hung) != "[beta@conference.meet.localhost/12345678 normal]" {
			t.Errorf("hangup: %v, %v", e, hung)
		}
		close(over)
		s.say(hangup)
		if e := s.hear(); condition(e) != "item-not-found" {
			t.Errorf("hangup of an ended call: %v", e)
		}
	})
}

func TestLossGivesDialsUp(t *testing.T) {
	ended := make(chan error, 1)
	set := func(o *Options) {
		o.Dial = func(ctx context.Context, _ exchange.Request) (exchange.Dialled, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return exchange.Dialled{}, ctx.Err()
		}
	}
	play(t, set, func(s *stage) {
		s.join()
		s.say("<iq type='set' id='1' from='" + focus + "'>" + dialIQ + "</iq>")
		began := time.Now()
		s.cut(errors.New("stream lost"))
		<-ended
		if took := time.Since(began); took > time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestUnansweredCallIsHungUp(t *testing.T) {
	var hung []stanza.JID
	var cut func(error)
	set := func(o *Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, r exchange.Request) (exchange.Dialled, error) {
			cut(errors.New("stream lost")) // in the very moment
			return dial(ctx, r)
		}
		o.Hangup = func(at stanza.JID, _ cause.Cause) bool { hung = append(hung, at); return true }
	}
	play(t, set, func(s *stage) {
		s.join()
		cut = s.cut
		s.say("<iq type='set' id='1' from='" + focus + "'>" + dialIQ + "</iq>")
		synctest.Wait()
		if len(hung) != 1 || hung[0].Resource != "12345678" {
			t.Errorf("hung up %v", hung)
		}
	})
}

// TestEveryAttemptIsAudited: one line for each request of somebody who may dial: who, whom (not the whole number), for
// which room, and what came of it.
func TestEveryAttemptIsAudited(t *testing.T) {
	for want, set := range map[string]func(*Options){
		"dial accepted": nil, "dial refused": fails(cause.Cause{Code: cause.Forbidden, Text: "rule 1 denies this number"}),
	} {
		var log bytes.Buffer
		play(t, func(o *Options) {
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			if set != nil {
				set(o)
			}
		}, func(s *stage) {
			s.join()
			s.say("<iq type='set' id='1' from='" + focus + "'>" + dialIQ + "</iq>")
			s.hear()
		})
		lines := 0
		for line := range strings.Lines(log.String()) {
			if !strings.Contains(line, "dial ") {
				continue
			}
			lines++
			for _, part := range []string{want, "from=" + focus, "to=+xxxxx234", "room="} {
				if !strings.Contains(line, part) {
					t.Errorf("%s: no %q in %s", want, part, line)
				}
			}
			if strings.Contains(line, "5551234") {
				t.Errorf("the whole number stands in %s", line)
			}
		}
		if lines != 1 {
			t.Errorf("%s: %d lines in\n%s", want, lines, log.String())
		}
	}
}
