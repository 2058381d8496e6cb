package prompt

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jigasi/internal/audio"
	"jigasi/internal/media"
)

// TestEverySoundIsThere: in each language, with its text, and long enough to be understood.
func TestEverySoundIsThere(t *testing.T) {
	l, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range Languages() {
		for _, s := range Sounds() {
			pcm := l.clip(lang, s)
			if len(pcm) < media.Wide/10 || len(pcm) > 12*media.Wide {
				t.Errorf("%s/%s has %d samples", lang, s, len(pcm))
				continue
			}
			if level := audio.Level(pcm); level > 40 {
				t.Errorf("%s/%s is at -%d dBov", lang, s, level)
			}
			_, tone := fs.Stat(inside, "sounds/tones/"+string(s)+".txt")
			if text, err := inside.ReadFile("sounds/" + lang + "/" + string(s) + ".txt"); tone != nil && (err != nil || len(bytes.TrimSpace(text)) == 0) {
				t.Errorf("%s/%s has no text", lang, s)
			}
		}
	}
}

// TestNoStrangeFiles: what lies in the folder is a sound that can be asked for.
func TestNoStrangeFiles(t *testing.T) {
	known := map[string]bool{}
	for _, s := range Sounds() {
		known[string(s)] = true
	}
	err := fs.WalkDir(inside, "sounds", func(at string, d fs.DirEntry, err error) error {
		if name := filepath.Base(at); err == nil && !d.IsDir() && !known[strings.TrimSuffix(name, filepath.Ext(name))] {
			t.Errorf("%s is never played", at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// meeting says a tone and counts what it is told.
type meeting struct {
	*audio.Tone
	heard int
}

func (m *meeting) Pull(c *media.Chunk) { m.Fill(c.PCM) }
func (m *meeting) Push(*media.Chunk)   { m.heard++ }

// pull gives n ticks of what a phone hears.
func pull(p media.Port, rate, n int) []int16 {
	var out []int16
	var c media.Chunk
	buf := make([]int16, rate/50)
	for range n {
		c.Reset(rate, buf, true)
		p.Pull(&c)
		out = append(out, c.PCM...)
	}
	return out
}

func TestPlayerLaysSoundsOverTheMeeting(t *testing.T) {
	for _, rate := range []int{media.Wide, media.Full} {
		l, _ := Open("")
		p := NewPlayer(l, "de")
		m := &meeting{Tone: audio.NewTone(1000, rate, -20)}
		port := p.Over(m)
		var done []string
		p.Play(Hold, func() { done = append(done, "hold") }) // a note of 440 Hz
		p.Play(ParticipantJoined, func() { done = append(done, "joined") })
		during := pull(port, rate, 6)
		if lvl := audio.Goertzel(during, 440, rate); lvl < -40 {
			t.Errorf("%d Hz: the sound is heard at %.0f dBov", rate, lvl)
		}
		if lvl := audio.Goertzel(during, 1000, rate); lvl < -36 || lvl > -28 {
			t.Errorf("%d Hz: the meeting is heard at %.0f dBov under a sound, want about -32", rate, lvl)
		}
		pull(port, rate, 100)
		if strings.Join(done, " ") != "hold joined" {
			t.Errorf("done: %v", done)
		}
		after := pull(port, rate, 20)
		if lvl := audio.Goertzel(after, 1000, rate); lvl < -21 || lvl > -19 {
			t.Errorf("%d Hz: the meeting is heard at %.0f dBov after it", rate, lvl)
		}
		if lvl := audio.Goertzel(after, 440, rate); lvl > -60 {
			t.Errorf("%d Hz: the sound is still heard at %.0f dBov", rate, lvl)
		}
		port.Push(&media.Chunk{})
		if m.heard != 1 {
			t.Error("what the phone says does not reach the meeting")
		}
	}
}

// TestLostMeetingIsSaid: a phone whose meeting is lost hears that once, after the first hold sound; one that waits for its first
// meeting does not.
func TestLostMeetingIsSaid(t *testing.T) {
	l, _ := Open("")
	p := NewPlayer(l, "en")
	speech := func(port media.Port, ticks int) bool {
		return audio.Level(pull(port, media.Wide, ticks)[media.Wide:]) < 50
	}
	port := p.Over(nil)
	pull(port, media.Wide, 150)
	if speech(port, 400) {
		t.Error("a phone that waits hears that its meeting is lost")
	}
	p.Over(&meeting{Tone: audio.NewTone(440, media.Wide, -20)})
	port = p.Over(nil)
	pull(port, media.Wide, 150)
	if !speech(port, 150) {
		t.Error("a phone does not hear that its meeting is lost")
	}
	pull(port, media.Wide, 360)
	if speech(port, 400) {
		t.Error("it is said twice")
	}
}

// TestHoldSound: a phone whose meeting is away hears nothing for 3 s, and then that it is not forgotten.
func TestHoldSound(t *testing.T) {
	l, _ := Open("")
	port := NewPlayer(l, "en").Over(nil)
	if lvl := audio.Level(pull(port, media.Wide, 149)); lvl != 127 {
		t.Errorf("heard at -%d dBov within 3 s", lvl)
	}
	if lvl := audio.Goertzel(pull(port, media.Wide, 10), 440, media.Wide); lvl < -40 {
		t.Errorf("the hold sound is at %.0f dBov", lvl)
	}
	pull(port, media.Wide, 60)
	if lvl := audio.Level(pull(port, media.Wide, 420)); lvl != 127 {
		t.Errorf("heard at -%d dBov between two of them", lvl)
	}
	if lvl := audio.Goertzel(pull(port, media.Wide, 25), 440, media.Wide); lvl < -40 {
		t.Errorf("the second hold sound is at %.0f dBov", lvl)
	}
}

func TestQueueIsBounded(t *testing.T) {
	l, _ := Open("")
	p := NewPlayer(l, "en")
	n := 0
	for range 10 * maxQueue {
		p.Play(LobbyWait, func() { n++ })
	}
	if n != 9*maxQueue {
		t.Errorf("%d of %d are done at once", n, 10*maxQueue)
	}
	p.Play("NoSuchSound", func() { n = -1 })
	if n != -1 {
		t.Error("a sound that is not there is never done")
	}
}

func TestNothingAllocates(t *testing.T) {
	l, _ := Open("")
	p := NewPlayer(l, "en")
	m := &meeting{Tone: audio.NewTone(1000, media.Full, -20)}
	port := p.Over(m)
	p.Play(MaxOccupants, nil)
	var c media.Chunk
	buf := make([]int16, media.Full/50)
	if n := testing.AllocsPerRun(500, func() {
		c.Reset(media.Full, buf, true)
		port.Pull(&c)
	}); n != 0 {
		t.Errorf("%.1f allocations a tick", n)
	}
}

func TestOwnSounds(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	tone := make([]int16, 4*media.Narrow)
	audio.NewTone(700, media.Narrow, -20).Fill(tone)
	if err := audio.WriteWAV(&b, tone, media.Narrow); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "fr"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, body []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Muted.wav", b.Bytes())
	opus, _ := inside.ReadFile("sounds/tones/Hold.opus")
	write("fr/Muted.opus", opus)
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if pcm := l.clip("en", Muted); len(pcm) != 4*media.Wide || audio.Goertzel(pcm, 700, media.Wide) < -21 {
		t.Errorf("the WAV of every language: %d samples, %.0f dBov", len(pcm), audio.Goertzel(pcm, 700, media.Wide))
	}
	if pcm := l.clip("fr", Muted); len(pcm) > media.Wide {
		t.Errorf("the Opus file of one language: %d samples", len(pcm))
	}
	if pcm := l.clip("en", Unmuted); pcm == nil {
		t.Error("what is not replaced is gone")
	}
	write("Unmuted.opus", []byte("no sound"))
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "Unmuted") {
		t.Errorf("a broken file: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there is taken")
	}
}

func TestMatch(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-CH, fr;q=0.9": "de", "pt-BR, es;q=0.5": "es", "FR-ca": "fr", "xx": "en", strings.Repeat("x,", 5000): "en",
	} {
		if got := Match(header); got != want {
			t.Errorf("%.20q: %s, want %s", header, got, want)
		}
	}
	if got := Match("pt", "de"); got != "de" {
		t.Errorf("the second wish: %s", got)
	}
}

func FuzzOgg(f *testing.F) {
	hold, _ := inside.ReadFile("sounds/tones/Hold.opus")
	f.Add(hold)
	f.Add([]byte("OggS"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		packets, skip, err := readOgg(raw)
		total := 0
		for _, p := range packets {
			total += len(p)
		}
		if err == nil && (total > len(raw) || skip < 0 || len(packets) == 0) {
			t.Errorf("%d bytes of packets out of %d", total, len(raw))
		}
	})
}
