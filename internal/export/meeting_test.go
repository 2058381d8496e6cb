package export

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/archive"
	"jigasi/internal/codec"
	"jigasi/internal/recording"
	"jigasi/internal/transcript"

	"github.com/coder/websocket"
)

// TestExportOfAMeeting: three speak at once, each is understood apart, the results go back to the bridge, and the
// transcript holds every word once.
func TestExportOfAMeeting(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	dir := t.TempDir()
	s := begin(t, Options{
		Archive: keep(t, dir, "txt", "vtt"), Translator: shout{}, Targets: []string{"fr"},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	b := connect(t, url(s, "9ef4d8e6-1913-464e-9bd2-0846f6f4ff64"), nil)
	b.send(`{"event":"info","application":"jitsi-videobridge","version":"2.3.SNAPSHOT"}`)
	tags := []string{"2acd5e34-a0", "8206b414-a0", "96b41f27-a0"}
	var talkers []*talker
	var sounds [][]int16
	for n, tag := range tags {
		b.start(tag)
		talkers, sounds = append(talkers, b.talker(tag, int64(n)*14219)), append(sounds, saying(script(n, 4)...))
	}
	for len(sounds[0]) > 0 {
		for n, k := range talkers {
			sounds[n] = k.next(sounds[n])
		}
	}
	b.send(`{"event":"ping","id":7,"event":"ping"}`)
	for n, tag := range tags {
		eventually(t, tag, func() bool { return len(b.finals(endpoint(tag))) >= 4 })
		if got := b.finals(endpoint(tag)); !slices.Equal(got, script(n, 4)) {
			t.Errorf("%s: %q", tag, got)
		}
	}
	b.mu.Lock()
	pong := slices.ContainsFunc(b.got, func(a answer) bool { return a.Event == "pong" && a.ID == 7 })
	b.mu.Unlock()
	if !pong {
		t.Error("no pong")
	}
	b.send(`{"event":"SessionEndEvent","event":"session-end"}`)
	_ = b.c.Close(websocket.StatusGoingAway, "")
	eventually(t, "the end", func() bool { return s.Meetings() == 0 })
	checkTranscript(t, dir, tags)
	for _, word := range []string{"w0", "w7", "W1"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("%q is in the log", word)
		}
	}
}

func checkTranscript(t *testing.T, dir string, tags []string) {
	t.Helper()
	files, _ := filepath.Glob(dir + "/*/transcript_*")
	if len(files) != 3 {
		t.Fatalf("%q", files)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n := range tags {
			for _, sentence := range script(n, 4) {
				if !strings.Contains(string(text), sentence) {
					t.Errorf("%s lacks %q", filepath.Ext(name), sentence)
				}
			}
		}
		if filepath.Ext(name) != ".jsonl" {
			continue
		}
		entries, err := transcript.Read(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for n, tag := range tags {
			var said, translated []string
			for _, e := range entries {
				switch {
				case e.Person.ID != endpoint(tag):
				case e.Kind == transcript.Speech:
					said = append(said, e.Text)
				case e.Kind == transcript.Translation:
					translated = append(translated, e.Text)
				}
			}
			if !slices.Equal(said, script(n, 4)) || len(translated) != 4 || translated[0] != strings.ToUpper(said[0]) {
				t.Errorf("%s: %q %q", tag, said, translated)
			}
		}
		if entries[0].Kind != transcript.Start || entries[len(entries)-1].Kind != transcript.End {
			t.Error("it has no beginning or no end")
		}
	}
}

type shout struct{}

func (shout) Translate(_ context.Context, text, _, _ string) (string, error) {
	return strings.ToUpper(text), nil
}

// TestExportOfManyMeetings: a dozen at once, none hears another.
func TestExportOfManyMeetings(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{})
	var all sync.WaitGroup
	for n := range 12 {
		b := connect(t, url(s, fmt.Sprint("meeting-", n)), nil)
		all.Go(func() {
			b.start("0a1b2c3d-a0")
			b.talker("0a1b2c3d-a0", 340).say(saying(script(n, 2)...))
		})
		t.Cleanup(func() {
			eventually(t, "all", func() bool { return len(b.finals("0a1b2c3d")) >= 2 })
			if got := b.finals("0a1b2c3d"); !slices.Equal(got, script(n, 2)) {
				t.Errorf("%d: %q", n, got)
			}
		})
	}
	all.Wait()
}

// TestExportWithGaps: of a word a packet is lost, packets come twice, and the sentences are whole.
func TestExportWithGaps(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{})
	b := connect(t, url(s, "m"), nil)
	b.start("a-a0")
	k := b.talker("a-a0", 1<<33)
	k.lose = func(chunk int64) bool { return chunk%23 == 7 }
	sound := saying(script(1, 5)...)
	for len(sound) > 0 {
		at, chunk := k.at, k.chunk
		sound = k.next(sound)
		if chunk%31 == 3 {
			b.media("a-a0", chunk-1, at-960, []byte{0xf8, 0xff, 0xfe}) // again, or too late
		}
	}
	eventually(t, "all", func() bool { return len(b.finals("a")) >= 5 })
	if got := b.finals("a"); !slices.Equal(got, script(1, 5)) {
		t.Errorf("%q", got)
	}
	if c := s.Counts(); c.Concealed.Load() == 0 || c.Late.Load() == 0 || c.Damaged.Load() != 0 {
		t.Errorf("%d concealed, %d late, %d damaged", c.Concealed.Load(), c.Late.Load(), c.Damaged.Load())
	}
}

