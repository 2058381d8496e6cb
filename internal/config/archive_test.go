package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOldArchive: what Jigasi's sample file and its users write about files, posts, scripts and recordings.
func TestOldArchive(t *testing.T) {
	for _, c := range []struct {
		props string
		good  func(Transcription) bool
	}{
		{"", func(t Transcription) bool {
			return t.Directory == "/var/lib/jigasi/transcripts" && t.BaseURL == "" && !t.Advertise && t.HTTP.Port == 0 && t.Record.Format == "none" && t.Scripts == nil && t.Posts == nil && t.Allow == nil
		}},
		{w + "SAVE_TXT=false\n", func(t Transcription) bool { return t.Directory == "" && len(t.Save) == 0 }},
		{w + "SAVE_TXT=false\n" + w + "RECORD_AUDIO=true\n", func(t Transcription) bool {
			return t.Directory != "" && t.Record.Format == "wav" && t.Record.Mix && !t.Record.Speakers
		}},
		{w + "BASE_URL=https://meet.example.com/transcripts\n" + w + "ADVERTISE_URL=true\n" + w + "jetty.port=8081\n",
			func(t Transcription) bool {
				return t.BaseURL == "https://meet.example.com/transcripts" && t.Advertise && t.HTTP.Port == 8081 && t.HTTP.Host == "0.0.0.0"
			}},
		{w + "ADVERTISE_URL=true\n" + w + "jetty.port=-1\n" + w + "jetty.host=127.0.0.1\n",
			func(t Transcription) bool {
				return t.BaseURL == "http://localhost" && t.HTTP.Port == 0 && t.HTTP.Host == "127.0.0.1"
			}},
		{w + "SEND_JSON_REMOTE_URLS=http://localhost:8080/a, https://hooks.example.com/b,http://hook:1/c\n" + w + "action.note.PHRASE=take a note\n" + w + "action.note.URL=http://10.0.0.1/n\n",
			func(t Transcription) bool {
				return slices.Equal(t.Posts, []string{"http://localhost:8080/a", "https://hooks.example.com/b", "http://hook:1/c"}) && slices.Equal(t.Actions, []Action{{"note", "take a note", "http://10.0.0.1/n"}}) &&
					slices.Equal(t.Allow, []string{"localhost", "hooks.example.com", "hook", "10.0.0.1"})
			}},
		{w + "EXECUTE_SCRIPTS=true\n" + w + "SCRIPTS_TO_EXECUTE_LIST=/bin/true|/bin/false\n" + w + "SCRIPTS_TO_EXECUTE_LIST_SEPARATOR=|\n",
			func(t Transcription) bool { return slices.Equal(t.Scripts, []string{"/bin/true", "/bin/false"}) }},
		{w + "EXECUTE_SCRIPTS=true\n", func(t Transcription) bool {
			return len(t.Scripts) == 1 && filepath.IsAbs(t.Scripts[0]) && strings.HasSuffix(t.Scripts[0], "/script/example_handle_transcript_directory.sh") && t.ScriptTimeout == time.Minute
		}},
		{w + "SCRIPTS_TO_EXECUTE_LIST=/bin/true\n", func(t Transcription) bool { return t.Scripts == nil }},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "sip-communicator.properties")
		write(t, path, c.props)
		got, found, err := Load([]string{"--config=" + path}, noEnv, dir)
		if err != nil || !c.good(got.Transcription) {
			t.Errorf("%s\n%+v\n%s", c.props, got.Transcription, show(found, dir))
		}
	}
}

