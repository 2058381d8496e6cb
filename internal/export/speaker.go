package export

import (
	"time"

	"jigasi/internal/codec"
	sound "jigasi/internal/media"
	"jigasi/internal/recognize"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
)

// A speaker is one tag: the sound of one source. It belongs to its meeting's goroutine. Its voice in the transcript
// begins with its first sound and ends when there was none for long; the tag stays known.
type speaker struct {
	m        *meeting
	person   string
	language string
	mute     bool // it speaks what we do not understand
	voice    *scribe.Voice
	dec      *codec.OpusDecoder

	line  timeline
	held  []message // the first sound, until the timeline is known
	since time.Time // when that began to come
	fresh bool      // what comes next follows nothing
	next  int64     // timestamp that is expected
	chunk int64     // the last one
	heard time.Time // when sound came last
	quiet int64     // silence of ours since, in timestamps

	buf [wide]int16 // a chunk in the making
	n   int
	pos int64 // timestamp of buf[0]
	pcm [6 * wide]int16
}

const (
	wide    = recognize.Rate / 50 // 20 ms
	third   = rate / recognize.Rate
	settle  = 100 * time.Millisecond // how long the first sound is held
	most    = 100                    // packets held
	longGap = rate                   // beyond a second it is a pause, not a gap
	farBack = 2 * rate
	pause   = time.Second  // without sound, after which silence is heard: then sentences end
	hush    = 3 * rate / 2 // how much of it
)

// announced reads a start message: of a new tag, of one that we know, or of one that begins anew.
func (s *speaker) announced(m message, now time.Time) {
	s.flush(now, true)
	s.pad()
	if s.person != m.person {
		s.leave(now)
	}
	s.person, s.mute, s.fresh, s.line = m.person, !m.opus, true, timeline{}
	if m.language != "" && m.language != s.language {
		s.leave(now)
		s.language = m.language
	}
}

// hear takes sound as it comes.
func (s *speaker) hear(m message, now time.Time) {
	if s.mute || s.voice == nil && !s.join(now) {
		s.m.s.counts.Unheard.Add(1)
		return
	}
	s.heard = now
	if s.line.since.IsZero() {
		s.since = now
	}
	s.line.hear(m.at, now)
	if s.held = append(s.held, m); len(s.held) >= most || now.Sub(s.since) >= settle {
		s.flush(now, true)
	}
}

// join lets the speaker into the transcript.
func (s *speaker) join(now time.Time) bool {
	if !s.m.admit(now) {
		return false
	}
	dec, err := codec.NewOpusDecoder(recognize.Rate)
	if err != nil {
		return false
	}
	v, err := s.m.scribe.Join(transcript.Person{ID: s.person, Name: s.person}, s.language, now)
	if err != nil {
		return false
	}
	s.voice, s.dec, s.fresh, s.n, s.line = v, dec, true, 0, timeline{}
	s.m.talking++
	return true
}

// leave lets it go; the last words still come.
func (s *speaker) leave(now time.Time) {
	if s.voice == nil {
		return
	}
	s.flush(now, true)
	s.voice.Leave(now)
	s.voice, s.dec, s.held = nil, nil, nil
	s.m.talking--
}

// flush plays what was held, once that is long enough.
func (s *speaker) flush(now time.Time, all bool) {
	if len(s.held) == 0 || !all && now.Sub(s.since) < settle {
		return
	}
	for i := range s.held {
		s.play(&s.held[i])
	}
	clear(s.held)
	s.held = s.held[:0]
}

// play decodes a packet to where it belongs.
func (s *speaker) play(m *message) {
	c := &s.m.s.counts
	samples, _, ok := codec.OpusInspect(m.payload)
	if !ok {
		c.Damaged.Add(1)
		return
	}
	d, newer := m.at-s.next, m.chunk > s.chunk
	switch {
	case s.fresh, d > longGap, d < -farBack, d < 0 && newer && s.quiet > 0:
		s.jump(m.at)
	case d < 0 && !newer:
		c.Late.Add(1)
		return
	case d > 0:
		s.fill(d, m.chunk-s.chunk > 1)
	}
	n, err := s.dec.Decode(s.pcm[:], m.payload)
	if err != nil {
		c.Damaged.Add(1)
		n = s.dec.Conceal(s.pcm[:min(samples/third, len(s.pcm))])
	}
	s.say(s.pcm[:n])
	s.next, s.chunk, s.quiet = s.next+int64(samples), m.chunk, 0
}

// jump goes on at another time.
func (s *speaker) jump(at int64) {
	s.pad()
	s.fresh, s.pos, s.next = false, at, at
}

// pad ends the chunk that is in the making.
func (s *speaker) pad() {
	if s.n > 0 {
		clear(s.pcm[:])
		s.say(s.pcm[:wide-s.n])
	}
}

// fill covers a gap: what was lost with what was probably said, what was not sent with silence.
func (s *speaker) fill(d int64, lost bool) {
	for hidden := 0; lost && hidden < 3 && d >= wide*third; hidden++ {
		n := s.dec.Conceal(s.pcm[:wide])
		s.say(s.pcm[:n])
		d, s.next = d-int64(n*third), s.next+int64(n*third)
		s.m.s.counts.Concealed.Add(1)
	}
	s.silence(d)
}

func (s *speaker) silence(d int64) {
	clear(s.pcm[:])
	for d > 0 {
		n := min(d, int64(len(s.pcm))*third)
		s.say(s.pcm[:n/third])
		d, s.next = d-n, s.next+n
	}
}

// say gives sound to the recognizer, 20 ms at a time.
func (s *speaker) say(pcm []int16) {
	for len(pcm) > 0 {
		n := copy(s.buf[s.n:], pcm)
		s.n, pcm = s.n+n, pcm[n:]
		if s.n == wide {
			s.voice.Push(&sound.Chunk{PCM: s.buf[:], Rate: sound.Wide}, s.line.clock(s.pos))
			s.n, s.pos = 0, s.pos+wide*third
		}
	}
}

// tick lets time pass: what is held is heard, a pause sounds as silence, and who says nothing for long is gone.
func (s *speaker) tick(now time.Time) {
	s.flush(now, false)
	gone := now.Sub(s.heard)
	switch {
	case s.voice == nil:
	case gone >= s.m.s.opt.Idle:
		s.leave(now)
	case gone >= s.m.pause(now) && s.quiet < hush && !s.fresh:
		s.silence(rate / 10)
		s.quiet += rate / 10
	}
}
