package prompt

import (
	"testing"

	"jigasi/internal/audio"
	"jigasi/internal/media"
)

// TestKeysAreTones: each key is its two tones and none of the others, over the meeting, with a pause after it, and goes before
// what is still to be said.
func TestKeysAreTones(t *testing.T) {
	for i, key := range "123A456B789C*0#D" {
		for _, rate := range []int{media.Wide, media.Full} {
			l, _ := Open("")
			p := NewPlayer(l, "en")
			port := p.Over(&meeting{Tone: audio.NewTone(300, rate, -20)})
			if first, again := p.Key(key, 200), p.Key(key, 200); !first || !again {
				t.Fatalf("%c is no key", key)
			}
			during := pull(port, rate, 10)
			for j, hz := range append(keyRows[:], keyCols[:]...) {
				lvl := audio.Goertzel(during, hz, rate)
				if is := j == i/4 || j == 4+i%4; is != (lvl > -18) || !is && lvl > -35 {
					t.Errorf("%c at %d Hz: %.0f Hz is at %.0f dBov", key, rate, hz, lvl)
				}
			}
			if lvl := audio.Goertzel(pull(port, rate, 3), keyRows[i/4], rate); lvl > -30 {
				t.Errorf("%c: no pause follows", key)
			}
		}
	}
	l, _ := Open("")
	p := NewPlayer(l, "en")
	if p.Key('x', 100) {
		t.Error("x is a key")
	}
	p.Play(Hold, nil)
	p.Play(Muted, nil)
	p.Key('1', 100)
	p.Key('2', 100)
	if !p.queue[1].key || !p.queue[2].key || p.queue[3].key {
		t.Error("keys wait for what is to be said")
	}
	for range 2 * maxQueue {
		p.Key('1', 100)
	}
	if len(p.queue) > maxQueue {
		t.Errorf("%d are queued", len(p.queue))
	}
}
