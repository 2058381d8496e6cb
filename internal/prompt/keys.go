package prompt

import (
	"strings"

	"jigasi/internal/audio"
	"jigasi/internal/media"
)

// The two tones of a key (ITU-T Q.23), at -13 dBov each, with a pause after it in which a receiver sees its end.
const (
	keyLevel = -13
	keyPause = media.Wide / 1000 * 80
	maxKey   = 6000 // ms
)

var (
	keyRows = [4]float64{697, 770, 852, 941}
	keyCols = [4]float64{1209, 1336, 1477, 1633}
)

// Key queues the tones of a key, before what is not playing yet, and reports whether it is one and there was
// room. It allocates; nobody presses many.
func (p *Player) Key(key rune, ms int) bool {
	at := strings.IndexRune("123A456B789C*0#D", key)
	if at < 0 {
		return false
	}
	n := media.Wide / 1000 * min(max(ms, 40), maxKey)
	pcm, other := make([]int16, n+keyPause), make([]int16, n)
	audio.NewTone(keyRows[at/4], media.Wide, keyLevel).Fill(pcm[:n])
	audio.NewTone(keyCols[at%4], media.Wide, keyLevel).Fill(other)
	audio.Add(pcm[:n], other)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) >= maxQueue {
		return false
	}
	i := min(1, len(p.queue))
	for i < len(p.queue) && p.queue[i].key {
		i++
	}
	p.queue = append(p.queue, item{})
	copy(p.queue[i+1:], p.queue[i:])
	p.queue[i] = item{pcm: pcm, key: true}
	p.busy.Store(true)
	return true
}
