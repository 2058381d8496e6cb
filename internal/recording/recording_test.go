package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"

	"golang.org/x/sys/unix"
)

const loud = -20 // dBov of a tone

// say has a track say a tone from one time to another, both from the start of the session, as time passes.
func say(t *Track, start time.Time, hz float64, from, to time.Duration) {
	tone := audio.NewTone(hz, Rate, loud)
	pcm := make([]int16, Frame)
	for at := from; at < to; at += 20 * time.Millisecond {
		if d := time.Until(start.Add(at)); d > 0 {
			time.Sleep(d)
		}
		tone.Fill(pcm)
		t.Push(pcm, start.Add(at))
	}
}

// hears reports whether a tone is in a piece of sound.
func hears(pcm []int16, hz float64, from, to time.Duration) bool {
	a, b := position(from), min(position(to), int64(len(pcm)))
	return a < b && audio.Goertzel(pcm[a:b], hz, Rate) > loud-10
}

// sound reads a recording, WAV or Opus.
func sound(t *testing.T, path string) []int16 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) == ".opus" {
		return decode(t, b)
	}
	pcm, rate, err := audio.ReadWAV(bytes.NewReader(b))
	if err != nil || rate != Rate {
		t.Fatal(rate, err)
	}
	return pcm
}

// decode reads Ogg pages as RFC 3533 has them.
func decode(t *testing.T, b []byte) (pcm []int16) {
	t.Helper()
	dec, err := codec.NewOpusDecoder(Rate)
	if err != nil {
		t.Fatal(err)
	}
	var granule uint64
	for page := uint32(0); len(b) > 0; page++ {
		if len(b) < 27 || string(b[:4]) != "OggS" || binary.LittleEndian.Uint32(b[18:]) != page {
			t.Fatalf("page %d is none", page)
		}
		lens := b[27 : 27+int(b[26])]
		size := 27 + len(lens)
		for _, n := range lens {
			size += int(n)
		}
		whole := bytes.Clone(b[:size])
		sum := binary.LittleEndian.Uint32(whole[22:])
		clear(whole[22:26])
		if checksum(whole) != sum {
			t.Fatalf("page %d is damaged", page)
		}
		if g := binary.LittleEndian.Uint64(b[6:]); g < granule {
			t.Fatalf("page %d goes back in time", page)
		} else {
			granule = g
		}
		body := b[27+len(lens) : size]
		b = b[size:]
		for packet := 0; len(lens) > 0; packet++ {
			n := 0
			for more := true; more; lens = lens[1:] {
				n, more = n+int(lens[0]), lens[0] == 255
			}
			piece := body[:n]
			body = body[n:]
			switch {
			case page == 0 && string(piece[:8]) != "OpusHead", page == 1 && string(piece[:8]) != "OpusTags":
				t.Fatal("no Opus")
			case page > 1:
				var out [6 * Frame]int16
				if len(piece) == 1 {
					n = dec.Conceal(out[:Frame])
				} else if n, err = dec.Decode(out[:], piece); err != nil {
					t.Fatal(err)
				}
				pcm = append(pcm, out[:n]...)
			}
		}
	}
	end := int(granule / perSample)
	if end > len(pcm) || end < len(pcm)-2*Frame {
		t.Fatalf("%d samples, the pages say %d", len(pcm), end)
	}
	return pcm[preSkip/perSample : end]
}

func options(t *testing.T, format string) Options {
	return Options{Format: format, Mix: true, Speakers: true, Dir: filepath.Join(t.TempDir(), "s"), Name: "r", Start: time.Now(), Counts: &Counts{}}
}

