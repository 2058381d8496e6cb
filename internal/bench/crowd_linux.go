package bench

import (
	"fmt"
	"math"
	"time"

	"jigasi/internal/rtpx"
)

// crowdSpeakers is how many people speak in a crowd, at the same time and all the time.
const crowdSpeakers = 3

// A crowd is the people who speak in a room of many phones. The bridge gives each packet of theirs to all
// endpoints at once, with the same number and timestamp.
type crowd struct{ speakers [crowdSpeakers]talker }

func newCrowd(s *sounds) *crowd {
	c := &crowd{}
	for i := range c.speakers {
		c.speakers[i] = talker{
			loop: s.speaker[i], step: 960, at: i * 53 % len(s.speaker[i]),
			head: rtpx.Header{SSRC: crowdID + uint32(i), PT: opusType, HasLevel: true, Voice: true, Level: 25},
		}
	}
	return c
}

// turn has who is due say a packet to all.
func (c *crowd) turn(slot int, now time.Time, calls []*call) {
	for i := range c.speakers {
		if slot != 1+6*i {
			continue
		}
		t := &c.speakers[i]
		payload := t.next(now)
		for _, o := range calls {
			o.send(&t.head, payload)
		}
		t.head.Seq++
		t.pause()
	}
}

// judgeCrowd says what is wrong with what a phone hears: all speakers or nobody, and nobody else.
func (c *call) judgeCrowd(speaking bool) string {
	pcm, err := sound(payloads(c.toPhone.last(keepPackets)), false)
	if err != nil {
		return err.Error()
	}
	for v := range voices {
		level := pilotLevel(pcm[len(pcm)/4:], v, false)
		switch heard := speaking && v < crowdSpeakers; {
		case heard && math.Abs(level-pilotDBov) > tolerance:
			return fmt.Sprintf("the tone of speaker %d is at %.1f dBov and not at %.0f", v, level, pilotDBov)
		case !heard && level > pilotDBov-20:
			return fmt.Sprintf("the tone of speaker %d, who is silent, is at %.1f dBov", v, level)
		}
	}
	return ""
}
