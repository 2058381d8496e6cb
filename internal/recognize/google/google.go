// Package google is Google Cloud Speech (v1, gRPC) as a speech service: a stream for each speaker,
// renewed between two utterances before Google's five minutes are over.
package google

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"jigasi/internal/recognize"

	"cloud.google.com/go/speech/apiv1/speechpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Options are what the service needs.
type Options struct {
	Endpoint    string // host:port; default Google's
	Model       string // default latest_long
	Punctuation bool
	Phrases     []string                              // that are likely
	Token       func(context.Context) (string, error) // of the operator's account
}

// A Service is Google's. Close ends its connection.
type Service struct {
	o    Options
	pace bool
	conn *grpc.ClientConn
}

// New makes a Service. It connects with the first stream.
func New(o Options) (*Service, error) {
	return dial(o, credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}))
}

func dial(o Options, secure credentials.TransportCredentials) (*Service, error) {
	o.Endpoint, o.Model = cmp.Or(o.Endpoint, "speech.googleapis.com:443"), cmp.Or(o.Model, "latest_long")
	conn, err := grpc.NewClient(o.Endpoint, grpc.WithTransportCredentials(secure), grpc.WithPerRPCCredentials(bearer{o.Token, secure.Info().SecurityProtocol == "tls"}))
	if err != nil {
		return nil, errors.New("the endpoint of Google's service is none")
	}
	return &Service{o, true, conn}, nil
}

// Close ends the connection.
func (s *Service) Close() { _ = s.conn.Close() }

// bearer puts a token into each call.
type bearer struct {
	token  func(context.Context) (string, error)
	secure bool
}

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	t, err := b.token(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + t}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.secure }

// Needs are those of Google.
func (s *Service) Needs() recognize.Needs {
	return recognize.Needs{Chunk: 100 * time.Millisecond, Idle: 5 * time.Second, MaxAge: 270 * time.Second, Patience: 15 * time.Second, Pace: s.pace}
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
	if _, err := s.o.Token(ctx); err != nil {
		return nil, err
	}
	st := &stream{results: make(chan recognize.Result, 64)}
	st.ctx, st.cancel = context.WithCancel(ctx)
	call, err := speechpb.NewSpeechClient(s.conn).StreamingRecognize(st.ctx)
	if err != nil {
		st.cancel()
		return nil, plain(err)
	}
	st.call = call
	config := &speechpb.RecognitionConfig{
		Encoding: speechpb.RecognitionConfig_LINEAR16, SampleRateHertz: recognize.Rate, LanguageCode: language(w.Language),
		Model: s.o.Model, EnableAutomaticPunctuation: s.o.Punctuation,
	}
	if len(s.o.Phrases) > 0 {
		config.SpeechContexts = []*speechpb.SpeechContext{{Phrases: s.o.Phrases}}
	}
	first := &speechpb.StreamingRecognizeRequest{StreamingRequest: &speechpb.StreamingRecognizeRequest_StreamingConfig{
		StreamingConfig: &speechpb.StreamingRecognitionConfig{Config: config, InterimResults: true},
	}}
	if err := call.Send(first); err != nil {
		st.cancel()
		return nil, st.why(err)
	}
	go st.read()
	return st, nil
}

// plain is an error without what Google has written.
func plain(err error) error { return fmt.Errorf("google answers %s", status.Code(err)) }

// A stream is one call.
type stream struct {
	call    speechpb.Speech_StreamingRecognizeClient
	ctx     context.Context
	cancel  context.CancelFunc
	results chan recognize.Result
	err     error
}

// why asks for the status behind a failed Send.
func (st *stream) why(err error) error {
	if errors.Is(err, io.EOF) {
		_, err = st.call.Recv()
	}
	return plain(err)
}

const writeLimit = 5 * time.Second

// Write sends sound.
func (st *stream) Write(pcm []byte) error {
	slow := time.AfterFunc(writeLimit, st.cancel)
	defer slow.Stop()
	err := st.call.Send(&speechpb.StreamingRecognizeRequest{StreamingRequest: &speechpb.StreamingRecognizeRequest_AudioContent{AudioContent: pcm}})
	if err != nil {
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
		answer, err := st.call.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			st.err = plain(err)
			return
		case answer.GetError() != nil:
			st.err = fmt.Errorf("google answers code %d", answer.GetError().GetCode())
			return
		}
		for _, r := range results(answer) {
			select {
			case st.results <- r:
			case <-st.ctx.Done():
				st.err = context.Canceled
				return
			}
		}
	}
}

// results makes one interim of the parts that Google gives, the stable ones first; finals stay apart.
func results(answer *speechpb.StreamingRecognizeResponse) []recognize.Result {
	var out []recognize.Result
	var texts []string
	interim := recognize.Result{Start: recognize.Unknown, End: recognize.Unknown}
	for _, part := range answer.GetResults() {
		if len(part.GetAlternatives()) == 0 {
			continue
		}
		best := part.GetAlternatives()[0]
		if part.GetIsFinal() {
			out = append(out, recognize.Result{
				Text: best.GetTranscript(), Final: true, Confidence: float64(best.GetConfidence()),
				Start: recognize.Unknown, End: part.GetResultEndTime().AsDuration(),
			})
			continue
		}
		if len(texts) == 0 {
			interim.Stability = float64(part.GetStability())
		}
		texts = append(texts, strings.TrimSpace(best.GetTranscript()))
	}
	if len(texts) > 0 {
		interim.Text = strings.Join(texts, " ")
		out = append(out, interim)
	}
	return out
}
