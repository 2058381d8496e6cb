package export

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"jigasi/internal/codec"
	"jigasi/internal/recognize"
)

// captured are the messages that a real bridge sent.
func captured(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^ *[0-9.]+ RECV (.*)$`).FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// whole closes a message of the capture that was cut off in its sound, with a packet of its own length.
func whole(text string) string {
	if i := strings.Index(text, `"payload":"`); i > 0 && !strings.HasSuffix(text, "}") {
		return text[:i] + `"payload":"+Kite389"},"event":"media"}`
	}
	return text
}

// TestCaptureOfTheBridge reads every message that a real bridge sent, and checks what they say against each other.
func TestCaptureOfTheBridge(t *testing.T) {
	t.Parallel()
	next := map[string]message{}
	count := map[kind]int{}
	for _, text := range captured(t, "media.txt") {
		m, err := parse([]byte(whole(text)))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		count[m.kind]++
		switch m.kind {
		case start:
			if !m.opus || m.person != strings.TrimSuffix(m.tag, "-a0") || m.language != "" {
				t.Errorf("%+v", m)
			}
			next[m.tag] = message{}
		case media:
			before, ok := next[m.tag]
			if !ok {
				t.Errorf("sound of %q before its start", m.tag)
			}
			if before.chunk > 0 && m.at-before.at != 960*(m.chunk-before.chunk) {
				t.Errorf("%q: chunk %d at %d follows %d at %d", m.tag, m.chunk, m.at, before.chunk, before.at)
			}
			next[m.tag] = m
		case info, sessionEnd, ping, unknown:
		}
	}
	if count[info] != 1 || count[start] != 3 || count[media] < 60 || count[sessionEnd] != 1 || count[unknown] != 0 {
		t.Errorf("%v", count)
	}
	var ids []int64
	for _, text := range captured(t, "websocket.txt") {
		if m, err := parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if m.kind == ping {
			ids = append(ids, m.id)
		}
	}
	if len(ids) != 2 || ids[0] != 1 || ids[1] != 2 {
		t.Errorf("pings %v", ids)
	}
}

