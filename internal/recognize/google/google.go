// Package google is Google Cloud Speech over gRPC as a speech service, by version 1 of its API, or by version 2 where a
// project is named: a stream for each speaker, renewed between two utterances before Google's five minutes are over.
package google

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"jigasi/internal/gcloud"
	"jigasi/internal/recognize"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Options are what the service needs.
type Options struct {
	Endpoint    string // host:port; default Google's
	Model       string // default latest_long
	Project     string // with it, version 2 of the API
	Location    string // of version 2; default global
	Punctuation bool
	Phrases     []string                              // that are likely
	Token       func(context.Context) (string, error) // of the operator's account
	Quota       func() string                         // the project that pays, known with a token; nil or "" is that of the account
}

// A Service is Google's. Close ends its connection.
type Service struct {
	o    Options
	conn *grpc.ClientConn
}

// New makes a Service. It connects with the first stream.
func New(o Options) (*Service, error) {
	return dial(o, credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}))
}

func dial(o Options, secure credentials.TransportCredentials, more ...grpc.DialOption) (*Service, error) {
	o.Model, o.Location = cmp.Or(o.Model, "latest_long"), cmp.Or(o.Location, "global")
	if o.Endpoint == "" {
		o.Endpoint = "speech.googleapis.com:443"
		if o.Project != "" && o.Location != "global" {
			o.Endpoint = o.Location + "-" + o.Endpoint
		}
	}
	more = append(more, grpc.WithTransportCredentials(secure), grpc.WithPerRPCCredentials(bearer{o.Token, o.Quota, secure.Info().SecurityProtocol == "tls"}))
	conn, err := grpc.NewClient(o.Endpoint, more...)
	if err != nil {
		return nil, errors.New("the endpoint of Google's service is none")
	}
	return &Service{o, conn}, nil
}

// Close ends the connection.
func (s *Service) Close() { _ = s.conn.Close() }

// bearer puts a token into each call.
type bearer struct {
	token  func(context.Context) (string, error)
	quota  func() string
	secure bool
}

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	t, err := b.token(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]string{"authorization": "Bearer " + t}
	if b.quota != nil && b.quota() != "" {
		out["x-goog-user-project"] = b.quota()
	}
	return out, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.secure }

// Needs are those of Google.
func (*Service) Needs() recognize.Needs {
	return recognize.Needs{Chunk: 100 * time.Millisecond, Idle: 5 * time.Second, MaxAge: 270 * time.Second, Patience: 15 * time.Second, Pace: true}
}

// regions are the tags that Google wants where a client gives a language alone, or an old tag.
var regions = map[string]string{
	"no": "nb-NO", "nb": "nb-NO", "en": "en-US", "de": "de-DE", "fr": "fr-FR", "es": "es-ES", "it": "it-IT", "pt": "pt-BR", "nl": "nl-NL", "pl": "pl-PL",
	"ru": "ru-RU", "uk": "uk-UA", "tr": "tr-TR", "sv": "sv-SE", "da": "da-DK", "fi": "fi-FI", "cs": "cs-CZ", "sk": "sk-SK", "sl": "sl-SI", "hr": "hr-HR",
	"hu": "hu-HU", "ro": "ro-RO", "bg": "bg-BG", "el": "el-GR", "he": "he-IL", "ar": "ar-EG", "fa": "fa-IR", "hi": "hi-IN", "th": "th-TH", "vi": "vi-VN",
	"id": "id-ID", "ms": "ms-MY", "ja": "ja-JP", "ko": "ko-KR", "ca": "ca-ES", "eu": "eu-ES", "gl": "gl-ES", "lt": "lt-LT", "is": "is-IS", "af": "af-ZA",
	"sr": "sr-RS", "zu": "zu-ZA", "fil": "fil-PH", "tl": "fil-PH",
}

func language(tag string) string {
	tag = cmp.Or(tag, "en-US")
	if primary := recognize.Primary(tag); primary == tag || primary == "no" {
		return cmp.Or(regions[primary], tag)
	}
	return tag
}

// Open begins a stream. Google says only with its first answer whether it takes it.
func (s *Service) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	if _, err := s.o.Token(ctx); errors.Is(err, gcloud.ErrNone) || errors.Is(err, gcloud.ErrRefused) {
		return nil, fmt.Errorf("%w: %w", recognize.ErrCredential, err)
	} else if err != nil {
		return nil, err
	}
	st := &stream{results: make(chan recognize.Result, 64)}
	st.ctx, st.cancel = context.WithCancel(ctx)
	begin := s.first
	if s.o.Project != "" {
		begin = s.second
	}
	var err error
	if st.call, err = begin(st.ctx, language(w.Language)); err != nil {
		st.cancel()
		return nil, plain(err)
	}
	go st.read()
	return st, nil
}

// plain is an error without what Google has written.
func plain(err error) error {
	switch code := status.Code(err); code {
	case codes.Unauthenticated, codes.PermissionDenied:
		return fmt.Errorf("%w: google answers %s: the Cloud Speech-to-Text API has to be enabled, with billing, in the project of the account behind transcription.google, which needs the role of a Cloud Speech client", recognize.ErrCredential, code)
	case codes.NotFound:
		return fmt.Errorf("%w: google answers %s: see transcription.google.project and location", recognize.ErrCredential, code)
	case codes.InvalidArgument:
		return fmt.Errorf("%w: google answers %s: see transcription.google.model", recognize.ErrLanguage, code)
	case codes.ResourceExhausted:
		return fmt.Errorf("google answers %s: the quota of the account behind transcription.google is used up, or allows no more at once", code)
	case codes.Unavailable:
		return fmt.Errorf("google answers %s: it cannot be reached: look at the network, and at transcription.google.endpoint", code)
	default:
		return fmt.Errorf("google answers %s", code)
	}
}

// A wire is a call in one of the versions of the API.
type wire interface {
	send(pcm []byte) error
	CloseSend() error
	receive() ([]recognize.Result, error)
}

// A stream is one call.
type stream struct {
	call    wire
	ctx     context.Context
	cancel  context.CancelFunc
	results chan recognize.Result
	err     error
}

const writeLimit = 5 * time.Second

// Write sends sound.
func (st *stream) Write(pcm []byte) error {
	slow := time.AfterFunc(writeLimit, st.cancel)
	defer slow.Stop()
	if err := st.call.send(pcm); err != nil {
		return errors.New("the stream takes no more sound") // Err says why
	}
	return nil
}

// CloseSend says that no more sound follows.
func (st *stream) CloseSend() error { return st.call.CloseSend() }

// Close ends the call at once.
func (st *stream) Close() { st.cancel() }

// Results are what was heard.
func (st *stream) Results() <-chan recognize.Result { return st.results }

// Err says why Results was closed.
func (st *stream) Err() error { return st.err }

func (st *stream) read() {
	defer close(st.results)
	defer st.cancel()
	for {
		heard, err := st.call.receive()
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.Is(err, errAnswer):
			st.err = err
			return
		case err != nil:
			st.err = plain(err)
			return
		}
		for _, r := range heard {
			select {
			case st.results <- r:
			case <-st.ctx.Done():
				st.err = context.Canceled
				return
			}
		}
	}
}
