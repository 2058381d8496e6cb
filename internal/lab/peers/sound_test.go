//go:build lab

package peers

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/lab/bot"
)

// readWAV reads a sound file that is still being written: its header does not know the length yet,
// and it may be of floating-point numbers or of two channels, of which the first is taken.
func readWAV(file string) ([]int16, int) {
	b, err := os.ReadFile(file)
	if err != nil || len(b) < 44 {
		return nil, 8000
	}
	channels, rate, bits := int(b[22]), int(binary.LittleEndian.Uint32(b[24:])), int(b[34])
	at := 12
	for at+8 < len(b) && string(b[at:at+4]) != "data" {
		at += 8 + int(binary.LittleEndian.Uint32(b[at+4:]))
	}
	frame := channels * bits / 8
	if frame == 0 || at+8 > len(b) {
		return nil, rate
	}
	var pcm []int16
	for b = b[at+8:]; len(b) >= frame; b = b[frame:] {
		if bits == 32 {
			pcm = append(pcm, int16(32767*math.Float32frombits(binary.LittleEndian.Uint32(b))))
		} else {
			pcm = append(pcm, int16(binary.LittleEndian.Uint16(b)))
		}
	}
	return pcm, rate
}

// level is the level of a frequency over the last second, in dBov; -120 while there is less than one.
func level(pcm []int16, rate int, hz float64) float64 {
	if len(pcm) < rate {
		return -120
	}
	return audio.Heard(pcm[len(pcm)-rate:], hz, rate)
}

// near says that a tone is as loud as it was said, within 3 dB.
func near(db float64) bool { return math.Abs(db-toneLevel) <= 3 }

// silence is the longest run of windows of 10 ms in which a tone is not there.
func silence(pcm []int16, rate int) time.Duration {
	window, run, longest := rate/100, 0, 0
	for ; len(pcm) >= window; pcm = pcm[window:] {
		if audio.Level(pcm[:window]) > -toneLevel+20 {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return time.Duration(longest) * 10 * time.Millisecond
}

// voice finds who says a tone; a voice has one tone only in these tests.
func voice(b *bot.Bot, hz float64) (bot.Voice, bool) {
	for _, v := range b.Hears() {
		if v.Since < time.Second && near(v.Tone(hz)) {
			return v, true
		}
	}
	return bot.Voice{}, false
}

// bothWays checks that a phone and the people of a room hear each other, each as loud as was said,
// and that the phone does not hear itself.
func bothWays(t *testing.T, b *baresip, people []*bot.Bot, hz ...float64) {
	t.Helper()
	for _, p := range people {
		eventually(t, 20*time.Second, fmt.Sprintf("a person hears %.0f Hz at %d dBov, within 3 dB", b.opt.hz, toneLevel), func() bool {
			_, ok := voice(p, b.opt.hz)
			return ok
		})
	}
	for _, f := range hz {
		eventually(t, 20*time.Second, fmt.Sprintf("the phone hears %.0f Hz at %d dBov, within 3 dB", f, toneLevel), func() bool {
			pcm, rate := b.heard()
			return near(level(pcm, rate, f))
		})
	}
	eventually(t, 10*time.Second, "the phone does not hear itself", func() bool {
		pcm, rate := b.heard()
		return level(pcm, rate, b.opt.hz) < toneLevel-25
	})
	if t.Failed() {
		pcm, rate := b.heard()
		for _, f := range append(hz, b.opt.hz) {
			t.Logf("the phone hears %.0f Hz at %.1f dBov, of %d samples", f, level(pcm, rate, f), len(pcm))
		}
		for i, p := range people {
			for who, v := range p.Hears() {
				t.Logf("person %d hears %s at %.1f dBov in %.0f Hz, level %d", i, who, v.Tone(b.opt.hz), b.opt.hz, v.Level())
			}
		}
	}
}

// encoded writes a file of a tone as sipp plays it: packets of 20 ms one after the other.
func encoded(t *testing.T, name string, hz float64) string {
	t.Helper()
	var enc codec.Encoder
	rate := 8000
	switch name {
	case "PCMU":
		enc = codec.NewPCMU()
	case "PCMA":
		enc = codec.NewPCMA()
	case "G722":
		enc, rate = codec.NewG722(), 16000
	}
	tone := audio.NewTone(hz, rate, toneLevel)
	pcm, buf := make([]int16, rate/50), make([]byte, 1000)
	var out []byte
	for range 50 * 10 {
		tone.Fill(pcm)
		n, err := enc.Encode(buf, pcm)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, buf[:n]...)
	}
	file := filepath.Join(t.TempDir(), name+".raw")
	if err := os.WriteFile(file, out, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
