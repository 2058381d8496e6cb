// Package vosk is the Vosk server as a speech service: one WebSocket for each speaker.
//
// The server answers each message of sound with exactly one of its own, so that a final tells how
// much sound it has used; the words of a final tell it more exactly where they are there.
package vosk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
)

// Options are what the service needs.
type Options struct {
	URL       string            // of a server for every language
	URLs      map[string]string // or one for each language, by its primary code
	Transport http.RoundTripper // to the service; nil is http.DefaultTransport
}

// A Service is a Vosk server, or several.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// chunk is how much sound a message holds. The server finds the end of an utterance after 0.5 s of
// silence, so the last word of a final ended that long before.
const (
	chunk   = 200 * time.Millisecond
	silence = 400 * time.Millisecond
	window  = 16 // messages without an answer
	// patience is how long one answer may take: a loaded server decodes for seconds.
	patience = 10 * time.Second
)

// Needs are those of Vosk: without sound it never finds an end, so a stream ends in a pause.
func (s *Service) Needs() recognize.Needs {
	return recognize.Needs{Chunk: chunk, Idle: 2 * time.Second, Patience: patience}
}

// Open opens a stream to the server of the speaker's language.
func (s *Service) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	url := s.o.URL
	if len(s.o.URLs) > 0 {
		primary := cmp.Or(recognize.Primary(w.Language), "en")
		if url = s.o.URLs[primary]; url == "" {
			return nil, fmt.Errorf("%w: transcription.vosk.urls has no server for %q", recognize.ErrLanguage, primary)
		}
	}
	d := &dialect{window: make(chan struct{}, window)}
	stream, err := socket.Dial(ctx, s.o.Transport, url, nil, d)
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// A dialect is the protocol. Its messages are byte for byte those that the server looks for.
type dialect struct {
	window chan struct{} // a place for each message without an answer

	mu       sync.Mutex
	sent     time.Duration
	answered time.Duration
	eof      bool
}

func (*dialect) Hello(s socket.Sender) error {
	return s.Text([]byte(`{"config" : {"sample_rate" : 16000.0 }}`))
}

var errSlow = errors.New("the service does not answer")

func (d *dialect) Sound(s socket.Sender, pcm []byte) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case d.window <- struct{}{}:
	case <-limit.C:
		return errSlow
	case <-s.Gone():
		return context.Canceled
	}
	d.mu.Lock()
	d.sent += time.Duration(len(pcm)/2) * time.Second / recognize.Rate
	d.mu.Unlock()
	return s.Binary(pcm)
}

func (d *dialect) Bye(s socket.Sender) error {
	d.mu.Lock()
	d.eof = true
	d.mu.Unlock()
	return s.Text([]byte(`{"eof" : 1}`))
}

// Quiet is never: the answer to the end comes.
func (*dialect) Quiet() time.Duration { return 0 }

type message struct {
	Partial *string `json:"partial"`
	Text    *string `json:"text"`
	Result  []word  `json:"result"`
	// Alternatives are there in place of the text where the server is told to give several; their confidence is none
	// that a reader could use.
	Alternatives []struct {
		Text   string `json:"text"`
		Result []word `json:"result"`
	} `json:"alternatives"`
}

type word struct {
	Conf  *float64 `json:"conf"`
	Start float64  `json:"start"`
	End   float64  `json:"end"`
}

func (d *dialect) Heard(b []byte) ([]recognize.Result, bool, error) {
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, false, socket.ErrMessage
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	last := false
	select {
	case <-d.window:
		d.answered = min(d.answered+chunk, d.sent)
	default:
		last = d.eof
	}
	r := recognize.Result{Confidence: 1, Stability: 1, Start: recognize.Unknown, End: recognize.Unknown}
	switch {
	case m.Partial != nil:
		r.Text = *m.Partial
	case m.Text != nil:
		r.Text, r.Final = *m.Text, true
	case len(m.Alternatives) > 0:
		r.Text, r.Final, m.Result = m.Alternatives[0].Text, true, m.Alternatives[0].Result
	case m.Alternatives != nil:
		r.Final = true
	default:
		return nil, false, socket.ErrMessage
	}
	if !r.Final {
		return []recognize.Result{r}, last, nil
	}
	r.End = max(0, d.answered-silence)
	if n := len(m.Result); n > 0 {
		r.Start, r.End = seconds(m.Result[0].Start), seconds(m.Result[n-1].End)
		r.Confidence = 0
		for _, w := range m.Result {
			conf := 1.0
			if w.Conf != nil {
				conf = *w.Conf
			}
			r.Confidence += conf / float64(n)
		}
	}
	if last {
		r.End = d.sent
	}
	return []recognize.Result{r}, last, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
