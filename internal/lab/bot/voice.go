package bot

import (
	"time"

	"jigasi/internal/audio"
)

// A Voice is what the bot hears of one participant.
type Voice struct {
	Owner   string
	Packets int
	Gap     time.Duration // longest pause between packets
	Since   time.Duration // since the last packet
	pcm     []int16
	sums    []Packet
	lost    int
	hole    time.Duration
}

// Tone is the level of a frequency over the last second, in dBov.
func (v Voice) Tone(hz float64) float64 {
	pcm := v.pcm[max(0, len(v.pcm)-48000):]
	if len(pcm) < 4800 {
		return -120
	}
	return audio.Heard(pcm, hz, 48000)
}

// PCM is what was heard, at 48 kHz.
func (v Voice) PCM() []int16 { return v.pcm }

// Hears tells whom the bot hears, by endpoint id; what has no owner is under "?".
func (b *Bot) Hears() map[string]Voice {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]Voice{}
	for ssrc, e := range b.ears {
		owner := b.owners[ssrc]
		if owner == "" {
			owner = "?"
		}
		out[owner] = Voice{Owner: owner, Packets: e.count, Gap: e.gap, Since: time.Since(e.last), lost: e.lost, hole: e.hole, sums: e.heard.list(), pcm: append([]int16(nil), e.pcm...)}
	}
	return out
}

// Forget begins to listen anew.
func (b *Bot) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ears = map[uint32]*ear{}
}

// Level is the loudness of the last 100 ms, in -dBov.
func (v Voice) Level() uint8 { return audio.Level(v.pcm[max(0, len(v.pcm)-4800):]) }

// Lost is how many packets are missing among those that came.
func (v Voice) Lost() int { return v.lost }

// Hole is the longest stretch of media time, by the timestamps, for which no packet came.
func (v Voice) Hole() time.Duration { return v.hole }

// Sums are the latest packets.
func (v Voice) Sums() []Packet { return v.sums }
