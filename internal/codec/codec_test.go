package codec_test

import (
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
)

type stream struct {
	name string
	rate int
	enc  codec.Encoder
	dec  codec.Decoder
	snr  float64 // what speech keeps at least, dB over a tone
}

func streams(t testing.TB) []stream {
	t.Helper()
	opus := func(rate int, mode codec.OpusMode) (codec.Encoder, codec.Decoder) {
		e, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: rate, Bitrate: 32000, Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		d, err := codec.NewOpusDecoder(rate)
		if err != nil {
			t.Fatal(err)
		}
		return e, d
	}
	e8, d8 := opus(8000, codec.VoIP)
	e16, d16 := opus(16000, codec.VoIP)
	e48, d48 := opus(48000, codec.VoIP)
	l8, ld8 := opus(8000, codec.LowDelay)
	return []stream{
		{"PCMU", 8000, codec.NewPCMU(), codec.NewPCMU(), 30},
		{"PCMA", 8000, codec.NewPCMA(), codec.NewPCMA(), 30},
		{"G722", 16000, codec.NewG722(), codec.NewG722(), 25},
		{"opus 8 kHz", 8000, e8, d8, 0},
		{"opus 16 kHz", 16000, e16, d16, 0},
		{"opus 48 kHz", 48000, e48, d48, 0},
		{"opus 8 kHz low delay", 8000, l8, ld8, 0},
	}
}

func TestTonesPassEachCodec(t *testing.T) {
	for _, s := range streams(t) {
		t.Run(s.name, func(t *testing.T) {
			var out []int16
			tone := audio.NewTone(620, s.rate, -16)
			in, got, buf := make([]int16, s.rate/50), make([]int16, s.rate/50), make([]byte, codec.MaxOpus)
			for range 100 {
				tone.Fill(in)
				n, err := s.enc.Encode(buf, in)
				if err != nil {
					t.Fatal(err)
				}
				m, err := s.dec.Decode(got, buf[:n])
				if err != nil || m != len(got) {
					t.Fatalf("Decode = %d, %v, want %d samples", m, err, len(got))
				}
				out = append(out, got...)
			}
			out = out[s.rate/2:]
			heard := audio.Goertzel(out, 620, s.rate)
			if math.Abs(heard+16) > 1.5 {
				t.Errorf("620 Hz comes out at %.1f dBov, want -16", heard)
			}
			var all float64
			for _, v := range out {
				all += float64(v) * float64(v)
			}
			all = 10 * math.Log10(all/float64(len(out))/(32768*32768))
			if noise := 10 * math.Log10(math.Max(1e-12, math.Pow(10, all/10)-math.Pow(10, heard/10))); s.snr > 0 && heard-noise < s.snr {
				t.Errorf("signal to noise %.1f dB, want %v", heard-noise, s.snr)
			}
		})
	}
}

// TestG711Tables checks values printed in the recommendation: the ends and the middle of each law.
func TestG711Tables(t *testing.T) {
	for _, tt := range []struct {
		name    string
		c       *codec.G711
		payload byte
		want    int16
	}{
		{"u-law loudest", codec.NewPCMU(), 0x80, 32124},
		{"u-law lowest", codec.NewPCMU(), 0x00, -32124},
		{"u-law zero", codec.NewPCMU(), 0xff, 0},
		{"A-law loudest", codec.NewPCMA(), 0xaa, 32256},
		{"A-law lowest", codec.NewPCMA(), 0x2a, -32256},
		{"A-law smallest", codec.NewPCMA(), 0xd5, 8},
	} {
		var out [1]int16
		if _, err := tt.c.Decode(out[:], []byte{tt.payload}); err != nil || out[0] != tt.want {
			t.Errorf("%s: %#x decodes to %d, %v, want %d", tt.name, tt.payload, out[0], err, tt.want)
		}
		var back [1]byte
		if _, err := tt.c.Encode(back[:], out[:]); err != nil || back[0] != tt.payload {
			t.Errorf("%s: %d encodes to %#x, %v, want %#x", tt.name, out[0], back[0], err, tt.payload)
		}
	}
}

func TestConcealmentFades(t *testing.T) {
	for _, s := range streams(t) {
		t.Run(s.name, func(t *testing.T) {
			tone := audio.NewTone(400, s.rate, -16)
			in, got, buf := make([]int16, s.rate/50), make([]int16, s.rate/50), make([]byte, codec.MaxOpus)
			for range 50 {
				tone.Fill(in)
				n, _ := s.enc.Encode(buf, in)
				if _, err := s.dec.Decode(got, buf[:n]); err != nil {
					t.Fatal(err)
				}
			}
			n := s.dec.Conceal(got)
			if n != len(got) || audio.Level(got) > 40 {
				t.Errorf("the first lost packet is concealed with level -%d", audio.Level(got))
			}
			for range 20 {
				s.dec.Conceal(got)
			}
			if audio.Level(got) < 25 {
				t.Errorf("400 ms after the loss there still is sound at -%d", audio.Level(got))
			}
		})
	}
}

