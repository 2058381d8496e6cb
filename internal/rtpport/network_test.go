package rtpport

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/lab/relay"
	"jigasi/internal/lab/soak"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"
)

// meeting is what a meeting gets of a phone, and when.
type meeting struct {
	now    time.Duration
	chunks int
	tone   int             // chunks with the tone in them
	at     []time.Duration // when each of those came
	keys   strings.Builder
	sent   strings.Builder // keys of which a packet arrived at all
}

const meetingTone = 400 // Hz: eight periods in a chunk

func (*meeting) Pull(c *media.Chunk) { clear(c.PCM) }

func (m *meeting) Push(c *media.Chunk) {
	m.chunks++
	if audio.Goertzel(c.PCM, meetingTone, c.Rate) > -30 {
		m.tone++
		m.at = append(m.at, m.now)
	}
}

// talk makes the packets of a phone that says a tone in words of a second, with 200 ms between them that
// are silent but sent, and presses keys now and then. It gives how many are tone.
func talk(packets int, keys string) (out [][]byte, tones int) {
	tone := audio.NewTone(meetingTone, 8000, -16)
	law, pcm := codec.NewPCMU(), make([]int16, 160)
	var press rtpx.KeyWriter
	var event [4]byte
	for n := 0; n < packets || press.Busy() || keys != ""; n++ {
		if keys != "" && !press.Busy() && n%15 == 0 {
			press.Press(rune(keys[0]), 100)
			keys = keys[1:]
		}
		b := make([]byte, 12+160)
		b[0], b[1] = 0x80, 0
		stamp := uint32(n * 160)
		if payload, at, _, ok := press.Next(event[:], stamp, 8000); ok {
			b[1], stamp = 101, at
			b = append(b[:12], payload...)
		} else {
			tone.Fill(pcm)
			if n%60 >= 50 {
				clear(pcm)
			} else {
				tones++
			}
			_, _ = law.Encode(b[12:], pcm)
		}
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		binary.BigEndian.PutUint32(b[4:], stamp)
		binary.BigEndian.PutUint32(b[8:], 77)
		out = append(out, b)
	}
	return out, tones
}

// through sends packets to a port by a bad network, in the order in which they arrive there.
func through(t *testing.T, l *relay.Line, packets [][]byte) (*meeting, *Port) {
	t.Helper()
	p, c, phone := lone(t, "PCMU", 0, false)
	c.DTMF, c.DTMFClock = 101, 8000
	m := &meeting{}
	p.opt.OnKey = func(k rune, _ int) { m.keys.WriteRune(k) }
	p.above.Store(&portBox{Port: m})
	var all []relay.Arrival
	for n, b := range packets {
		all = append(all, l.Send(time.Duration(n)*media.Tick, b)...)
	}
	slices.SortStableFunc(all, func(a, b relay.Arrival) int { return cmp.Compare(a.At, b.At) })
	from := netip.MustParseAddrPort(phone.LocalAddr().String())
	begun, stamp := time.Now(), uint32(1)
	for _, a := range all {
		if at := binary.BigEndian.Uint32(a.Data[4:]); a.Data[1] == 101 && at != stamp {
			m.sent.WriteByte("0123456789*#ABCD"[a.Data[12]])
			stamp = at
		}
		m.now = a.At
		p.take(a.Data, from, begun.Add(a.At))
	}
	return m, p
}

// T47: what a phone says through a network that loses packets reaches the meeting as promised: 1 % lost, at
// most 1.2 % wrong; 10 % lost, no gap of over 200 ms in 99 of 100 windows of 10 s; a fifth lost, the call goes on.
func TestT47_LossFromAPhone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ loss, burst, wrong, gaps float64 }{ // of bursts, some are longer than 200 ms in themselves
		{0.01, 0, 0.012, 0.01}, {0.05, 0, 0.06, 0.01}, {0.10, 0, 0.12, 0.01}, {0.10, 2, 0.13, 0.05}, {0.20, 0, 0.25, 0.01}, {0.20, 4, 0.30, 1},
	} {
		t.Run(fmt.Sprintf("%v in bursts of %v", tt.loss, tt.burst), func(t *testing.T) {
			t.Parallel()
			windows := soak.Count(20, 300)
			packets, tones := talk(windows*500, "")
			m, p := through(t, relay.NewLine(1, relay.Faults{Loss: tt.loss, Burst: tt.burst}), packets)
			if wrong := 1 - float64(m.tone)/float64(tones); wrong > tt.wrong {
				t.Errorf("%.4f of the sound is wrong, want at most %v", wrong, tt.wrong)
			}
			broken := map[int]bool{} // windows with a gap
			for i := 1; i < len(m.at); i++ {
				pauses := time.Duration(m.at[i]/(60*media.Tick) - m.at[i-1]/(60*media.Tick))
				if m.at[i]-m.at[i-1]-pauses*10*media.Tick > 200*time.Millisecond+media.Tick {
					broken[int(m.at[i]/(10*time.Second))] = true
				}
			}
			if len(broken) > int(float64(windows)*tt.gaps) {
				t.Errorf("%d of %d windows have a gap of over 200 ms", len(broken), windows)
			}
			if s := p.Stats(); s.Bad != 0 || s.Dropped != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// T47: of 200 keys at 5 % loss none is lost and none comes twice, whatever else the network does.
func TestT47_KeysFromAPhone(t *testing.T) {
	t.Parallel()
	keys := strings.Repeat("0123456789*#ABCD1357", 10)
	for name, f := range map[string]relay.Faults{
		"each for itself": {Loss: 0.05},
		"in bursts":       {Loss: 0.05, Burst: 2},
		"and disorder":    {Loss: 0.05, Duplicate: 0.05, Reorder: 0.05, Jitter: 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(soak.Count(3, 100)) {
				packets, _ := talk(0, keys)
				m, _ := through(t, relay.NewLine(seed, f), packets)
				want := keys
				if f.Burst > 1 { // a burst may be longer than a key
					want = m.sent.String()
				}
				if got := m.keys.String(); got != want || len(want) < 198 {
					t.Errorf("seed %d: %d keys came, %d could: %q", seed, len(got), len(want), got)
				}
			}
		})
	}
}

// T48: disorder, doubles and delay on the way from a phone: at most 2 % is too late to be heard, and what
// comes twice is heard once.
func TestT48_DisorderFromAPhone(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]relay.Faults{
		"jitter of 200 ms":  {Jitter: 200 * time.Millisecond},
		"5 % out of order":  {Reorder: 0.05},
		"5 % twice":         {Duplicate: 0.05},
		"all of it, slowly": {Reorder: 0.05, Duplicate: 0.05, Jitter: 200 * time.Millisecond, Delay: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packets, tones := talk(5000, "")
			l := relay.NewLine(3, f)
			m, p := through(t, l, packets)
			s := p.Stats()
			if late := s.Dropped - int64(l.Counts().Duplicated); late > int64(len(packets)/50) {
				t.Errorf("%d of %d packets are too late", late, len(packets))
			}
			if m.chunks > len(packets) || m.chunks < len(packets)*98/100 {
				t.Errorf("%d chunks of %d packets", m.chunks, len(packets))
			}
			if m.tone < tones*98/100 || m.tone > tones+tones/100 {
				t.Errorf("%d chunks are tone, %d were said", m.tone, tones)
			}
		})
	}
}
