package google

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	v2 "cloud.google.com/go/speech/apiv2/speechpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// newer is version 2 of Google's service, which checks what it is asked, and misbehaves.
type newer struct {
	v2.UnimplementedSpeechServer
	t      *testing.T
	temper *prove.Temper
	refuse atomic.Int32 // a code for everybody
}

func (c *newer) StreamingRecognize(s v2.Speech_StreamingRecognizeServer) error {
	if code := codes.Code(c.refuse.Load()); code != codes.OK {
		return grpcstatus.Error(code, "spoken words")
	}
	fault, after := c.temper.Next(40)
	if fault == prove.Refuse {
		return grpcstatus.Error(codes.ResourceExhausted, "spoken words")
	}
	first, err := s.Recv()
	if err != nil {
		return err
	}
	sc := first.GetStreamingConfig()
	conf := sc.GetConfig()
	raw := conf.GetExplicitDecodingConfig()
	if first.GetRecognizer() != "projects/p-1/locations/eu/recognizers/_" || !sc.GetStreamingFeatures().GetInterimResults() || raw.GetSampleRateHertz() != 16000 ||
		raw.GetEncoding() != v2.ExplicitDecodingConfig_LINEAR16 || raw.GetAudioChannelCount() != 1 || strings.Join(conf.GetLanguageCodes(), ",") != "nb-NO" || conf.GetModel() != "latest_long" ||
		!conf.GetFeatures().GetEnableAutomaticPunctuation() || conf.GetAdaptation().GetPhraseSets()[0].GetInlinePhraseSet().GetPhrases()[0].GetValue() != "Jitsi" {
		c.t.Errorf("the first message is %v", first)
	}
	ear := prove.Ear{}
	say := func(heard []prove.Heard) error {
		for _, h := range heard {
			err := s.Send(&v2.StreamingRecognizeResponse{Results: []*v2.StreamingRecognitionResult{{
				Alternatives: []*v2.SpeechRecognitionAlternative{{Transcript: h.Text, Confidence: .9}}, IsFinal: h.Final, Stability: .9, ResultEndOffset: durationpb.New(h.End),
			}}})
			if err != nil {
				return err
			}
		}
		return nil
	}
	for n := 0; ; n++ {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return say(ear.Finish())
		}
		if err != nil {
			return err
		}
		if fault != prove.None && n >= after {
			return grpcstatus.Error(codes.Unavailable, "spoken words")
		}
		if err := say(ear.Hear(r.GetAudio())); err != nil {
			return err
		}
	}
}

// TestT34_GoogleVersion2: where a project is named its version 2 is spoken, and loses nothing either.
func TestT34_GoogleVersion2(t *testing.T) { synctest.Test(t, versionTwo) }

func versionTwo(t *testing.T) {
	temper := prove.Moody(8, prove.Refuse, prove.Drop)
	c := &newer{t: t, temper: temper}
	s := near(t, func(g *grpc.Server) { v2.RegisterSpeechServer(g, c) }, Options{Project: "p-1", Location: "eu"})
	if p := prove.Listen(t, s, 60, recognize.Options{Who: who}, temper); p.Counts.Interims.Load() == 0 {
		t.Error("no interims")
	}
	for code, want := range map[codes.Code]error{codes.Unauthenticated: recognize.ErrCredential, codes.PermissionDenied: recognize.ErrCredential, codes.InvalidArgument: recognize.ErrLanguage} {
		c.refuse.Store(int32(code))
		st, err := s.Open(t.Context(), who)
		if err == nil {
			for range st.Results() {
				t.Error("a result")
			}
			err = st.Err()
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "transcription.google") || strings.Contains(err.Error(), "spoken") {
			t.Errorf("%v: %v", code, err)
		}
	}
}

// TestEndpoints: each region has its own.
func TestEndpoints(t *testing.T) {
	for location, want := range map[string]string{"": "speech.googleapis.com:443", "eu": "eu-speech.googleapis.com:443"} {
		s, err := New(Options{Project: "p", Location: location})
		if err != nil || s.o.Endpoint != want {
			t.Errorf("%q: %v %v", location, s.o.Endpoint, err)
		}
		s.Close()
	}
}
