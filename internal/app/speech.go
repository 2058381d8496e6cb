package app

import (
	"log/slog"
	"path/filepath"
	"time"

	"jigasi/internal/admin"
	"jigasi/internal/config"
	"jigasi/internal/recognize"
	"jigasi/internal/scribe"
	"jigasi/internal/words"
)

// A speech is what turns speech into text for everything that is transcribed, with what it has done so far.
type speech struct {
	services *words.Services // nil: nothing is transcribed
	counts   scribe.Counts
}

// open makes the services, once.
func (s *speech) open(c config.Transcription, log *slog.Logger) error {
	if s.services != nil {
		return nil
	}
	services, err := words.NewServices(c, nil, log)
	if err != nil {
		return err
	}
	if c.Directory != "" {
		services.Keep(filepath.Join(c.Directory, words.Minutes))
	}
	s.services = services
	return nil
}

func (s *speech) close() {
	if s.services != nil {
		s.services.Close()
	}
}

// room is the speech service of one session.
func (s *speech) room(name string) recognize.Service { return s.services.Room(name) }

// stats are the numbers that Jigasi has of transcription. Google counts minutes of sound here, not streams.
func (s *speech) stats() admin.TranscriberStats {
	c := &s.counts
	out := admin.TranscriberStats{Started: c.Started.Load(), Stopped: c.Stopped.Load(), Failed: c.Failed.Load()}
	if s.services == nil {
		return out
	}
	for _, m := range s.services.Members() {
		t := &m.Tally
		out.ConnectionErrors += t.Refused.Load()
		out.ConnectionRetries += t.Reconnects.Load()
		out.NoResultErrors += t.Deaf.Load()
		out.SendErrors += t.WriteErrors.Load()
		out.SessionCreationErrors += t.Unusable.Load()
		switch ms := t.SentMS.Load(); m.Name {
		case "google":
			out.GoogleMillis, out.GoogleRequests, out.GoogleMinutes = ms, t.Writes.Load(), (ms+59_999)/60_000
		case "oracle":
			out.OracleMillis = ms
		case "whisper":
			out.WhisperMillis = ms
		case "vosk":
			out.VoskMillis = ms
		}
	}
	return out
}

// metrics are those of all sessions, and of each service. None bears a word, or the name of a meeting.
func (s *speech) metrics() []admin.Sample {
	if s.services == nil {
		return nil
	}
	c, w := &s.counts, &s.counts.Words
	const waiting, waitingHelp = "jigasi_transcription_waiting", "What waits, by queue: entries for those who read, sentences for translators."
	out := []admin.Sample{
		gauge("jigasi_transcription_speakers", "Speakers that are transcribed.", float64(w.Speakers.Load())),
		gauge("jigasi_transcription_streams", "Streams to speech services.", float64(w.Streams.Load())),
		count("jigasi_transcription_finals_total", "Utterances that were understood.", w.Finals.Load()),
		count("jigasi_transcription_sent_seconds_total", "Sound that was sent to speech services.", w.SentMS.Load()/1000),
		count("jigasi_transcription_lost_seconds_total", "Sound that no speech service has heard to the end.", w.DroppedMS.Load()/1000),
		count("jigasi_transcription_streams_lost_total", "Streams that a speech service ended before their time.", w.Lost.Load()),
		count("jigasi_transcription_streams_refused_total", "Streams that no speech service took.", w.Refused.Load()),
		count("jigasi_transcription_translated_total", "Translations.", c.Translated.Load()),
		count("jigasi_transcription_translate_errors_total", "Translations that failed.", c.TranslateErrors.Load()+c.TranslateDropped.Load()),
		count("jigasi_transcription_publish_errors_total", "Entries that did not get to where they are read.", c.PublishErrors.Load()+c.FinalsDropped.Load()),
		count("jigasi_transcription_notices_total", "Times that a room was told of trouble.", c.Notices.Load()),
		count("jigasi_transcription_interims_dropped_total", "Interims that nobody had time to read.", c.InterimsDropped.Load()),
		count("jigasi_transcription_remote_errors_total", "Rooms whose speech service was not chosen by transcription.remote.", s.services.RemoteErrors.Load()),
		gauge(waiting, waitingHelp, float64(c.Unpublished.Load()), label("queue", "publish")),
		gauge(waiting, waitingHelp, float64(c.Untranslated.Load()), label("queue", "translate")),
		spread("jigasi_transcription_translate_seconds", "How long translations took.", &c.TranslateTime),
	}
	for _, m := range s.services.Members() {
		out = append(out, memberMetrics(m)...)
	}
	return out
}

func memberMetrics(m *recognize.Member) []admin.Sample {
	t, by := &m.Tally, label("service", m.Name)
	up := 1.0
	if m.Err() != nil {
		up = 0
	}
	out := []admin.Sample{
		gauge("jigasi_speech_up", "Whether a speech service works.", up, by),
		gauge("jigasi_speech_streams", "Streams to a speech service.", float64(t.Streams.Load()), by),
		count("jigasi_speech_streams_total", "Streams that were opened.", t.Opened.Load(), by),
		count("jigasi_speech_refused_total", "Streams that were refused.", t.Refused.Load(), by),
		count("jigasi_speech_lost_total", "Streams that ended before their time.", t.Lost.Load(), by),
		count("jigasi_speech_deaf_total", "Of these, streams without an answer while somebody spoke.", t.Deaf.Load(), by),
		count("jigasi_speech_reconnects_total", "Streams that were opened after one was lost.", t.Reconnects.Load(), by),
		count("jigasi_speech_rests_total", "Times that a speech service was given up for a while.", t.Rests.Load(), by),
		count("jigasi_speech_sent_seconds_total", "Sound that was sent.", t.SentMS.Load()/1000, by),
		count("jigasi_speech_interims_total", "Results that were not final.", t.Interims.Load(), by),
		count("jigasi_speech_finals_total", "Final results.", t.Finals.Load(), by),
		spread("jigasi_speech_latency_seconds", "From the end of what was said to its final.", &t.Latency, by),
	}
	if at := t.LastResult.Load(); at > 0 {
		out = append(out, gauge("jigasi_speech_last_result_seconds", "Since the last result.", time.Since(time.UnixMilli(at)).Seconds(), by))
	}
	return out
}

// spread is a histogram.
func spread(name, help string, s *recognize.Spread, labels ...admin.Label) admin.Sample {
	upTo, n, sum := s.Read()
	out := admin.Sample{Name: name, Help: help, Kind: admin.Histogram, Labels: labels, Count: uint64(n), Sum: sum}
	for i, bound := range recognize.Bounds {
		out.Buckets = append(out.Buckets, admin.Bucket{Bound: bound, Count: uint64(upTo[i])})
	}
	return out
}
