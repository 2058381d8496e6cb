package words

import (
	"fmt"
	"log/slog"
	"time"

	"jigasi/internal/archive"
	"jigasi/internal/config"
	"jigasi/internal/deposit"
	"jigasi/internal/egress"
	"jigasi/internal/recording"
)

// Archive makes what keeps transcripts, as the configuration has it.
func Archive(c config.Transcription, log *slog.Logger) (*archive.Archive, error) {
	client, err := egress.New(egress.Options{Allow: c.Allow})
	if err != nil {
		return nil, fmt.Errorf("transcription.allow: %w", err)
	}
	o := archive.Options{
		Dir: c.Directory, Forms: c.Save, Readable: c.WebReadable, BaseURL: c.BaseURL, Tell: c.Advertise, Posts: c.Posts, Client: client,
		Scripts: c.Scripts, ScriptLimit: c.ScriptTimeout, Keep: time.Duration(c.KeepDays) * 24 * time.Hour, Log: log,
	}
	if r := c.Record; r.Format != "none" && (r.Mix || r.Speakers) {
		o.Record = recording.Options{Format: r.Format, Mix: r.Mix, Speakers: r.Speakers, MaxBytes: int64(r.MaxMB) << 20, MinFree: int64(r.FreeMB) << 20}
	}
	for _, a := range c.Actions {
		o.Actions = append(o.Actions, archive.Action{Name: a.Name, Phrase: a.Phrase, URL: a.URL})
	}
	if b := c.S3; b.Endpoint != "" {
		p, err := deposit.NewS3(deposit.S3Options{Endpoint: b.Endpoint, Region: b.Region, Bucket: b.Bucket, Prefix: b.Prefix, KeyID: b.KeyID, Secret: b.Secret, Client: client})
		if err != nil {
			return nil, fmt.Errorf("transcription.s3: %w", err)
		}
		o.Places = append(o.Places, p)
	}
	if d := c.WebDAV; d.URL != "" {
		p, err := deposit.NewWebDAV(deposit.WebDAVOptions{URL: d.URL, User: d.User, Password: d.Password, Client: client})
		if err != nil {
			return nil, fmt.Errorf("transcription.webdav: %w", err)
		}
		o.Places = append(o.Places, p)
	}
	return archive.New(o)
}
