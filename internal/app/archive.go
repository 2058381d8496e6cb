package app

import (
	"context"
	"crypto/tls"
	"fmt"

	"jigasi/internal/admin"
	"jigasi/internal/shelf"
	"jigasi/internal/words"
	"jigasi/internal/xlog"
)

// newArchive makes what keeps transcripts, and the server of them where it is configured.
func (a *App) newArchive() error {
	c := a.cfg.Transcription
	var err error
	if a.archive, err = words.Archive(c, a.log); err != nil {
		return err
	}
	h := c.HTTP
	if h.Port == 0 {
		return nil
	}
	o := shelf.Options{Dir: c.Directory, Host: h.Host, Port: h.Port, Log: a.log}
	if h.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(h.CertFile, h.KeyFile)
		if err != nil {
			return fmt.Errorf("transcription.http: %w", err)
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	}
	a.shelf = shelf.New(o)
	return nil
}

// startArchive is before all that has words to keep.
func (a *App) startArchive() error {
	if a.shelf != nil {
		if err := a.shelf.Start(); err != nil {
			return err
		}
		a.log.Info("serving transcripts", "addr", a.shelf.Addr().String())
	}
	a.archive.Start()
	return nil
}

// closeArchive is behind all that has words to keep; what is not done when ctx is done is done by the next process.
func (a *App) closeArchive(ctx context.Context) {
	if err := a.archive.Close(ctx); err != nil {
		a.log.Info("transcripts that are not everywhere yet are taken there after the next start", xlog.Err, err)
	}
	if a.shelf != nil {
		_ = a.shelf.Close(ctx) // requests that do not end are cut
	}
}

// TranscriptAddr is where transcripts are served, "" if nowhere.
func (a *App) TranscriptAddr() string {
	if a.shelf == nil {
		return ""
	}
	return a.shelf.Addr().String()
}

func (a *App) shelfCheck() (admin.Check, bool) {
	if a.shelf == nil {
		return admin.Check{}, false
	}
	return admin.Check{Name: "transcripts", Err: a.shelf.Err}, true
}

// archiveMetrics are those of what becomes of transcripts.
func (a *App) archiveMetrics() []admin.Sample {
	c := a.archive.Counts()
	const steps, stepsHelp = "jigasi_transcript_steps_total", "What was done with transcripts, by kind."
	const failed, failedHelp = "jigasi_transcript_errors_total", "What failed; all but scripts and refused posts is tried again."
	out := []admin.Sample{
		gauge("jigasi_transcript_waiting", "Transcripts with something left to do.", float64(c.Waiting.Load())),
		gauge("jigasi_transcript_recording", "Meetings whose sound is recorded.", float64(c.Recording.Recorders.Load())),
		count("jigasi_transcript_recorded_bytes_total", "Sound that was written.", c.Recording.Bytes.Load()),
		count("jigasi_transcript_unrecorded_frames_total", "Pieces of 20 ms that the disk did not take.", c.Recording.Dropped.Load()),
		count("jigasi_transcript_posts_refused_total", "Events that a URL refused for good.", c.PostsRefused.Load()),
	}
	for _, k := range []struct {
		kind         string
		good, errors int64
	}{
		{"form", c.Saved.Load(), c.SaveErrors.Load()}, {"post", c.Posted.Load(), c.PostErrors.Load()}, {"script", c.Scripts.Load(), c.ScriptErrors.Load()},
		{"copy", c.Copied.Load(), c.CopyErrors.Load()}, {"erase", c.Erased.Load(), c.EraseErrors.Load()}, {"record", 0, c.Recording.Errors.Load()},
	} {
		if k.kind != "record" {
			out = append(out, count(steps, stepsHelp, k.good, label("kind", k.kind)))
		}
		out = append(out, count(failed, failedHelp, k.errors, label("kind", k.kind)))
	}
	if a.shelf != nil {
		s := a.shelf.Counts()
		const asked, askedHelp = "jigasi_transcript_requests_total", "Requests to the server of transcripts, by answer."
		for answer, n := range map[string]int64{"served": s.Served.Load(), "missing": s.Missing.Load(), "busy": s.Busy.Load()} {
			out = append(out, count(asked, askedHelp, n, label("answer", answer)))
		}
	}
	return out
}
