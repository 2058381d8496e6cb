package openai

import (
	"strings"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
)

// Models that transcribe while somebody speaks do not find the end of what they say: who sends the sound tells them, and
// turn_detection has to be null.
func live(model string) bool { return strings.HasPrefix(model, "gpt-live-") }

const (
	turnLong    = 9 * time.Second  // after which a breath ends a turn, as a pause does before
	turnLongest = 13 * time.Second // and after which it ends in any case: less than is kept of the sound
	turnEmpty   = 10 * time.Second // without a voice, after which the service need not keep the sound
)

// turns finds where a speaker's turns end. It belongs to who sends.
type turns struct {
	voice  recognize.Detector
	spoken bool          // in this turn
	silent time.Duration // since
	length time.Duration // of this turn
}

// next takes 20 ms and says what is to be sent behind them, "" is nothing.
func (t *turns) next(pcm []int16) (event string) {
	const step = 20 * time.Millisecond
	t.length += step
	if t.voice.Voice(pcm) {
		t.spoken, t.silent = true, 0
	} else {
		t.silent += step
	}
	switch {
	case t.spoken && (t.silent >= pause || t.length >= turnLong && t.silent > 0 || t.length >= turnLongest):
		event = "commit"
	case !t.spoken && t.length >= turnEmpty:
		event = "clear"
	default:
		return ""
	}
	t.spoken, t.silent, t.length = false, 0, 0
	return event
}

// turn sends what ends a turn, and notes where that was.
func (d *dialect) turn(s socket.Sender, event string) error {
	if event == "commit" {
		d.mu.Lock()
		d.cuts = append(d.cuts, d.gone)
		d.mu.Unlock()
	}
	return s.Text([]byte(`{"type":"input_audio_buffer.` + event + `"}`))
}

// cut notes where the item ends that was committed just now. The lock is held.
func (d *dialect) cut(i *item) {
	if len(d.cuts) == 0 {
		return
	}
	i.end, d.cuts = d.cuts[0], d.cuts[1:]
	d.last = d.bye && len(d.cuts) == 0
}
