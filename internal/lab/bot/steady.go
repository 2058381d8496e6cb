package bot

import (
	"bytes"
	"sync"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

// A steady is a second of a tone, said again and again: most of what a test costs would be to encode what was encoded before.
type steady struct {
	packets [][]byte
	pcm     []int16 // 20 ms of it, for the level
}

// settle is how many frames of a tone the encoder has had when it says the same each second.
const settle = 25

var steadies sync.Map // of pitch and level -> func() *steady

// steadyTone gives the packets of a tone. A second has whole periods of any whole number of Hz; of others the end does not fit the
// beginning, and it is nil.
func steadyTone(hz, dbov float64) *steady {
	if hz != float64(int(hz)) {
		return nil
	}
	made, _ := steadies.LoadOrStore([2]float64{hz, dbov}, sync.OnceValue(func() *steady { return encodeTone(hz, dbov) }))
	return made.(func() *steady)()
}

func encodeTone(hz, dbov float64) *steady {
	enc, err := newEncoder()
	if err != nil {
		return nil
	}
	s := &steady{pcm: make([]int16, frame)}
	tone, buf := audio.NewTone(hz, 48000, dbov), make([]byte, codec.MaxOpus)
	for n := range settle + 50 {
		tone.Fill(s.pcm)
		size, err := enc.Encode(buf, s.pcm)
		if err != nil {
			return nil
		}
		if n >= settle {
			s.packets = append(s.packets, bytes.Clone(buf[:size]))
		}
	}
	return s
}

func newEncoder() (*codec.OpusEncoder, error) {
	return codec.NewOpusEncoder(codec.OpusOptions{Rate: 48000, Bitrate: 32000, Complexity: 1}) // many people talk on few cores
}