// TestExportWithoutStart: sound of a tag that was not announced is heard, under the name that the tag tells; a second
// start changes nothing, and one for somebody else is somebody else.
func TestExportWithoutStart(t *testing.T) {
	t.Parallel()
	s := begin(t, Options{Archive: keep(t, t.TempDir())})
	b := connect(t, url(s, "m"), nil)
	k := b.talker("a1b2c3d4-a0", 340)
	k.say(saying("w1 w2", "w3 w4"))
	b.start("a1b2c3d4-a0")
	b.start("a1b2c3d4-a0")
	k.say(saying("w5 w6"))
	b.send(`{"event":"start","start":{"tag":"a1b2c3d4-a0","customParameters":{"endpointId":"other"}}}`)
	k.say(saying("w7 w8"))
	eventually(t, "all", func() bool { return len(b.finals("a1b2c3d4")) >= 3 && len(b.finals("other")) >= 1 })
	if got := slices.Concat(b.finals("a1b2c3d4"), b.finals("other")); !slices.Equal(got, []string{"w1 w2", "w3 w4", "w5 w6", "w7 w8"}) {
		t.Errorf("%q", got)
	}
}

// TestExportComesBack: a bridge that is lost and comes again goes on with the same meeting, whether it announces its
// tags again or not, and also where the old socket is still there. Nothing is lost or said twice.
func TestExportComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, Options{Archive: keep(t, dir)})
	var want []string
	var at, chunk int64
	for n := range 4 {
		b := connect(t, url(s, "m"), nil)
		if n != 1 {
			b.start("a-a0")
		}
		k := b.talker("a-a0", 340)
		if n == 1 {
			k.at, k.chunk = at, chunk
		}
		k.say(saying(script(n, 2)...))
		at, chunk, want = k.at, k.chunk, append(want, script(n, 2)...)
		eventually(t, "sentences", func() bool { return len(b.finals("a")) >= 2 })
		if n != 2 {
			_ = b.c.CloseNow()
		}
	}
	b := connect(t, url(s, "m"), nil)
	b.send(`{"event":"session-end"}`)
	eventually(t, "the end", func() bool { return s.Meetings() == 0 })
	files, _ := filepath.Glob(dir + "/*/*.jsonl")
	if len(files) != 1 || s.Counts().Replaced.Load() == 0 {
		t.Fatalf("%q, %d replaced", files, s.Counts().Replaced.Load())
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, _ := transcript.Read(f)
	var got []string
	for _, e := range entries {
		if e.Kind == transcript.Speech {
			got = append(got, e.Text)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestExportEnds: a speaker without sound has left and may come again; a meeting without its bridge ends.
func TestExportEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, Options{Idle: 300 * time.Millisecond, Linger: 300 * time.Millisecond, Archive: keep(t, dir)})
	b := connect(t, url(s, "m"), nil)
	k := b.talker("a-a0", 340)
	k.say(saying("w1 w2"))
	eventually(t, "the first", func() bool { return len(b.finals("a")) == 1 && s.counts.Scribe.Words.Speakers.Load() == 0 })
	k.say(saying("w3 w4"))
	eventually(t, "the second", func() bool { return len(b.finals("a")) == 2 })
	b.media("mute-a0", 1, 2, []byte{0xff}) // no sound: this one never comes
	_ = b.c.CloseNow()
	eventually(t, "the end", func() bool { return s.Meetings() == 0 })
	files, _ := filepath.Glob(dir + "/*/*.jsonl")
	text, err := os.ReadFile(files[0])
	if err != nil || strings.Count(string(text), "JOIN") < 2 || strings.Count(string(text), "LEAVE") < 1 || strings.Contains(string(text), `"mute"`) {
		t.Errorf("%v %s", err, text)
	}
}

// TestReplayOfTheCapture: the feed of a real bridge, message by message as it came, burst and all, with speech in place
// of its tones; it goes on as it began, and ends as it ended.
func TestReplayOfTheCapture(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, Options{Archive: keep(t, dir)})
	b := connect(t, url(s, "9ef4d8e6-1913-464e-9bd2-0846f6f4ff64"), nil)
	talkers, sounds, want := map[string]*talker{}, map[string][]int16{}, map[string][]string{}
	packet := make([]byte, codec.MaxOpus)
	var last string
	for _, text := range captured(t, "media.txt") {
		m, err := parse([]byte(whole(text)))
		if err != nil {
			t.Fatal(err)
		}
		k := talkers[m.tag]
		switch {
		case m.kind == sessionEnd:
			last = text
			continue
		case m.kind == start:
			n := len(talkers)
			talkers[m.tag], want[m.tag] = b.talker(m.tag, 0), script(n, 3)
			sounds[m.tag] = saying(want[m.tag]...)
		case m.kind == media && k.at > 0 && m.chunk != k.chunk:
			continue // the capture leaves some out from here on
		case m.kind == media:
			n, err := k.enc.Encode(packet, sounds[m.tag][:320])
			if err != nil {
				t.Fatal(err)
			}
			sounds[m.tag], k.chunk, k.at = sounds[m.tag][320:], m.chunk+1, m.at+960
			i := strings.Index(text, `"payload":"`) + len(`"payload":"`)
			text = text[:i] + base64.StdEncoding.EncodeToString(packet[:n]) + `","audioLevel":20,"vad":true},"event":"media"}`
		}
		b.send("%s", text)
	}
	for tag, k := range talkers {
		if k.chunk < 1170 {
			t.Errorf("%s: only up to %d", tag, k.chunk)
		}
		sounds[tag] = sounds[tag][:len(sounds[tag])/320*320]
	}
	together(talkers, sounds)
	for tag := range talkers {
		eventually(t, tag, func() bool { return len(b.finals(endpoint(tag))) >= 3 })
		if got := b.finals(endpoint(tag)); !slices.Equal(got, want[tag]) {
			t.Errorf("%s: %q, want %q", tag, got, want[tag])
		}
	}
	b.send("%s", last)
	_ = b.c.Close(websocket.StatusGoingAway, "")
	eventually(t, "the end", func() bool { return s.Meetings() == 0 })
	if c := s.Counts(); c.Malformed.Load()+c.Damaged.Load()+c.Late.Load()+c.Concealed.Load()+c.Incomplete.Load() != 0 {
		t.Errorf("%d %d %d %d %d", c.Malformed.Load(), c.Damaged.Load(), c.Late.Load(), c.Concealed.Load(), c.Incomplete.Load())
	}
}