func TestNothingAllocates(t *testing.T) {
	for _, s := range streams(t) {
		in, got, buf := make([]int16, s.rate/50), make([]int16, s.rate/50), make([]byte, codec.MaxOpus)
		tone := audio.NewTone(500, s.rate, -16)
		turn := func() {
			tone.Fill(in)
			n, _ := s.enc.Encode(buf, in)
			_, _ = s.dec.Decode(got, buf[:n])
		}
		for range 20 {
			turn()
		}
		if n := testing.AllocsPerRun(50, turn); n != 0 {
			t.Errorf("%s: %v allocations per packet", s.name, n)
		}
		if _, opus := s.dec.(*codec.OpusDecoder); opus && strings.HasPrefix(codec.OpusBuild(), "gopus") {
			continue // the pure-Go library allocates to conceal; the shipped build does not
		}
		if n := testing.AllocsPerRun(50, func() { s.dec.Conceal(got) }); n != 0 {
			t.Errorf("%s: %v allocations per concealment", s.name, n)
		}
	}
}

func TestOpusInspect(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		e, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: rate})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, codec.MaxOpus)
		n, err := e.Encode(buf, make([]int16, rate/50))
		if err != nil {
			t.Fatal(err)
		}
		if samples, channels, ok := codec.OpusInspect(buf[:n]); samples != 960 || channels != 1 || !ok {
			t.Errorf("20 ms at %d Hz: %d samples, %d channels, %v", rate, samples, channels, ok)
		}
	}
	if _, _, ok := codec.OpusInspect(nil); ok {
		t.Error("nothing is taken for a packet")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x08, 1, 2, 3}, uint8(3))
	f.Add([]byte{0xff, 0xff, 0xff}, uint8(5))
	all := streams(f)
	f.Fuzz(func(t *testing.T, payload []byte, which uint8) {
		s := all[int(which)%len(all)]
		dst := make([]int16, s.rate/50*6+1)
		const mark = 12345
		dst[len(dst)-1] = mark
		n, err := s.dec.Decode(dst[:len(dst)-1], payload)
		if err == nil && n > len(dst)-1 || dst[len(dst)-1] != mark {
			t.Errorf("%s wrote %d samples of %d", s.name, n, len(dst)-1)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, s := range streams(b) {
		b.Run(s.name, func(b *testing.B) {
			tone := audio.NewTone(500, s.rate, -16)
			in, buf := make([]int16, s.rate/50), make([]byte, codec.MaxOpus)
			tone.Fill(in)
			for b.Loop() {
				_, _ = s.enc.Encode(buf, in)
			}
		})
	}
}

// TestStereoSenders: a phone may send two channels, whatever was agreed (RFC 7587, 7): both are heard in one. The packets
// say 440 Hz on the left and 700 Hz on the right.
func TestStereoSenders(t *testing.T) {
	raw, err := os.ReadFile("testdata/stereo.packets")
	if err != nil {
		t.Fatal(err)
	}
	for _, rate := range []int{8000, 16000, 48000} {
		dec, err := codec.NewOpusDecoder(rate)
		if err != nil {
			t.Fatal(err)
		}
		var pcm []int16
		for rest := raw; len(rest) > 2; {
			n := int(binary.BigEndian.Uint16(rest))
			packet := rest[2 : 2+n]
			rest = rest[2+n:]
			if samples, channels, ok := codec.OpusInspect(packet); samples != 960 || channels != 2 || !ok {
				t.Fatalf("a packet of %d samples and %d channels", samples, channels)
			}
			buf := make([]int16, rate/50)
			got, err := dec.Decode(buf, packet)
			if err != nil || got != rate/50 {
				t.Fatalf("%d samples, %v", got, err)
			}
			pcm = append(pcm, buf...)
		}
		pcm = pcm[rate/10 : rate/2]
		left, right := audio.Goertzel(pcm, 440, rate), audio.Goertzel(pcm, 700, rate)
		if left < -26 || right < -26 || math.Abs(left-right) > 2 {
			t.Errorf("%d Hz: the left is heard at %.1f dBov, the right at %.1f", rate, left, right)
		}
	}
}
