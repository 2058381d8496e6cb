package room_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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

func TestEverybodyHearsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		a, b, c := tb.person(400, -20), tb.person(550, -20), tb.person(700, -20)
		p := tb.phone(media.Wide, 850, -20)
		q := tb.phone(media.Full, 1000, -20)
		r, s, u := tb.phone(media.Wide, 1150, -20), tb.phone(media.Wide, 1300, -20), tb.phone(media.Full, 1450, -20)
		for _, tt := range []struct {
			name     string
			speaking []*person
			want     map[*phone]string
		}{
			{"three people", []*person{a, b, c}, map[*phone]string{p: " 400 550 700", q: " 400 550 700", r: " 400 550 700", s: " 400 550 700", u: " 400 550 700"}},
			{"a phone", []*person{p.person}, map[*phone]string{p: "", q: " 850", r: " 850", s: " 850", u: " 850"}},
			{"a phone and two people", []*person{p.person, a, b}, map[*phone]string{p: " 400 550", q: " 400 550 850", r: " 400 550 850", s: " 400 550 850", u: " 400 550 850"}},
			{"three phones", []*person{p.person, q.person, r.person}, map[*phone]string{p: " 1000 1150", q: " 850 1150", r: " 850 1000", s: " 850 1000 1150", u: " 850 1000 1150"}},
			{"nobody", nil, map[*phone]string{p: "", q: "", r: "", s: "", u: ""}},
		} {
			for _, who := range tb.people {
				who.mute = !slices.Contains(tt.speaking, who)
			}
			tb.run(60)
			for ph, want := range tt.want {
				if got := tb.listens(ph, 20); got != want {
					t.Errorf("%s: the phone that says %v hears%s, want%s", tt.name, ph.hz, got, want)
				}
			}
		}
		if n := decoded(tb); n > 60*(3+1+3+3)*2+40 {
			t.Errorf("%d packets are decoded", n)
		}
	})
}

func decoded(tb *table) (n int64) {
	for _, ph := range tb.phones {
		n += ph.ear.Stats().Decoded
	}
	return n
}

// TestWhoSpeaksHearsTheFourth: a phone among the loudest three hears three others, as all do.
func TestWhoSpeaksHearsTheFourth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		tb.person(400, -33)
		tb.person(550, -18)
		p, q, r := tb.phone(media.Wide, 700, -18), tb.phone(media.Wide, 850, -18), tb.phone(media.Wide, 1000, -18)
		p.mute, q.mute = false, false
		tb.run(100)
		for ph, want := range map[*phone]string{p: " 400 550 850", q: " 400 550 700", r: " 550 700 850"} {
			if got := tb.listens(ph, 20); got != want {
				t.Errorf("the phone that says %v hears%s, want%s", ph.hz, got, want)
			}
		}
		q.mute = true // the fourth is among the three now
		tb.run(60)
		for ph, want := range map[*phone]string{p: " 400 550", q: " 400 550 700", r: " 400 550 700"} {
			if got := tb.listens(ph, 20); got != want {
				t.Errorf("then the phone that says %v hears%s, want%s", ph.hz, got, want)
			}
		}
	})
}

// TestOneDecodeForAll: however many phones there are.
func TestOneDecodeForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		tb.person(400, -20)
		tb.person(550, -20)
		for i := range 12 {
			tb.phone(media.Wide, 700+50*float64(i), -20)
		}
		tb.run(100)
		var packets int64
		for _, ph := range tb.phones {
			packets += ph.ear.Stats().Packets
		}
		if n := decoded(tb); n > 200 || n < 180 || packets != 200 {
			t.Errorf("of 200 packets %d are decrypted and %d decoded", packets, n)
		}
		for _, ph := range tb.phones {
			if n := len(ph.ear.Reports(nil)); n != 2 {
				t.Errorf("a phone reports on %d streams", n) // each on what its own connection brings
			}
		}
	})
}

