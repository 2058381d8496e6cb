package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// oldNames are the names of testdata/names.txt by group.
func oldNames(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	out, group := map[string][]string{}, ""
	for line := range strings.Lines(string(data)) {
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			group = strings.Trim(line, "[]")
		default:
			out[group] = append(out[group], line)
		}
	}
	return out
}

// TestEveryOldNameIsExplained: docs/legacy.md says of every property and variable what became of it, and not
// only that some family of names is another program's.
func TestEveryOldNameIsExplained(t *testing.T) {
	page, err := os.ReadFile("../../docs/legacy.md")
	if err != nil {
		t.Fatal(err)
	}
	names := oldNames(t)
	whole := []string{prefixService + "*", prefixImpl + "*", prefixSIP + "*", "net.java.sip.communicator.*", "IS_*", "AUTO_*"}
	count := 0
	for group, tables := range map[string][][]row{"global": {globals}, "sip": {sipRows, ignoredRows}, "jabber": {jabberRows, ignoredRows}} {
		for _, name := range names[group] {
			count++
			r, ok := findRow(name, tables...)
			switch {
			case !ok:
				t.Errorf("%s %s: nothing is said of it", group, name)
			case slices.Contains(whole, r.name):
				t.Errorf("%s %s: only %s is explained", group, name, r.name)
			case r.to == "" && r.note == "":
				t.Errorf("%s %s: no reason is given", group, name)
			case !strings.Contains(string(page), "| `"+r.name+"` |"):
				t.Errorf("%s %s is not on the page", group, name)
			}
		}
	}
	for _, name := range names["docker"] {
		count++
		v, ok := findVariable(name)
		switch {
		case !ok:
			t.Errorf("%s: nothing is said of it", name)
		case v.to == "" && v.note == "":
			t.Errorf("%s: no reason is given", name)
		case !strings.Contains(string(page), "| `"+v.name+"` |"):
			t.Errorf("%s is not on the page", name)
		}
	}
	if count < 280 {
		t.Errorf("only %d names were looked at", count)
	}
}

// TestEveryVariableDoesSomething: each variable of the container image that is said to be supported changes the
// configuration, and each that is not, and is meant for the gateway, is named in a finding.
func TestEveryVariableDoesSomething(t *testing.T) {
	// What makes the others matter.
	base := map[string]string{"JIGASI_SIP_URI": "a@b.example", "JIGASI_SIP_SERVER": "sip.b.example", "JIGASI_XMPP_PASSWORD": "secret", "ENABLE_AUTH": "1"}
	value := map[string]string{
		"JIGASI_SIP_PORT": "5099", "JIGASI_SIP_TRANSPORT": "TCP", "JIGASI_SIP_KEEP_ALIVE_METHOD": "CRLF", "JIGASI_PORT_MIN": "20010", "JIGASI_PORT_MAX": "20040",
		"JIGASI_HEALTH_CHECK_INTERVAL": "1000", "JIGASI_JVB_TIMEOUT": "1000", "JIGASI_TRUSTED_DOMAINS": `["a.b"]`, "JIGASI_MODE": "transcriber", "XMPP_PORT": "5299",
		"XMPP_SERVER": "other.example", "JIGASI_STATS_PORT": "9999", "JIGASI_CONFIGURATION": prefixJigasi + "CONFERENCES_THRESHOLD=7",
		"BOSH_URL_PATTERN": "https://{host}/http-bind?room={roomName}", "JIGASI_SIP_URI": "c@d.example", "ENABLE_AUTH": "0", "JIGASI_REST_TOKEN": "0123456789abcdef",
		"JIGASI_TRANSCRIBER_CUSTOM_SERVICE": "org.jitsi.jigasi.transcription.WhisperTranscriptionService", "JIGASI_TRANSCRIBER_WHISPER_URL": "wss://w/ws",
		"JIGASI_TRANSCRIBER_VOSK_URL": "ws://vosk:2701", "JIGASI_TRANSCRIBER_LIBRETRANSLATE_URL": "http://libre/translate",
		"JIGASI_TRANSCRIBER_CUSTOM_TRANSLATION_SERVICE": "LibreTranslateTranslationService", "JIGASI_TRANSCRIBER_REMOTE_CONFIG_URL": "https://cfg/ts",
		"JIGASI_TRANSCRIBER_REMOTE_CONFIG_URL_KEY_PATH": filepath.Join(t.TempDir(), "key"),
		"JIGASI_TRANSCRIBER_ENABLE_SAVING":              "0", "JIGASI_TRANSCRIBER_ADVERTISE_URL": "true", "JIGASI_TRANSCRIBER_RECORD_AUDIO": "true", "JIGASI_TRANSCRIBER_SEND_TXT": "true", "PUBLIC_URL": "https://meet.example.com",
		"JIGASI_VISITORS_QUEUE_SERVICE_URL": "wss://queue.example/ws",
	}
	write(t, value["JIGASI_TRANSCRIBER_REMOTE_CONFIG_URL_KEY_PATH"], "a key")
	also := map[string]map[string]string{ // what a variable needs beside it
		"XMPP_GUEST_DOMAIN": {"ENABLE_GUESTS": "1"}, "XMPP_HIDDEN_DOMAIN": {"JIGASI_MODE": "transcriber", "JIGASI_TRANSCRIBER_PASSWORD": "x"},
		"XMPP_RECORDER_DOMAIN": {"JIGASI_MODE": "transcriber", "JIGASI_TRANSCRIBER_PASSWORD": "x"}, "JIGASI_TRANSCRIBER_USER": {"JIGASI_MODE": "transcriber", "JIGASI_TRANSCRIBER_PASSWORD": "x"},
		"JIGASI_TRANSCRIBER_PASSWORD": {"JIGASI_MODE": "transcriber"}, "JIGASI_ENABLE_REST": {"JIGASI_REST_TOKEN": "0123456789abcdef"},
		"JIGASI_TRANSCRIBER_WHISPER_PRIVATE_KEY": {"JIGASI_TRANSCRIBER_WHISPER_PRIVATE_KEY_NAME": "k"}, "JIGASI_TRANSCRIBER_WHISPER_PRIVATE_KEY_NAME": {"JIGASI_TRANSCRIBER_WHISPER_PRIVATE_KEY": "k"},
		"JIGASI_TRANSCRIBER_CUSTOM_TRANSLATION_SERVICE": {"JIGASI_TRANSCRIBER_ENABLE_TRANSLATION": "1"},
		"JIGASI_TRANSCRIBER_ENABLE_SAVING":              {"JIGASI_MODE": "transcriber", "JIGASI_TRANSCRIBER_PASSWORD": "x"}, "PUBLIC_URL": {"JIGASI_MODE": "transcriber", "JIGASI_TRANSCRIBER_PASSWORD": "x"},
	}
	for _, name := range []string{"PROJECT_ID", "PRIVATE_KEY_ID", "PRIVATE_KEY", "CLIENT_EMAIL", "CLIENT_ID", "CLIENT_CERT_URL"} {
		also["GC_"+name] = map[string]string{"GC_PRIVATE_KEY": "k", "GC_CLIENT_EMAIL": "e"}
	}
	load := func(t *testing.T, env map[string]string) (string, []Finding) {
		c, found, err := Load([]string{"--configdir=" + t.TempDir()}, func(k string) string { return env[k] }, filepath.Join(t.TempDir(), "empty"))
		if err != nil {
			t.Fatal(err, found)
		}
		return string(c.YAML()), found
	}
	for _, name := range oldNames(t)["docker"] {
		v, _ := findVariable(name)
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			for _, m := range []map[string]string{base, also[name]} {
				for k, x := range m {
					env[k] = x
				}
			}
			before, _ := load(t, env)
			env[name] = value[name]
			if env[name] == "" {
				env[name] = "1"
			}
			after, found := load(t, env)
			said := slices.ContainsFunc(found, func(f Finding) bool { return f.Key == name })
			switch {
			case v.to != "" && before == after:
				t.Errorf("is said to be %s, and changes nothing", v.to)
			case v.to == "" && before != after:
				t.Error("is said to have no effect, and has one")
			case v.to == "" && !said && (noticed(v) || v.property != "") && !strings.HasSuffix(v.name, "*"):
				t.Errorf("has no effect, and nobody is told: %v", found)
			}
		})
	}
}

