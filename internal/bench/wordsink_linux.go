package bench

import (
	"context"
	"encoding/binary"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/recognize"
	"jigasi/internal/transcript"
)

const (
	sinkSilence = 300 * time.Millisecond // ends an utterance
	sinkChunk   = 100 * time.Millisecond
)

// A sink is a speech service that counts sound, and hears that somebody has stopped speaking. It takes no time: a final
// comes with the sound that it needed, and covers it.
type sink struct{ bytes atomic.Int64 }

func (s *sink) Needs() recognize.Needs { return recognize.Needs{Chunk: sinkChunk} }

func (s *sink) Open(context.Context, recognize.Who) (recognize.Stream, error) {
	return &sinkStream{s: s, results: make(chan recognize.Result, 16)}, nil
}

type sinkStream struct {
	s       *sink
	results chan recognize.Result
	once    sync.Once
	heard   int64 // samples
	start   int64
	spoken  int64 // up to here; 0 is nobody
}

const wordBlock = recognize.Rate / 50

func (st *sinkStream) Write(pcm []byte) error {
	st.s.bytes.Add(int64(len(pcm)))
	var block [wordBlock]int16
	ended := false
	for ; len(pcm) >= 2*wordBlock; pcm = pcm[2*wordBlock:] {
		for i := range block {
			block[i] = int16(binary.LittleEndian.Uint16(pcm[2*i:]))
		}
		st.heard += wordBlock
		if audio.Level(block[:]) < 45 {
			st.spoken = st.heard
		} else if st.spoken > 0 && st.heard-st.spoken >= int64(sinkSilence)*recognize.Rate/int64(time.Second) {
			ended = true
		}
	}
	if ended {
		st.say()
	}
	return nil
}

func (st *sinkStream) say() {
	at := func(n int64) time.Duration { return time.Duration(n) * time.Second / recognize.Rate }
	select {
	case st.results <- recognize.Result{Text: strconv.FormatInt(st.heard/wordBlock, 10), Final: true, Confidence: 1, Start: at(st.start), End: at(st.heard)}:
	default: // nobody listens
	}
	st.start, st.spoken = st.heard, 0
}

func (st *sinkStream) Results() <-chan recognize.Result { return st.results }
func (st *sinkStream) CloseSend() error                 { st.Close(); return nil }
func (st *sinkStream) Close()                           { st.once.Do(func() { close(st.results) }) }
func (st *sinkStream) Err() error                       { return nil }

// A reader is a publisher that notes how long a final took since the last packet that it needed was fed. Its text is
// the number of that packet.
type reader struct {
	mu     sync.Mutex
	began  time.Time // when the first packets were fed; zero: nobody knows
	delays []float64 // ms
	n      int
}

func (*reader) Name() string { return "bench" }

func (r *reader) Publish(_ context.Context, e transcript.Entry) error {
	if e.Kind != transcript.Speech || e.Interim {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if packet, err := strconv.Atoi(e.Text); err == nil && !r.began.IsZero() {
		r.delays = append(r.delays, ms(time.Since(r.began.Add(time.Duration(packet-1)*interval))))
	}
	return nil
}

func (r *reader) fed(began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = began
}

func (r *reader) take() (delays []float64, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delays, n = r.delays, r.n
	r.delays, r.n = nil, 0
	return delays, n
}

// utterances are the packets of somebody who speaks for four seconds and is silent for two, again and again.
func utterances(voice int) ([][]byte, error) {
	pcm := voicePCM(voice, false, 48000)[:6*48000]
	for i := range pcm[4*48000:] {
		pcm[4*48000+i] = int16(math.Round(3 * math.Sin(float64(i)))) // as quiet as a good microphone
	}
	return speakerPackets(pcm)
}
