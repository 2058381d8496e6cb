package config

import (
	"cmp"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"jigasi/internal/egress"
	"jigasi/internal/xlog"
)

// Shelf is the HTTP server of transcripts.
type Shelf struct {
	Host     string `yaml:"host" doc:"Address to listen at."`
	Port     int    `yaml:"port" doc:"0 is no such server. Files have names that nobody can guess; there is no list and no login."`
	CertFile string `yaml:"cert_file" doc:"Certificate (PEM): https:// instead of http://."`
	KeyFile  string `yaml:"key_file" doc:"Its key (PEM)."`
}

// Record is the sound that is kept of meetings.
type Record struct {
	Format   string `yaml:"format" doc:"none, wav or opus. The room is told."`
	Mix      bool   `yaml:"mix" doc:"One file of all speakers together."`
	Speakers bool   `yaml:"speakers" doc:"A file for each speaker."`
	MaxMB    int    `yaml:"max_mb" doc:"What one meeting may take of the disk; 0 is no bound."`
	FreeMB   int    `yaml:"min_free_mb" doc:"Nothing is recorded while the disk has less left; 0 is no bound."`
}

// Action is who is told of sentences with a phrase in them.
type Action struct {
	Name   string `yaml:"name" doc:"A name for the log."`
	Phrase string `yaml:"phrase" doc:"Words to look for, in capitals or not."`
	URL    string `yaml:"url" doc:"Is posted the sentence, as what follows the phrase."`
}

// Bucket is an S3-compatible store.
type Bucket struct {
	Endpoint string      `yaml:"endpoint" doc:"Address without the bucket, such as https://s3.eu-central-1.amazonaws.com; empty is none."`
	Region   string      `yaml:"region" doc:"Its region, as signatures want it."`
	Bucket   string      `yaml:"bucket" doc:"Name of the bucket."`
	Prefix   string      `yaml:"prefix" doc:"Before the names of all files."`
	KeyID    string      `yaml:"key_id" doc:"Id of the access key."`
	Secret   xlog.Secret `yaml:"secret" doc:"The key, or file:/path, or env:NAME."`
}

// WebDAV is a collection of a WebDAV server.
type WebDAV struct {
	URL      string      `yaml:"url" doc:"A collection that is there, such as https://cloud.example.com/remote.php/dav/files/me/meetings; empty is none."`
	User     string      `yaml:"user" doc:"Name of the login."`
	Password xlog.Secret `yaml:"password" doc:"Its password, or file:/path, or env:NAME."`
}

func defaultRecord() Record { return Record{Format: "none", Mix: true, MaxMB: 2000, FreeMB: 1000} }

// archiveSecrets are those of where copies go.
func (t *Transcription) archiveSecrets() []xlog.Secret {
	return []xlog.Secret{t.S3.Secret, t.WebDAV.Password}
}

func (l *loader) checkArchive(t *Transcription) {
	const key = "transcription."
	l.within(key+"http.port", t.HTTP.Port, 0, 65535)
	l.pair("transcription.http", &t.HTTP.CertFile, &t.HTTP.KeyFile)
	l.serviceURL(key+"base_url", t.BaseURL, "http", "https")
	if t.Advertise && t.BaseURL == "" {
		l.at(Warning, key+"advertise", "does nothing without transcription.base_url")
	}
	l.oneOf(key+"record.format", t.Record.Format, "none", "wav", "opus")
	l.within(key+"record.max_mb", t.Record.MaxMB, 0, 1<<30)
	l.within(key+"record.min_free_mb", t.Record.FreeMB, 0, 1<<30)
	l.within(key+"keep_days", t.KeepDays, 0, 36_500)
	recorded := t.Record.Format != "none" && (t.Record.Mix || t.Record.Speakers)
	switch {
	case t.Record.Format != "none" && !recorded:
		l.at(Warning, key+"record.format", "does nothing while both mix and speakers are false")
	case recorded && t.Export.Port != 0:
		l.at(Warning, key+"record.format", "over the feed of the bridge only those who have captions on read that their sound is recorded: tell people yourself, the law may want it")
	}
	keeps := len(t.Scripts) > 0 || t.S3.Endpoint != "" || t.WebDAV.URL != "" || t.HTTP.Port != 0 || recorded
	if t.Directory == "" && keeps {
		l.at(Error, key+"directory", "is empty: recordings, scripts, copies and the HTTP server need it")
	}
	for i, s := range t.Scripts {
		t.Scripts[i] = l.relative(s)
		if info, err := os.Stat(t.Scripts[i]); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			l.at(Warning, key+"scripts", "%s is no program that can be run", t.Scripts[i])
		}
	}
	if len(t.Scripts) > 0 && t.ScriptTimeout <= 0 {
		l.at(Error, key+"script_timeout", "is a time such as 60s")
	}
	l.checkWayOut(t)
}

