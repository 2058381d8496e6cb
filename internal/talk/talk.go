// Package talk makes speech of the packets of one source: what was said, in 20 ms of PCM each with the time at which it was
// spoken. What was lost is covered, what was not sent is silence, and a pause sounds as silence so that sentences end.
//
// It has no goroutine and no clock of its own: who feeds it calls Tick now and then. Packets come in their order.
package talk

import (
	"sync/atomic"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/recognize"
)

// A Packet is Opus of one source.
type Packet struct {
	At      int64 // timestamp in 1/48000 s, which does not wrap
	Number  int64 // of the packet, one more for each that was sent, likewise
	Payload []byte
}

// Counts count what happens to all sources.
type Counts struct {
	Damaged   atomic.Int64 // packets
	Late      atomic.Int64 // packets that were there before
	Concealed atomic.Int64 // packets that never came
}

const (
	wide    = recognize.Rate / 50 // 20 ms
	third   = rate / recognize.Rate
	settle  = 100 * time.Millisecond // how long the first sound is held
	most    = 100                    // packets held
	longGap = rate                   // beyond a second it is a pause, not a gap
	farBack = 2 * rate
	hush    = Silences * rate / 10 // how much silence ends a sentence

	// Silences is how many ticks of a pause end a sentence.
	Silences = 15

	// Pause is how long nothing comes before that is a pause.
	Pause = time.Second
)

// A Source is one source. It belongs to one goroutine.
type Source struct {
	counts *Counts
	push   func(c *media.Chunk, at time.Time)
	dec    *codec.OpusDecoder

	line  timeline
	held  []Packet  // the first sound, until the timeline is known
	since time.Time // when that began to come
	fresh bool      // what comes next follows nothing
	next  int64     // timestamp that is expected
	last  int64     // number of the last packet
	heard time.Time // when sound came last
	quiet int64     // silence of ours since, in timestamps
	ended bool      // a pause begins at once

	buf   [wide]int16 // a chunk in the making
	n     int
	pos   int64 // timestamp of buf[0]
	pcm   [6 * wide]int16
	chunk media.Chunk
	opus  []byte // the chunk as it came
}

// New makes a source. Push takes its sound, 20 ms at 16 kHz, and as Opus where it came as one packet, and must not keep it; counts may be those of many.
func New(counts *Counts, push func(c *media.Chunk, at time.Time)) (*Source, error) {
	dec, err := codec.NewOpusDecoder(recognize.Rate)
	if err != nil {
		return nil, err
	}
	return &Source{counts: counts, push: push, dec: dec, fresh: true}, nil
}

// Restart says that what comes next follows nothing, and has a timeline of its own.
func (s *Source) Restart(now time.Time) {
	s.Flush(now)
	s.pad()
	s.fresh, s.line = true, timeline{}
}

// Hear takes a packet as it comes. The payload is kept until Flush at the beginning, else not at all.
func (s *Source) Hear(p Packet, now time.Time) {
	s.heard, s.ended = now, false
	if s.line.since.IsZero() {
		s.since = now
	}
	s.line.hear(p.At, now)
	if len(s.held) == 0 && !s.Settling(now) {
		s.play(&p)
		return
	}
	if s.held = append(s.held, p); len(s.held) >= most || !s.Settling(now) {
		s.Flush(now)
	}
}

// Settling reports whether the first sound is held now, with its payloads.
func (s *Source) Settling(now time.Time) bool {
	return s.line.since.IsZero() || now.Sub(s.since) < settle
}

// Heard is when sound came last.
func (s *Source) Heard() time.Time { return s.heard }

// Flush plays what is held.
func (s *Source) Flush(time.Time) {
	for i := range s.held {
		s.play(&s.held[i])
	}
	clear(s.held)
	s.held = s.held[:0]
}

// Hush says that the speaker is muted: the sentence ends now.
func (s *Source) Hush() { s.ended = true }

// Tick lets time pass: what is held is heard, and a pause, after so long without sound, is silence.
func (s *Source) Tick(now time.Time, pause time.Duration) {
	if len(s.held) > 0 && !s.Settling(now) {
		s.Flush(now)
	}
	if (s.ended || now.Sub(s.heard) >= pause) && s.quiet < hush && !s.fresh {
		s.silence(rate / 10)
		s.quiet += rate / 10
	}
}

// play decodes a packet to where it belongs.
func (s *Source) play(p *Packet) {
	samples, _, ok := codec.OpusInspect(p.Payload)
	if !ok {
		s.counts.Damaged.Add(1)
		return
	}
	d, newer := p.At-s.next, p.Number > s.last
	switch {
	case s.fresh, d > longGap, d < -farBack, d < 0 && newer && s.quiet > 0:
		s.jump(p.At)
	case d < 0 && !newer:
		s.counts.Late.Add(1)
		return
	case d > 0:
		s.fill(d, p.Number-s.last > 1)
	}
	n, err := s.dec.Decode(s.pcm[:], p.Payload)
	if err != nil {
		s.counts.Damaged.Add(1)
		n = s.dec.Conceal(s.pcm[:min(samples/third, len(s.pcm))])
	}
	if err == nil && n == wide && s.n == 0 {
		s.opus = p.Payload
	}
	s.say(s.pcm[:n])
	s.opus = nil
	s.next, s.last, s.quiet = s.next+int64(samples), p.Number, 0
}

// jump goes on at another time.
func (s *Source) jump(at int64) {
	s.pad()
	s.fresh, s.pos, s.next = false, at, at
}

// pad ends the chunk that is in the making.
func (s *Source) pad() {
	if s.n > 0 {
		clear(s.pcm[:])
		s.say(s.pcm[:wide-s.n])
	}
}

// fill covers a gap: what was lost with what was probably said, what was not sent with silence.
func (s *Source) fill(d int64, lost bool) {
	for hidden := 0; lost && hidden < 3 && d >= wide*third; hidden++ {
		n := s.dec.Conceal(s.pcm[:wide])
		s.say(s.pcm[:n])
		d, s.next = d-int64(n*third), s.next+int64(n*third)
		s.counts.Concealed.Add(1)
	}
	s.silence(d)
}

func (s *Source) silence(d int64) {
	clear(s.pcm[:])
	for d > 0 {
		n := min(d, int64(len(s.pcm))*third)
		s.say(s.pcm[:n/third])
		d, s.next = d-n, s.next+n
	}
}

// say gives sound on, 20 ms at a time.
func (s *Source) say(pcm []int16) {
	for len(pcm) > 0 {
		n := copy(s.buf[s.n:], pcm)
		s.n, pcm = s.n+n, pcm[n:]
		if s.n == wide {
			s.chunk = media.Chunk{PCM: s.buf[:], Rate: media.Wide, Opus: s.opus}
			s.push(&s.chunk, s.line.clock(s.pos))
			s.n, s.pos = 0, s.pos+wide*third
		}
	}
}
