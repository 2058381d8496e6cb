// Package openai is the transcription of OpenAI, and of every server with the same API, as a speech
// service: in batches, a request for each utterance, or in real time, a WebSocket for each speaker.
package openai

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
	"jigasi/internal/xlog"
)

// Options are what the service needs.
type Options struct {
	URL       string // of the API, up to /v1; default OpenAI's
	Key       xlog.Secret
	Model     string // default gpt-4o-mini-transcribe
	Realtime  bool
	Transport http.RoundTripper // to the service; nil is one of its own for batches, and http.DefaultTransport in real time
}

// A Service is an API.
type Service struct {
	o      Options
	client *http.Client // of batches
}

// New makes a Service.
func New(o Options) *Service {
	o.URL = strings.TrimSuffix(cmp.Or(o.URL, "https://api.openai.com/v1"), "/")
	o.Model = cmp.Or(o.Model, "gpt-4o-mini-transcribe")
	via := o.Transport
	if via == nil {
		via = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 50, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	}
	return &Service{o, &http.Client{
		Transport:     via,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Needs are those of the way that is used. A batch is heard as a whole, so that much more sound is
// outstanding; a session in real time ends after an hour.
func (s *Service) Needs() recognize.Needs {
	if s.o.Realtime {
		return recognize.Needs{MaxAge: 50 * time.Minute, Idle: 20 * time.Second}
	}
	return recognize.Needs{Keep: time.Minute, Patience: 45 * time.Second, Idle: 5 * time.Second}
}

// Open opens a stream.
func (s *Service) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	if !s.o.Realtime {
		return s.batch(ctx, w), nil
	}
	stream, err := socket.Dial(ctx, s.o.Transport, "ws"+strings.TrimPrefix(s.o.URL, "http")+"/realtime?intent=transcription", s.header(), &dialect{
		model: s.o.Model, language: spoken(w), items: map[string]*item{},
	})
	if err != nil {
		return nil, err
	}
	return stream, nil
}

func (s *Service) header() http.Header {
	h := http.Header{}
	if s.o.Key != "" {
		h.Set("Authorization", "Bearer "+s.o.Key.Reveal())
	}
	return h
}

// spoken is the language of a speaker; a server says itself which it does not know.
func spoken(w recognize.Who) string {
	code, _ := recognize.WhisperCode(w.Language)
	return code
}
