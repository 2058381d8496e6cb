package recognize_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
)

// chain is a session's chain of members, chosen when the first sound comes.
func chain(c recognize.Choice) *recognize.Chain {
	return recognize.NewChain(func(context.Context) (recognize.Choice, error) {
		<-time.After(300 * time.Millisecond)
		return c, nil
	})
}

// TestFailover: the first service fails in every way there is; the second takes over and is left again when the first
// has had its rest. Every utterance comes out once, in order.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, needs := range map[string][2]recognize.Needs{
		"alike":         {{}, {Pace: true}},
		"blind, then":   {{Overlap: 3 * time.Second, Pace: true, Chunk: time.Second}, {Chunk: 40 * time.Millisecond, Pace: true}},
		"then blind":    {{}, {Overlap: 3 * time.Second, Pace: true, Keep: 20 * time.Second}},
		"one that ages": {{MaxAge: 3 * time.Second, Pace: true}, {MaxAge: 10 * time.Second, Idle: time.Second, Pace: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := prove.Drops(20)
				bad := &service{needs: needs[0], temper: prove.Moody(n), blind: needs[0].Overlap > 0}
				good := &service{needs: needs[1], temper: prove.Moody(0), blind: needs[1].Overlap > 0}
				var log bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&log, nil))
				a, b := &recognize.Member{Name: "bad", Service: bad, Log: logger}, &recognize.Member{Name: "good", Service: good, Log: logger}
				p := prove.Listen(t, chain(recognize.Choice{Members: []*recognize.Member{a, b}}), 20*n, recognize.Options{FirstDelay: 500 * time.Millisecond, EndLimit: time.Hour}, nil)
				if b.Tally.Finals.Load() < 10 || a.Tally.Finals.Load() < 100 || b.Tally.Rests.Load() != 0 {
					t.Errorf("%d and %d finals", a.Tally.Finals.Load(), b.Tally.Finals.Load())
				}
				if sum := a.Tally.Finals.Load() + b.Tally.Finals.Load(); sum < p.Counts.Finals.Load() {
					t.Errorf("%d finals of %d have a service", sum, p.Counts.Finals.Load())
				}
				if a.Tally.Streams.Load()+b.Tally.Streams.Load() != 0 || bad.most.Load() > 1 || good.most.Load() > 1 {
					t.Error("streams are left, or were two at a time")
				}
				if s := log.String(); name == "alike" && (!strings.Contains(s, "does not work") || !strings.Contains(s, "works again")) || strings.Contains(s, "service=good") {
					t.Errorf("the log:\n%s", s)
				}
				if _, count, _ := b.Tally.Latency.Read(); count == 0 {
					t.Error("no latency")
				}
			})
		})
	}
}

// troubles keeps what a speaker is told.
type troubles struct {
	mu  sync.Mutex
	got []string
}

func (tr *troubles) note(err error, row int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.got = append(tr.got, fmt.Sprint(err, " ", row))
}

// TestBudget: when the minutes are used up the spare service goes on, without a break in the words, until the next
// period begins; without a spare one nobody is heard, and no stream is opened any more.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		paid, local := &service{temper: prove.Moody(0), needs: recognize.Needs{Pace: true}}, &service{temper: prove.Moody(0)}
		a, b := &recognize.Member{Name: "paid", Service: paid}, &recognize.Member{Name: "local", Service: local}
		var tr troubles
		budget := recognize.Budget{recognize.NewMeter(time.Hour, 0), recognize.NewMeter(30*time.Second, 0)}
		prove.Listen(t, chain(recognize.Choice{Members: []*recognize.Member{a}, Budget: budget, Spare: b}), 100, recognize.Options{Trouble: tr.note, EndLimit: time.Hour}, nil)
		sent := a.Tally.SentMS.Load()
		if sent < 30_000 || sent > 55_000 || b.Tally.Finals.Load() < 50 || len(tr.got) == 0 || !strings.Contains(tr.got[0], "used up") {
			t.Errorf("%d ms were paid, %d finals for nothing, %q", sent, b.Tally.Finals.Load(), tr.got)
		}

		tr = troubles{}
		m := recognize.NewMeter(10*time.Second, time.Minute)
		c := chain(recognize.Choice{Members: []*recognize.Member{a}, Budget: recognize.Budget{m}})
		finals := 0
		s := recognize.Listen(t.Context(), recognize.Options{Service: c, Trouble: tr.note, Emit: func(x recognize.Said) {
			if x.Final {
				finals++
			}
		}})
		pace(s, prove.Say(50)) // 80 s
		opened := paid.created.Load()
		s.End()
		<-s.Done()
		if finals < 5 || finals > 40 || len(tr.got) == 0 || !strings.HasPrefix(tr.got[0], recognize.ErrBudget.Error()) {
			t.Errorf("%d finals over %d streams, %q", finals, opened, tr.got)
		}
		if _, spent := m.Used(time.Now().Add(time.Minute)); spent {
			t.Error("a new period begins with nothing")
		}
	})
}

