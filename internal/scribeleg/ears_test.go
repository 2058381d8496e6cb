package scribeleg

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/jingle"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"
	"jigasi/internal/rtpx"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
	"jigasi/internal/xlog"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service hears tones, and notes for whom its streams are.
type service struct {
	mu   sync.Mutex
	open map[string]int
	whom []string           // id and language of each stream
	most int                // streams at once of one id
	long [][2]time.Duration // where utterances begin and end
}

func (*service) Needs() recognize.Needs { return recognize.Needs{} }

func (s *service) Open(_ context.Context, w recognize.Who) (recognize.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]int{}
	}
	s.open[w.ID]++
	s.most = max(s.most, s.open[w.ID])
	s.whom = append(s.whom, w.ID+" "+w.Language)
	return &hearer{s: s, id: w.ID, results: make(chan recognize.Result, 1000), Tones: prove.Tones{Of: []float64{400, 500, 600, 700}}}, nil
}

type hearer struct {
	prove.Tones
	s       *service
	id      string
	results chan recognize.Result
	once    sync.Once
}

func (h *hearer) say(heard []prove.Heard) {
	for _, x := range heard {
		if x.Final {
			h.s.mu.Lock()
			h.s.long = append(h.s.long, [2]time.Duration{x.Start, x.End})
			h.s.mu.Unlock()
		}
		h.results <- recognize.Result{Text: x.Text, Final: x.Final, Start: x.Start, End: x.End}
	}
}
func (h *hearer) Write(pcm []byte) error           { h.say(h.Hear(pcm)); return nil }
func (h *hearer) Results() <-chan recognize.Result { return h.results }
func (h *hearer) CloseSend() error                 { h.say(h.Finish()); h.Close(); return nil }
func (h *hearer) Err() error                       { return nil }
func (h *hearer) Close() {
	h.once.Do(func() {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		h.s.open[h.id]--
		close(h.results)
	})
}

// reader keeps the finals of everybody.
type reader struct {
	mu  sync.Mutex
	got []transcript.Entry
}

func (*reader) Name() string { return "reader" }
func (r *reader) Publish(_ context.Context, e transcript.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Kind == transcript.Speech && !e.Interim {
		r.got = append(r.got, e)
	}
	return nil
}

// speaker is one SSRC on the way from the bridge.
type speaker struct {
	enc  *codec.OpusEncoder
	tone *audio.Tone
	h    rtpx.Header
}

// hall is ears in virtual time, with a scene and speakers.
type hall struct {
	t       *testing.T
	ears    *ears
	scribe  *scribe.Scribe
	service *service
	reader  *reader
	counts  Counts
	scene   scene
	all     map[uint32]*speaker
}

// play runs a test in a hall and gives what everybody has said: lines of "who: text".
func play(t *testing.T, speakers int, f func(h *hall)) (*hall, []string) {
	t.Helper()
	h := &hall{t: t, service: &service{}, reader: &reader{}, all: map[uint32]*speaker{}, scene: scene{owners: map[uint32]jingle.Source{}, people: map[string]person{}, usual: "en-US"}}
	synctest.Test(t, func(t *testing.T) {
		h.t = t
		h.scribe = scribe.New(scribe.Options{Service: h.service, Publishers: []scribe.Publisher{h.reader}})
		h.ears = newEars(h.scribe, Options{Counts: &h.counts, Speakers: speakers, Language: "en-US"}, xlog.Or(nil))
		f(h)
		h.ears.close()
		if err := h.scribe.Close(context.Background(), time.Now()); err != nil {
			t.Error(err)
		}
	})
	var out []string
	for _, e := range h.reader.got {
		out = append(out, e.Person.ID+": "+e.Text)
	}
	slices.Sort(out)
	if h.service.most > 1 {
		t.Errorf("%d streams at once for one voice", h.service.most)
	}
	return h, out
}

// own says whose sources are whose: "a" has 1, "a a1" has 2 as its second source.
func (h *hall) own(list map[uint32]string) {
	h.scene.owners = map[uint32]jingle.Source{}
	for ssrc, who := range list {
		owner, name, ok := strings.Cut(who, " ")
		if !ok {
			name = "a0"
		}
		h.scene.owners[ssrc] = jingle.Source{SSRC: ssrc, Owner: owner, Name: owner + "-" + name}
		if _, known := h.scene.people[owner]; !known {
			h.scene.people[owner] = person{Person: transcript.Person{ID: owner, Name: "Name of " + owner}, language: "en-US"}
		}
	}
	h.set()
}

func (h *hall) set() {
	s := h.scene
	s.people = maps.Clone(s.people)
	h.ears.set(s)
	time.Sleep(2 * breath)
}

