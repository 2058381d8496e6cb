package talk

import (
	"testing"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/media"
)

// listener keeps what a source says: for each 20 ms the time at which it was spoken, and whether it is silence.
type listener struct {
	at    []time.Time
	quiet []bool
}

func (l *listener) push(c *media.Chunk, at time.Time) {
	loud := false
	for _, v := range c.PCM {
		loud = loud || v > 500 || v < -500
	}
	l.at, l.quiet = append(l.at, at), append(l.quiet, !loud)
}

// TestWhatIsMissing: a lost packet is covered, one that was not sent is silence, one that comes late is not said twice,
// one that is damaged is covered as well, a pause ends the sentence, and whatever comes lies where it was spoken.
func TestWhatIsMissing(t *testing.T) {
	var counts Counts
	var l listener
	s, err := New(&counts, l.push)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 16000})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	began, number := now, int64(900)
	square := make([]int16, 320)
	for i := range square {
		square[i] = int16(8000 * (1 - i/20%2*2))
	}
	packet := func(slot int) Packet {
		buf := make([]byte, codec.MaxOpus)
		n, err := enc.Encode(buf, square)
		if err != nil {
			t.Fatal(err)
		}
		number++
		return Packet{At: int64(slot) * 960, Number: number, Payload: buf[:n]}
	}
	at := func(slot int) time.Time { return began.Add(time.Duration(slot) * 20 * time.Millisecond) }
	var old Packet
	for slot := range 100 {
		p := packet(slot)
		switch {
		case slot == 40: // lost
			old = p
			continue
		case slot >= 60 && slot < 70: // not sent
			number--
			continue
		case slot == 80:
			p.Payload = []byte{0xff, 0xff, 0xff}
		}
		s.Hear(p, at(slot).Add(10*time.Millisecond))
		if slot == 42 {
			s.Hear(old, at(slot).Add(11*time.Millisecond))
		}
	}
	if counts.Late.Load() != 1 || counts.Damaged.Load() != 1 || counts.Concealed.Load() != 2 {
		t.Errorf("%d late, %d damaged, %d concealed", counts.Late.Load(), counts.Damaged.Load(), counts.Concealed.Load())
	}
	if len(l.at) != 100 {
		t.Fatalf("%d chunks of 100", len(l.at))
	}
	for i, when := range l.at {
		if d := when.Sub(at(i)); d < 0 || d > 50*time.Millisecond {
			t.Errorf("chunk %d is off by %v", i, d)
		}
		if silent := i > 60 && i < 70; i > 2 && i != 60 && i != 70 && i != 80 && l.quiet[i] != silent {
			t.Errorf("chunk %d: silent %v", i, l.quiet[i])
		}
	}
	for ms := 100; ms < 900; ms += 100 {
		s.Tick(at(100).Add(time.Duration(ms)*time.Millisecond), Pause)
	}
	if len(l.at) != 100 {
		t.Errorf("%d chunks while nobody has paused yet", len(l.at))
	}
	s.Hush()
	for range 100 {
		s.Tick(at(146), Pause)
	}
	if n := len(l.at) - 100; n != 75 {
		t.Errorf("%d chunks of silence", n)
	}
	s.Hear(packet(1000), at(1000))
	if d := l.at[len(l.at)-1].Sub(at(1000)); d < -30*time.Millisecond || d > 50*time.Millisecond {
		t.Errorf("after a pause it is off by %v", d)
	}
}

// TestTimeIsThatOfTheTimestamps: the first sound comes as a burst, and is placed where it was spoken.
func TestTimeIsThatOfTheTimestamps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	spoken := func(n int) time.Time { return now.Add(time.Duration(n) * 20 * time.Millisecond) }
	var l timeline
	for n := range 3000 {
		arrived := spoken(n).Add(30 * time.Millisecond)
		if n < 17 {
			arrived = spoken(17).Add(time.Duration(n) * time.Millisecond)
		}
		if n > 1000 && n < 1100 { // the network is slow
			arrived = arrived.Add(time.Second)
		}
		l.hear(14219+int64(n)*960, arrived)
		if d := l.clock(14219 + int64(n)*960).Sub(spoken(n)); n >= 17 && (d < 0 || d > 60*time.Millisecond) {
			t.Fatalf("%d is off by %v", n, d)
		}
	}
}

// TestAsItCame: a packet of 20 ms goes along with its sound, and what was covered, or is longer, has none.
func TestAsItCame(t *testing.T) {
	var got [][]byte
	s, err := New(&Counts{}, func(c *media.Chunk, _ time.Time) { got = append(got, append([]byte(nil), c.Opus...)) })
	if err != nil {
		t.Fatal(err)
	}
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 16000})
	if err != nil {
		t.Fatal(err)
	}
	now, buf := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), make([]byte, codec.MaxOpus)
	var want [][]byte
	for i := range 20 {
		n, err := enc.Encode(buf, make([]int16, 320))
		if err != nil {
			t.Fatal(err)
		}
		p := append([]byte(nil), buf[:n]...)
		if i == 10 { // lost
			want = append(want, nil)
			continue
		}
		want = append(want, p)
		s.Hear(Packet{At: int64(i) * 960, Number: int64(i), Payload: p}, now.Add(time.Duration(i)*20*time.Millisecond))
	}
	s.Flush(now)
	if len(got) != len(want) {
		t.Fatalf("%d pieces", len(got))
	}
	for i := range want {
		if string(got[i]) != string(want[i]) {
			t.Errorf("piece %d: %d bytes, want %d", i, len(got[i]), len(want[i]))
		}
	}
}
