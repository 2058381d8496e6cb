package google

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/gcloud"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	"cloud.google.com/go/speech/apiv1/speechpb"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counterpart is Google's service, which checks what it is asked, and misbehaves.
type counterpart struct {
	speechpb.UnimplementedSpeechServer
	t          *testing.T
	temper     *prove.Temper
	open, most atomic.Int64
	calls      atomic.Int64
}

func (c *counterpart) StreamingRecognize(s speechpb.Speech_StreamingRecognizeServer) error {
	c.calls.Add(1)
	c.most.Store(max(c.most.Load(), c.open.Add(1)))
	defer c.open.Add(-1)
	fault, after := c.temper.Next(40)
	if fault == prove.Refuse {
		return grpcstatus.Error(codes.ResourceExhausted, "spoken words")
	}
	md, _ := metadata.FromIncomingContext(s.Context())
	if auth := md.Get("authorization"); !slices.Equal(auth, []string{"Bearer topsecret"}) {
		c.t.Errorf("authorization %q", auth)
	}
	if quota := md.Get("x-goog-user-project"); !slices.Equal(quota, []string{"payer"}) {
		c.t.Errorf("quota project %q", quota)
	}
	first, err := s.Recv()
	if err != nil {
		return err
	}
	conf := first.GetStreamingConfig()
	if conf == nil || !conf.InterimResults || conf.SingleUtterance || conf.Config.SampleRateHertz != 16000 || conf.Config.Encoding != speechpb.RecognitionConfig_LINEAR16 ||
		conf.Config.LanguageCode != "nb-NO" || conf.Config.Model != "latest_long" || !conf.Config.EnableAutomaticPunctuation ||
		len(conf.Config.SpeechContexts) != 1 || !slices.Equal(conf.Config.SpeechContexts[0].Phrases, []string{"Jitsi"}) {
		c.t.Errorf("the first message is %v", first)
	}
	ear := prove.Ear{}
	for n := 0; ; n++ {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return say(s, ear.Finish())
		}
		if err != nil {
			return err
		}
		if len(r.GetAudioContent()) == 0 || len(r.GetAudioContent()) > 3200 {
			c.t.Errorf("%d bytes", len(r.GetAudioContent()))
		}
		heard := ear.Hear(r.GetAudioContent())
		if fault != prove.None && n >= after {
			switch fault {
			case prove.Stall:
				<-s.Context().Done()
				return nil
			case prove.Garbage:
				_ = s.Send(&speechpb.StreamingRecognizeResponse{Error: &status.Status{Code: 3, Message: "spoken words"}})
				continue
			case prove.Half:
				if len(heard) > 0 && heard[0].Final {
					_ = say(s, heard)
					return grpcstatus.Error(codes.OutOfRange, "spoken words")
				}
			default:
				return grpcstatus.Error(codes.Unavailable, "spoken words")
			}
		}
		if err := say(s, heard); err != nil {
			return err
		}
	}
}

func say(s speechpb.Speech_StreamingRecognizeServer, heard []prove.Heard) error {
	for _, h := range heard {
		parts := []string{h.Text}
		if first, rest, ok := strings.Cut(h.Text, " "); ok && !h.Final { // a stable part and one that is not
			parts = []string{first, " " + rest}
		}
		answer := &speechpb.StreamingRecognizeResponse{}
		for i, p := range parts {
			answer.Results = append(answer.Results, &speechpb.StreamingRecognitionResult{
				Alternatives: []*speechpb.SpeechRecognitionAlternative{{Transcript: p, Confidence: .9}}, IsFinal: h.Final,
				Stability: .9 - .8*float32(i), ResultEndTime: durationpb.New(h.End),
			})
		}
		if err := s.Send(answer); err != nil {
			return err
		}
	}
	return nil
}

// near runs a counterpart within the process, so that time may be virtual, and gives a Service that comes to it.
func near(t *testing.T, register func(*grpc.Server), o Options) *Service {
	l := prove.NewWire()
	o.Endpoint = "passthrough:///google.test"
	return start(t, register, l, o, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.Dial(ctx) }))
}

// start runs a counterpart and gives a Service.
func start(t *testing.T, register func(*grpc.Server), l net.Listener, o Options, more ...grpc.DialOption) *Service {
	t.Helper()
	g := grpc.NewServer()
	register(g)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	o.Punctuation, o.Phrases, o.Token = true, []string{"Jitsi"}, func(context.Context) (string, error) { return "topsecret", nil }
	o.Quota = func() string { return "payer" }
	s, err := dial(o, insecure.NewCredentials(), more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); g.Stop(); <-done })
	return s
}

func (c *counterpart) register(g *grpc.Server) { speechpb.RegisterSpeechServer(g, c) }

var who = recognize.Who{ID: "a", Language: "no-NO"}

// TestT34_Google: quota, errors within and without the stream, and lost calls; no final is lost or doubled.
func TestT34_Google(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temper := prove.Moody(prove.Drops(12), prove.Refuse, prove.Garbage, prove.Drop, prove.Half, prove.Late)
		c := &counterpart{t: t, temper: temper}
		p := prove.Listen(t, near(t, c.register, Options{}), 8*prove.Drops(12), recognize.Options{Who: who}, temper)
		if c.most.Load() != 1 || p.Counts.Interims.Load() == 0 {
			t.Errorf("%d streams at once, %d interims", c.most.Load(), p.Counts.Interims.Load())
		}
	})
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, temper := time.Now(), prove.Moody(1, prove.Stall)
		c := &counterpart{t: t, temper: temper}
		if p := prove.Listen(t, near(t, c.register, Options{}), 8, recognize.Options{Who: who}, temper); p.Counts.Lost.Load() != 1 || time.Since(began) > 25*time.Second {
			t.Errorf("%d streams were lost; it took %v", p.Counts.Lost.Load(), time.Since(began))
		}
	})
}

func TestLanguages(t *testing.T) {
	for in, want := range map[string]string{"": "en-US", "en": "en-US", "no-NO": "nb-NO", "he-IL": "he-IL", "zh": "zh", "pt-PT": "pt-PT", "hsb-DE": "hsb-DE", "xx": "xx"} {
		if got := language(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestErrorsTellNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, (&counterpart{t: t, temper: prove.Moody(1, prove.Refuse)}).register, l, Options{Endpoint: l.Addr().String()})
	st, err := s.Open(t.Context(), who)
	if err == nil { // the refusal may come before the stream is open, or after
		for range st.Results() {
			t.Error("a result")
		}
		err = st.Err()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "google answers ResourceExhausted: the quota") {
		t.Error(err)
	}
	for code, want := range map[codes.Code]string{
		codes.PermissionDenied: "the Cloud Speech-to-Text API has to be enabled", codes.Unauthenticated: "transcription.google", codes.NotFound: "transcription.google.project",
		codes.InvalidArgument: "transcription.google.model", codes.Unavailable: "transcription.google.endpoint", codes.Internal: "Internal",
	} {
		err := plain(grpcstatus.Error(code, "spoken"))
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "spoken") || recognize.Permanent(err) == (code == codes.Unavailable || code == codes.Internal) {
			t.Errorf("%s: %v", code, err)
		}
	}
	s.o.Token = func(context.Context) (string, error) { return "", gcloud.ErrNone }
	if _, err := s.Open(t.Context(), who); !errors.Is(err, recognize.ErrCredential) || !strings.HasSuffix(err.Error(), gcloud.ErrNone.Error()) {
		t.Error(err)
	}
	if n := fmt.Sprint(s.Needs().MaxAge < 5*time.Minute); n != "true" {
		t.Error(n)
	}
}
