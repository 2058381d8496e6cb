package scribe

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
	"jigasi/internal/transcript"
)

// unfair is a service that treats its speakers by their names.
type unfair struct{ ears }

func (u unfair) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	e := &ear{results: make(chan recognize.Result, 1000)}
	switch w.ID {
	case "refused":
		return nil, errors.New("503")
	case "unanswered":
		<-ctx.Done()
		return nil, ctx.Err()
	case "unheard", "stuck", "dropped":
		if w.ID == "dropped" {
			e.Close()
		}
		return &silent{ear: e, gone: ctx.Done(), stuck: w.ID == "stuck"}, nil
	case "flooded":
		return &flooding{ear: ear{results: e.results}, gone: ctx.Done()}, nil
	}
	return e, nil
}

// silent hears nothing, or does not even take what is said.
type silent struct {
	*ear
	gone  <-chan struct{}
	stuck bool
}

func (s *silent) Write([]byte) error {
	if s.stuck {
		select {
		case <-time.After(5 * time.Second):
		case <-s.gone:
		}
		return context.DeadlineExceeded
	}
	return nil
}

func (s *silent) CloseSend() error { return nil } // and never ends

// TestCaptionsOfOthersGoOn: while one service fails some speakers in every way there is, others have each of their words, in time.
func TestCaptionsOfOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sentences = 40
		read := &punctual{}
		s := New(Options{Service: recognize.Solo(unfair{}), Publishers: []Publisher{read}})
		var voices []*Voice
		for _, who := range []string{"well", "wide", "refused", "unanswered", "dropped", "unheard", "stuck", "flooded"} {
			v, err := s.Join(transcript.Person{ID: who}, "en", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			voices = append(voices, v)
		}
		speak(t, voices, sentences)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_ = s.Close(ctx, time.Now()) // some have lost what they said
		for _, who := range []string{"well", "wide"} {
			if got := texts(read.of(transcript.Speech, who, false)); !slices.Equal(got, prove.Script(sentences)) {
				t.Errorf("%s: %q", who, got)
			}
		}
		if read.latest > time.Second {
			t.Errorf("a final of theirs came %v after it was said", read.latest)
		}
		for _, who := range []string{"refused", "unanswered", "dropped", "unheard", "stuck"} {
			if got := read.of(transcript.Speech, who, false); len(got) > 0 {
				t.Errorf("%s has words: %q", who, texts(got))
			}
		}
		if got := texts(read.of(transcript.Speech, "flooded", false)); len(got) < sentences || !strings.HasPrefix(got[0], "w0") {
			t.Errorf("flooded: %d sentences", len(got))
		}
	})
}

// punctual notes how late finals are of those who are treated well.
type punctual struct {
	reader
	latest time.Duration
}

func (p *punctual) Publish(ctx context.Context, e transcript.Entry) error {
	if e.Kind == transcript.Speech && !e.Interim && strings.HasPrefix(e.Person.ID, "w") {
		p.latest = max(p.latest, time.Since(e.Until))
	}
	return p.reader.Publish(ctx, e)
}

// sleepy is a translator that does not come back from its first sentence.
type sleepy struct{ began time.Time }

func (s *sleepy) Translate(ctx context.Context, text, _, _ string) (string, error) {
	if s.began.IsZero() {
		s.began = time.Now()
		<-ctx.Done()
		return "", ctx.Err()
	}
	return strings.ToUpper(text), nil
}

// clocked notes when the first translation came.
type clocked struct {
	reader
	first time.Time
}

func (c *clocked) Publish(ctx context.Context, e transcript.Entry) error {
	if e.Kind == transcript.Translation && c.first.IsZero() {
		c.first = time.Now()
	}
	return c.reader.Publish(ctx, e)
}

// TestTranslationTakesThreeSeconds: a sentence that is not translated in that time never is, and those behind it are, in
// their order.
func TestTranslationTakesThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counts Counts
		slow, read := &sleepy{}, &clocked{}
		s := New(Options{Service: ears{}, Translator: slow, Targets: []string{"fr"}, Publishers: []Publisher{read}, Counts: &counts})
		v, err := s.Join(transcript.Person{ID: "a"}, "en-US", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		speak(t, []*Voice{v}, 5)
		if err := s.Close(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, sentence := range prove.Script(5)[1:] {
			want = append(want, strings.ToUpper(sentence))
		}
		if got := texts(read.of(transcript.Translation, "a", false)); !slices.Equal(got, want) || counts.TranslateErrors.Load() != 1 {
			t.Errorf("%q, want %q; %d errors", got, want, counts.TranslateErrors.Load())
		}
		if d := read.first.Sub(slow.began); d < 2900*time.Millisecond || d > 3100*time.Millisecond {
			t.Errorf("the next one comes after %v", d)
		}
	})
}
