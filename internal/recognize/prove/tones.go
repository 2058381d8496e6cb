package prove

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"jigasi/internal/audio"
)

// Tones hears tones in one stream of 16-bit little-endian sound at 16 kHz, instead of words: each tone is a word, "t620", and a
// pause ends an utterance. Sound that was mixed has two at once, "t620+t880". Opus, and networks, leave tones as they are.
type Tones struct {
	Of []float64 // in Hz, that there may be

	block   []int16
	samples int64
	said    []string
	start   int64
	end     int64
}

const (
	toneBlock = rate / 20 // 50 ms
	toneLevel = -32       // dBov, of a tone that is there
	tonePause = 400 * time.Millisecond
)

// Hear takes sound and gives what is new: the tones so far, or with Final an utterance.
func (e *Tones) Hear(pcm []byte) []Heard {
	var out []Heard
	for ; len(pcm) > 1; pcm = pcm[2:] {
		e.block = append(e.block, int16(binary.LittleEndian.Uint16(pcm)))
		if len(e.block) == toneBlock {
			out = append(out, e.hear()...)
			e.block = e.block[:0]
		}
	}
	return out
}

// Finish gives what is left at the end of the sound.
func (e *Tones) Finish() []Heard { return e.utterance() }

func (e *Tones) hear() []Heard {
	e.samples += toneBlock
	var there []string
	for _, hz := range e.Of {
		if audio.Goertzel(e.block, hz, rate) > toneLevel {
			there = append(there, fmt.Sprintf("t%.0f", hz))
		}
	}
	if there == nil {
		if e.at(e.samples-e.end) >= tonePause {
			return e.utterance()
		}
		return nil
	}
	if e.said == nil {
		e.start = e.samples - toneBlock
	}
	e.end = e.samples
	word := strings.Join(there, "+")
	if n := len(e.said); n > 0 && e.said[n-1] == word {
		return nil
	}
	e.said = append(e.said, word)
	return []Heard{{Text: strings.Join(e.said, " "), Start: e.at(e.start), End: e.at(e.end)}}
}

func (e *Tones) at(n int64) time.Duration { return time.Duration(n) * time.Second / rate }

func (e *Tones) utterance() []Heard {
	if e.said == nil {
		return nil
	}
	text := strings.Join(e.said, " ")
	e.said = nil
	return []Heard{{text, true, e.at(e.start), e.at(e.end)}}
}
