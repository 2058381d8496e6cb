package openai

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
)

const (
	frame     = recognize.Rate / 50
	pause     = 400 * time.Millisecond // that ends a batch
	lead      = 15                     // frames before speech that belong to it
	longest   = 15 * 50                // frames; a longer batch is cut where it is quietest
	earliest  = 10 * 50                // but not before
	waiting   = 4                      // batches
	shortest  = 10 * frame             // samples; OpenAI refuses what is shorter than 0.1 s
	batchTime = 30 * time.Second
	maxAnswer = 256 << 10

	maxRefusal = 16 << 10
)

// A cutter makes batches of sound: an utterance each, with a little silence before it.
type cutter struct {
	voice  recognize.Detector
	pcm    []int16
	levels []uint8 // of its frames
	start  int64   // sample at which pcm begins
	silent time.Duration
	spoken bool
}

type batch struct {
	pcm        []int16
	start, end time.Duration
}

// push takes a frame and gives a batch where one is ready.
func (c *cutter) push(pcm []int16) (batch, bool) {
	c.pcm, c.levels = append(c.pcm, pcm...), append(c.levels, audio.Level(pcm))
	if c.voice.Voice(pcm) {
		c.spoken, c.silent = true, 0
	} else {
		c.silent += 20 * time.Millisecond
	}
	switch {
	case !c.spoken && len(c.levels) > lead:
		c.drop(1)
	case c.spoken && c.silent >= pause:
		return c.cut(len(c.levels)), true
	case len(c.levels) >= longest:
		at := earliest
		for i, level := range c.levels[earliest:] {
			if level > c.levels[at] { // in -dBov: quieter
				at = earliest + i
			}
		}
		return c.cut(at), true
	}
	return batch{}, false
}

func (c *cutter) drop(frames int) {
	n := min(frames*frame, len(c.pcm))
	c.pcm, c.levels, c.start = append(c.pcm[:0], c.pcm[n:]...), append(c.levels[:0], c.levels[frames:]...), c.start+int64(n)
}

// cut takes the first frames as a batch.
func (c *cutter) cut(frames int) batch {
	n := min(frames*frame, len(c.pcm))
	b := batch{append([]int16(nil), c.pcm[:n]...), at(c.start), at(c.start + int64(n))}
	c.drop(frames)
	c.spoken = len(c.levels) > 0
	return b
}

func at(samples int64) time.Duration { return time.Duration(samples) * time.Second / recognize.Rate }

// A batcher is a stream that asks for each utterance.
type batcher struct {
	s       *Service
	lang    string
	ctx     context.Context
	cancel  context.CancelFunc
	cutter  cutter
	rest    []int16 // less than a frame
	todo    chan batch
	once    sync.Once // of closing todo
	results chan recognize.Result
	err     error
}

func (s *Service) batch(ctx context.Context, w recognize.Who) *batcher {
	b := &batcher{s: s, lang: spoken(w), todo: make(chan batch, waiting), results: make(chan recognize.Result, 64)}
	b.ctx, b.cancel = context.WithCancel(ctx)
	go b.run()
	return b
}

// Write cuts sound into batches.
func (b *batcher) Write(pcm []byte) error {
	for ; len(pcm) > 1; pcm = pcm[2:] {
		if b.rest = append(b.rest, int16(binary.LittleEndian.Uint16(pcm))); len(b.rest) < frame {
			continue
		}
		one, ok := b.cutter.push(b.rest)
		b.rest = b.rest[:0]
		if ok && !b.put(one) {
			return context.Cause(b.ctx)
		}
	}
	return b.ctx.Err()
}

func (b *batcher) put(one batch) bool {
	select {
	case b.todo <- one:
		return true
	case <-b.ctx.Done():
		return false
	}
}

// CloseSend sends the last batch.
func (b *batcher) CloseSend() error {
	if len(b.rest) > 0 {
		b.cutter.push(append(b.rest, make([]int16, frame-len(b.rest))...))
	}
	if b.cutter.spoken && !b.put(b.cutter.cut(len(b.cutter.levels))) {
		return context.Cause(b.ctx)
	}
	b.once.Do(func() { close(b.todo) })
	return nil
}

// Close ends the stream at once.
func (b *batcher) Close() { b.cancel() }

// Results are what was heard.
func (b *batcher) Results() <-chan recognize.Result { return b.results }

// Err says why Results was closed.
func (b *batcher) Err() error { return b.err }

func (b *batcher) run() {
	defer close(b.results)
	defer b.cancel()
	for {
		var one batch
		var ok bool
		select {
		case one, ok = <-b.todo:
		case <-b.ctx.Done():
			b.err = context.Cause(b.ctx)
			return
		}
		if !ok {
			return
		}
		text, err := b.ask(one)
		if err != nil {
			b.err = err
			return
		}
		select {
		case b.results <- recognize.Result{Text: text, Final: true, Confidence: 1, Start: one.start, End: one.end}:
		case <-b.ctx.Done():
			b.err = context.Cause(b.ctx)
			return
		}
	}
}

// refusal is the error of an answer, with the code that it gives if it looks like one. A language that the model does not
// know is no fault of the service.
func refusal(w *http.Response) error {
	var answer struct {
		Error struct {
			Code  string `json:"code"`
			Param string `json:"param"`
		} `json:"error"`
	}
	data, err := io.ReadAll(io.LimitReader(w.Body, maxRefusal))
	if err == nil && json.Unmarshal(data, &answer) != nil {
		answer.Error.Code, answer.Error.Param = "", "" // half read
	}
	reason, err := code.FindString(answer.Error.Code), socket.Status(w)
	switch {
	case w.StatusCode == http.StatusBadRequest && (answer.Error.Param == "language" || strings.Contains(reason, "language")):
		return fmt.Errorf("%w: the model of transcription.openai.model does not know it", recognize.ErrLanguage)
	case reason != "":
		return fmt.Errorf("%w (%s)", err, reason)
	}
	return err
}

// ask makes one request. Its error tells a status, but nothing of the answer.
func (b *batcher) ask(one batch) (string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "speech.wav")
	if err == nil {
		err = audio.WriteWAV(file, slices.Concat(one.pcm, make([]int16, max(0, shortest-len(one.pcm)))), recognize.Rate)
	}
	err = errors.Join(err, form.WriteField("model", b.s.o.Model), form.WriteField("response_format", "json"))
	if b.lang != "" {
		err = errors.Join(err, form.WriteField("language", b.lang))
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(b.ctx, batchTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.s.o.URL+"/audio/transcriptions", &body)
	if err != nil {
		return "", errors.New("the address of the service is none")
	}
	r.Header = b.s.header()
	r.Header.Set("Content-Type", form.FormDataContentType())
	w, err := b.s.client.Do(r)
	if err != nil {
		return "", socket.Unreachable(b.s.o.URL, err)
	}
	defer func() { _ = w.Body.Close() }()
	if w.StatusCode != http.StatusOK {
		return "", refusal(w)
	}
	var answer struct {
		Text *string `json:"text"`
	}
	data, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil || json.Unmarshal(data, &answer) != nil || answer.Text == nil {
		return "", errors.New("the answer is not the JSON of this service")
	}
	return *answer.Text, nil
}