// TestFiles: each speaker is in a file of his own, where he spoke, and all are in the mix.
func TestFiles(t *testing.T) {
	for _, format := range []string{"wav", "opus"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				o := options(t, format)
				o.Dir = dir
				r := New(o)
				a := r.Track("aa", "Alice")
				done := make(chan struct{})
				go func() {
					defer close(done)
					b := r.Track("bb", "Bob")
					say(b, o.Start, 900, 2*time.Second, 4*time.Second)
					b.Leave()
				}()
				say(a, o.Start, 400, 0, 3*time.Second)
				<-done
				time.Sleep(time.Until(o.Start.Add(20 * time.Second)))
				say(a, o.Start, 400, 20*time.Second, 21*time.Second)
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				if n := o.Counts.Dropped.Load(); n != 0 {
					t.Errorf("%d frames are missing", n)
				}
			})
			mix, alice, bob := sound(t, filepath.Join(dir, "r."+format)), sound(t, filepath.Join(dir, "r_1."+format)), sound(t, filepath.Join(dir, "r_2."+format))
			const s, m = time.Second, 10 * time.Second
			for _, test := range []struct {
				what     string
				pcm      []int16
				hz       float64
				from, to time.Duration
				want     bool
			}{
				{"alice", alice, 400, s, 2 * s, true}, {"alice", alice, 900, 2 * s, 3 * s, false}, {"alice", alice, 400, 10 * m, 10*m + s, false}, {"alice", alice, 400, 2*m + s/4, 2*m + s, true},
				{"bob", bob, 900, 2*s + s/4, 4 * s, true}, {"bob", bob, 400, 2 * s, 3 * s, false}, {"bob", bob, 900, s, 2 * s, false},
				{"mix", mix, 400, s, 2 * s, true}, {"mix", mix, 400, 2 * s, 3 * s, true}, {"mix", mix, 900, 2*s + s/4, 3 * s, true}, {"mix", mix, 900, 3*s + s/4, 4 * s, true}, {"mix", mix, 400, 2*m + s/4, 2*m + s, true},
			} {
				if got := hears(test.pcm, test.hz, test.from, test.to); got != test.want {
					t.Errorf("%s at %v: %v Hz heard %v", test.what, test.from, test.hz, got)
				}
			}
			index, err := os.ReadFile(filepath.Join(dir, "r.jsonl"))
			if err != nil || !strings.Contains(string(index), `{"file":"r_1.`+format+`","id":"aa","name":"Alice","at":`) || strings.Count(string(index), "\n") != 2 {
				t.Errorf("%s %v", index, err)
			}
		})
	}
}

