package room_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/rtpx"
)

func TestEverybodyHearsTheOthers(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
		tb.people[0].mute = true
		tb.run(60)
		tb.person(1150, -30) // comes when all places are taken
		tb.run(60)
		if got := tb.listens(p, 20); got != " 550 850 1150" {
			t.Errorf("when another fourth has come, the phone that says 700 hears%s", got)
		}
		tb.people = tb.people[:5]
		tb.people[0].mute = false
		tb.run(60)
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
	t.Parallel()
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
		if n := room.Mixes(tb.phones[0].ear); n != 1 {
			t.Errorf("%d mixes are made for who hears the same", n)
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
	t.Parallel()
	for name, leave := range map[string]func(*phone){
		"leaves":      func(p *phone) { p.ear.Close() },
		"moves":       func(p *phone) { p.ear.Keep(nil) },
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
