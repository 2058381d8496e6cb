package jitter_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"jigasi/internal/jitter"
)

type arrival struct {
	n  int
	at time.Duration
}

// play sends count packets of 20 ms through the network net and pulls for as long; it
// gives the numbers played and how many ticks had none.
func play(t *testing.T, b *jitter.Buffer, count int, net func(n int) (delay time.Duration, lost bool)) (played []int, concealed int) {
	t.Helper()
	return watched(t, b, count, net, func(int, time.Duration) {})
}

// watched is play that tells after each tick how much is held.
func watched(t *testing.T, b *jitter.Buffer, count int, net func(n int) (delay time.Duration, lost bool), watch func(tick int, held time.Duration)) (played []int, concealed int) {
	t.Helper()
	var all []arrival
	for n := range count {
		if d, lost := net(n); !lost {
			all = append(all, arrival{n, time.Duration(n)*20*time.Millisecond + d})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].at < all[j].at })
	start := time.Unix(1000, 0)
	buf := make([]byte, 1500)
	for tick := range count + 20 {
		now := time.Duration(tick)*20*time.Millisecond + 10*time.Millisecond
		for len(all) > 0 && all[0].at <= now {
			n := all[0].n
			b.Push(uint16(65000+n), uint32(n*960), binary.BigEndian.AppendUint32(nil, uint32(n)), start.Add(all[0].at))
			all = all[1:]
		}
		p, v, _ := b.Pull(buf)
		switch v {
		case jitter.Packet:
			played = append(played, int(binary.BigEndian.Uint32(p)))
		case jitter.Conceal:
			concealed++
		}
		watch(tick, b.Stats().Delay)
	}
	for i := 1; i < len(played); i++ {
		if played[i] <= played[i-1] {
			t.Fatalf("packet %d is played after %d: back in time", played[i], played[i-1])
		}
	}
	return played, concealed
}

func TestT48_Networks(t *testing.T) {
	for _, tt := range []struct {
		name      string
		net       func(r *rand.Rand) func(int) (time.Duration, bool)
		least     int // of 1000 packets played
		maxDelay  time.Duration
		concealed int
	}{
		{"perfect", func(*rand.Rand) func(int) (time.Duration, bool) {
			return func(int) (time.Duration, bool) { return 0, false }
		}, 1000, 40 * time.Millisecond, 0},
		{"jitter 30 ms", func(r *rand.Rand) func(int) (time.Duration, bool) {
			return func(int) (time.Duration, bool) {
				return time.Duration(r.IntN(30)) * time.Millisecond, false
			}
		}, 970, 100 * time.Millisecond, 20},
		{"jitter 100 ms with reordering", func(r *rand.Rand) func(int) (time.Duration, bool) {
			return func(int) (time.Duration, bool) {
				return time.Duration(r.IntN(100)) * time.Millisecond, false
			}
		}, 950, 300 * time.Millisecond, 60},
		{"jitter 200 ms with reordering", func(r *rand.Rand) func(int) (time.Duration, bool) {
			return func(int) (time.Duration, bool) {
				return time.Duration(r.IntN(200)) * time.Millisecond, false
			}
		}, 975, 300 * time.Millisecond, 40},
		{"loss 5 %", func(r *rand.Rand) func(int) (time.Duration, bool) {
			return func(int) (time.Duration, bool) { return 0, r.IntN(20) == 0 }
		}, 920, 80 * time.Millisecond, 90},
		{"stalls of 200 ms", func(*rand.Rand) func(int) (time.Duration, bool) {
			return func(n int) (time.Duration, bool) {
				if n%100 < 10 {
					return time.Duration(10-n%100) * 20 * time.Millisecond, false
				}
				return 0, false
			}
		}, 900, 300 * time.Millisecond, 100},
		{"silence between talk", func(*rand.Rand) func(int) (time.Duration, bool) {
			return func(int) (time.Duration, bool) { return 0, false }
		}, 1000, 40 * time.Millisecond, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := jitter.New(jitter.Options{})
			held := time.Duration(0)
			played, concealed := watched(t, b, 1000, tt.net(rand.New(rand.NewPCG(1, 2))), func(_ int, now time.Duration) { held = max(held, now) })
			s := b.Stats()
			if len(played) < tt.least {
				t.Errorf("%d of 1000 packets played, want %d; %+v", len(played), tt.least, s)
			}
			if concealed > tt.concealed+6 {
				t.Errorf("%d ticks concealed, want at most %d", concealed, tt.concealed)
			}
			if s.Late > 20 {
				t.Errorf("%d of 1000 packets late, want 2 %%", s.Late)
			}
			if held > tt.maxDelay {
				t.Errorf("%v are held, want at most %v", held, tt.maxDelay)
			}
		})
	}
}

func TestDriftDoesNotGrow(t *testing.T) {
	b := jitter.New(jitter.Options{})
	// The far clock is 0.5 % fast: packets come every 19.9 ms.
	held := time.Duration(0)
	played, _ := watched(t, b, 3000, func(n int) (time.Duration, bool) {
		return -time.Duration(n) * 100 * time.Microsecond, false
	}, func(_ int, now time.Duration) { held = max(held, now) })
	if held > 160*time.Millisecond || len(played) < 2900 {
		t.Errorf("in 300 ms of drift %v are held, %d played", held, len(played))
	}
}

