package recognize_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
)

// service is a small speech service that works in virtual time. It misbehaves as its temper wants.
type service struct {
	needs   recognize.Needs
	temper  *prove.Temper
	blind   bool // its results tell no positions
	open    atomic.Int64
	most    atomic.Int64
	created atomic.Int64
}

func (s *service) Needs() recognize.Needs { return s.needs }

func (s *service) Open(ctx context.Context, _ recognize.Who) (recognize.Stream, error) {
	fault, after := s.temper.Next(40)
	switch fault {
	case prove.Refuse:
		return nil, errors.New("refused")
	case prove.Late:
		select {
		case <-time.After(time.Duration(after) * 100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.created.Add(1)
	s.most.Store(max(s.most.Load(), s.open.Add(1)))
	st := &stream{service: s, fault: fault, after: after, results: make(chan recognize.Result, 1000), in: make(chan []byte, 100), gone: make(chan struct{})}
	go st.run(ctx)
	return st, nil
}

type stream struct {
	service *service
	fault   prove.Fault
	after   int
	results chan recognize.Result
	in      chan []byte
	gone    chan struct{}
	closed  bool
	err     error
}

var errDropped = errors.New("dropped")

func (st *stream) Write(pcm []byte) error {
	select {
	case st.in <- bytes.Clone(pcm):
		return nil
	case <-st.gone:
		return errDropped
	case <-time.After(5 * time.Second):
		return context.DeadlineExceeded
	}
}

func (st *stream) Results() <-chan recognize.Result { return st.results }
func (st *stream) CloseSend() error                 { close(st.in); return nil }
func (st *stream) Err() error                       { return st.err }
func (st *stream) Close() {
	if !st.closed {
		st.closed = true
		close(st.gone)
	}
}

func (st *stream) run(ctx context.Context) {
	defer close(st.results)
	defer st.service.open.Add(-1)
	ear := prove.Ear{}
	for n := 0; ; n++ {
		var heard []prove.Heard
		select {
		case pcm, ok := <-st.in:
			if heard = ear.Hear(pcm); !ok {
				st.say(ear.Finish())
				if st.fault == prove.Drop && n < st.after {
					st.err = errDropped
				}
				return
			}
		case <-st.gone:
			st.err = errDropped
			return
		case <-ctx.Done():
			st.err = ctx.Err()
			return
		}
		switch {
		case n < st.after || st.fault == prove.None:
			st.say(heard)
			<-time.After(20 * time.Millisecond)
		case st.fault == prove.Stall:
			select {
			case <-st.gone:
			case <-ctx.Done():
			}
			st.err = errDropped
			return
		case st.fault == prove.Half:
			if len(heard) > 0 && heard[0].Final {
				if n%2 == 0 {
					st.say(heard)
				}
				st.err = errDropped
				return
			}
			st.say(heard)
		default:
			st.err = errDropped
			return
		}
	}
}

func (st *stream) say(heard []prove.Heard) {
	for _, h := range heard {
		r := recognize.Result{Text: h.Text, Final: h.Final, Confidence: .9, Start: h.Start, End: h.End}
		if st.service.blind {
			r.Start, r.End = recognize.Unknown, recognize.Unknown
		}
		select {
		case st.results <- r:
		case <-st.gone:
		}
	}
}

// TestT34_FaultsLoseNothing: at random frames the service hangs up, before or after what it owes,
// stalls, refuses, or comes late. Every utterance comes out once, in order, over one stream at a time.
func TestT34_FaultsLoseNothing(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*service{
		"positions":   {},
		"no position": {blind: true, needs: recognize.Needs{Overlap: 3 * time.Second, Pace: true}},
		"small steps": {needs: recognize.Needs{Chunk: 40 * time.Millisecond}},
		"rotation":    {needs: recognize.Needs{MaxAge: 3 * time.Second, Pace: true}},
		"batch":       {needs: recognize.Needs{Chunk: time.Second, Keep: 60 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := prove.Drops(50)
				s.temper = prove.Moody(n)
				p := prove.Listen(t, s, int(3*n*max(1, int(s.needs.Chunk/(100*time.Millisecond)))), recognize.Options{FirstDelay: 500 * time.Millisecond, EndLimit: time.Hour}, s.temper)
				if s.most.Load() != 1 {
					t.Errorf("%d streams at once", s.most.Load())
				}
				if c := &p.Counts; c.Lost.Load() == 0 || c.Refused.Load() == 0 || c.Opened.Load() != s.created.Load() {
					t.Errorf("%d lost, %d refused, %d opened, %d created", c.Lost.Load(), c.Refused.Load(), c.Opened.Load(), s.created.Load())
				}
				for _, said := range p.Said {
					if said.Final && !s.blind && said.Until.Sub(said.Began) > 1200*time.Millisecond {
						t.Errorf("%q lasts %v", said.Text, said.Until.Sub(said.Began))
					}
				}
			})
		})
	}
}

// pace pushes sound in real time.
func pace(s *recognize.Speaker, sound []int16) {
	clock := time.NewTicker(20 * time.Millisecond)
	defer clock.Stop()
	for ; len(sound) >= 320; sound = sound[320:] {
		<-clock.C
		s.Push(sound[:320], time.Now())
	}
}

func TestGateKeepsSilenceBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sv := &service{temper: prove.Moody(0), needs: recognize.Needs{Idle: 2 * time.Second}}
		var finals []recognize.Said
		var counts recognize.Counts
		s := recognize.Listen(t.Context(), recognize.Options{Service: sv, Gate: true, Counts: &counts, Emit: func(x recognize.Said) {
			if x.Final {
				finals = append(finals, x)
			}
		}})
		start := time.Now()
		noise := make([]int16, 60*recognize.Rate)
		audio.NewTone(50, recognize.Rate, -62).Fill(noise)
		pace(s, noise)
		if sv.created.Load() != 0 {
			t.Error("a stream was opened for silence")
		}
		pace(s, prove.Say(2))
		pace(s, noise)
		pace(s, prove.Say(1))
		s.End()
		<-s.Done()
		if len(finals) != 3 || finals[0].Text != "w0 w1 w2" || finals[2].Text != "w0 w1 w2" {
			t.Fatalf("%+v", finals)
		}
		for i, want := range []time.Duration{60 * time.Second, 61600 * time.Millisecond, 123200 * time.Millisecond} {
			if d := finals[i].Began.Sub(start) - want; d < -100*time.Millisecond || d > 100*time.Millisecond {
				t.Errorf("utterance %d began %v off", i, d)
			}
		}
		if ms := counts.SentMS.Load(); ms > 8000 || sv.created.Load() != 2 {
			t.Errorf("%d ms were sent over %d streams", ms, sv.created.Load())
		}
	})
}

