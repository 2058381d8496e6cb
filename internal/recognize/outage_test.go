package recognize_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
)

// outage is a service that is gone between two times: it refuses, hangs up, or does not answer.
type outage struct {
	service
	from, to time.Time
	hang     bool
}

func (o *outage) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	if now := time.Now(); now.Before(o.from) || !now.Before(o.to) {
		st, err := o.service.Open(ctx, w)
		if err == nil && now.Before(o.from) {
			time.AfterFunc(o.from.Sub(now), st.(*stream).Close)
		}
		return st, err
	}
	if o.hang {
		select {
		case <-time.After(time.Until(o.to)):
			return o.service.Open(ctx, w)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, errors.New("refused")
}

// TestTwentySecondsWithoutAService: somebody speaks on while the service is gone for twenty seconds, from the first word
// or in the middle of one. Every sentence comes once, in order, by one stream at a time, and soon after it is back.
func TestTwentySecondsWithoutAService(t *testing.T) {
	t.Parallel()
	const sentences = 50 // 80 s
	for name, o := range map[string]*outage{
		"from the first word": {}, "in the middle": {from: time.Unix(0, 0).Add(11300 * time.Millisecond)}, "it hangs": {hang: true},
		"in small steps": {service: service{needs: recognize.Needs{Chunk: 40 * time.Millisecond}}}, "it tells no positions": {service: service{blind: true, needs: recognize.Needs{Overlap: 3 * time.Second, Pace: true}}},
	} {
		for seed := range 5 {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					o := &outage{service: service{temper: prove.Moody(0), needs: o.needs, blind: o.blind}, from: began.Add(o.from.Sub(time.Unix(0, 0))), hang: o.hang}
					if o.from.Before(began) {
						o.from = began
					}
					o.from = o.from.Add(time.Duration(seed) * 130 * time.Millisecond)
					o.to = o.from.Add(20 * time.Second)
					var got []string
					var counts recognize.Counts
					var first time.Time // final behind the outage
					s := recognize.Listen(t.Context(), recognize.Options{Service: o, Counts: &counts, Emit: func(x recognize.Said) {
						if x.Final && x.Text != "" {
							got = append(got, x.Text)
							if first.IsZero() && time.Now().After(o.to) {
								first = time.Now()
							}
						}
					}})
					pace(s, prove.Say(sentences))
					s.End()
					<-s.Done()
					if !slices.Equal(got, prove.Script(sentences)) || counts.DroppedMS.Load() != 0 {
						t.Errorf("%d sentences of %d, %d ms dropped", len(got), sentences, counts.DroppedMS.Load())
					}
					if o.most.Load() != 1 || first.Sub(o.to) > 8*time.Second {
						t.Errorf("%d streams at once, words %v after it was back", o.most.Load(), first.Sub(o.to))
					}
				})
			})
		}
	}
}
