package room_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/rtpx"
)

// taker is given packets apart.
type taker struct {
	got  map[uint32][]media.Packet
	gone []uint32
}

func (k *taker) Forward(p media.Packet) {
	p.Payload = bytes.Clone(p.Payload)
	if k.got == nil {
		k.got = map[uint32][]media.Packet{}
	}
	k.got[p.SSRC] = append(k.got[p.SSRC], p)
}

func (k *taker) Gone(ssrc uint32) { k.gone = append(k.gone, ssrc) }

// pull asks for a tick, apart if there is a taker.
func pull(e *room.Ear, to media.Apart) *media.Chunk {
	var c media.Chunk
	c.Reset(media.Full, make([]int16, media.Full/50), false)
	c.Apart = to
	e.Pull(&c)
	return &c
}

func TestSpeakersAreForwardedApart(t *testing.T) {
	e, k := newEar(t), &taker{}
	one, two, stranger := newSpeaker(t, 1, 440, -20), newSpeaker(t, 2, 620, -30), newSpeaker(t, 3, 880, -10)
	e.SetOwner(1, "a")
	e.SetOwner(2, "b")
	for range 20 {
		one.say(e)
		two.say(e)
		stranger.say(e) // nobody knows whose it is
		if c := pull(e, k); c.Voice || audio.Level(c.PCM) != audio.Silent {
			t.Fatal("what goes on apart is heard in the mix too")
		}
	}
	if len(k.got) != 2 || len(k.got[1]) != 19 || len(k.got[2]) != 19 { // the first ones came before the first Pull
		t.Fatalf("of 19 packets of two: %d and %d, of %d speakers", len(k.got[1]), len(k.got[2]), len(k.got))
	}
	last := k.got[2][18]
	if last.Seq != two.h.Seq || last.Timestamp != two.h.Timestamp || last.Cut || !last.Measured || last.Level != 30 || !bytes.Equal(last.Payload, two.buf[:len(last.Payload)]) {
		t.Errorf("packet %+v is not as it was sent: %+v", last, two.h)
	}
	if s := e.Stats(); s.Decoded != 0 {
		t.Errorf("%d packets were decoded", s.Decoded)
	}
	e.Remove(2)
	e.Remove(3)
	if !slices.Equal(k.gone, []uint32{2}) {
		t.Errorf("gone are %v, want 2 alone: nothing came of the other", k.gone)
	}
}

// TestWhatIsLeftOutIsSaidToBe: silence and keys do not go on, and the packet after them says so.
func TestWhatIsLeftOutIsSaidToBe(t *testing.T) {
	t.Parallel()
	e, k := newEar(t), &taker{}
	e.SetOwner(1, "a")
	s := newSpeaker(t, 1, 440, -20)
	pull(e, k)
	s.say(e)
	e.Want(&rtpx.Header{SSRC: 1, PT: 126, Seq: s.h.Seq + 1})
	s.h.Seq++
	s.say(e)
	s.say(e)
	s.h.Level = audio.Silent
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); { // until it counts as silence
		was := len(k.got[1])
		if s.say(e); len(k.got[1]) == was {
			break
		}
	}
	before := len(k.got[1])
	s.h.Level = 20
	s.say(e)
	got := k.got[1]
	if len(got) != before+1 || !got[0].Cut || !got[1].Cut || got[2].Cut || !got[before].Cut || got[before-1].Cut {
		t.Errorf("%d packets, %+v", len(got), got)
	}
}

// TestForwardedSpeakersAreBounded: the loudest of many, and who is louder than one of them comes in his place.
func TestForwardedSpeakersAreBounded(t *testing.T) {
	e, k := newEar(t), &taker{}
	pull(e, k)
	var all []*speaker
	for i := range uint32(12) {
		e.SetOwner(i+1, "x")
		all = append(all, newSpeaker(t, i+1, 440, -60+float64(i)))
	}
	for range 10 {
		for _, s := range all[:10] {
			s.say(e)
		}
	}
	if len(k.got) != 8 {
		t.Fatalf("%d speakers go on, want 8", len(k.got))
	}
	all[11].h.Level = 10
	for range 30 {
		for _, s := range all[:10] {
			s.say(e)
		}
		all[11].say(e)
	}
	if n := len(k.got[12]); n < 20 {
		t.Errorf("%d packets of the loudest go on", n)
	}
}

// TestForwardingBesideTheMix: a phone that takes the speakers apart changes nothing for one that hears the mix, and
// hears the mix itself when it wants to.
func TestForwardingBesideTheMix(t *testing.T) {
	t.Parallel()
	hub := room.NewHub()
	var ears [2]*room.Ear
	for i := range ears {
		ears[i] = hub.Join("room", nil)
		ears[i].SetTypes(room.PayloadTypes{Opus: 111, Event: 126})
		t.Cleanup(ears[i].Close)
		for ssrc := range uint32(6) {
			ears[i].SetOwner(ssrc+1, "x")
		}
	}
	var all []*speaker
	for i, db := range []float64{-15, -18, -20, -50, -50, -50} {
		all = append(all, newSpeaker(t, uint32(i+1), 300+200*float64(i), db))
	}
	k := &taker{}
	listen := func(to media.Apart) (own, other []int16) {
		for range 100 {
			for _, s := range all {
				s.tone.Fill(s.pcm[:])
				n, _ := s.enc.Encode(s.buf[:], s.pcm[:])
				s.h.Seq, s.h.Timestamp = s.h.Seq+1, s.h.Timestamp+960
				for _, e := range ears {
					if h := s.h; e.Want(&h) {
						e.RTP(&h, s.buf[:n])
					}
				}
			}
			own = append(own, pull(ears[0], to).PCM...)
			other = append(other, pull(ears[1], nil).PCM...)
		}
		return own[len(own)/2:], other[len(other)/2:]
	}
	check := func(who string, pcm []int16) {
		t.Helper()
		for i := range all {
			if got := audio.Goertzel(pcm, 300+200*float64(i), media.Full); (got > -30) != (i < 3) {
				t.Errorf("%s hears speaker %d at %.1f dBov", who, i, got)
			}
		}
	}
	_, other := listen(k)
	check("who hears the mix", other)
	for i := range all {
		if n := len(k.got[uint32(i+1)]); n < 95 {
			t.Errorf("%d packets of speaker %d go on apart", n, i)
		}
	}
	n := len(k.got[1])
	own, other := listen(nil)
	check("who heard them apart", own)
	check("who hears the mix", other)
	if len(k.got[1]) > n+2 {
		t.Errorf("%d packets go on apart after that was over", len(k.got[1])-n)
	}
}

func TestForwardingAllocatesNothing(t *testing.T) {
	e := newEar(t)
	e.SetOwner(1, "a")
	s, to := newSpeaker(t, 1, 440, -20), &counter{}
	var c media.Chunk
	buf := make([]int16, media.Full/50)
	if n := testing.AllocsPerRun(200, func() {
		s.h.Seq, s.h.Timestamp = s.h.Seq+1, s.h.Timestamp+960
		if e.Want(&s.h) {
			e.RTP(&s.h, s.buf[:60])
		}
		c.Reset(media.Full, buf, false)
		c.Apart = to
		e.Pull(&c)
	}); n != 0 || to.n < 200 {
		t.Errorf("%v allocations for each of %d packets", n, to.n)
	}
}

type counter struct{ n int }

func (c *counter) Forward(media.Packet) { c.n++ }
func (c *counter) Gone(uint32)          {}