// TestServiceGone: a service that never comes back costs sound, which is counted, and no more than
// one attempt in half a minute; the end comes in its time.
func TestServiceGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sv := &service{temper: prove.Moody(1_000_000, prove.Refuse)}
		var counts recognize.Counts
		var log bytes.Buffer
		s := recognize.Listen(t.Context(), recognize.Options{Service: sv, Counts: &counts, Emit: func(recognize.Said) { t.Error("words out of nothing") }, Log: slog.New(slog.NewTextHandler(&log, nil))})
		pace(s, prove.Say(400))
		start := time.Now()
		s.End()
		<-s.Done()
		if d := time.Since(start); d > 11*time.Second {
			t.Errorf("the end took %v", d)
		}
		sound := int64(len(prove.Say(400)) / 16)
		if n := counts.Refused.Load(); n < 20 || n > 40 {
			t.Errorf("%d attempts in %d s", n, sound/1000)
		}
		if d := counts.DroppedMS.Load(); d < sound-100 || d > sound {
			t.Errorf("%d of %d ms were dropped", d, sound)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 { // the first: of more the Member tells
			t.Errorf("%d lines", n)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sv := &service{temper: prove.Moody(1, prove.Stall)}
		s := recognize.Listen(ctx, recognize.Options{Service: sv, Emit: func(recognize.Said) {}})
		pace(s, prove.Say(2))
		cancel()
		<-s.Done()
		if err := s.Ready(t.Context()); err == nil && sv.open.Load() != 0 {
			t.Error("a stream is left")
		}
	})
}

func TestTag(t *testing.T) {
	for in, want := range map[string]string{
		"en-US": "en-US", " pt_br ": "pt-BR", "iw-IL": "he-IL", "in-ID": "id-ID", "no-NO": "no-NO", "ZH-hant-tw": "zh-Hant-TW", "zh": "zh", "fil-PH": "fil-PH",
		"": "", "x": "", "en-": "", "e n": "", "hsb-DE": "hsb-DE", strings.Repeat("en-", 300_000) + "US": "", "en\nUS": "",
	} {
		if got := recognize.Tag(in); got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
	if recognize.Primary("pt-BR") != "pt" {
		t.Error("pt")
	}
}

func TestPushDoesNotAllocate(t *testing.T) {
	sv := &service{temper: prove.Moody(1_000_000, prove.Refuse)}
	s := recognize.Listen(t.Context(), recognize.Options{Service: sv, Gate: false, Emit: func(recognize.Said) {}, FirstDelay: time.Hour})
	pcm := make([]int16, 320)
	audio.NewTone(300, recognize.Rate, -20).Fill(pcm)
	now := time.Now()
	if n := testing.AllocsPerRun(500, func() { now = now.Add(20 * time.Millisecond); s.Push(pcm, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
