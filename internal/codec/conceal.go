package codec

// A concealer hides lost packets of a codec that cannot: it repeats the last
// pitch period, found by correlation, and fades it out (after ITU-T G.711
// Appendix I, simplified).
type concealer struct {
	past  [640]int16 // the latest samples, newest last
	lost  int        // samples concealed in a row
	pitch int
	at    int // position in the period
}

const (
	fadeFrom = 160 // samples at full strength
	fadeOver = 480 // samples until silence
)

// heard remembers decoded sound.
func (c *concealer) heard(pcm []int16) {
	if len(pcm) >= len(c.past) {
		copy(c.past[:], pcm[len(pcm)-len(c.past):])
	} else {
		copy(c.past[:], c.past[len(pcm):])
		copy(c.past[len(c.past)-len(pcm):], pcm)
	}
	c.lost = 0
}

// fill makes up sound for a packet that was lost.
func (c *concealer) fill(dst []int16) int {
	if c.lost == 0 {
		c.pitch, c.at = c.period(), 0
	}
	from := c.past[len(c.past)-c.pitch:]
	for i := range dst {
		v := int(from[c.at])
		switch {
		case c.lost >= fadeOver:
			v = 0
		case c.lost > fadeFrom:
			v = v * (fadeOver - c.lost) / (fadeOver - fadeFrom)
		}
		dst[i] = int16(v)
		c.lost = min(c.lost+1, fadeOver)
		if c.at++; c.at == c.pitch {
			c.at = 0
		}
	}
	return len(dst)
}

// period is the lag from 40 to 320 samples at which the past resembles itself most.
func (c *concealer) period() int {
	const window = 160
	end := c.past[len(c.past)-window:]
	best, bestScore := 160, int64(0)
	for lag := 40; lag <= 320; lag++ {
		shifted := c.past[len(c.past)-window-lag:]
		var cross, energy int64
		for i := 0; i < window; i += 2 {
			cross += int64(end[i]) * int64(shifted[i])
			energy += int64(shifted[i]) * int64(shifted[i])
		}
		if cross <= 0 || energy == 0 {
			continue
		}
		if score := cross / (energy>>16 + 1); score > bestScore {
			best, bestScore = lag, score
		}
	}
	return best
}
