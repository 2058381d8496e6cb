package app_test

import (
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
)

// ear says a tone and keeps the last seconds of what it hears, at 16 kHz.
type ear struct {
	mu    sync.Mutex
	hz    float64
	tones map[int]*audio.Tone
	heard []int16
	up    audio.Doubler
	down  audio.Third
	said  string        // keys that came
	loud  time.Time     // of the latest sound
	gap   time.Duration // the longest time without
}

func (e *ear) pressed(key rune, _ int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said += string(key)
}

func (e *ear) keys() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said
}

func (e *ear) Pull(c *media.Chunk) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tones == nil {
		e.tones = map[int]*audio.Tone{}
	}
	if e.tones[c.Rate] == nil {
		e.tones[c.Rate] = audio.NewTone(e.hz, c.Rate, -20)
	}
	e.tones[c.Rate].Fill(c.PCM)
	c.Voice = true
}

func (e *ear) Push(c *media.Chunk) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); audio.Level(c.PCM) < 40 {
		if !e.loud.IsZero() {
			e.gap = max(e.gap, now.Sub(e.loud))
		}
		e.loud = now
	}
	switch c.Rate {
	case media.Narrow:
		var out [320]int16
		e.up.Run(out[:], c.PCM)
		e.heard = append(e.heard, out[:]...)
	case media.Full:
		var out [320]int16
		e.down.Run(out[:], c.PCM)
		e.heard = append(e.heard, out[:]...)
	default:
		e.heard = append(e.heard, c.PCM...)
	}
	e.heard = e.heard[max(0, len(e.heard)-5*16000):]
}

// tone is the level of a frequency in the last half second, in dBov.
func (e *ear) tone(hz float64) float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) < 8000 {
		return -120
	}
	return audio.Heard(e.heard[len(e.heard)-8000:], hz, 16000)
}

// silence is the longest time without sound since the last call.
func (e *ear) silence() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.gap
	e.gap = 0
	return d
}

// say changes the tone; 0 is silence.
func (e *ear) say(hz float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hz, e.tones = hz, nil
}

// deaf forgets what was heard.
func (e *ear) deaf() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = nil
}
