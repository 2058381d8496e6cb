package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
)

// vosk is a server of the Vosk protocol that hears the words of package prove.
func vosk(t *testing.T, temper *prove.Temper) string {
	return prove.Serve(t, temper, func(ctx context.Context, c *websocket.Conn, _ *http.Request, fault prove.Fault, after int) {
		ear := prove.Ear{Pause: 450 * time.Millisecond}
		for n := 0; ; n++ {
			kind, b, err := c.Read(ctx)
			if err != nil || !prove.Misbehave(ctx, c, fault, after, n) {
				return
			}
			heard := ear.Hear(b)
			if kind == websocket.MessageText {
				if !strings.Contains(string(b), "eof") {
					continue
				}
				heard = append(ear.Finish(), prove.Heard{Final: true})
			}
			answer := map[string]string{"partial": ""}
			if len(heard) > 0 {
				name := map[bool]string{true: "text", false: "partial"}[heard[0].Final]
				answer = map[string]string{name: heard[0].Text}
			}
			out, _ := json.Marshal(answer)
			_ = c.Write(ctx, websocket.MessageText, out)
			if kind == websocket.MessageText {
				return
			}
		}
	}).URL
}

// libre is a translator that shouts.
func libre(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Q, Target string }
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &in)
		_ = json.NewEncoder(w).Encode(map[string]string{"translatedText": in.Target + " " + strings.ToUpper(in.Q)})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func wav(t *testing.T, dir string, pcm []int16, rate int) string {
	t.Helper()
	var b bytes.Buffer
	if err := audio.WriteWAV(&b, pcm, rate); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "monday.wav"), b.String())
}

func wordsConfig(t *testing.T, dir, voskURL string) string {
	t.Helper()
	return write(t, filepath.Join(dir, "jigasi.yaml"), fmt.Sprintf(
		"sip: {trunks: 192.0.2.0/24}\ntranscription:\n  directory: %s\n  save: [txt, json, vtt, srt]\n  vosk: {url: %q}\n  translation: {service: libre, libre: {url: %q, key: topsecret}}\n",
		filepath.Join(dir, "kept"), voskURL+"/?token=topsecret", libre(t)))
}

// TestTranscribe: all is printed in every form, whatever the service does wrong meanwhile.
func TestTranscribe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		fault  prove.Fault
		want   string
		counts string
	}{
		{"txt", prove.Refuse, `(?s)^Transcript of conference held at .* in room monday\.wav\n.*> monday: w0 w1 w2 \n.*> monday: w57 w58 w59 \n_+\n\n\nEnd of`, "1 stream, 0 lost"},
		{"json", prove.Drop, `^\{"room_name":"monday\.wav".*"transcript":\[\{"text":"w0 w1 w2","confidence":1\}\],"language":"en-US"`, "2 streams, 1 lost"},
		{"vtt", prove.Garbage, `(?s)^WEBVTT\n\n00:00:00\.\d\d\d --> 00:00:0\d\.\d\d\d\n<v monday>w0 w1 w2\n.*<v monday>w57 w58 w59\n`, "2 streams, 1 lost"},
		{"srt", prove.Late, `(?s)^1\n00:00:00,\d\d\d --> .*\nmonday: w0 w1 w2\n\n2\n.*20\n00:00:\d\d,\d\d\d --> 00:00:\d\d,\d\d\d\nmonday: w57 w58 w59\n`, "2 streams, 1 lost"},
	} {
		t.Run(c.format, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			temper := prove.Moody(1, c.fault)
			conf, file := "--config="+wordsConfig(t, dir, vosk(t, temper)), wav(t, dir, prove.Say(20), 16000)
			status, out, errs := run(Transcribe, noEnv, file, conf, "--format", c.format)
			if status != 0 || !regexp.MustCompile(c.want).MatchString(out) || !regexp.MustCompile(`32\.0 s of sound in .* s; 20 utterances, `+c.counts+`\n$`).MatchString(errs) {
				t.Errorf("%d\n%s%s", status, out, errs)
			}
			if regexp.MustCompile(`w\d|topsecret|spoken`).MatchString(errs) || temper.Left() > 0 {
				t.Errorf("words or a secret in the log, or %d faults left: %s", temper.Left(), errs)
			}
			status, out, errs = run(Transcribe, noEnv, conf, "--translate=fr", file, "--format=srt")
			if status != 0 || !strings.Contains(out, "monday: fr W57 W58 W59\n") || strings.Contains(out, "w0") {
				t.Errorf("%d\n%s%s", status, out, errs)
			}
		})
	}
}

// TestTranscribeSave: the journal and its forms are kept, and the journal can be printed again.
func TestTranscribeSave(t *testing.T) {
	dir := t.TempDir()
	conf := "--config=" + wordsConfig(t, dir, vosk(t, nil))
	narrow := make([]int16, 0)
	for i, v := range prove.Say(4) {
		if i%2 == 0 {
			narrow = append(narrow, v)
		}
	}
	status, out, errs := run(Transcribe, noEnv, wav(t, dir, narrow, 8000), conf, "--save", "--language=de", "--translate=en", "--format=txt")
	if status != 0 || !strings.Contains(errs, "kept in "+filepath.Join(dir, "kept")) {
		t.Fatalf("%d\n%s%s", status, out, errs)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "kept", "*", "transcript_*"))
	if len(files) != 5 {
		t.Fatal(files)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), "w0 w1 w2") {
			t.Errorf("%s: %v", f, err)
		}
		if info, _ := os.Stat(f); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f, info.Mode())
		}
		if filepath.Ext(f) != ".jsonl" {
			continue
		}
		if status, again, errs := run(Transcript, noEnv, "--language=en", f); status != 0 || again != out {
			t.Errorf("%d\n%s%s", status, again, errs)
		}
		write(t, f+".cut", string(b[:len(b)*2/3]))
		if status, cut, errs := run(Transcript, noEnv, "--format=srt", f+".cut"); status != 0 || !strings.Contains(cut, "monday: w0 w1 w2") {
			t.Errorf("%d\n%s%s", status, cut, errs)
		}
	}
}

