// Package deepgram is Deepgram's live API as a speech service: one WebSocket for each speaker. Every
// result says which sound it covers.
package deepgram

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
	"jigasi/internal/xlog"
)

// Options are what the service needs.
type Options struct {
	URL   string // default Deepgram's
	Key   xlog.Secret
	Model string // default nova-3
}

// A Service is Deepgram's.
type Service struct {
	o    Options
	pace bool
}

// New makes a Service.
func New(o Options) *Service {
	o.URL, o.Model = cmp.Or(o.URL, "wss://api.deepgram.com/v1/listen"), cmp.Or(o.Model, "nova-3")
	return &Service{o, true}
}

// Needs are those of Deepgram, which closes a stream after 10 s without sound.
func (s *Service) Needs() recognize.Needs {
	return recognize.Needs{Chunk: 100 * time.Millisecond, Idle: 5 * time.Second, Pace: s.pace}
}

// Open opens a stream.
func (s *Service) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	query := url.Values{
		"model": {s.o.Model}, "language": {cmp.Or(w.Language, "en")}, "encoding": {"linear16"}, "sample_rate": {"16000"}, "channels": {"1"},
		"interim_results": {"true"}, "smart_format": {"true"}, "endpointing": {"300"},
	}
	header := http.Header{"Authorization": {"Token " + s.o.Key.Reveal()}}
	address := s.o.URL + "?" + query.Encode()
	if strings.Contains(s.o.URL, "?") {
		address = s.o.URL + "&" + query.Encode()
	}
	stream, err := socket.Dial(ctx, address, header, &dialect{})
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// A dialect is the protocol.
type dialect struct{ bye atomic.Bool }

func (*dialect) Hello(socket.Sender) error               { return nil }
func (*dialect) Sound(s socket.Sender, pcm []byte) error { return s.Binary(pcm) }

func (d *dialect) Bye(s socket.Sender) error {
	d.bye.Store(true)
	return s.Text([]byte(`{"type":"CloseStream"}`))
}

// Quiet is never: the summary comes.
func (*dialect) Quiet() time.Duration { return 0 }

type message struct {
	Type     string  `json:"type"`
	Start    float64 `json:"start"`
	Duration float64 `json:"duration"`
	IsFinal  bool    `json:"is_final"`
	Channel  struct {
		Alternatives []struct {
			Transcript string  `json:"transcript"`
			Confidence float64 `json:"confidence"`
			Words      []struct {
				Start float64 `json:"start"`
				End   float64 `json:"end"`
			} `json:"words"`
		} `json:"alternatives"`
	} `json:"channel"`
}

func (d *dialect) Heard(b []byte) ([]recognize.Result, bool, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(b, &kind) != nil {
		return nil, false, socket.ErrMessage
	}
	switch kind.Type {
	case "Results":
	case "Metadata": // the summary, behind the last result
		return nil, d.bye.Load(), nil
	default: // SpeechStarted, UtteranceEnd, and what is yet to come
		return nil, false, nil
	}
	var m message
	if json.Unmarshal(b, &m) != nil {
		return nil, false, socket.ErrMessage
	}
	r := recognize.Result{Final: m.IsFinal, Start: seconds(m.Start), End: seconds(m.Start + m.Duration)}
	if len(m.Channel.Alternatives) > 0 {
		a := m.Channel.Alternatives[0]
		r.Text, r.Confidence = a.Transcript, a.Confidence
		if len(a.Words) > 0 {
			r.Start = seconds(a.Words[0].Start)
		}
	}
	return []recognize.Result{r}, false, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
