package room_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/rtpx"
)

// A stamp encodes a chunk as its name, its place in the encoder's life and the sum of its sound.
type stamp struct {
	name    string
	turns   uint32 // what it remembers: Follow takes it over
	encodes *int   // by all of the name that are made by Another
	own     int    // by itself
}

func (s *stamp) Encode(dst []byte, pcm []int16) (int, error) {
	s.turns++
	if s.own++; s.encodes != nil {
		*s.encodes++
	}
	sum := fnv.New32a()
	for _, v := range pcm {
		_ = binary.Write(sum, binary.LittleEndian, v)
	}
	return copy(dst, fmt.Sprintf("%s %d %x", s.name, s.turns, sum.Sum32())), nil
}

func (s *stamp) Like(o media.Coder) bool { return o.(*stamp).name == s.name }

func (s *stamp) Another() (media.Coder, error) {
	return &stamp{name: s.name, encodes: s.encodes}, nil
}

func (s *stamp) Follow(o media.Coder) { s.turns = o.(*stamp).turns }

// sing has a phone encode for itself what is not encoded for it, as a port does.
func (ph *phone) sing(t *testing.T) {
	if own := ph.coder.(*stamp); ph.coded[len(ph.coded)-1] == "" {
		own.turns++
		own.own++
	}
}

// TestOneEncodeForAll who hear the same by the same codec; a phone that speaks, or is told something, encodes for itself
// meanwhile, and goes on where it is.
func TestOneEncodeForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		tb.person(400, -20)
		tb.person(550, -20)
		var shared [3]int
		for i := range 8 {
			ph := tb.phone([]int{media.Wide, media.Wide, media.Full}[i%3], 700+150*float64(i), -20)
			ph.coder = &stamp{name: fmt.Sprint(i % 3), encodes: &shared[i%3]}
		}
		run := func(ticks int) {
			for range ticks {
				tb.run(1)
				for _, ph := range tb.phones {
					if ph.coder != nil {
						ph.sing(t)
					}
				}
			}
		}
		alike := func(i, k int) bool {
			a, b := tb.phones[i].coded, tb.phones[k].coded
			return a[len(a)-1] == b[len(b)-1] && a[len(a)-1] != ""
		}
		run(50)
		if !alike(0, 3) || !alike(0, 6) || !alike(1, 4) || !alike(2, 5) || alike(0, 1) {
			t.Error("phones with the same codec are given different packets")
		}
		before := shared
		run(50)
		for i := range shared {
			if n := shared[i] - before[i]; n != 50 {
				t.Errorf("codec %d: %d packets are encoded in 50 ticks", i, n)
			}
		}
		told, speaks := tb.phones[3], tb.phones[6]
		keep := told.coder.(*stamp)
		if turns := keep.turns; turns != 100 {
			t.Errorf("its own encoder remembers %d turns of 100", turns)
		}
		told.coder, speaks.mute = nil, false // as under a voice that is laid over it
		run(20)
		if told.coded[len(told.coded)-1] != "" || speaks.coded[len(speaks.coded)-1] != "" {
			t.Error("who hears something else is given what is encoded for all")
		}
		if n := speaks.coder.(*stamp).turns; n != 120 {
			t.Errorf("it has gone on for itself at turn %d of 120", n)
		}
		told.coder, speaks.mute = keep, true
		run(5)
		if told.coded[len(told.coded)-1] != "" {
			t.Error("it goes back before its own encoder remembers the same")
		}
		run(60)
		if !alike(0, 3) || !alike(0, 6) {
			t.Error("they are not given the same packets again")
		}
	})
}

// TestAloneNothingIsShared: one phone in its room encodes for itself.
func TestAloneNothingIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		tb.person(400, -20)
		p := tb.phone(media.Wide, 700, -20)
		p.coder = &stamp{name: "x"}
		tb.run(50)
		q := tb.phone(media.Wide, 850, -20)
		q.coder = &stamp{name: "x"}
		if p.coded[49] != "" {
			t.Error("a packet is encoded for one")
		}
		tb.run(50)
		if p.coded[99] == "" || p.coded[99] != q.coded[49] {
			t.Errorf("two are given %q and %q", p.coded[99], q.coded[49])
		}
		q.ear.Close()
		tb.phones = tb.phones[:1]
		tb.run(20)
		if p.coded[119] != "" || p.unsteady(400, 60) > 0 {
			t.Error("alone again, it is not as before")
		}
	})
}