// TestOneOfBoth: the mix alone, or the speakers alone, and nothing where nobody spoke.
func TestOneOfBoth(t *testing.T) {
	for _, test := range []struct {
		mix, speakers, talk bool
		want                string
	}{{true, false, true, "r.wav"}, {false, true, true, "r.jsonl r_1.wav"}, {true, true, false, ""}} {
		o := options(t, "wav")
		o.Mix, o.Speakers = test.mix, test.speakers
		r := New(o)
		a := r.Track("aa", "Alice")
		if test.talk {
			for i := range 10 {
				a.Push(bytesOf(400), o.Start.Add(time.Duration(i)*20*time.Millisecond))
			}
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil || o.Counts.Recorders.Load() != 0 {
			t.Fatal(err)
		}
		var got []string
		files, _ := os.ReadDir(o.Dir)
		for _, f := range files {
			got = append(got, f.Name())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func bytesOf(hz float64) []int16 {
	pcm := make([]int16, Frame)
	audio.NewTone(hz, Rate, loud).Fill(pcm)
	return pcm
}

// TestT35_RecorderIsKilled: what was said a few seconds before a kill is there, and the header tells of it.
func TestT35_RecorderIsKilled(t *testing.T) {
	if dir := os.Getenv("RECORDING_CHILD"); dir != "" {
		o := Options{Format: os.Getenv("RECORDING_FORMAT"), Speakers: true, Dir: dir, Name: "r", Start: time.Now()}
		r := New(o)
		a := r.Track("aa", "Alice")
		go say(a, o.Start, 400, 0, time.Minute)
		for {
			if info, err := os.Stat(filepath.Join(dir, "r_1."+o.Format)); err == nil && info.Size() > map[string]int64{"wav": 20_000, "opus": 1000}[o.Format] {
				fmt.Println("recorded")
				select {}
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, format := range []string{"wav", "opus"} {
		dir := t.TempDir()
		c := exec.Command(os.Args[0], "-test.run=^TestT35_RecorderIsKilled$")
		c.Env = append(os.Environ(), "RECORDING_CHILD="+dir, "RECORDING_FORMAT="+format)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if n, err := out.Read(make([]byte, 100)); n == 0 {
			t.Fatal(err)
		}
		_ = c.Process.Signal(syscall.SIGKILL)
		_ = c.Wait()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if format == "wav" {
			if err := Repair(root, "r_1.wav"); err != nil {
				t.Fatal(err)
			}
		}
		pcm := sound(t, filepath.Join(dir, "r_1."+format))
		if len(pcm) < Rate/2 || !hears(pcm, 400, 200*time.Millisecond, time.Second) {
			t.Errorf("%s: %d samples are left", format, len(pcm))
		}
	}
}

func TestRepair(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, test := range []struct {
		content []byte
		ok      bool
		samples int
	}{
		{header(0), true, 0}, {append(header(0), make([]byte, 101)...), true, 50}, {append(header(100), make([]byte, 100)...), true, 50}, {[]byte("RI"), true, 0}, {nil, true, 0},
		{make([]byte, 100), false, 0},
	} {
		path := filepath.Join(dir, "x.wav")
		if err := os.WriteFile(path, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Repair(root, "x.wav"); (err == nil) != test.ok {
			t.Error(test.samples, err)
		}
		if test.ok && len(sound(t, path)) != test.samples {
			t.Error(len(sound(t, path)), test.samples)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "l.wav")); err != nil {
		t.Fatal(err)
	}
	if Repair(root, "l.wav") == nil || Repair(root, "none.wav") == nil {
		t.Error("something that is not there was repaired")
	}
}

// TestT35_FullDiskCostsTheRecordingOnly: nobody waits, and when the disk takes something again it is in its place.
func TestT35_FullDiskCostsTheRecordingOnly(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(old.Cur)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := options(t, "wav")
		o.Dir, o.Mix = dir, false
		r := New(o)
		a := r.Track("aa", "Alice")
		say(a, o.Start, 400, 0, 2*time.Second)
		limit(90_000)
		began := time.Now()
		say(a, o.Start, 400, 2*time.Second, 10*time.Second)
		if d := time.Since(began); d > 8*time.Second {
			t.Errorf("a speaker waited for the disk: %v", d)
		}
		limit(old.Cur)
		say(a, o.Start, 900, 10*time.Second, 40*time.Second)
		if err := r.Close(); !errors.Is(err, syscall.EFBIG) || o.Counts.Errors.Load() == 0 || o.Counts.Dropped.Load() == 0 {
			t.Error(err, o.Counts.Errors.Load(), o.Counts.Dropped.Load())
		}
	})
	pcm := sound(t, filepath.Join(dir, "r_1.wav"))
	if !hears(pcm, 400, 0, time.Second) || hears(pcm, 400, 6*time.Second, 7*time.Second) || !hears(pcm, 900, 30*time.Second, 40*time.Second) {
		t.Error("not in its place")
	}
}

// TestBounds: a session takes no more than it may, and a disk that is nearly full is left alone.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, "wav")
		o.MaxBytes = 200_000
		r := New(o)
		a := r.Track("aa", "Alice")
		say(a, o.Start, 400, 0, 30*time.Second)
		if err := r.Close(); !errors.Is(err, errMax) {
			t.Error(err)
		}
		if n := o.Counts.Bytes.Load(); n < o.MaxBytes || n > 2*o.MaxBytes {
			t.Errorf("%d bytes", n)
		}
		o = options(t, "wav")
		o.MinFree = 1 << 62
		r = New(o)
		a = r.Track("aa", "Alice")
		say(a, o.Start, 400, 0, 10*time.Second)
		if err := r.Close(); !errors.Is(err, errFree) {
			t.Error(err)
		}
		if _, err := os.Stat(o.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Error("something was written")
		}
	})
}

// TestPushNeverWaits: with a recorder that is stuck, what a speaker says is dropped and counted; nothing is allocated.
func TestPushNeverWaits(t *testing.T) {
	c := &Counts{}
	tr := &Track{counts: c, start: time.Now()}
	pcm := bytesOf(400)
	for i := range slots + 100 {
		tr.Push(pcm, tr.start.Add(time.Duration(i)*20*time.Millisecond))
	}
	if c.Dropped.Load() != 100 {
		t.Error(c.Dropped.Load())
	}
	n := 0
	tr.drain(func(pos int64, _ []int16) {
		if pos != int64(n*Frame) {
			t.Fatal(pos, n)
		}
		n++
	})
	if n != slots {
		t.Error(n)
	}
	if allocs := testing.AllocsPerRun(50, func() { tr.Push(pcm, tr.start) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestTimes: small differences of the clock leave no gap, large ones are silence, what comes from the past is left out.
func TestTimes(t *testing.T) {
	tr := &Track{counts: &Counts{}, start: time.Now()}
	pcm := bytesOf(400)
	for _, ms := range []int{0, 25, 35, 95, 300, 290, -1000} {
		tr.Push(pcm, tr.start.Add(time.Duration(ms)*time.Millisecond))
	}
	var got []int64
	tr.drain(func(pos int64, _ []int16) { got = append(got, pos*1000/Rate) })
	if fmt.Sprint(got) != "[0 20 40 60 300 320]" || tr.counts.Dropped.Load() != 1 {
		t.Error(got, tr.counts.Dropped.Load())
	}
}