// checkWayOut looks at the addresses that transcripts are sent to.
func (l *loader) checkWayOut(t *Transcription) {
	const key = "transcription."
	c, err := egress.New(egress.Options{Allow: t.Allow})
	if err != nil {
		l.at(Error, key+"allow", "%v", err)
		return
	}
	look := func(where, u string) {
		if err := c.Check(u); err != nil {
			l.at(Error, where, "%v; list the host in transcription.allow if it is yours", err)
		}
	}
	for _, u := range t.Posts {
		look(key+"posts", u)
	}
	for _, a := range t.Actions {
		look(key+"actions", a.URL)
		if strings.TrimSpace(a.Phrase) == "" {
			l.at(Error, key+"actions", "a phrase is empty")
		}
	}
	if t.S3.Endpoint != "" {
		look(key+"s3.endpoint", t.S3.Endpoint)
		if t.S3.Bucket == "" || t.S3.KeyID == "" || t.S3.Secret == "" {
			l.at(Error, key+"s3", "needs bucket, key_id and secret")
		}
	}
	if t.WebDAV.URL != "" {
		look(key+"webdav.url", t.WebDAV.URL)
		if t.WebDAV.User != "" && t.WebDAV.Password == "" {
			l.at(Error, key+"webdav.password", "is missing for %s", t.WebDAV.User)
		}
	}
}

// composeArchive reads the properties of what is kept that need more than a row.
func (old *legacy) composeArchive() {
	t := &old.cfg.Transcription
	if p := old.props[prefixWords+"RECORD_AUDIO"]; strings.EqualFold(p.value, "true") {
		t.Record.Format = "wav"
		if f := old.props[prefixWords+"RECORD_AUDIO_FORMAT"]; f.value != "" && !strings.EqualFold(f.value, "wav") {
			old.warn(Warning, f, "only wav is known from Jigasi: it is used; transcription.record.format may be opus")
		}
		old.mark("transcription.record.format", p.place)
	}
	for _, form := range []string{"txt", "json"} {
		p := old.props[prefixWords+"SAVE_"+strings.ToUpper(form)]
		if p.value == "" {
			continue
		}
		t.Save = slices.DeleteFunc(t.Save, func(f string) bool { return f == form })
		if strings.EqualFold(p.value, "true") {
			t.Save = append(t.Save, form)
		}
		old.mark("transcription.save", p.place)
	}
	if len(t.Save) == 0 && t.Record.Format == "none" { // who wants nothing saved wants no journal either
		t.Directory = ""
	}
	if t.Advertise && t.BaseURL == "" {
		t.BaseURL = "http://localhost" // Jigasi's own default
	}
	old.composeScripts()
	old.composePosts()
	if port := old.props[prefixWords+"jetty.port"]; port.value != "" {
		t.HTTP.Port = max(t.HTTP.Port, 0)
		if old.get(prefixWords+"jetty.host") == "" {
			t.HTTP.Host = "0.0.0.0"
		}
	}
}

// composeScripts reads a list whose separator is a property too.
func (old *legacy) composeScripts() {
	p := old.props[prefixWords+"EXECUTE_SCRIPTS"]
	if !strings.EqualFold(p.value, "true") {
		return
	}
	list := cmp.Or(old.get(prefixWords+"SCRIPTS_TO_EXECUTE_LIST"), old.get(prefixJigasi+"SCRIPTS_TO_EXECUTE_LIST"), "script/example_handle_transcript_directory.sh")
	separator := cmp.Or(old.get(prefixWords+"SCRIPTS_TO_EXECUTE_LIST_SEPARATOR"), ",")
	for s := range strings.SplitSeq(list, separator) {
		if s = strings.TrimSpace(s); s != "" {
			old.cfg.Transcription.Scripts = append(old.cfg.Transcription.Scripts, old.loader.abs(s))
		}
	}
	old.mark("transcription.scripts", p.place)
}

// composePosts reads who is told of what is said. Jigasi asks any address; those that are written down here are meant.
func (old *legacy) composePosts() {
	t := &old.cfg.Transcription
	if p := old.props[prefixWords+"SEND_JSON_REMOTE_URLS"]; p.value != "" {
		t.Posts = commas(p.value)
		old.mark("transcription.posts", p.place)
	}
	for _, key := range old.order {
		name, ok := strings.CutPrefix(key, prefixWords+"action.")
		name, phrase := strings.CutSuffix(name, ".PHRASE")
		if !ok || !phrase {
			continue
		}
		p := old.props[key]
		u := old.get(prefixWords + "action." + name + ".URL")
		if p.value == "" || u == "" {
			old.warn(Warning, p, "has no effect: an action has a PHRASE and a URL")
			continue
		}
		t.Actions = append(t.Actions, Action{name, p.value, u})
		old.mark("transcription.actions", p.place)
	}
	urls := slices.Clone(t.Posts)
	for _, a := range t.Actions {
		urls = append(urls, a.URL)
	}
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" && !slices.Contains(t.Allow, u.Hostname()) {
			t.Allow = append(t.Allow, u.Hostname())
		}
	}
}

const defaultScriptTimeout = time.Minute
