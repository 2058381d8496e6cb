package rtpport

import (
	"bytes"
	"math"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// melody is chunks of sound that is never the same.
type melody struct{ a, b *audio.Tone }

func newMelody(hz float64, rate int) *melody {
	return &melody{audio.NewTone(hz, rate, -20), audio.NewTone(hz*2.7, rate, -26)}
}

func (m *melody) next(pcm []int16) []int16 {
	other := make([]int16, len(pcm))
	m.a.Fill(pcm)
	m.b.Fill(other)
	audio.Add(pcm, other)
	return pcm
}

func made(t *testing.T, c media.Coder, pcm []int16) []byte {
	t.Helper()
	b := make([]byte, codec.MaxOpus)
	n, err := c.Encode(b, pcm)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// TestCodersFollow: who follows goes on to the bit where the other one is.
func TestCodersFollow(t *testing.T) {
	for _, name := range []string{"PCMU", "PCMA", "G722"} {
		own, err := newCoder(name, codec.OpusOptions{})
		if err != nil {
			t.Fatal(err)
		}
		shared, err := own.Another()
		if err != nil || !own.Like(shared) {
			t.Fatalf("%s: another one is not like it, %v", name, err)
		}
		m, pcm := newMelody(440, media.Wide), make([]int16, 320)
		for range 50 {
			made(t, shared, m.next(pcm))
			own.Follow(shared)
		}
		for i := range 10 {
			if m.next(pcm); !bytes.Equal(made(t, own, pcm), made(t, shared, pcm)) {
				t.Errorf("%s: packet %d is another one", name, i)
			}
		}
	}
}

// TestCodersThatHearTheSameBecomeAlike: after 200 ms a change from one to the other is not heard with G.711, and
// with G.722 for some 100 ms as a roughness that is far softer than the sound. Without the 200 ms it would be as loud.
func TestCodersThatHearTheSameBecomeAlike(t *testing.T) {
	for _, name := range []string{"PCMU", "PCMA", "G722"} {
		own, _ := newCoder(name, codec.OpusOptions{})
		shared, _ := own.Another()
		other, m, pcm, rest := newMelody(700, media.Wide), newMelody(440, media.Wide), make([]int16, 320), make([]int16, 320)
		heard, whole := decoderOf(t, name), decoderOf(t, name) // of who changes, and of who has heard the shared one all along
		var off, sound float64
		for i := range 80 {
			m.next(pcm)
			all := made(t, shared, pcm)
			mine := all
			switch {
			case i < 30:
				mine = made(t, own, other.next(rest))
			case i < 40:
				mine = made(t, own, pcm)
			}
			a, b := make([]int16, 320), make([]int16, 320)
			n, _ := heard.Decode(a, mine)
			_, _ = whole.Decode(b, all)
			for k := range n {
				if i >= 40 {
					off, sound = off+math.Pow(float64(a[k])-float64(b[k]), 2), sound+math.Pow(float64(b[k]), 2)
				}
			}
		}
		limit := -90.0
		if name == "G722" {
			limit = -20
		}
		if db := 10 * math.Log10((off+1e-9)/sound); db > limit {
			t.Errorf("%s: after the change it is off by %.0f dB", name, db)
		}
	}
}

func decoderOf(t *testing.T, name string) codec.Decoder {
	t.Helper()
	switch name {
	case "PCMU":
		return codec.NewPCMU()
	case "PCMA":
		return codec.NewPCMA()
	}
	return codec.NewG722()
}

func TestCodersAreToldApart(t *testing.T) {
	var all []coder
	for _, name := range []string{"PCMU", "PCMA", "G722", "opus"} {
		c, err := newCoder(name, codec.OpusOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	loud, _ := newCoder("opus", codec.OpusOptions{Bitrate: 64000})
	safe, _ := newCoder("opus", codec.OpusOptions{})
	safe.(*opus).protected = true
	all = append(all, loud, safe)
	for i, a := range all {
		for k, b := range all {
			if a.Like(b) != (i == k) && a != safe {
				t.Errorf("%d is like %d: %v", i, k, a.Like(b))
			}
		}
	}
	if safe.Like(all[3]) {
		t.Error("what is protected for one phone is shared")
	}
	if _, err := newCoder("G729", codec.OpusOptions{}); err == nil {
		t.Error("a codec that is not spoken has a coder")
	}
}

// sharing gives sound, and for some ticks what was encoded of it.
type sharing struct {
	tick   int
	coded  []byte
	offers int // how often a coder was offered
}

func (s *sharing) Pull(c *media.Chunk) {
	for i := range c.PCM {
		c.PCM[i] = int16(i * 50)
	}
	if s.tick++; c.Coder == nil {
		return
	}
	if s.offers++; s.tick > 3 && s.tick <= 6 {
		c.Coded = s.coded
	}
}

func (*sharing) Push(*media.Chunk) {}

// TestWhatIsEncodedForAllIsSent as it is, one packet a tick, in one stream with what the port encodes.
func TestWhatIsEncodedForAllIsSent(t *testing.T) {
	for _, ptime := range []int{20, 10, 40} {
		p, c, phone := lone(t, "PCMU", 0, false)
		c.Ptime = ptime
		above := &sharing{coded: bytes.Repeat([]byte{0x55}, 160)}
		p.Connect(above)
		for range 10 {
			p.tick()
		}
		packets := 10 * 20 / ptime
		_ = phone.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 1000)
		var first rtpx.Header
		shared := 0
		for i := range packets {
			n, err := phone.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			var h rtpx.Header
			payload, err := h.Parse(buf[:n], 0)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = h
			}
			if h.Seq != first.Seq+uint16(i) || h.Timestamp != first.Timestamp+uint32(i*ptime*8) || h.Marker != (i == 0) {
				t.Errorf("%d ms, packet %d: %+v after %+v", ptime, i, h, first)
			}
			if bytes.Equal(payload, above.coded) {
				shared++
			}
		}
		if want := map[int]int{20: 3}[ptime]; shared != want || (above.offers > 0) != (ptime == 20) {
			t.Errorf("%d ms: %d packets are those of all, want %d; it was offered %d times", ptime, shared, want, above.offers)
		}
	}
}