// TestTheFirstEarLeaves, or its bridge does, or its connection stalls, in the midst of a sentence: nobody else notices.
func TestTheFirstEarLeaves(t *testing.T) {
	for name, leave := range map[string]func(*phone){
		"leaves":      func(p *phone) { p.ear.Close() },
		"moves":       func(p *phone) { p.ear.Clear() },
		"other room":  func(p *phone) { p.ear.Move("beta") },
		"stalls":      func(p *phone) { p.stall = true },
		"goes silent": func(p *phone) { p.hold = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tb := newTable(t)
				tb.person(400, -20)
				p, q, r := tb.phone(media.Wide, 700, -20), tb.phone(media.Wide, 850, -20), tb.phone(media.Full, 1000, -20)
				tb.run(50)
				if p.ear.Stats().Packets != 50 {
					t.Fatalf("the first ear has taken %d packets", p.ear.Stats().Packets)
				}
				leave(p)
				if p.hold = true; name == "stalls" {
					p.hold = false
				}
				tb.run(75)
				for _, ph := range []*phone{q, r} {
					if n := ph.unsteady(400, 110); n > 0 {
						t.Errorf("the phone that says %v hears the tone wrong in %d ticks", ph.hz, n)
					}
				}
				if name == "stalls" && p.unsteady(400, 75) > 0 { // what others have got is its too
					t.Error("the phone that stalls does not hear the tone")
				}
			})
		})
	}
}

// TestLossOfOneConnectionIsNoLoss where another has brought the packet.
func TestLossOfOneConnectionIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		tb.person(400, -20)
		p, q := tb.phone(media.Wide, 700, -20), tb.phone(media.Wide, 850, -20)
		for i := range 300 {
			p.stall, q.stall = i%3 == 0, i%5 == 1
			tb.run(1)
		}
		for _, ph := range tb.phones {
			if n := ph.unsteady(400, 250); n > 250/15+2 { // both lose one packet of fifteen
				t.Errorf("%d of 250 ticks are wrong", n)
			}
		}
	})
}

// TestABurstAfterAStallIsNotHeardTwice.
func TestABurstAfterAStallIsNotHeardTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		a := tb.person(400, -20)
		p, q := tb.phone(media.Wide, 700, -20), tb.phone(media.Wide, 850, -20)
		tb.run(50)
		var held []rtpx.Header
		p.stall = true
		for range 40 {
			tb.run(1)
			held = append(held, a.h)
		}
		before := q.ear.Stats()
		for _, h := range held {
			bring(p.ear, h, a.voice[h.Seq%50])
		}
		p.stall = false
		if after := q.ear.Stats(); after.Late != before.Late || p.ear.Stats().Packets != 50 {
			t.Errorf("old packets reach the room: %+v, then %+v", before, after)
		}
		tb.run(50)
		for _, ph := range tb.phones {
			if n := ph.unsteady(400, 120); n > 0 {
				t.Errorf("the phone that says %v hears the tone wrong in %d ticks", ph.hz, n)
			}
		}
	})
}

// TestOnlyWhomTheOwnConnectionBrings is heard, and only those of whom signaling has told: what others in a room of the
// same name hear is theirs.
func TestOnlyWhomTheOwnConnectionBrings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		a := tb.person(400, -20)
		p, q, r := tb.phone(media.Wide, 700, -20), tb.phone(media.Wide, 850, -20), tb.phone(media.Wide, 1000, -20)
		q.stall = true
		r.ear.Remove(a.h.SSRC)
		tb.run(50)
		if tb.listens(p, 20) != " 400" || tb.listens(q, 20) != "" || tb.listens(r, 20) != "" {
			t.Errorf("they hear %s,%s and%s", tb.listens(p, 20), tb.listens(q, 20), tb.listens(r, 20))
		}
		q.stall = false
		r.ear.SetOwner(a.h.SSRC, "a")
		tb.run(30)
		if tb.listens(q, 20) != " 400" || tb.listens(r, 20) != " 400" {
			t.Errorf("then they hear%s and%s", tb.listens(q, 20), tb.listens(r, 20))
		}
		p.stall = true
		tb.run(150)
		if tb.listens(p, 20) != "" || tb.listens(q, 20) != " 400" {
			t.Errorf("after three seconds without a packet it hears%s, the other%s", tb.listens(p, 20), tb.listens(q, 20))
		}
	})
}