// TestMisspelt: a variable that nobody reads is named, with the one that was meant.
func TestMisspelt(t *testing.T) {
	env := environ("JIGASI_SIP_URI=a@b")
	got := Misspelt([]string{"JIGASI_SIP_URI=a@b", "JIGASI_TRANSCRIBER_SEND_TEXT=1", "JIGASI_XMPP_PASWORD=x", "JIGASI_OPTS=", "JIGASI_WIBBLE=1", "HOME=/", "GC_PROJECT_ID=x"}, env)
	var said []string
	for _, f := range got {
		said = append(said, f.Key+" "+f.Text)
	}
	want := []string{
		"JIGASI_TRANSCRIBER_SEND_TEXT is no variable of the gateway and has no effect; did you mean JIGASI_TRANSCRIBER_SEND_TXT?",
		"JIGASI_WIBBLE is no variable of the gateway and has no effect",
		"JIGASI_XMPP_PASWORD is no variable of the gateway and has no effect; did you mean JIGASI_XMPP_PASSWORD?",
	}
	if !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
	if Misspelt([]string{"JIGASI_WIBBLE=1"}, noEnv) != nil {
		t.Error("a variable of somebody else is complained about")
	}
}

// TestEveryKeyIsUsed: app or a command reads each key of jigasi.yaml.
func TestEveryKeyIsUsed(t *testing.T) {
	files, err := filepath.Glob("../app/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var source strings.Builder
	for _, f := range append(files, "../cli/health.go", "../cli/transcribe.go", "../words/words.go", "../words/services.go", "../words/remote.go", "../words/archive.go") {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(data)
	}
	var look func(v reflect.Type, key string)
	look = func(v reflect.Type, key string) {
		for i := range v.NumField() {
			f := v.Field(i)
			tag, ft := f.Tag.Get("yaml"), f.Type
			if tag == "-" {
				continue
			}
			path := join(key, tag)
			if ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct {
				path, ft = path+"[]", ft.Elem()
			}
			if ft.Kind() == reflect.Struct {
				look(ft, path)
				continue
			}
			used := regexp.MustCompile(`\.` + f.Name + `\b`).MatchString(source.String())
			if !used {
				t.Errorf("%s is read by nobody", path)
			}
		}
	}
	look(reflect.TypeFor[Config](), "")
}
