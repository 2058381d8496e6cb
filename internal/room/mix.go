package room

import (
	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/jitter"
	"jigasi/internal/media"
)

// Pull implements media.Source: the mix of the chosen speakers at c.Rate, 16 or 48 kHz. Where
// exactly one speaks and the puller can forward Opus, it is that packet, untouched (docs/adr/0008).
func (e *Ear) Pull(c *media.Chunk) {
	e.pullMu.Lock()
	defer e.pullMu.Unlock()
	e.mu.Lock()
	chosen := e.chosen
	for i, s := range chosen {
		if s != nil && s.owner == "" {
			chosen[i] = nil // held until its owner is known
		}
	}
	e.mu.Unlock()
	active, only := 0, (*stream)(nil)
	for _, s := range chosen {
		if s != nil && (s.buffer.Playing() || s.have > 0) {
			active, only = active+1, s
		}
	}
	if active == 0 {
		clear(c.PCM)
		c.Level, c.Measured = audio.Silent, true
		return
	}
	switch {
	case active > 1 || only.have > 0:
		e.mix(c, chosen)
	case e.single(c, only):
		return
	}
	c.Voice = true
}

// single is the only speaker: its packet is forwarded if it can be, which it reports, and else decoded, with
// nothing to mix.
func (e *Ear) single(c *media.Chunk, s *stream) (passed bool) {
	payload, verdict, _ := s.buffer.Pull(e.packet[:])
	samples, _, ok := codec.OpusInspect(payload)
	tick := verdict == jitter.Packet && ok && samples == media.Full/50
	if c.AcceptOpus && tick {
		c.Opus, c.Voice = payload, true
		e.stats.passed.Add(1)
		return true
	}
	if tick && s.decoder(c.Rate) {
		if _, err := s.dec.Decode(c.PCM, payload); err != nil {
			clear(c.PCM)
			return false
		}
		e.stats.decoded.Add(1)
		return false
	}
	acc := e.acc[:len(c.PCM)]
	e.add(acc, s, c.Rate, payload, verdict)
	audio.Settle(c.PCM, acc)
	return false
}

// decoder makes sure that there is one for a rate.
func (s *stream) decoder(rate int) bool {
	if s.dec == nil || s.rate != rate {
		dec, err := codec.NewOpusDecoder(rate)
		if err != nil {
			return false
		}
		s.dec, s.rate, s.rest = dec, rate, make([]int16, rate*12/100)
	}
	return true
}

func (e *Ear) mix(c *media.Chunk, chosen [loudest]*stream) {
	acc := e.acc[:len(c.PCM)]
	for _, s := range chosen {
		if s == nil {
			continue
		}
		if s.have > 0 && s.rate == c.Rate {
			e.addRest(acc, s)
			continue
		}
		s.have = 0
		payload, verdict, _ := s.buffer.Pull(e.packet[:])
		e.add(acc, s, c.Rate, payload, verdict)
	}
	audio.Settle(c.PCM, acc)
}

// add decodes one packet of s, or conceals it, and adds a tick of it.
func (e *Ear) add(acc []int32, s *stream, rate int, payload []byte, verdict jitter.Verdict) {
	if verdict == jitter.Silence {
		return
	}
	if !s.decoder(rate) {
		return
	}
	n := 0
	if verdict == jitter.Packet {
		var err error
		if n, err = s.dec.Decode(s.rest[:], payload); err != nil {
			return
		}
		e.stats.decoded.Add(1)
	} else {
		n = s.dec.Conceal(s.rest[:len(acc)])
	}
	s.have = n
	e.addRest(acc, s)
}

// addRest adds a tick of what was decoded already.
func (e *Ear) addRest(acc []int32, s *stream) {
	n := min(s.have, len(acc))
	audio.Accumulate(acc[:n], s.rest[:n])
	copy(s.rest[:], s.rest[n:s.have])
	s.have -= n
	if n < len(acc) && s.buffer.Playing() && n > 0 { // packets shorter than a tick: the next one fills up
		payload, verdict, _ := s.buffer.Pull(e.packet[:])
		if verdict == jitter.Packet {
			if m, err := s.dec.Decode(s.rest[:], payload); err == nil {
				e.stats.decoded.Add(1)
				s.have = m
				e.addRest(acc[n:], s)
			}
		}
	}
}