// TestEarsThatAreAskedApart hear the same, each tick once: in different slots of the clock, or late and then in haste.
func TestEarsThatAreAskedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		tb.person(400, -20)
		p, q, r := tb.phone(media.Wide, 700, -20), tb.phone(media.Wide, 850, -20), tb.phone(media.Wide, 1000, -20)
		owed := 0
		for i := range 200 {
			tb.say()
			if p.pull(); i%50 >= 20 && i%50 < 24 {
				owed++
			} else {
				for ; owed >= 0; owed-- {
					q.pull()
				}
				owed = 0
			}
			time.Sleep(media.Tick / 2)
			r.pull()
			time.Sleep(media.Tick / 2)
		}
		for ph, n := range map[*phone]int{q: 150, r: 150} {
			late := p.heard[len(p.heard)-n*320:]
			if got := ph.heard[len(ph.heard)-n*320:]; !slices.Equal(got, late) {
				t.Errorf("the phone that says %v does not hear the same", ph.hz)
			}
		}
	})
}

// TestAnEarThatMissedTurnsIsBroughtUp: the clock gives up turns after a stall, and nobody stays behind for that.
func TestAnEarThatMissedTurnsIsBroughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		tb.person(400, -20)
		p, q := tb.phone(media.Wide, 700, -20), tb.phone(media.Wide, 850, -20)
		tb.run(50)
		q.hold = true
		tb.run(3)
		q.hold = false
		tb.run(60)
		if !slices.Equal(q.heard[len(q.heard)-320:], p.heard[len(p.heard)-320:]) {
			t.Error("it is still behind")
		}
		q.hold = true // for long
		tb.run(500)
		q.hold = false
		tb.run(1)
		if !slices.Equal(q.heard[len(q.heard)-320:], p.heard[len(p.heard)-320:]) || q.unsteady(400, 1) != 0 {
			t.Error("after a hold it does not hear what all hear")
		}
	})
}

// TestRoomsApart: who moves to a breakout room hears whom that has, and neither takes places from the other.
func TestRoomsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, side := newTable(t), newTable(t)
		for i := range 3 {
			main.person(400+50*float64(i), -15)
		}
		side.person(700, -30)
		p := main.phone(media.Wide, 1000, -20)
		q := main.phone(media.Wide, 1150, -20)
		main.run(30)
		main.phones = main.phones[:1]
		q.ear.Move("beta")
		q.ear.SetOwner(side.people[0].h.SSRC, "x")
		side.phones = append(side.phones, q)
		for _, x := range side.people {
			x.h.SSRC += 500
			q.ear.SetOwner(x.h.SSRC, "x")
		}
		for range 50 {
			main.say()
			side.say()
			p.pull()
			q.pull()
			time.Sleep(media.Tick)
		}
		if main.hub.Rooms() != 2 || main.listens(p, 20) != " 400 450 500" || side.listens(q, 20) != " 700" || main.listens(q, 20) != "" {
			t.Errorf("%d rooms; they hear%s and%s", main.hub.Rooms(), main.listens(p, 20), side.listens(q, 20)+main.listens(q, 20))
		}
	})
}

// TestAHundredOwners: of a large meeting each one can be heard, though ears hear but so many at once.
func TestAHundredOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		p := tb.phone(media.Wide, 700, -20)
		for ssrc := range uint32(100) {
			p.ear.SetOwner(ssrc, "x")
		}
		a := tb.person(400, -20)
		tb.run(40)
		a.mute = true
		tb.run(70 * 50)
		a.mute = false
		tb.run(40)
		if got := tb.listens(p, 20); got != " 400" {
			t.Errorf("hears%s", got)
		}
	})
}

// TestKeysReachEveryEar although one alone needs the sound.
func TestKeysReachEveryEar(t *testing.T) {
	hub := room.NewHub()
	var keys [2]string
	var ears []*room.Ear
	for i := range keys {
		e := hub.Join("alpha", func(k rune, _ int) { keys[i] += string(k) })
		defer e.Close()
		e.SetTypes(room.PayloadTypes{Opus: 111, Event: 126})
		ears = append(ears, e)
	}
	var w rtpx.KeyWriter
	w.Press('7', 100)
	var buf [4]byte
	for i := uint32(0); w.Busy(); i++ {
		p, stamp, _, ok := w.Next(buf[:], i*160, 8000)
		for _, e := range ears {
			if ok {
				bring(e, rtpx.Header{SSRC: 1, PT: 126, Timestamp: stamp, Seq: uint16(i), HasLevel: true, Level: 127}, p)
			}
		}
	}
	if keys != [2]string{"7", "7"} {
		t.Errorf("keys %q", keys)
	}
}