// within is Transcribe in virtual time, where nobody can interrupt it.
func within(t *testing.T, via http.RoundTripper) Command {
	return func(args []string, stdout, stderr io.Writer, env func(string) string) int {
		return transcribe(t.Context(), via, args, stdout, stderr, env)
	}
}

func TestTranscribeFails(t *testing.T) {
	dir := t.TempDir()
	file := wav(t, dir, prove.Say(1), 16000)
	dead := "--config=" + wordsConfig(t, dir, "ws://127.0.0.1:1")
	odd := write(t, filepath.Join(dir, "odd.wav"), "RIFFxxxxWAVE")
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{}, 2, "usage: jigasi transcribe FILE.wav"},
		{[]string{file, file}, 2, "usage:"},
		{[]string{file, "--format=doc"}, 2, "usage:"},
		{[]string{file, "--help"}, 0, "usage:"},
		{[]string{file, dead, "--language=?"}, 2, "a tag such as en-US"},
		{[]string{filepath.Join(dir, "none.wav"), dead}, 1, "no such file"},
		{[]string{odd, dead}, 1, "convert it with: sox odd.wav -r 16000 -c 1 -b 16 out.wav"},
		{[]string{file, dead, "--service=ear"}, 1, `there is no speech service "ear"`},
		{[]string{file, "--config=" + filepath.Join(dir, "none.yaml")}, 1, "cannot be read"},
		{[]string{file, dead}, 1, "the speech service cannot be used"},
		{[]string{wav(t, t.TempDir(), prove.Say(10), 16000), dead}, 1, "the speech service cannot be used"},
	} {
		t.Run(c.want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, out, errs := run(within(t, nil), noEnv, c.args...)
				if status != c.status || !strings.Contains(errs, c.want) || strings.Contains(errs, "topsecret") {
					t.Errorf("%v: %d\n%s%s", c.args, status, out, errs)
				}
			})
		})
	}
}

// TestTranscribeUseless: where no service takes us, or none comes to the end of anything, it ends soon, and says why once.
func TestTranscribeUseless(t *testing.T) {
	stranger := func(t *testing.T) http.RoundTripper {
		return prove.Nearby(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "spoken", http.StatusUnauthorized) }))
	}
	babble := func(t *testing.T) http.RoundTripper {
		return prove.Near(t, prove.Moody(0), func(ctx context.Context, c *websocket.Conn, _ *http.Request, _ prove.Fault, _ int) {
			for range 5 { // the configuration, and four messages
				if _, _, err := c.Read(ctx); err != nil {
					return
				}
				_ = c.Write(ctx, websocket.MessageText, []byte(`{"partial":"spoken"}`))
			}
			_ = c.Close(websocket.StatusPolicyViolation, "spoken")
		}).Via
	}
	for name, c := range map[string]struct {
		service, setting string
		via              func(*testing.T) http.RoundTripper
		want             string
	}{
		"a stranger to Vosk":   {"vosk", "vosk: {url: 'ws://service.test'}", stranger, "answers 401: set its key"},
		"a stranger to OpenAI": {"openai", "openai: {url: 'http://service.test/v1', key: topsecret}", stranger, "answers 401: set its key"},
		"no end":               {"vosk", "vosk: {url: 'ws://service.test'}", babble, "closed with 1008"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			conf := write(t, filepath.Join(dir, "jigasi.yaml"), "sip: {trunks: 192.0.2.0/24}\ntranscription: {"+c.setting+"}\n")
			file := wav(t, dir, prove.Say(10), 16000)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				status, out, errs := run(within(t, c.via(t)), noEnv, file, "--config="+conf, "--service="+c.service)
				if status != 1 || !strings.Contains(errs, c.want) || !strings.Contains(errs, "cannot be used") || strings.Contains(errs, "published") || strings.Contains(errs, "spoken") || strings.Contains(errs, "topsecret") {
					t.Errorf("%d\n%s%s", status, out, errs)
				}
				if took := time.Since(began); took > 20*time.Second { // it is the full minute that is not to pass
					t.Errorf("after %v", took)
				}
			})
		})
	}
}

// TestTranscribeSilence: nobody speaks, so no service is needed, and nothing is said.
func TestTranscribeSilence(t *testing.T) {
	dir := t.TempDir()
	conf := write(t, filepath.Join(dir, "jigasi.yaml"), "sip: {trunks: 192.0.2.0/24}\ntranscription: {gate: true, vosk: {url: 'ws://127.0.0.1:1'}}\n")
	file := wav(t, dir, make([]int16, 48000), 48000)
	synctest.Test(t, func(t *testing.T) {
		status, out, errs := run(within(t, nil), noEnv, file, "--config="+conf, "--format=vtt")
		if status != 0 || out != "WEBVTT\n\n" || !strings.Contains(errs, "0 utterances, 0 streams") {
			t.Errorf("%d\n%s%s", status, out, errs)
		}
	})
}

func TestBar(t *testing.T) {
	b := &bar{total: 10 * time.Second, start: time.Now()}
	if got := b.line(5*time.Second, b.start.Add(time.Second)); got != "[===============               ]  50%  5.0 of 10.0 s, 5.0 times real time " {
		t.Errorf("%q", got)
	}
}