func TestArchiveOfTheContainer(t *testing.T) {
	for _, test := range []struct {
		env  []string
		good func(Transcription) bool
	}{
		{[]string{"PUBLIC_URL=meet.example.com/"}, func(t Transcription) bool {
			return t.Directory == "/tmp/transcripts" && t.WebReadable && slices.Equal(t.Save, []string{"txt"}) && t.BaseURL == "https://meet.example.com/transcripts" && t.Record.Format == "none"
		}},
		{[]string{"JIGASI_TRANSCRIBER_ENABLE_SAVING=0", "JIGASI_TRANSCRIBER_RECORD_AUDIO=false"}, func(t Transcription) bool { return t.Directory == "" && !t.WebReadable }},
		{[]string{"JIGASI_TRANSCRIBER_RECORD_AUDIO=true", "JIGASI_TRANSCRIBER_ADVERTISE_URL=true"}, func(t Transcription) bool { return t.Record.Format == "wav" && t.Advertise && !t.Chat }},
		{[]string{"JIGASI_MODE=Transcriber", "JIGASI_TRANSCRIBER_SEND_TXT=true"}, func(t Transcription) bool {
			return t.Enabled && t.Directory == "/tmp/transcripts" && t.Chat && t.Captions
		}},
	} {
		env := append([]string{"JIGASI_MODE=transcriber", "JIGASI_XMPP_PASSWORD=x", "JIGASI_TRANSCRIBER_PASSWORD=y"}, test.env...)
		if strings.HasPrefix(test.env[0], "JIGASI_MODE") { // as somebody else writes it
			env = env[1:]
		}
		c, found, err := Load([]string{"--configdir=" + t.TempDir()}, environ(env...), t.TempDir())
		if err != nil || !test.good(c.Transcription) {
			t.Errorf("%v: %+v\n%v", test.env, c.Transcription, found)
		}
	}
}

func TestArchiveMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"transcription: {posts: ['http://example.com/']}\n", "transcription.posts: only https is spoken"},
		{"transcription: {posts: ['https://127.0.0.1/']}\n", "transcription.posts: the address is not public"},
		{"transcription: {posts: ['ftp://x/']}\n", "transcription.posts: not an http or https URL"},
		{"transcription: {actions: [{phrase: ' ', url: 'https://example.com/'}]}\n", "transcription.actions: a phrase is empty"},
		{"transcription: {allow: ['http://x/']}\n", "transcription.allow:"},
		{"transcription: {s3: {endpoint: 'https://s3.example.com'}}\n", "transcription.s3: needs bucket"},
		{"transcription: {webdav: {url: 'http://10.0.0.1/dav'}}\n", "transcription.webdav.url: the address is not public"},
		{"transcription: {webdav: {url: 'https://example.com/dav', user: me}}\n", "transcription.webdav.password: is missing"},
		{"transcription: {directory: '', http: {port: 8081}}\n", "transcription.directory: is empty"},
		{"transcription: {http: {port: 8081, cert_file: /nowhere}}\n", "transcription.http.cert_file: goes together"},
		{"transcription: {record: {format: mp3}}\n", "transcription.record.format: is one of none, wav, opus"},
		{"transcription: {keep_days: -1}\n", "transcription.keep_days:"},
		{"transcription: {scripts: [/bin/true], script_timeout: 0s}\n", "transcription.script_timeout:"},
		{"transcription: {base_url: 'meet.example.com'}\n", "transcription.base_url: begins with https://"},
	} {
		if _, found, err := loadYAML(t, c.text); !errors.Is(err, ErrInvalid) || !strings.Contains(found, c.want) {
			t.Errorf("%q\n got %s want %s", c.text, found, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"transcription: {advertise: true}\n", "transcription.advertise: does nothing"},
		{"transcription: {scripts: [/not/there]}\n", "transcription.scripts: /not/there is no program"},
		{"transcription: {record: {format: wav, mix: false}}\n", "transcription.record.format: does nothing"},
		{"transcription: {record: {format: opus}, export: {port: 9090}}\n", "only those who have captions on"},
	} {
		if _, found, err := loadYAML(t, c.text); err != nil || !strings.Contains(found, c.want) {
			t.Errorf("%q: %v\n got %s want %s", c.text, err, found, c.want)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "after.sh"), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, "after.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "jigasi.yaml"), "transcription: {scripts: [after.sh], allow: [10.0.0.0/8, hook], posts: ['http://10.1.1.1/', 'http://hook:8080/']}\n")
	c, found, err := Load([]string{"--config=" + filepath.Join(dir, "jigasi.yaml")}, noEnv, "/")
	if err != nil || !slices.Equal(c.Transcription.Scripts, []string{filepath.Join(dir, "after.sh")}) || strings.Contains(show(found, dir), "scripts") {
		t.Error(c.Transcription.Scripts, show(found, dir), err)
	}
}
