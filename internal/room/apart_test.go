package room_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/media"
	"jigasi/internal/room"
	"jigasi/internal/rtpx"
)

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
		alone := newTable(t)
		x := alone.person(400, -20)
		y := alone.phone(media.Wide, 700, -20)
		alone.run(20)
		late := alone.phone(media.Full, 850, -20) // it is asked before anything has come to it
		late.opus = true
		late.ear.SetOwner(x.h.SSRC, "x")
		if late.pull(); late.passed > 0 || alone.listens(late, 1) != "" || alone.listens(y, 10) != " 400" {
			t.Error("the first moment is that of another phone")
		}
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

// TestManyEarsJudgeOnce: the loudness of a speaker is smoothed by packets, not by how many ears they come to.
func TestManyEarsJudgeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(t)
		for i := range 4 {
			tb.person(400+150*float64(i), -30)
		}
		slam := tb.person(1000, -60)
		for i := range 12 {
			tb.phone(media.Wide, 1150+50*float64(i), -20)
		}
		tb.run(50)
		slam.h.Level = 1 // one packet
		tb.run(1)
		slam.h.Level = 60
		tb.run(10)
		for _, hz := range []float64{400, 550, 700} {
			for i := range 10 {
				last := tb.phones[0].heard[len(tb.phones[0].heard)-(i+1)*320:][:320]
				if l := audio.Goertzel(last, hz, media.Wide); l < -38 {
					t.Errorf("by the slam of a door %v Hz is lost, %d ticks before the end", hz, i)
				}
			}
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
