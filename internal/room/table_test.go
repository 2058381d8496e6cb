package room_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/rtpx"
)

var (
	loopsMu sync.Mutex
	loops   = map[[2]float64][][]byte{}
)

// loop is a second of a tone that is a multiple of 50 Hz, encoded once.
func loop(t testing.TB, hz, dbov float64) [][]byte {
	t.Helper()
	loopsMu.Lock()
	defer loopsMu.Unlock()
	key := [2]float64{hz, dbov}
	if loops[key] == nil {
		s := newSpeaker(t, 1, hz, dbov)
		var out [][]byte
		for range 50 {
			s.tone.Fill(s.pcm[:])
			n, err := s.enc.Encode(s.buf[:], s.pcm[:])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, slices.Clone(s.buf[:n]))
		}
		loops[key] = out
	}
	return loops[key]
}

// A person says a tone to a meeting: someone far away, or one of its phones.
type person struct {
	h     rtpx.Header
	hz    float64
	voice [][]byte
	mute  bool
}

// A phone has an ear, and may be a person too.
type phone struct {
	*person
	ear    *room.Ear
	rate   int
	hold   bool // it does not pull
	stall  bool // its connection brings nothing
	coder  media.Coder
	buf    []int16
	heard  []int16
	coded  []string
	ticks  int // pulled so far
	opus   bool
	passed int
}

// A table is a meeting: what each of the people says is brought to each phone but the own one.
type table struct {
	t      testing.TB
	hub    *room.Hub
	people []*person
	phones []*phone
}

func newTable(t testing.TB) *table { return &table{t: t, hub: room.NewHub()} }

func (tb *table) person(hz, dbov float64) *person {
	p := &person{hz: hz, voice: loop(tb.t, hz, dbov)}
	p.h = rtpx.Header{SSRC: uint32(1000 + len(tb.people)), PT: 111, Seq: uint16(65500 + 77*len(tb.people)), HasLevel: true, Level: uint8(-dbov), Voice: true}
	tb.people = append(tb.people, p)
	for _, ph := range tb.phones {
		if ph.person != p {
			ph.ear.SetOwner(p.h.SSRC, "x")
		}
	}
	return p
}

func (tb *table) phone(rate int, hz, dbov float64) *phone {
	ph := &phone{ear: tb.hub.Join("alpha", nil), rate: rate, buf: make([]int16, rate/50)}
	ph.ear.SetTypes(room.PayloadTypes{Opus: 111, Event: 126})
	tb.t.Cleanup(ph.ear.Close)
	for _, p := range tb.people {
		ph.ear.SetOwner(p.h.SSRC, "x")
	}
	ph.person = tb.person(hz, dbov)
	ph.ear.Remove(ph.h.SSRC)
	tb.phones = append(tb.phones, ph)
	ph.mute = true
	return ph
}

// say has everybody say a packet.
func (tb *table) say() {
	for _, p := range tb.people {
		p.h.Seq++
		p.h.Timestamp += 960
		if p.mute {
			continue
		}
		payload := p.voice[p.h.Seq%50]
		for _, ph := range tb.phones {
			if ph.person != p && !ph.stall {
				bring(ph.ear, p.h, payload)
			}
		}
	}
}

func bring(e *room.Ear, h rtpx.Header, payload []byte) {
	if e.Want(&h) {
		e.RTP(&h, payload)
	}
}

func (ph *phone) pull() {
	var c media.Chunk
	c.Reset(ph.rate, ph.buf, ph.opus)
	c.Coder = ph.coder
	ph.ear.Pull(&c)
	ph.ticks++
	ph.coded = append(ph.coded, string(c.Coded))
	if c.Opus != nil {
		ph.passed++
		return
	}
	ph.heard = append(ph.heard, c.PCM...)
}

// run is so many ticks of the meeting, in virtual time.
func (tb *table) run(ticks int) {
	for range ticks {
		tb.say()
		for _, ph := range tb.phones {
			if !ph.hold {
				ph.pull()
			}
		}
		time.Sleep(media.Tick)
	}
}

// listens gives whom a phone hears in its latest ticks, by their tones.
func (tb *table) listens(ph *phone, ticks int) (names string) {
	last := ph.heard[max(0, len(ph.heard)-ticks*ph.rate/50):]
	for _, p := range tb.people {
		if audio.Goertzel(last, p.hz, ph.rate) > -40 {
			names += fmt.Sprintf(" %v", p.hz)
		}
	}
	return names
}

// steady reports how many of the latest ticks lack a tone or have it much louder than it is.
func (ph *phone) unsteady(hz float64, ticks int) (wrong int) {
	for i := range ticks {
		from := len(ph.heard) - (i+1)*ph.rate/50
		if l := audio.Goertzel(ph.heard[from:from+ph.rate/50], hz, ph.rate); l < -28 || l > -15 {
			wrong++
		}
	}
	return wrong
}
