package openai

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
)

// A dialect is the protocol in real time. The service cuts speech into items and may finish them
// in another order than they were spoken in; results are given in that of speech.
type dialect struct {
	model, language string
	up              audio.Tripler // 16 kHz to the 24 kHz that the service takes
	down            audio.Halver
	part            []int16 // less than 20 ms
	turns           *turns  // nil: the service finds them

	mu    sync.Mutex
	sent  time.Duration
	gone  time.Duration   // of that, up to which it is with the service
	cuts  []time.Duration // of turns that we have ended, and whose item is not known yet
	bye   bool            // no more sound
	last  bool            // and the last item is known
	order []string
	items map[string]*item
}

// An item is an utterance.
type item struct {
	text       string
	start, end time.Duration
	done       bool
}

func (d *dialect) Hello(s socket.Sender) error {
	type m map[string]any
	words := m{"model": d.model}
	if d.language != "" {
		words["language"] = d.language
	}
	var detect any = m{"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
	if live(d.model) {
		d.turns, detect = &turns{}, nil
	}
	return send(s, m{"type": "session.update", "session": m{"type": "transcription", "audio": m{"input": m{
		"format": m{"type": "audio/pcm", "rate": 24000}, "transcription": words, "turn_detection": detect,
	}}}})
}

func send(s socket.Sender, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Text(b)
}

func (d *dialect) Sound(s socket.Sender, pcm []byte) error {
	d.mu.Lock()
	d.sent += time.Duration(len(pcm)/2) * time.Second / recognize.Rate
	d.mu.Unlock()
	var out []byte
	for ; len(pcm) > 1; pcm = pcm[2:] {
		if d.part = append(d.part, int16(binary.LittleEndian.Uint16(pcm))); len(d.part) < frame {
			continue
		}
		event := ""
		if d.turns != nil {
			event = d.turns.next(d.part)
		}
		out = d.raise(out)
		d.mu.Lock()
		d.gone += 20 * time.Millisecond
		d.mu.Unlock()
		if event == "" {
			continue
		}
		if err := d.append(s, out); err != nil {
			return err
		}
		out = nil
		if err := d.turn(s, event); err != nil {
			return err
		}
	}
	return d.append(s, out)
}

// raise appends a frame at 24 kHz.
func (d *dialect) raise(out []byte) []byte {
	var high [3 * frame]int16
	var low [3 * frame / 2]int16
	d.up.Run(high[:], d.part)
	d.down.Run(low[:], high[:])
	d.part = d.part[:0]
	for _, v := range low {
		out = binary.LittleEndian.AppendUint16(out, uint16(v))
	}
	return out
}

func (*dialect) append(s socket.Sender, pcm []byte) error {
	if len(pcm) == 0 {
		return nil
	}
	return send(s, struct {
		Type  string `json:"type"`
		Audio string `json:"audio"`
	}{"input_audio_buffer.append", base64.StdEncoding.EncodeToString(pcm)})
}

func (d *dialect) Bye(s socket.Sender) error {
	if n := len(d.part); n > 0 {
		d.part = append(d.part, make([]int16, frame-n)...)
		if err := d.append(s, d.raise(nil)); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.bye, d.gone = true, d.sent
	d.mu.Unlock()
	if d.turns != nil {
		return d.turn(s, "commit")
	}
	return s.Text([]byte(`{"type":"input_audio_buffer.commit"}`))
}

// Quiet is never: the last item comes.
func (*dialect) Quiet() time.Duration { return 0 }

type happening struct {
	Type       string `json:"type"`
	Item       string `json:"item_id"`
	Delta      string `json:"delta"`
	Transcript string `json:"transcript"`
	StartMS    int64  `json:"audio_start_ms"`
	EndMS      int64  `json:"audio_end_ms"`
	Error      struct {
		Code string `json:"code"`
	} `json:"error"`
}

// maxItems bounds what is unfinished.
const maxItems = 100

// code is what may be told of an error: its code, if it looks like one.
var code = regexp.MustCompile(`^[a-z][a-z_]{1,40}$`)

func (d *dialect) Heard(b []byte) ([]recognize.Result, bool, error) {
	var h happening
	if json.Unmarshal(b, &h) != nil {
		return nil, false, socket.ErrMessage
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	const words = "conversation.item.input_audio_transcription."
	switch h.Type {
	case "input_audio_buffer.speech_started":
		d.item(h.Item).start = time.Duration(h.StartMS) * time.Millisecond
	case "input_audio_buffer.speech_stopped":
		d.item(h.Item).end = time.Duration(h.EndMS) * time.Millisecond
	case "input_audio_buffer.committed":
		if d.turns != nil {
			d.cut(d.item(h.Item))
			break
		}
		// The answer to our own commit is one without an end of speech before it; others may cross it.
		d.last = d.item(h.Item).end == 0 && d.bye
	case words + "delta":
		d.item(h.Item).text += h.Delta
	case words + "completed":
		i := d.item(h.Item)
		i.text, i.done = h.Transcript, true
	case words + "failed":
		if reason := code.FindString(h.Error.Code); reason != "" {
			return nil, false, fmt.Errorf("an utterance was not transcribed: %q", reason)
		}
		return nil, false, errors.New("an utterance was not transcribed")
	case "error":
		if h.Error.Code != "input_audio_buffer_commit_empty" {
			return nil, false, fmt.Errorf("the service reports an error %q", code.FindString(h.Error.Code))
		}
		if n := len(d.cuts); n > 0 { // it was the last one
			d.cuts = d.cuts[:n-1]
		}
		d.last = d.bye && len(d.cuts) == 0
	}
	if len(d.order) > maxItems {
		return nil, false, errors.New("the service finishes none of its items")
	}
	return d.ripe(h.Item), d.last && len(d.order) == 0, nil
}

// item is an item by its id; a new one is the last in order.
func (d *dialect) item(id string) *item {
	i := d.items[id]
	if i == nil {
		i = &item{start: recognize.Unknown}
		d.items[id] = i
		d.order = append(d.order, id)
	}
	return i
}

// ripe gives the finals that all before them allow, and the text so far of the next if it is new.
func (d *dialect) ripe(touched string) []recognize.Result {
	var out []recognize.Result
	for len(d.order) > 0 {
		id := d.order[0]
		i := d.items[id]
		r := recognize.Result{Text: i.text, Final: i.done, Confidence: 1, Start: i.start, End: i.end}
		if i.end == 0 {
			r.End = d.sent // it was not the service that cut here
		}
		if d.turns != nil && !i.done {
			r.End = recognize.Unknown
		}
		if !i.done {
			if i.text != "" && (id == touched || len(out) > 0) {
				out = append(out, r)
			}
			break
		}
		out = append(out, r)
		d.order = d.order[1:]
		delete(d.items, id)
	}
	return out
}
