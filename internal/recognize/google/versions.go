package google

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"jigasi/internal/recognize"

	"cloud.google.com/go/speech/apiv1/speechpb"
	v2 "cloud.google.com/go/speech/apiv2/speechpb"
)

// errAnswer says that Google has put an error into an answer.
var errAnswer = errors.New("google answers")

// first begins a call by version 1.
func (s *Service) first(ctx context.Context, language string) (wire, error) {
	call, err := speechpb.NewSpeechClient(s.conn).StreamingRecognize(ctx)
	if err != nil {
		return nil, err
	}
	config := &speechpb.RecognitionConfig{
		Encoding: speechpb.RecognitionConfig_LINEAR16, SampleRateHertz: recognize.Rate, LanguageCode: language,
		Model: s.o.Model, EnableAutomaticPunctuation: s.o.Punctuation,
	}
	if len(s.o.Phrases) > 0 {
		config.SpeechContexts = []*speechpb.SpeechContext{{Phrases: s.o.Phrases}}
	}
	err = call.Send(&speechpb.StreamingRecognizeRequest{StreamingRequest: &speechpb.StreamingRecognizeRequest_StreamingConfig{
		StreamingConfig: &speechpb.StreamingRecognitionConfig{Config: config, InterimResults: true},
	}})
	if errors.Is(err, io.EOF) { // the status stands behind it
		_, err = call.Recv()
	}
	return firstWire{call}, err
}

type firstWire struct {
	speechpb.Speech_StreamingRecognizeClient
}

func (w firstWire) send(pcm []byte) error {
	return w.Send(&speechpb.StreamingRecognizeRequest{StreamingRequest: &speechpb.StreamingRecognizeRequest_AudioContent{AudioContent: pcm}})
}

func (w firstWire) receive() ([]recognize.Result, error) {
	answer, err := w.Recv()
	if err != nil {
		return nil, err
	}
	if answer.GetError() != nil {
		return nil, fmt.Errorf("%w code %d", errAnswer, answer.GetError().GetCode())
	}
	var b builder
	for _, part := range answer.GetResults() {
		if a := part.GetAlternatives(); len(a) > 0 {
			b.add(recognize.Result{
				Text: a[0].GetTranscript(), Final: part.GetIsFinal(), Confidence: float64(a[0].GetConfidence()), Stability: float64(part.GetStability()),
				Start: recognize.Unknown, End: part.GetResultEndTime().AsDuration(),
			})
		}
	}
	return b.results(), nil
}

// second begins a call by version 2, with a recognizer that nobody had to make before.
func (s *Service) second(ctx context.Context, language string) (wire, error) {
	call, err := v2.NewSpeechClient(s.conn).StreamingRecognize(ctx)
	if err != nil {
		return nil, err
	}
	config := &v2.RecognitionConfig{
		DecodingConfig: &v2.RecognitionConfig_ExplicitDecodingConfig{ExplicitDecodingConfig: &v2.ExplicitDecodingConfig{
			Encoding: v2.ExplicitDecodingConfig_LINEAR16, SampleRateHertz: recognize.Rate, AudioChannelCount: 1,
		}},
		Model: s.o.Model, LanguageCodes: []string{language}, Features: &v2.RecognitionFeatures{EnableAutomaticPunctuation: s.o.Punctuation},
	}
	if len(s.o.Phrases) > 0 {
		set := &v2.PhraseSet{}
		for _, p := range s.o.Phrases {
			set.Phrases = append(set.Phrases, &v2.PhraseSet_Phrase{Value: p})
		}
		config.Adaptation = &v2.SpeechAdaptation{PhraseSets: []*v2.SpeechAdaptation_AdaptationPhraseSet{{
			Value: &v2.SpeechAdaptation_AdaptationPhraseSet_InlinePhraseSet{InlinePhraseSet: set},
		}}}
	}
	err = call.Send(&v2.StreamingRecognizeRequest{
		Recognizer: "projects/" + s.o.Project + "/locations/" + s.o.Location + "/recognizers/_",
		StreamingRequest: &v2.StreamingRecognizeRequest_StreamingConfig{StreamingConfig: &v2.StreamingRecognitionConfig{
			Config: config, StreamingFeatures: &v2.StreamingRecognitionFeatures{InterimResults: true},
		}},
	})
	if errors.Is(err, io.EOF) {
		_, err = call.Recv()
	}
	return secondWire{call}, err
}

type secondWire struct {
	v2.Speech_StreamingRecognizeClient
}

func (w secondWire) send(pcm []byte) error {
	return w.Send(&v2.StreamingRecognizeRequest{StreamingRequest: &v2.StreamingRecognizeRequest_Audio{Audio: pcm}})
}

func (w secondWire) receive() ([]recognize.Result, error) {
	answer, err := w.Recv()
	if err != nil {
		return nil, err
	}
	var b builder
	for _, part := range answer.GetResults() {
		if a := part.GetAlternatives(); len(a) > 0 {
			b.add(recognize.Result{
				Text: a[0].GetTranscript(), Final: part.GetIsFinal(), Confidence: float64(a[0].GetConfidence()), Stability: float64(part.GetStability()),
				Start: recognize.Unknown, End: part.GetResultEndOffset().AsDuration(),
			})
		}
	}
	return b.results(), nil
}

// A builder makes one interim of the parts that Google gives, the stable ones first; finals stay apart.
type builder struct {
	finals  []recognize.Result
	interim recognize.Result
	texts   []string
}

func (b *builder) add(r recognize.Result) {
	if r.Final {
		r.Stability = 0
		b.finals = append(b.finals, r)
		return
	}
	if len(b.texts) == 0 {
		b.interim = recognize.Result{Stability: r.Stability, Start: recognize.Unknown, End: recognize.Unknown}
	}
	b.texts = append(b.texts, strings.TrimSpace(r.Text))
}

func (b *builder) results() []recognize.Result {
	if len(b.texts) == 0 {
		return b.finals
	}
	b.interim.Text = strings.Join(b.texts, " ")
	return append(b.finals, b.interim)
}