func TestPauseIsSilenceAndTalkComesBack(t *testing.T) {
	b := jitter.New(jitter.Options{})
	now := time.Unix(0, 0)
	buf := make([]byte, 1500)
	var heard [3]int
	seq := uint16(0)
	for tick := range 300 {
		talking := tick < 100 || tick >= 200
		if talking {
			b.Push(seq, uint32(tick*960), []byte{1}, now)
			seq++
		}
		if _, v, _ := b.Pull(buf); v == jitter.Packet {
			heard[tick/100]++
		}
		now = now.Add(20 * time.Millisecond)
	}
	if heard[0] < 97 || heard[1] > 4 || heard[2] < 96 {
		t.Errorf("packets heard per 2 s: %v, want about 100, 0, 100", heard)
	}
}

func TestNothingAllocates(t *testing.T) {
	b := jitter.New(jitter.Options{})
	buf, payload, now, n := make([]byte, 1500), make([]byte, 80), time.Unix(0, 0), 0
	if a := testing.AllocsPerRun(100, func() {
		b.Push(uint16(n), uint32(n*960), payload, now)
		b.Pull(buf)
		n++
		now = now.Add(20 * time.Millisecond)
	}); a != 0 {
		t.Errorf("%v allocations per packet", a)
	}
}

// FuzzBuffer: whatever comes, it plays on and holds no more than its 32 packets, of up to 120 ms.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte("00*0000001001000")) // a jump while packets of 120 ms are held
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := jitter.New(jitter.Options{})
		now, buf, last := time.Unix(0, 0), make([]byte, 1500), int64(-1)
		for i := 0; i+4 <= len(data); i += 4 {
			seq := binary.BigEndian.Uint16(data[i:])
			b.Push(seq, uint32(data[i+2])*960, []byte{data[i], data[i+1], 0}[:1+data[i+2]%3], now)
			now = now.Add(time.Duration(data[i+3]) * time.Millisecond)
			b.Pull(buf)
			if s := b.Stats(); s.Played < last || s.Delay > 32*120*time.Millisecond {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// delayOf is how long a packet that came at the beginning of a tick waits until it is played, in
// the last second of talk.
func delayOf(b *jitter.Buffer, seq *uint16, ts *uint32, now *time.Time, ticks int) int {
	buf, when, waited := make([]byte, 1500), map[byte]int{}, 0
	for tick := range ticks {
		when[byte(*seq)] = tick
		b.Push(*seq, *ts, []byte{byte(*seq)}, *now)
		*seq, *ts, *now = *seq+1, *ts+960, now.Add(20*time.Millisecond)
		if p, v, _ := b.Pull(buf); v == jitter.Packet && tick > ticks-50 {
			waited = max(waited, tick-when[p[0]])
		}
	}
	return waited
}

// TestPausesDoNotAddDelay: senders that send nothing in silence pause often; each pause is no sign of
// a bad network.
func TestPausesDoNotAddDelay(t *testing.T) {
	b, buf := jitter.New(jitter.Options{}), make([]byte, 1500)
	seq, ts, now := uint16(0), uint32(0), time.Unix(0, 0)
	for talk := range 12 {
		if waited := delayOf(b, &seq, &ts, &now, 100); waited > 2 {
			t.Fatalf("after %d pauses a packet waits %d ticks", talk, waited)
		}
		for range 40 {
			ts, now = ts+960, now.Add(20*time.Millisecond)
			b.Pull(buf)
		}
	}
}

// TestPacketsPassedOverAreNotAwaited: where the silence of a speaker is not even decrypted, numbers are
// missing after it that never come.
func TestPacketsPassedOverAreNotAwaited(t *testing.T) {
	b, buf := jitter.New(jitter.Options{}), make([]byte, 1500)
	seq, ts, now := uint16(0), uint32(0), time.Unix(0, 0)
	delayOf(b, &seq, &ts, &now, 100)
	for range 60 {
		seq, ts, now = seq+1, ts+960, now.Add(20*time.Millisecond)
		b.Pull(buf)
	}
	if waited := delayOf(b, &seq, &ts, &now, 60); waited > 2 {
		t.Errorf("after a pause without packets one waits %d ticks", waited)
	}
	if s := b.Stats(); s.Lost > 0 {
		t.Errorf("%d packets are taken for lost", s.Lost)
	}
}

// TestDelayGoesBack: what one stall of the network has piled up is gone after a few seconds.
func TestDelayGoesBack(t *testing.T) {
	b, buf := jitter.New(jitter.Options{}), make([]byte, 1500)
	seq, ts, now := uint16(0), uint32(0), time.Unix(0, 0)
	delayOf(b, &seq, &ts, &now, 500)
	for range 5 { // nothing comes, then all at once
		now = now.Add(20 * time.Millisecond)
		b.Pull(buf)
	}
	for range 5 {
		b.Push(seq, ts, []byte{0}, now)
		seq, ts = seq+1, ts+960
	}
	if waited := delayOf(b, &seq, &ts, &now, 200); waited > 2 {
		t.Errorf("4 s after a stall of 100 ms a packet waits %d ticks", waited)
	}
}

// TestLastWordsAreNotHeldBack: where a packet of the last ones is lost, what follows it is played all the same, and soon.
func TestLastWordsAreNotHeldBack(t *testing.T) {
	b := jitter.New(jitter.Options{})
	const count = 500
	r := rand.New(rand.NewPCG(1, 2))
	played, _ := play(t, b, count, func(n int) (time.Duration, bool) {
		return time.Duration(r.IntN(200)) * time.Millisecond * time.Duration(min(1, (count-1-n)/4)), n == count-2
	})
	if last := played[len(played)-1]; last != count-1 {
		t.Errorf("the last one that is played is %d of %d", last, count-1)
	}
}
