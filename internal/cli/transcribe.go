package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/config"
	"jigasi/internal/media"
	"jigasi/internal/recognize"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
	"jigasi/internal/words"
)

const transcribeUsage = `usage: jigasi transcribe FILE.wav [flags]

Runs a file through the speech service as a meeting would, and prints what was said.

  --service NAME     speech service in place of transcription.service
  --language TAG     what is spoken in it; default transcription.language
  --translate TAG    print it in this language, by transcription.translation
  --format FORMAT    txt (default), json, vtt or srt
  --save             keep the journal and the forms of transcription.save in transcription.directory
  --config PATH      configuration; default that of the gateway
`

// A transcription is one run of Transcribe.
type transcription struct {
	service, language, target, format, config string
	save                                      bool

	file   string
	cfg    config.Transcription
	via    http.RoundTripper
	counts scribe.Counts
	start  time.Time
	stderr io.Writer

	members func() []*recognize.Member
	finals  int64 // when the service was last seen to work
	lost    int64 // streams, until then
}

// Transcribe runs a WAV file through the configured speech service.
func Transcribe(args []string, stdout, stderr io.Writer, env func(string) string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return transcribe(ctx, nil, args, stdout, stderr, env)
}

// transcribe is Transcribe until ctx is done, with speech services that are reached via a transport, or as ever with nil.
func transcribe(ctx context.Context, via http.RoundTripper, args []string, stdout, stderr io.Writer, env func(string) string) int {
	t := transcription{via: via, stderr: stderr, start: time.Now()}
	if status, ok := t.parse(args, env); !ok {
		return status
	}
	entries, err := t.run(ctx)
	if len(entries) > 0 {
		tr := transcript.Of(entries)
		if werr := tr.In(t.target).Write(stdout, t.format); werr != nil {
			say(stderr, "jigasi transcribe: %v", werr)
			return 1
		}
		say(stdout, "")
	}
	if err != nil {
		say(stderr, "jigasi transcribe: %v", err)
		return 1
	}
	return 0
}

// parse reads the flags, which may stand on both sides of the file, and the configuration.
func (t *transcription) parse(args []string, env func(string) string) (status int, ok bool) {
	flags := flag.NewFlagSet("transcribe", flag.ContinueOnError)
	flags.SetOutput(t.stderr)
	flags.Usage = func() { _, _ = io.WriteString(t.stderr, transcribeUsage) }
	flags.StringVar(&t.service, "service", "", "")
	flags.StringVar(&t.language, "language", "", "")
	flags.StringVar(&t.target, "translate", "", "")
	flags.StringVar(&t.format, "format", "txt", "")
	flags.StringVar(&t.config, "config", "", "")
	flags.BoolVar(&t.save, "save", false, "")
	var files []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return 0, false
			}
			return 2, false
		}
		if args = flags.Args(); len(args) > 0 {
			files, args = append(files, args[0]), args[1:]
		}
	}
	if len(files) != 1 || !slices.Contains(transcript.Formats, t.format) {
		flags.Usage()
		return 2, false
	}
	t.file = files[0]
	var where []string
	if t.config != "" {
		where = append(where, "--config="+t.config)
	}
	c, found, err := config.Load(where, env, cwd())
	if err != nil && (c.Path != "" || t.config != "") { // without a file there are the defaults
		for _, f := range found {
			if f.Severity == config.Error {
				say(t.stderr, "%v", f)
			}
		}
		return 1, false
	}
	t.cfg = c.Transcription
	if t.language == "" {
		t.language = t.cfg.Language
	}
	if t.language = recognize.Tag(t.language); t.language == "" {
		say(t.stderr, "--language: a tag such as en-US")
		return 2, false
	}
	return 0, true
}

