package cli

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"jigasi/internal/archive"
	"jigasi/internal/config"
	"jigasi/internal/words"
)

const eraseUsage = `usage: jigasi transcript erase [flags] [DIRECTORY...]

Erases transcripts, with their recordings and their copies in transcription.s3 and transcription.webdav: those whose
directories are named, or those that the flags say; of several conditions all hold. A meeting that lasts is left alone.

  --room NAME     of this room
  --older DAYS    that began more than so many days ago
  --dry-run       only print which
  --config PATH   configuration; default that of the gateway
`

// erase is the command to erase transcripts.
func erase(args []string, stdout, stderr io.Writer, env func(string) string) int {
	flags := flag.NewFlagSet("transcript erase", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, eraseUsage) }
	room := flags.String("room", "", "")
	older := flags.Int("older", -1, "")
	dry := flags.Bool("dry-run", false, "")
	path := flags.String("config", "", "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	w := archive.Wish{Names: flags.Args(), Room: *room}
	if *older >= 0 {
		w.Before = time.Now().AddDate(0, 0, -*older)
	}
	if len(w.Names) == 0 && w.Room == "" && w.Before.IsZero() {
		flags.Usage()
		return 2
	}
	a, ok := configured(*path, stderr, env)
	if !ok {
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	defer func() { _ = a.Close(ctx) }() // it was not started
	names, err := a.Find(w)
	if err != nil {
		say(stderr, "jigasi transcript erase: %v", err)
		return 1
	}
	status := 0
	if len(names) < len(w.Names) {
		say(stderr, "%d of the %d that are named are there", len(names), len(w.Names))
		status = 1
	}
	for _, name := range names {
		if !*dry {
			if err := a.Erase(ctx, name); err != nil {
				say(stderr, "%s: %v", name, err)
				status = 1
				continue
			}
		}
		say(stdout, "%s", name)
	}
	return status
}

// configured is the archive of a configuration; without a file it is that of the defaults.
func configured(path string, stderr io.Writer, env func(string) string) (*archive.Archive, bool) {
	var where []string
	if path != "" {
		where = append(where, "--config="+path)
	}
	c, found, err := config.Load(where, env, cwd())
	if err != nil && (c.Path != "" || path != "") {
		for _, f := range found {
			if f.Severity == config.Error {
				say(stderr, "%v", f)
			}
		}
		return nil, false
	}
	a, err := words.Archive(c.Transcription, slog.New(slog.DiscardHandler))
	if err != nil {
		say(stderr, "%v", err)
		return nil, false
	}
	return a, true
}