// say lets SSRCs say tones for a while; 0 Hz is muted.
func (h *hall) say(d time.Duration, tones map[uint32]float64) {
	h.t.Helper()
	pcm, buf := make([]int16, 960), make([]byte, codec.MaxOpus)
	for ssrc, hz := range tones {
		s := h.all[ssrc]
		if s == nil {
			enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 48000, Bitrate: 32000, Complexity: 1})
			if err != nil {
				h.t.Fatal(err)
			}
			s = &speaker{enc: enc, h: rtpx.Header{SSRC: ssrc, Seq: uint16(ssrc * 7919), Timestamp: ssrc * 1e9, HasLevel: true}}
			h.all[ssrc] = s
		}
		s.tone = nil
		if hz > 0 {
			s.tone = audio.NewTone(hz, 48000, -20)
		}
	}
	for range d / (20 * time.Millisecond) {
		for ssrc := range tones {
			s := h.all[ssrc]
			s.h.Seq, s.h.Timestamp, s.h.Level = s.h.Seq+1, s.h.Timestamp+960, 127
			if s.tone != nil {
				s.tone.Fill(pcm)
				s.h.Level = audio.Level(pcm)
			}
			if !wanted(&s.h) {
				continue
			}
			n, err := s.enc.Encode(buf, pcm)
			if err != nil {
				h.t.Fatal(err)
			}
			h.ears.rtp(&s.h, buf[:n])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// pause is long enough for sentences to end.
func (h *hall) pause() { time.Sleep(4 * time.Second) }

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// TestNobodyIsLost: acceptance 13 of the transcription spec. Whatever becomes of streams and their owners, what somebody says is
// heard once, and as theirs.
func TestNobodyIsLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(h *hall)
		want []string
	}{
		{"each apart", func(h *hall) {
			h.own(map[uint32]string{1: "a", 2: "b"})
			h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
		}, []string{"a: t400", "b: t500"}},
		{"an owner that is told late", func(h *hall) {
			h.say(3*time.Second, map[uint32]float64{1: 400})
			h.own(map[uint32]string{1: "a"})
		}, []string{"a: t400"}},
		{"an owner that is told too late", func(h *hall) {
			h.say(time.Second, map[uint32]float64{1: 400})
			time.Sleep(10 * time.Second)
			h.own(map[uint32]string{1: "a"})
			h.say(time.Second, map[uint32]float64{1: 500})
		}, []string{"a: t500"}},
		{"owners that change", func(h *hall) {
			h.own(map[uint32]string{1: "a", 2: "b"})
			h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
			h.pause()
			h.own(map[uint32]string{1: "b", 2: "a"})
			h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
		}, []string{"a: t400", "a: t500", "b: t400", "b: t500"}},
		{"a second source", func(h *hall) {
			h.own(map[uint32]string{1: "a", 2: "a a1"})
			h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
		}, []string{"a: t400", "a: t500"}},
		{"two streams of one name", func(h *hall) {
			h.own(map[uint32]string{1: "a", 2: "a"})
			h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
		}, []string{"a: t400", "a: t500"}},
		{"another stream of the same", func(h *hall) {
			h.own(map[uint32]string{1: "a"})
			h.say(time.Second, map[uint32]float64{1: 400})
			h.pause()
			h.own(map[uint32]string{2: "a"})
			h.say(time.Second, map[uint32]float64{2: 500})
		}, []string{"a: t400", "a: t500"}},
		{"a source that goes and comes", func(h *hall) {
			h.own(map[uint32]string{1: "a"})
			h.say(time.Second, map[uint32]float64{1: 400})
			h.own(nil)
			time.Sleep(10 * time.Second)
			h.own(map[uint32]string{1: "a"})
			h.say(time.Second, map[uint32]float64{1: 500})
		}, []string{"a: t400", "a: t500"}},
		{"who comes again at once", func(h *hall) {
			h.own(map[uint32]string{1: "a"})
			h.say(time.Second, map[uint32]float64{1: 400})
			h.own(nil)
			time.Sleep(time.Second)
			h.own(map[uint32]string{1: "a"})
			h.say(6*time.Second, map[uint32]float64{1: 500})
		}, []string{"a: t400", "a: t500"}},
		{"another bridge", func(h *hall) {
			h.own(map[uint32]string{1: "a", 2: "b"})
			h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
			h.own(nil) // the session is gone
			h.all[1].h.Seq += 100
			h.all[1].h.Timestamp += 100 * 960
			time.Sleep(2 * time.Second)
			h.say(200*time.Millisecond, map[uint32]float64{1: 600}) // packets before sources
			h.own(map[uint32]string{1: "a", 2: "b"})
			h.say(time.Second, map[uint32]float64{1: 600, 2: 700})
		}, []string{"a: t400", "a: t600", "b: t500", "b: t700"}},
		{"who is muted has ended the sentence", func(h *hall) {
			h.own(map[uint32]string{1: "a"})
			h.say(time.Second, map[uint32]float64{1: 400})
			p := h.scene.people["a"]
			p.muted = true
			h.scene.people["a"] = p
			h.set()
			time.Sleep(700 * time.Millisecond) // less than a pause
			p.muted = false
			h.scene.people["a"] = p
			h.set()
			h.say(time.Second, map[uint32]float64{1: 500})
		}, []string{"a: t400", "a: t500"}},
		{"who is not to be transcribed", func(h *hall) {
			h.scene.people["a"] = person{Person: transcript.Person{ID: "a"}}
			h.own(map[uint32]string{1: "a", 2: "b"})
			h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
		}, []string{"b: t500"}},
		{"who is not seen", func(h *hall) {
			h.scene.people = map[string]person{}
			h.scene.owners = map[uint32]jingle.Source{1: {SSRC: 1, Owner: "ghost"}}
			h.set()
			h.say(time.Second, map[uint32]float64{1: 400})
		}, []string{"ghost: t400"}},
		{"silence costs nothing", func(h *hall) {
			h.own(map[uint32]string{1: "a", 2: "b"})
			h.say(time.Second, map[uint32]float64{1: 0, 2: 0})
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, got := play(t, 10, tt.f)
			want(t, got, tt.want...)
			if tt.want == nil && len(h.service.whom) != 0 {
				t.Errorf("streams for %q", h.service.whom)
			}
		})
	}
}