// run gives the entries that there are, also with an error.
func (t *transcription) run(ctx context.Context) ([]transcript.Entry, error) {
	pcm, rate, err := readSound(t.file)
	if err != nil {
		return nil, err
	}
	o := scribe.Options{
		Room: filepath.Base(t.file), Session: "transcribe", Start: t.start, Gate: t.cfg.Gate,
		EndLimit: time.Minute, Counts: &t.counts, Log: slog.New(slog.NewTextHandler(t.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	c := t.cfg // a file is in no room, and nobody's minutes
	c.Remote, c.Rooms, c.Budget = config.RemoteChoice{}, nil, config.Budget{}
	if t.service != "" {
		c.Service, c.Fallback = t.service, nil
	}
	services, err := words.NewServices(c, t.via, o.Log)
	if err != nil {
		return nil, err
	}
	defer services.Close()
	o.Service = services.Room("")
	if t.target != "" {
		if o.Translator, err = words.Translator(t.cfg); err != nil {
			return nil, err
		}
		o.Targets = []string{t.target}
	}
	t.members = services.Members
	bar, seen := newBar(t.stderr, length(len(pcm), rate)), &keeper{}
	o.Publishers = []scribe.Publisher{seen}
	place := ""
	if t.save {
		name := transcript.Name(t.start)
		place = filepath.Join(t.cfg.Directory, name, "transcript_"+transcript.Name(t.start))
		o.Journal = transcript.NewJournal(place + ".jsonl")
	}
	s := scribe.New(o)
	err = t.speak(ctx, s, pcm, rate, bar)
	patience := 2 * time.Minute
	if err != nil {
		patience = time.Second // for what is on its way
	}
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if cerr := s.Close(limit, t.start.Add(length(len(pcm), rate))); err == nil { // else it says nothing new
		err = cerr
	}
	bar.done(&t.counts)
	if dropped := t.counts.Words.DroppedMS.Load(); err == nil && dropped > 0 {
		err = fmt.Errorf("%.1f s of sound were not heard to the end", float64(dropped)/1000)
	}
	if t.save && err == nil {
		for _, form := range t.cfg.Save {
			err = errors.Join(err, transcript.Of(seen.entries).Save(place+"."+form, form))
		}
		say(t.stderr, "kept in %s", filepath.Dir(place))
	}
	return seen.entries, err
}

// speak pushes the file as one speaker says it.
func (t *transcription) speak(ctx context.Context, s *scribe.Scribe, pcm []int16, rate int, bar *bar) error {
	name := strings.TrimSuffix(filepath.Base(t.file), filepath.Ext(t.file))
	v, err := s.Join(transcript.Person{ID: "file", Name: name}, t.language, t.start)
	if err != nil {
		return err
	}
	n := rate / 50
	for at := 0; at < len(pcm); at += n {
		if err := t.ready(ctx, v); err != nil {
			return err
		}
		piece := pcm[at:min(at+n, len(pcm))]
		if len(piece) < n {
			piece = append(slices.Clone(piece), make([]int16, n-len(piece))...)
		}
		v.Push(&media.Chunk{PCM: piece, Rate: rate}, t.start.Add(length(at, rate)))
		bar.show(length(at, rate))
	}
	return t.reached(ctx)
}

var errUnusable = errors.New("the speech service cannot be used: the lines above say why; docs/transcription.md says what to set")

// reached waits until a short file, too, has found the service or nobody there.
func (t *transcription) reached(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(3 * time.Second) // a file of silence needs no service
	defer limit.Stop()
	for c := &t.counts.Words; c.Opened.Load() == 0; {
		if t.useless() {
			return errUnusable
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return errInterrupted
		}
	}
	return nil
}

// useless reports whether there is no sense in going on: no service takes us, or none comes to the end of anything. It is
// asked again and again.
func (t *transcription) useless() bool {
	c := &t.counts.Words
	if f := c.Finals.Load(); f > t.finals {
		t.finals, t.lost = f, c.Lost.Load()
	}
	unusable := true
	for _, m := range t.members() {
		unusable = unusable && m.Tally.Unusable.Load() > 0 && m.Tally.Finals.Load() == 0
	}
	return unusable || c.Opened.Load() == 0 && c.Refused.Load() >= 3 || c.Lost.Load() >= t.lost+5
}

var errInterrupted = errors.New("interrupted")

// ready waits for the service, and gives up where it does not work.
func (t *transcription) ready(ctx context.Context, v *scribe.Voice) error {
	for range 60 {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		err := v.Ready(wait)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errInterrupted
		case t.useless():
			return errUnusable
		}
	}
	return errors.New("the speech service has stopped working")
}

func length(samples, rate int) time.Duration {
	return time.Duration(samples) * time.Second / time.Duration(rate)
}

// readSound reads a WAV file that the rest of the program can use.
func readSound(path string) ([]int16, int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	pcm, rate, err := audio.ReadWAV(f)
	if err == nil && (len(pcm) == 0 || rate != media.Narrow && rate != media.Wide && rate != media.Full) {
		err = fmt.Errorf("no sound at 8000, 16000 or 48000 Hz")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w; convert it with: sox %s -r 16000 -c 1 -b 16 out.wav", path, err, filepath.Base(path))
	}
	return pcm, rate, nil
}

// A keeper is the publisher that keeps what will be printed.
type keeper struct {
	entries []transcript.Entry
}

func (*keeper) Name() string { return "the page" }

// Publish keeps an entry.
func (k *keeper) Publish(_ context.Context, e transcript.Entry) error {
	if !e.Interim {
		k.entries = append(k.entries, e)
	}
	return nil
}

// Transcript prints a journal, whole or of a meeting that was cut off, in a form, or erases what is kept.
func Transcript(args []string, stdout, stderr io.Writer, env func(string) string) int {
	if len(args) > 0 && args[0] == "erase" {
		return erase(args[1:], stdout, stderr, env)
	}
	flags := flag.NewFlagSet("transcript", flag.ContinueOnError)
	flags.SetOutput(stderr)
	format := flags.String("format", "txt", strings.Join(transcript.Formats, ", "))
	lang := flags.String("language", "", "print it as translated into this language")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 1 || !slices.Contains(transcript.Formats, *format) {
		say(stderr, "usage: jigasi transcript [--format txt|json|vtt|srt] [--language TAG] JOURNAL.jsonl\n       jigasi transcript erase --help")
		return 2
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		say(stderr, "%v", err)
		return 1
	}
	defer func() { _ = f.Close() }()
	entries, err := transcript.Read(f)
	if err != nil { // the rest is there
		say(stderr, "%s: %v", flags.Arg(0), err)
	}
	if werr := transcript.Of(entries).In(*lang).Write(stdout, *format); werr != nil || err != nil {
		return 1
	}
	say(stdout, "")
	return 0
}