// TestOpusPhonesPassOnTogether: each is given the one speaker's packet, and none is decoded.
func TestOpusPhonesPassOnTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		a, b := tb.person(400, -20), tb.person(550, -20)
		p, q, r := tb.phone(media.Full, 700, -20), tb.phone(media.Full, 850, -20), tb.phone(media.Wide, 1000, -20)
		p.opus, q.opus = true, true
		b.mute = true
		tb.run(100)
		if p.passed < 95 || q.passed < 95 || tb.listens(r, 50) != " 400" {
			t.Errorf("%d and %d packets are passed on, the third hears%s", p.passed, q.passed, tb.listens(r, 50))
		}
		b.mute = false
		tb.run(50)
		if tb.listens(p, 20) != " 400 550" || tb.listens(q, 20) != " 400 550" || p.passed > 105 {
			t.Errorf("of two speakers they hear%s and%s", tb.listens(p, 20), tb.listens(q, 20))
		}
		_ = a
	})
}

// TestSharingAllocatesNothing, for whom speaks as for whom listens.
func TestSharingAllocatesNothing(t *testing.T) {
	tb := newTable(t)
	tb.person(400, -20)
	tb.person(550, -20)
	for i := range 5 {
		ph := tb.phone([]int{media.Wide, media.Full}[i%2], 700+150*float64(i), -20)
		ph.coder = quietCoder{}
		ph.opus = i == 3
	}
	tb.phones[0].mute = false
	var c media.Chunk
	tick := func() {
		tb.say()
		for _, ph := range tb.phones {
			c.Reset(ph.rate, ph.buf, ph.opus)
			c.Coder = ph.coder
			ph.ear.Pull(&c)
		}
	}
	for range 60 {
		tick()
	}
	if n := testing.AllocsPerRun(100, tick); n != 0 {
		t.Errorf("%v allocations per tick", n)
	}
}

type quietCoder struct{}

func (quietCoder) Encode(dst []byte, pcm []int16) (int, error) { return 160, nil }
func (quietCoder) Like(media.Coder) bool                       { return true }
func (quietCoder) Another() (media.Coder, error)               { return quietCoder{}, nil }
func (quietCoder) Follow(media.Coder)                          {}

// TestEarsComeAndGo while others hear: for the race detector.
func TestEarsComeAndGo(t *testing.T) {
	t.Parallel()
	hub := room.NewHub()
	voice := loop(t, 400, -20)
	over := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		var mu sync.Mutex
		e := hub.Join("alpha", nil)
		ear := func() *room.Ear { mu.Lock(); defer mu.Unlock(); return e }
		wg.Go(func() { // packets
			for n := uint32(0); ; n++ {
				select {
				case <-over:
					return
				default:
				}
				h := rtpx.Header{SSRC: 1 + n%5, PT: 111, Seq: uint16(n / 5), Timestamp: n / 5 * 960, HasLevel: true, Level: 20}
				bring(ear(), h, voice[n/5%50])
			}
		})
		wg.Go(func() { // sound
			buf := make([]int16, 960)
			for {
				select {
				case <-over:
					return
				default:
				}
				var c media.Chunk
				c.Reset([]int{media.Wide, media.Full}[i%2], buf, i == 3)
				c.Coder = quietCoder{}
				ear().Pull(&c)
			}
		})
		wg.Go(func() { // signaling
			for n := 0; ; n++ {
				select {
				case <-over:
					ear().Close()
					return
				default:
				}
				o := ear()
				o.SetTypes(room.PayloadTypes{Opus: 111})
				o.SetOwner(uint32(1+n%5), "x")
				switch n % 50 {
				case 10:
					o.Remove(uint32(1 + n%5))
				case 20:
					o.Keep(map[uint32]bool{uint32(n % 5): true})
				case 30:
					o.Move([]string{"alpha", "beta"}[n/50%2])
				case 40:
					fresh := hub.Join("alpha", nil)
					mu.Lock()
					e = fresh
					mu.Unlock()
					o.Close()
				}
				_ = o.Stats()
				_ = o.Reports(nil)
			}
		})
	}
	time.Sleep(150 * time.Millisecond)
	close(over)
	wg.Wait()
	if n := hub.Rooms(); n != 0 {
		t.Errorf("%d rooms are left", n)
	}
}
