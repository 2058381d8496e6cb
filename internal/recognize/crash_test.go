package recognize_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
)

// babbler is a service that says a little of each utterance and then hangs up, with a reason of its own.
type babbler struct{ reason error }

func (babbler) Needs() recognize.Needs { return recognize.Needs{} }
func (b babbler) Open(context.Context, recognize.Who) (recognize.Stream, error) {
	return &babble{reason: b.reason, results: make(chan recognize.Result, 10), gone: make(chan struct{})}, nil
}

type babble struct {
	reason  error
	n       int
	results chan recognize.Result
	gone    chan struct{}
	err     error
}

func (b *babble) Write([]byte) error {
	switch b.n++; {
	case b.n == 2:
		b.results <- recognize.Result{Text: "w0", Start: recognize.Unknown, End: recognize.Unknown}
	case b.n == 4:
		go func() { // a moment later than the write fails
			<-time.After(20 * time.Millisecond)
			select {
			case <-b.gone:
				b.err = context.Canceled
			default:
				b.err = b.reason
			}
			close(b.results)
		}()
		return errors.New("broken pipe")
	}
	return nil
}
func (b *babble) Results() <-chan recognize.Result { return b.results }
func (b *babble) CloseSend() error                 { return nil }
func (b *babble) Err() error                       { return b.err }
func (b *babble) Close() {
	select {
	case <-b.gone:
	default:
		close(b.gone)
	}
}

// TestBabble: a service that gives interims, and hangs up before each final, does not work: another takes over, or it is
// asked less and less often, and the log has its own reason, not that a write has failed.
func TestBabble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		bad := &recognize.Member{Name: "bad", Service: babbler{errors.New("closed with 1008")}, Log: logger}
		good := &recognize.Member{Name: "good", Service: &service{temper: prove.Moody(0)}}
		prove.Listen(t, chain(recognize.Choice{Members: []*recognize.Member{bad, good}}), 10, recognize.Options{Log: logger, EndLimit: time.Minute}, nil)
		if s := log.String(); bad.Tally.Rests.Load() == 0 || !strings.Contains(s, "does not work") || strings.Contains(s, "broken pipe") || !strings.Contains(s, "closed with 1008") {
			t.Errorf("%d rests\n%s", bad.Tally.Rests.Load(), s)
		}

		var counts recognize.Counts
		var tr troubles
		s := recognize.Listen(t.Context(), recognize.Options{Service: babbler{recognize.ErrCredential}, Counts: &counts, Trouble: tr.note, Emit: func(recognize.Said) {}})
		pace(s, prove.Say(40)) // a minute
		s.End()
		<-s.Done()
		if n := counts.Opened.Load(); n < 2 || n > 5 || len(tr.got) < 2 || !strings.HasPrefix(tr.got[0], recognize.ErrCredential.Error()) {
			t.Errorf("%d streams, %q", n, tr.got)
		}
	})
}

// TestLater: who says when to come again is left alone until then, and the sound is still there.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bouncer{service: service{temper: prove.Moody(0)}, again: 12 * time.Second}
		p := prove.Listen(t, b, 10, recognize.Options{EndLimit: time.Minute}, nil)
		if b.asked != 2 || p.Counts.DroppedMS.Load() != 0 {
			t.Errorf("asked %d times, %d ms dropped", b.asked, p.Counts.DroppedMS.Load())
		}
	})
}

// bouncer lets nobody in before the first may come again.
type bouncer struct {
	service
	again time.Duration
	until time.Time
	asked int
}

func (b *bouncer) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	if b.asked++; b.until.IsZero() {
		b.until = time.Now().Add(b.again)
	}
	if time.Now().Before(b.until) {
		return nil, &recognize.Later{After: time.Until(b.until), Err: errors.New("too much")}
	}
	return b.service.Open(ctx, w)
}