// TestLanguagesAndNames: a voice whose speaker changes the language is another stream and the same person; one that is renamed is
// neither; ids tell a second source from the first.
func TestLanguagesAndNames(t *testing.T) {
	h, got := play(t, 10, func(h *hall) {
		h.own(map[uint32]string{1: "a", 2: "a a1"})
		h.say(time.Second, map[uint32]float64{1: 400, 2: 700})
		h.pause()
		h.scene.people["a"] = person{Person: transcript.Person{ID: "a", Name: "Alicia"}, language: "en-US"}
		h.set()
		h.say(time.Second, map[uint32]float64{1: 500})
		h.pause()
		h.scene.people["a"] = person{Person: transcript.Person{ID: "a", Name: "Alicia"}, language: "fr-FR"}
		h.set()
		h.say(time.Second, map[uint32]float64{1: 600})
	})
	want(t, got, "a: t400", "a: t500", "a: t600", "a: t700")
	whom := slices.Clone(h.service.whom)
	slices.Sort(whom)
	if !slices.Equal(slices.Compact(whom), []string{"a en-US", "a fr-FR", "a-a1 en-US"}) {
		t.Errorf("streams for %q", h.service.whom)
	}
	for _, e := range h.reader.got {
		if name := map[string]string{"t400": "Name of a", "t700": "Name of a"}[e.Text]; name != "" && e.Person.Name != name || name == "" && e.Person.Name != "Alicia" {
			t.Errorf("%s is said by %s", e.Text, e.Person.Name)
		}
		if (e.Text == "t600") != (e.Language == "fr-FR") {
			t.Errorf("%s in %s", e.Text, e.Language)
		}
	}
}

// TestTooMany: voices and streams are bounded; who has been silent for long makes room, and comes again.
func TestTooMany(t *testing.T) {
	h, got := play(t, 2, func(h *hall) {
		h.own(map[uint32]string{1: "a", 2: "b", 3: "c"})
		h.say(time.Second, map[uint32]float64{1: 400, 2: 500})
		h.say(time.Second, map[uint32]float64{3: 600})
		if h.counts.Unheard.Load() < 40 {
			h.t.Errorf("%d packets are unheard", h.counts.Unheard.Load())
		}
		time.Sleep(evictAfter)
		h.say(time.Second, map[uint32]float64{3: 700})
		h.pause()
		time.Sleep(evictAfter)
		h.say(time.Second, map[uint32]float64{1: 400})
		for ssrc := range uint32(2 * maxStreams) {
			h.ears.rtp(&rtpx.Header{SSRC: 1000 + ssrc}, []byte{1})
		}
		h.ears.mu.Lock()
		if n := len(h.ears.streams); n > maxStreams {
			h.t.Errorf("%d streams", n)
		}
		h.ears.mu.Unlock()
		time.Sleep(forgetAfter + time.Second)
		h.ears.mu.Lock()
		defer h.ears.mu.Unlock()
		if n := len(h.ears.streams); n != 0 {
			h.t.Errorf("%d streams are left", n)
		}
	})
	want(t, got, "a: t400", "a: t400", "b: t500", "c: t700")
	if h.counts.Damaged.Load() != 0 {
		t.Errorf("%d damaged", h.counts.Damaged.Load())
	}
}
