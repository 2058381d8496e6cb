package room_test

import (
	"math"
	"testing"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/rtpx"
)

// speaker sends a tone as Opus.
type speaker struct {
	h    rtpx.Header
	tone *audio.Tone
	enc  *codec.OpusEncoder
	pcm  [960]int16
	buf  [1275]byte
}

func newSpeaker(t testing.TB, ssrc uint32, hz, dbov float64) *speaker {
	t.Helper()
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 48000, Bitrate: 32000})
	if err != nil {
		t.Fatal(err)
	}
	return &speaker{h: rtpx.Header{SSRC: ssrc, PT: 111, HasLevel: true, Level: uint8(-dbov)}, tone: audio.NewTone(hz, 48000, dbov), enc: enc}
}

func (s *speaker) say(e *room.Ear) {
	s.tone.Fill(s.pcm[:])
	n, _ := s.enc.Encode(s.buf[:], s.pcm[:])
	s.h.Seq++
	s.h.Timestamp += 960
	if e.Want(&s.h) {
		e.RTP(&s.h, s.buf[:n])
	}
}

func newEar(t testing.TB) *room.Ear {
	t.Helper()
	e := room.NewHub().Join("room", nil)
	e.SetTypes(room.PayloadTypes{Opus: 111, Event: 126})
	t.Cleanup(e.Close)
	return e
}

// listen pulls for so many ticks while the speakers talk, and gives the second half.
func listen(e *room.Ear, rate, ticks int, speakers ...*speaker) []int16 {
	var out []int16
	buf := make([]int16, rate/50)
	var c media.Chunk
	for i := range ticks {
		for _, s := range speakers {
			s.say(e)
		}
		c.Reset(rate, buf, false)
		e.Pull(&c)
		if i >= ticks/2 {
			out = append(out, c.PCM...)
		}
	}
	return out
}

func TestEveryOneOfThreeIsHeard(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{media.Wide, media.Full} {
		e := newEar(t)
		tones := []float64{440, 620, 880}
		var all []*speaker
		for i, hz := range tones {
			all = append(all, newSpeaker(t, uint32(i+1), hz, -20))
			e.SetOwner(uint32(i+1), "x")
		}
		out := listen(e, rate, 100, all...)
		for _, hz := range tones {
			if got := audio.Goertzel(out, hz, rate); math.Abs(got+20) > 2 {
				t.Errorf("at %d Hz: tone %v at %.1f dBov, want -20", rate, hz, got)
			}
		}
	}
}

func TestTheLoudestThreeOfFive(t *testing.T) {
	t.Parallel()
	e := newEar(t)
	var all []*speaker
	for i, db := range []float64{-50, -45, -15, -18, -20} {
		all = append(all, newSpeaker(t, uint32(i+1), 300+200*float64(i), db))
		e.SetOwner(uint32(i+1), "x")
	}
	out := listen(e, media.Wide, 150, all...)
	for i := range all {
		got := audio.Goertzel(out, 300+200*float64(i), media.Wide)
		if loud := got > -30; loud != (i >= 2) {
			t.Errorf("speaker %d at %.1f dBov", i, got)
		}
	}
	if s := e.Stats(); s.Decoded > 3*150+20 {
		t.Errorf("%d packets decoded for three speakers", s.Decoded)
	}
}

func TestUnknownOwnerIsHeldThenHeard(t *testing.T) {
	e := newEar(t)
	s := newSpeaker(t, 9, 500, -20)
	var c media.Chunk
	c.Reset(media.Wide, make([]int16, 320), false)
	one := newSpeaker(t, 8, 500, -20)
	e.SetOwner(8, "one")
	one.say(e)
	if e.Pull(&c); c.Voice {
		t.Error("a voice is said to be heard before it is")
	}
	e.Remove(8)
	if out := listen(e, media.Wide, 10, s); audio.Level(out) != audio.Silent {
		t.Error("a stream without owner is heard")
	}
	e.SetOwner(9, "alice")
	if got := audio.Goertzel(listen(e, media.Wide, 60, s), 500, media.Wide); math.Abs(got+20) > 2 {
		t.Errorf("the owner is known and 500 Hz is at %.1f", got)
	}
}

func TestOneSpeakerPassesThrough(t *testing.T) {
	t.Parallel()
	e := newEar(t)
	one, two := newSpeaker(t, 1, 500, -20), newSpeaker(t, 2, 900, -20)
	e.SetOwner(1, "a")
	e.SetOwner(2, "b")
	dec, _ := codec.NewOpusDecoder(48000)
	var heard []int16
	buf, pcm := make([]int16, 960), make([]int16, 5760)
	var c media.Chunk
	opus := 0
	for i := range 150 {
		one.say(e)
		if i >= 100 {
			two.say(e)
		}
		c.Reset(media.Full, buf, true)
		e.Pull(&c)
		if c.Opus != nil {
			opus++
			n, err := dec.Decode(pcm, c.Opus)
			if err != nil {
				t.Fatal(err)
			}
			heard = append(heard, pcm[:n]...)
		}
	}
	if opus < 90 || opus > 106 {
		t.Errorf("%d packets passed through while one spoke, want about 98", opus)
	}
	if got := audio.Goertzel(heard[48000:], 500, 48000); math.Abs(got+20) > 2 {
		t.Errorf("what passed through has 500 Hz at %.1f", got)
	}
}

func TestKeysOfTheRoom(t *testing.T) {
	var keys []rune
	e := room.NewHub().Join("room", func(k rune, _ int) { keys = append(keys, k) })
	defer e.Close()
	e.SetTypes(room.PayloadTypes{Opus: 111, Event: 126})
	var w rtpx.KeyWriter
	w.Press('7', 100)
	var buf [4]byte
	for i := uint32(0); w.Busy(); i++ {
		if p, stamp, _, ok := w.Next(buf[:], i*160, 8000); ok {
			e.RTP(&rtpx.Header{SSRC: 1, PT: 126, Timestamp: stamp, Seq: uint16(i)}, p)
		}
	}
	if string(keys) != "7" {
		t.Errorf("keys %q", string(keys))
	}
}

func TestT11_StreamsAreBounded(t *testing.T) {
	e := newEar(t)
	for i := range 20000 {
		e.Want(&rtpx.Header{SSRC: uint32(i), HasLevel: true, Level: 10})
	}
	if s := e.Stats(); s.Streams > 64 {
		t.Errorf("%d streams", s.Streams)
	}
}

func TestNothingAllocates(t *testing.T) {
	e := newEar(t)
	var all []*speaker
	for i := range 3 {
		all = append(all, newSpeaker(t, uint32(i+1), 300+200*float64(i), -20))
		e.SetOwner(uint32(i+1), "x")
	}
	listen(e, media.Wide, 50, all...)
	buf := make([]int16, 320)
	var c media.Chunk
	if n := testing.AllocsPerRun(100, func() {
		for _, s := range all {
			s.say(e)
		}
		c.Reset(media.Wide, buf, false)
		e.Pull(&c)
	}); n != 0 {
		t.Errorf("%v allocations per tick", n)
	}
}