// together lets talkers say the rest of what they say, at the same time.
func together(talkers map[string]*talker, sounds map[string][]int16) {
	for left := true; left; {
		left = false
		for tag, k := range talkers {
			if len(sounds[tag]) > 0 {
				sounds[tag], left = k.next(sounds[tag]), true
			}
		}
	}
}

// TestTheRoomIsToldWhatIsKept: where captions are shown, and not in the transcript.
func TestTheRoomIsToldWhatIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := archive.New(archive.Options{
		Dir: dir, Forms: []string{"txt"}, BaseURL: "https://meet.example.com/transcripts", Tell: true, Record: recording.Options{Format: "wav", Mix: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t, Options{Archive: a})
	b := connect(t, url(s, "m"), nil)
	b.start("a-a0")
	b.talker("a-a0", 340).say(saying("w1 w2"))
	eventually(t, "both", func() bool { return len(b.finals("transcriber")) == 2 && len(b.finals("a")) == 1 })
	if got := b.finals("transcriber"); !strings.HasPrefix(got[0], "Transcript will be saved in https://meet.example.com/transcripts/2") || !strings.HasSuffix(got[0], ".txt") || got[1] != "The sound of this meeting is recorded" {
		t.Errorf("%q", got)
	}
	b.send(`{"event":"session-end"}`)
	eventually(t, "the end", func() bool { return s.Meetings() == 0 })
	files, _ := filepath.Glob(dir + "/*/*.txt")
	if len(files) != 1 {
		t.Fatal(files)
	}
	if text, err := os.ReadFile(files[0]); err != nil || strings.Contains(string(text), "saved in") || !strings.Contains(string(text), "w1 w2") {
		t.Errorf("%v %s", err, text)
	}
	if waves, _ := filepath.Glob(dir + "/*/*.wav"); len(waves) != 1 {
		t.Error(waves)
	}
}
