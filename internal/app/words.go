package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"jigasi/internal/admin"
	"jigasi/internal/export"
	"jigasi/internal/words"
	"jigasi/internal/xlog"
)

// A feed is the service that the bridge sends meetings to.
type feed struct{ *export.Server }

// newFeed makes the service, where it is configured.
func (a *App) newFeed() (*feed, error) {
	c := a.cfg.Transcription
	e := c.Export
	if e.Port == 0 {
		return nil, nil // none is configured
	}
	o := export.Options{
		Host: e.Host, Port: e.Port, Token: e.Token, Language: c.Language, Gate: c.Gate, Archive: a.archive,
		Meetings: e.Meetings, Speakers: e.Speakers, EndLimit: lastWords, Log: a.log,
	}
	if e.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("transcription.export: %w", err)
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	}
	if len(e.Translate) > 0 && c.Translation.Service != "none" {
		var err error
		if o.Translator, err = words.Translator(c); err != nil {
			return nil, err
		}
		o.Targets = e.Translate
	}
	if err := a.speech.open(c, a.log); err != nil {
		return nil, err
	}
	o.Service, o.Counts = a.speech.room, &a.speech.counts
	s, err := export.New(o)
	if err != nil {
		a.speech.close()
		return nil, err
	}
	return &feed{s}, nil
}

// lastWords may take so long when the gateway stops, within stopLimit.
const lastWords = 4 * time.Second

func (f *feed) start(a *App) error {
	if f == nil {
		return nil
	}
	if err := f.Start(); err != nil {
		return err
	}
	a.log.Info("taking meetings from the bridge", "addr", f.Addr().String(), "service", a.cfg.Transcription.Service)
	return nil
}

// close ends the meetings that are transcribed, with their last words where ctx leaves time for them.
func (f *feed) close(ctx context.Context, a *App) {
	if f == nil {
		return
	}
	if err := f.Close(ctx); err != nil {
		a.log.Warn("meetings that were transcribed were cut off", xlog.Err, err)
	}
}

func (f *feed) drain(ctx context.Context) error {
	if f == nil {
		return nil
	}
	return f.Drain(ctx)
}

// feedCheck tells whether the bridge can reach us.
func (a *App) feedCheck() (admin.Check, bool) {
	if a.feed == nil {
		return admin.Check{}, false
	}
	return admin.Check{Name: "transcription", Err: a.feed.Err}, true
}

// feedMetrics are those of the meetings that the bridge sends. None bears a word, or the name of a meeting.
func (a *App) feedMetrics() []admin.Sample {
	if a.feed == nil {
		return nil
	}
	c := a.feed.Counts()
	const refused, refusedHelp = "jigasi_transcription_refused_total", "Connections of a bridge that were refused, by reason."
	const dropped, droppedHelp = "jigasi_transcription_dropped_total", "What a bridge sent and was not heard, by reason."
	return []admin.Sample{
		gauge("jigasi_transcription_meetings", "Meetings that are transcribed.", float64(a.feed.Meetings())),
		count("jigasi_transcription_meetings_total", "Meetings that have been transcribed.", c.Meetings.Load()),
		count("jigasi_transcription_incomplete_total", "Transcripts that lack something.", c.Incomplete.Load()),
		count("jigasi_transcription_undelivered_total", "Results that the bridge was not there for; the transcript has them.", c.Undelivered.Load()),
		count("jigasi_transcription_reconnects_total", "Sockets of a meeting that took the place of one that was still there.", c.Replaced.Load()),
		count(refused, refusedHelp, c.Strangers.Load(), label("reason", "token")),
		count(refused, refusedHelp, c.Busy.Load(), label("reason", "busy")),
		count(dropped, droppedHelp, c.Malformed.Load(), label("reason", "malformed")),
		count(dropped, droppedHelp, c.Damaged.Load(), label("reason", "damaged")),
		count(dropped, droppedHelp, c.Late.Load(), label("reason", "late")),
		count(dropped, droppedHelp, c.Unheard.Load(), label("reason", "unheard")),
		count("jigasi_transcription_concealed_total", "Packets that never came and were covered.", c.Concealed.Load()),
		count("jigasi_transcription_panics_total", "Meetings that met a defect of ours.", c.Panics.Load()),
	}
}