// TestCapturedSound: the packets of the capture that are whole are Opus, of 20 ms each, and loud.
func TestCapturedSound(t *testing.T) {
	t.Parallel()
	dec, err := codec.NewOpusDecoder(recognize.Rate)
	if err != nil {
		t.Fatal(err)
	}
	var pcm [recognize.Rate / 50]int16
	n := 0
	for _, text := range captured(t, "media.txt") {
		m, err := parse([]byte(text))
		if err != nil || m.kind != media {
			continue
		}
		if samples, err := dec.Decode(pcm[:], m.payload); err != nil || samples != len(pcm) {
			t.Errorf("%d samples, %v", samples, err)
		}
		n++
	}
	if n < 6 {
		t.Errorf("%d packets", n)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"event":"start","event":"info"}`: "",
		`{"event":"SessionEndEvent"}`:      "",
		`{"event":"news of tomorrow"}`:     "",
		`{"event":"media","media":{"tag":"a","chunk":0,"timestamp":5,"payload":"AA=="},"x":{}}`:                  "",
		`{"event":"media","media":{"tag":"a"},"media":{"tag":"b","chunk":"0","timestamp":"5","payload":"AA=="}}`: "",
		``:                                     errJSON.Error(),
		`[]`:                                   errJSON.Error(),
		`null`:                                 errJSON.Error(),
		`{"event":"ping","id":1`:               errJSON.Error(),
		`{}`:                                   errEvent.Error(),
		`{"event":7}`:                          errEvent.Error(),
		`{"event":"ping"}`:                     errNumber.Error(),
		`{"event":"ping","id":"x"}`:            errNumber.Error(),
		`{"event":"start"}`:                    errTag.Error(),
		`{"event":"start","start":{"tag":""}}`: errTag.Error(),
		`{"event":"media","media":{"tag":"` + strings.Repeat("a", 257) + `"}}`:                                  errTag.Error(),
		`{"event":"media","media":{"tag":"a","chunk":"1","payload":"AA=="}}`:                                    errNumber.Error(),
		`{"event":"media","media":{"tag":"a","chunk":"1","timestamp":"-70368744177665","payload":"AA=="}}`:      errNumber.Error(),
		`{"event":"media","media":{"tag":"a","chunk":"1","timestamp":"99999999999999999999","payload":"AA=="}}`: errNumber.Error(),
		`{"event":"media","media":{"tag":"a","chunk":"1","timestamp":"1","payload":""}}`:                        errSound.Error(),
		`{"event":"media","media":{"tag":"a","chunk":"1","timestamp":"1","payload":"secret!"}}`:                 errSound.Error(),
	} {
		m, err := parse([]byte(text))
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if strings.Contains(text, `"tag":"b"`) && m.tag != "b" {
			t.Errorf("of two, %q counts", m.tag)
		}
	}
	huge := `{"event":"start","start":{"tag":"a1-a0","customParameters":{"language":"` + strings.Repeat("en-", 5000) + `"}}}`
	if m, err := parse([]byte(huge)); err != nil || m.language != "" || m.person != "a1" {
		t.Errorf("%+v %v", m, err)
	}
	if m, _ := parse([]byte(`{"event":"start","start":{"tag":"a-v0","mediaFormat":{"encoding":"PCMU"},"customParameters":{"endpointId":"x","language":"pt_br"}}}`)); m.opus || m.person != "x" || m.language != "pt-BR" {
		t.Errorf("%+v", m)
	}
}

// FuzzMessage compares the scanner with parse, and parse with a reader that walks the tokens and keeps what it saw last.
func FuzzMessage(f *testing.F) {
	for _, name := range []string{"media.txt", "websocket.txt"} {
		for i, text := range captured(f, name) {
			if i < 20 {
				f.Add([]byte(whole(text)))
			}
		}
	}
	f.Add([]byte(`{"event":"media","media":{"tag":"a","tag":"b","chunk":1,"timestamp":2,"payload":"AA=="},"media":null}`))
	for _, part := range []string{``, `"payload":"AA=A",`, `"tag":"\u0062",`, `"chunk":-0,"timestamp":"007",`, `"x":1.5,`} {
		f.Add(fmt.Appendf(nil, plain, part))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sameAsParse(t, b)
		m, err := parse(b)
		if err != nil {
			if strings.Contains(err.Error(), `"`) {
				t.Errorf("%q is in an error", err)
			}
			return
		}
		v, ok := walk(json.NewDecoder(bytes.NewReader(b)))
		top, isObject := v.(map[string]any)
		if !ok || !isObject || kinds[str(top["event"])] != m.kind {
			t.Fatalf("%q: %+v, but %v", b, m, v)
		}
		switch m.kind {
		case ping:
			if num(top["id"]) != m.id {
				t.Errorf("%q: id %d", b, m.id)
			}
		case start:
			in, _ := top["start"].(map[string]any)
			if str(in["tag"]) != m.tag || m.person == "" || len(m.person) > maxTag || len(m.language) > 35 {
				t.Errorf("%q: %+v", b, m)
			}
		case media:
			in, _ := top["media"].(map[string]any)
			sound, _ := base64.StdEncoding.DecodeString(str(in["payload"]))
			if str(in["tag"]) != m.tag || num(in["chunk"]) != m.chunk || num(in["timestamp"]) != m.at || !bytes.Equal(sound, m.payload) {
				t.Errorf("%q: %+v", b, m)
			}
		case info, sessionEnd, unknown:
		}
	})
}

func str(v any) string { s, _ := v.(string); return s }

func num(v any) int64 {
	if n, ok := v.(json.Number); ok {
		v = string(n)
	}
	n, _ := strconv.ParseInt(str(v), 10, 64)
	return n
}

// walk reads one value token by token.
func walk(d *json.Decoder) (any, bool) {
	d.UseNumber()
	token, err := d.Token()
	if err != nil {
		return nil, errors.Is(err, io.EOF)
	}
	switch token {
	case json.Delim('{'):
		out := map[string]any{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, false
			}
			value, ok := walk(d)
			if !ok {
				return nil, false
			}
			out[key.(string)] = value
		}
		_, err = d.Token()
		return out, err == nil
	case json.Delim('['):
		for d.More() {
			if _, ok := walk(d); !ok {
				return nil, false
			}
		}
		_, err = d.Token()
		return []any{}, err == nil
	}
	return token, true
}
