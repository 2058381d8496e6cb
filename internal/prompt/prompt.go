// Package prompt is what a phone is told by a voice: the sounds, in several
// languages, and a Player that lays them over what the phone hears of the meeting.
//
// The sounds are made by scripts/sounds.sh of the texts beside them. A folder of the
// operator's can replace each of them, by the names that Jigasi's files have. Nothing
// here has a goroutine: sound is pulled by the phone's clock.
package prompt

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
)

// A Sound is what is said; its value is the name of its file.
type Sound string

// The sounds. Those that Jigasi has bear its names.
const (
	Alone              Sound = "Alone"
	ParticipantJoined  Sound = "ParticipantJoined"
	ParticipantLeft    Sound = "ParticipantLeft"
	Hold               Sound = "Hold"
	RecordingOn        Sound = "RecordingOn"
	RecordingStopped   Sound = "RecordingStopped"
	LiveStreamingOn    Sound = "LiveStreamingOn"
	LiveStreamingOff   Sound = "LiveStreamingOff"
	TranscriptionOn    Sound = "TranscriptionOn"
	TranscriptionOff   Sound = "TranscriptionOff"
	LobbyWait          Sound = "LobbyWait"
	LobbyAccessGranted Sound = "LobbyAccessGranted"
	LobbyAccessDenied  Sound = "LobbyAccessDenied"
	LobbyMeetingEnd    Sound = "LobbyMeetingEnd"
	MaxOccupants       Sound = "MaxOccupants"
	Muted              Sound = "Muted"
	Unmuted            Sound = "Unmuted"
	HandRaised         Sound = "HandRaised"
	MaySpeak           Sound = "MaySpeak"
	Removed            Sound = "Removed"
	Reconnecting       Sound = "Reconnecting"
	Lost               Sound = "Lost"
	PasswordNeeded     Sound = "PasswordNeeded"
	NotLive            Sound = "NotLive"
	Visitor            Sound = "Visitor"
)

// Sounds are all there are.
func Sounds() []Sound {
	return []Sound{
		Alone, ParticipantJoined, ParticipantLeft, Hold, RecordingOn, RecordingStopped, LiveStreamingOn, LiveStreamingOff,
		TranscriptionOn, TranscriptionOff, LobbyWait, LobbyAccessGranted, LobbyAccessDenied, LobbyMeetingEnd, MaxOccupants,
		Muted, Unmuted, HandRaised, MaySpeak, Removed, Reconnecting, Lost, PasswordNeeded, NotLive, Visitor,
	}
}

// Languages are those in which the sounds are inside.
func Languages() []string { return []string{"en", "de", "fr", "es"} }

// fallback is the language of who asks for none that is there.
const fallback = "en"

//go:embed sounds
var inside embed.FS

// maxFile bounds a file of the operator's: two minutes of Opus, ten seconds short of a minute of WAV.
const maxFile = 5 << 20

// A Library is the sounds, decoded when first asked for. It is safe for concurrent use.
type Library struct {
	files fs.FS // the operator's; nil without

	mu    sync.Mutex
	clips map[string][]int16 // path without ending -> 16 kHz
}

// Open makes a library. Files in dir replace what is inside: dir/LANGUAGE/Name.opus (or .wav), or
// dir/Name.opus for every language. A file in it that cannot be read is an error that names it.
func Open(dir string) (*Library, error) {
	l := &Library{clips: map[string][]int16{}}
	if dir == "" {
		return l, nil
	}
	if i, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("sounds: %w", err)
	} else if !i.IsDir() {
		return nil, fmt.Errorf("sounds: %s is not a folder", dir)
	}
	l.files = os.DirFS(dir)
	for _, lang := range append(Languages(), "") {
		for _, s := range Sounds() {
			if _, err := l.read(l.files, path.Join(lang, string(s))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("sounds: %s: %w", path.Join(dir, lang, string(s)), err)
			}
		}
	}
	return l, nil
}

// Match chooses a language: the first of wanted (an Accept-Language header, "de-CH, en;q=0.5", or a
// plain tag) that is there, else English.
func Match(wanted ...string) string {
	for _, header := range wanted {
		for tag := range strings.SplitSeq(header[:min(len(header), 256)], ",") {
			tag, _, _ = strings.Cut(strings.TrimSpace(tag), ";")
			tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
			if slices.Contains(Languages(), tag) {
				return tag
			}
		}
	}
	return fallback
}

// clip gives a sound at 16 kHz, nil if there is none.
func (l *Library) clip(lang string, s Sound) []int16 {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := lang + "/" + string(s)
	pcm, ok := l.clips[key]
	if !ok {
		pcm = l.find(lang, s)
		l.clips[key] = pcm
	}
	return pcm
}

func (l *Library) find(lang string, s Sound) []int16 {
	name := string(s)
	if l.files != nil {
		for _, at := range []string{path.Join(lang, name), name} {
			if pcm, err := l.read(l.files, at); err == nil {
				return pcm
			}
		}
	}
	for _, at := range []string{path.Join("sounds", lang, name), path.Join("sounds", fallback, name), path.Join("sounds/tones", name)} {
		if pcm, err := l.read(inside, at); err == nil {
			return pcm
		}
	}
	return nil
}

// read reads at.opus or at.wav.
func (l *Library) read(files fs.FS, at string) ([]int16, error) {
	raw, err := fs.ReadFile(files, at+".opus")
	if err == nil {
		return decode(raw)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := files.Open(at + ".wav")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	if i, err := f.Stat(); err != nil || i.Size() > maxFile {
		return nil, errors.New("the file is too large")
	}
	pcm, rate, err := audio.ReadWAV(f)
	if err != nil {
		return nil, err
	}
	return resample(pcm, rate)
}

// decode gives the sound of an Ogg Opus file at 16 kHz (RFC 7845).
func decode(raw []byte) ([]int16, error) {
	if len(raw) > maxFile {
		return nil, errors.New("the file is too large")
	}
	packets, skip, err := readOgg(raw)
	if err != nil {
		return nil, err
	}
	dec, err := codec.NewOpusDecoder(media.Wide)
	if err != nil {
		return nil, err
	}
	var pcm []int16
	var buf [media.Wide / 1000 * 120]int16
	for _, p := range packets {
		n, err := dec.Decode(buf[:], p)
		if err != nil {
			return nil, fmt.Errorf("no Opus of one or two channels: %w", err)
		}
		pcm = append(pcm, buf[:n]...)
	}
	return pcm[min(len(pcm), skip/3):], nil
}

// resample brings a WAV file to 16 kHz.
func resample(pcm []int16, rate int) ([]int16, error) {
	switch rate {
	case media.Wide:
		return pcm, nil
	case media.Narrow:
		var d audio.Doubler
		return inSteps(pcm, media.Narrow/50, 2, 1, d.Run), nil
	case media.Full:
		var t audio.Third
		return inSteps(pcm, media.Full/50, 1, 3, t.Run), nil
	}
	return nil, fmt.Errorf("the rate of a WAV file must be 8000, 16000 or 48000 Hz, not %d", rate)
}

// inSteps filters pcm in steps of n samples, each of which becomes n*up/down.
func inSteps(pcm []int16, n, up, down int, run func(dst, in []int16)) []int16 {
	var out []int16
	in, dst := make([]int16, n), make([]int16, n*up/down)
	for len(pcm) > 0 {
		clear(in)
		pcm = pcm[copy(in, pcm):]
		run(dst, in)
		out = append(out, dst...)
	}
	return out
}