// refuser refuses everybody with an error.
type refuser struct{ err error }

func (refuser) Needs() recognize.Needs { return recognize.Needs{} }
func (r refuser) Open(context.Context, recognize.Who) (recognize.Stream, error) {
	return nil, fmt.Errorf("%w: set the key", r.err)
}

// TestPermanent: a language that the first service does not speak goes to the next at once, and is no failure of it; a
// missing credential gives it a rest at once; where nothing else is there it is tried twice a minute; whoever is told of trouble says so, once.
func TestPermanent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := &recognize.Member{Name: "good", Service: &service{temper: prove.Moody(0)}}
		for _, why := range []error{recognize.ErrLanguage, recognize.ErrCredential} {
			m := &recognize.Member{Name: "bad", Service: refuser{why}}
			prove.Listen(t, chain(recognize.Choice{Members: []*recognize.Member{m, good}}), 5, recognize.Options{}, nil)
			if rests := m.Tally.Rests.Load(); errors.Is(why, recognize.ErrLanguage) != (rests == 0) || m.Tally.Unusable.Load() == 0 {
				t.Errorf("%v: %d rests", why, rests)
			}
			if (m.Err() == nil) != errors.Is(why, recognize.ErrLanguage) {
				t.Error(m.Err())
			}
		}
		var log bytes.Buffer
		var tr troubles
		var counts recognize.Counts
		s := recognize.Listen(t.Context(), recognize.Options{
			Service: chain(recognize.Choice{Members: []*recognize.Member{{Name: "bad", Service: refuser{recognize.ErrCredential}}}}), Trouble: tr.note, Counts: &counts,
			Emit: func(recognize.Said) { t.Error("words out of nothing") }, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		pace(s, prove.Say(60))
		s.End()
		<-s.Done()
		if n := counts.Refused.Load(); n < 2 || n > 5 {
			t.Errorf("%d attempts", n)
		}
		if log.Len() != 0 || !strings.HasPrefix(tr.got[0], recognize.ErrCredential.Error()) {
			t.Errorf("%q\n%s", tr.got, log.String())
		}
	})
}

// stuck never answers.
type stuck struct{ refuser }

func (stuck) Open(ctx context.Context, _ recognize.Who) (recognize.Stream, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestStuckService: a service that does not answer costs four seconds three times, and no word.
func TestStuckService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &recognize.Member{Name: "stuck", Service: stuck{}}
		good := &recognize.Member{Name: "good", Service: &service{temper: prove.Moody(0), needs: recognize.Needs{Idle: time.Second}}}
		prove.Listen(t, chain(recognize.Choice{Members: []*recognize.Member{m, good}}), 40, recognize.Options{EndLimit: time.Hour}, nil)
		if m.Tally.Refused.Load() < 1 || good.Tally.Finals.Load() != 40 {
			t.Errorf("%d refused, %d finals", m.Tally.Refused.Load(), good.Tally.Finals.Load())
		}
	})
}

// TestChoiceFails: where nobody can say which service to use it is asked again.
func TestChoiceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := recognize.NewChain(func(context.Context) (recognize.Choice, error) {
			if n++; n < 3 {
				return recognize.Choice{}, errors.New("not now")
			}
			return recognize.Choice{Members: []*recognize.Member{{Service: &service{temper: prove.Moody(0)}}}}, nil
		})
		if _, err := c.Open(t.Context(), recognize.Who{}); err == nil {
			t.Error("a stream out of nothing")
		}
		prove.Listen(t, c, 3, recognize.Options{}, nil)
		if n != 3 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestSpread(t *testing.T) {
	var s recognize.Spread
	for _, d := range []time.Duration{-time.Second, 50 * time.Millisecond, 51 * time.Millisecond, time.Second, time.Minute} {
		s.Add(d)
	}
	upTo, count, sum := s.Read()
	if upTo[0] != 2 || upTo[1] != 3 || upTo[len(upTo)-1] != 4 || count != 5 || sum < 61.1 || sum > 61.2 {
		t.Errorf("%v %d %v", upTo, count, sum)
	}
}
