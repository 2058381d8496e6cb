package audio_test

import (
	"bytes"
	"math"
	"testing"

	"jigasi/internal/audio"
)

func tone(hz float64, rate, n int, dbov float64) []int16 {
	pcm := make([]int16, n)
	audio.NewTone(hz, rate, dbov).Fill(pcm)
	return pcm
}

// TestToneWithAPieceLeftOut: a tone whose phase jumps is heard as loud as it is, and another one is not heard in it.
func TestToneWithAPieceLeftOut(t *testing.T) {
	const rate = 8000
	pcm := make([]int16, rate+7)
	audio.NewTone(620, rate, -20).Fill(pcm)
	pcm = append(pcm[:rate/2], pcm[rate/2+7:]...) // 7 of 12.9 samples of a period
	if got := audio.Goertzel(pcm, 620, rate); got > -30 {
		t.Errorf("both halves do not cancel out: %.1f dBov", got)
	}
	if got := audio.Heard(pcm, 620, rate); math.Abs(got+20) > 0.5 {
		t.Errorf("heard at %.1f dBov", got)
	}
	if got := audio.Heard(pcm, 880, rate); got > -45 {
		t.Errorf("880 Hz is heard at %.1f dBov", got)
	}
	if got, want := audio.Heard(pcm[:rate/10], 620, rate), audio.Goertzel(pcm[:rate/10], 620, rate); got != want {
		t.Errorf("a tenth of a second is heard at %.1f dBov, and has %.1f", got, want)
	}
}

func TestLevelAndGoertzelAgree(t *testing.T) {
	for _, db := range []float64{-3, -10, -26, -50} {
		pcm := tone(440, 16000, 16000, db)
		if got := float64(audio.Level(pcm)); math.Abs(got+db) > 0.6 {
			t.Errorf("Level of a tone at %v dBov = -%v", db, got)
		}
		if got := audio.Goertzel(pcm, 440, 16000); math.Abs(got-db) > 0.6 {
			t.Errorf("Goertzel of a tone at %v dBov = %v", db, got)
		}
		if got := audio.Goertzel(pcm, 880, 16000); got > db-40 {
			t.Errorf("Goertzel hears 880 Hz at %v in a tone of 440", got)
		}
	}
	if got := audio.Level(make([]int16, 160)); got != audio.Silent {
		t.Errorf("Level of nothing = %d", got)
	}
}

func TestMixSaturates(t *testing.T) {
	a, b := []int16{30000, -30000, 5}, []int16{30000, -30000, -6}
	acc := make([]int32, 3)
	audio.Accumulate(acc, a)
	audio.Accumulate(acc, b)
	audio.Settle(a, acc)
	if a[0] != 32767 || a[1] != -32768 || a[2] != -1 || acc[0] != 0 {
		t.Errorf("mix %v, accumulator %v", a, acc)
	}
}

// resamplers in blocks of 20 ms, each with its rates.
func resamplers() []struct {
	name     string
	from, to int
	run      func(dst, in []int16)
} {
	var h audio.Halver
	var d audio.Doubler
	var t3 audio.Tripler
	var third audio.Third
	return []struct {
		name     string
		from, to int
		run      func(dst, in []int16)
	}{
		{"16 to 8 kHz", 16000, 8000, h.Run},
		{"8 to 16 kHz", 8000, 16000, d.Run},
		{"16 to 48 kHz", 16000, 48000, t3.Run},
		{"48 to 16 kHz", 48000, 16000, third.Run},
	}
}

func TestResamplersKeepTonesAndRefuseAliases(t *testing.T) {
	convert := func(run func(dst, in []int16), pcm []int16, from, to int) []int16 {
		out := make([]int16, 0, len(pcm)*to/from)
		buf := make([]int16, to/50)
		for ; len(pcm) >= from/50; pcm = pcm[from/50:] {
			run(buf, pcm[:from/50])
			out = append(out, buf...)
		}
		return out[to/10:]
	}
	for i, r := range resamplers() {
		low := float64(min(r.from, r.to)) / 2
		for _, hz := range []float64{300, 1000, low * 0.8} {
			out := convert(resamplers()[i].run, tone(hz, r.from, r.from, -10), r.from, r.to)
			if got := audio.Goertzel(out, hz, r.to); math.Abs(got+10) > 1.2 {
				t.Errorf("%s: %v Hz comes out at %.1f dBov, want -10", r.name, hz, got)
			}
			if all := -float64(audio.Level(out)); math.Abs(all-audio.Goertzel(out, hz, r.to)) > 1.5 {
				t.Errorf("%s: %v Hz brings other sound along: %.1f in all", r.name, hz, all)
			}
		}
		if r.to < r.from {
			out := convert(resamplers()[i].run, tone(low*1.4, r.from, r.from, -10), r.from, r.to)
			if got := audio.Level(out); got < 45 {
				t.Errorf("%s: a tone above the band comes out at -%d dBov", r.name, got)
			}
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	for _, r := range resamplers() {
		in, out := make([]int16, r.from/50), make([]int16, r.to/50)
		if n := testing.AllocsPerRun(50, func() { r.run(out, in) }); n != 0 {
			t.Errorf("%s: %v allocations", r.name, n)
		}
	}
}

func TestWAVRoundTrip(t *testing.T) {
	pcm := tone(440, 8000, 801, -10)
	var b bytes.Buffer
	if err := audio.WriteWAV(&b, pcm, 8000); err != nil {
		t.Fatal(err)
	}
	got, rate, err := audio.ReadWAV(&b)
	if err != nil || rate != 8000 || len(got) != len(pcm) || got[100] != pcm[100] {
		t.Errorf("ReadWAV = %d samples at %d, %v", len(got), rate, err)
	}
}

func FuzzReadWAV(f *testing.F) {
	var b bytes.Buffer
	_ = audio.WriteWAV(&b, tone(440, 8000, 80, -10), 8000)
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if pcm, rate, err := audio.ReadWAV(bytes.NewReader(data)); err == nil && (rate <= 0 || 2*len(pcm) > len(data)) {
			t.Errorf("%d samples at %d from %d bytes", len(pcm), rate, len(data))
		}
	})
}
