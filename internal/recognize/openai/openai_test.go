package openai

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "topsecret"

var who = recognize.Who{ID: "a", Language: "pt-BR"}

// batches is a counterpart that checks each request, and misbehaves.
func batches(t *testing.T, temper *prove.Temper) string {
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := prove.None
		if requests.Add(1)%2 == 0 { // every second one fails
			fault, _ = temper.Next(2)
		}
		if r.URL.Path != "/v1/audio/transcriptions" || r.Header.Get("Authorization") != "Bearer "+key {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		file, _, err := r.FormFile("file")
		if err != nil || r.FormValue("model") != "whisper-1" || r.FormValue("language") != "pt" || r.FormValue("response_format") != "json" {
			t.Errorf("%v %v", err, r.Form)
			return
		}
		pcm, rate, err := audio.ReadWAV(file)
		if err != nil || rate != 16000 {
			t.Error(err, rate)
		}
		switch fault {
		case prove.Refuse:
			http.Error(w, "spoken words", http.StatusInternalServerError)
			return
		case prove.Garbage:
			_, _ = io.WriteString(w, `{"error": "spoken words"}`)
			return
		case prove.Drop:
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"te`)
			return
		case prove.Half:
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		var b []byte
		for _, v := range pcm {
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		}
		ear := prove.Ear{}
		var texts []string
		for _, h := range append(ear.Hear(b), ear.Finish()...) {
			if h.Final {
				texts = append(texts, h.Text)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"text": strings.Join(texts, " ")})
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

// TestT34_Batch: requests fail at random; no final is lost or doubled.
func TestT34_Batch(t *testing.T) {
	temper := prove.Moody(prove.Drops(30), prove.Refuse, prove.Garbage, prove.Drop, prove.Half)
	service := New(Options{URL: batches(t, temper) + "/", Key: key, Model: "whisper-1"})
	defer service.client.CloseIdleConnections()
	prove.Listen(t, service, 3*prove.Drops(30), recognize.Options{Who: who}, temper)
}

// TestBatchOfLongSpeech: somebody who never pauses is cut where it is quietest, and nothing is lost.
func TestBatchOfLongSpeech(t *testing.T) {
	var c cutter
	tone := audio.NewTone(300, recognize.Rate, -20)
	var got []batch
	total := 0
	for i := range 100 * 50 {
		pcm := make([]int16, frame)
		if tone.Fill(pcm); i%600 == 599 { // every 12 s a breath
			clear(pcm)
		}
		total += len(pcm)
		if b, ok := c.push(pcm); ok {
			got = append(got, b)
		}
	}
	got = append(got, c.cut(len(c.levels)))
	sum, last := 0, time.Duration(0)
	for i, b := range got {
		sum += len(b.pcm)
		if b.start != last || i < len(got)-1 && (b.end-b.start < 10*time.Second || b.end-b.start > 15*time.Second) {
			t.Errorf("from %v to %v", b.start, b.end)
		}
		last = b.end
	}
	if sum != total || got[0].end != 599*20*time.Millisecond {
		t.Errorf("%d samples of %d; the first ends at %v", sum, total, got[0].end)
	}
}

// realtime is a counterpart that finishes items out of order, checks what it gets, and misbehaves.
func realtime(t *testing.T, temper *prove.Temper) *prove.Server {
	return prove.Near(t, temper, func(ctx context.Context, c *websocket.Conn, r *http.Request, fault prove.Fault, after int) {
		if r.URL.String() != "/v1/realtime?intent=transcription" || r.Header.Get("Authorization") != "Bearer "+key {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		say := func(format string, args ...any) {
			_ = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, format, args...))
		}
		ear, n, open := prove.Ear{Rate: 24000, Gain: 1.0101}, 0, false
		begin := func(h prove.Heard) {
			if !open {
				open = true
				say(`{"type":"input_audio_buffer.speech_started","audio_start_ms":%d,"item_id":"item_%d"}`, h.Start.Milliseconds(), n)
			}
		}
		var owed []string // finals that come later
		settle := func() {
			rand.Shuffle(len(owed), func(i, j int) { owed[i], owed[j] = owed[j], owed[i] })
			for _, m := range owed {
				say("%s", m)
			}
			owed = nil
		}
		hear := func(heard []prove.Heard, forced bool) {
			for _, h := range heard {
				begin(h)
				if !h.Final {
					say(`{"type":"conversation.item.input_audio_transcription.delta","item_id":"item_%d","delta":""}`, n)
					continue
				}
				if !forced {
					say(`{"type":"input_audio_buffer.speech_stopped","audio_end_ms":%d,"item_id":"item_%d"}`, h.End.Milliseconds()+100, n)
				}
				say(`{"type":"input_audio_buffer.committed","item_id":"item_%d","previous_item_id":null}`, n)
				first, rest, _ := strings.Cut(h.Text, " ")
				say(`{"type":"conversation.item.input_audio_transcription.delta","item_id":"item_%d","delta":%q}`, n, first)
				say(`{"type":"conversation.item.input_audio_transcription.delta","item_id":"item_%d","delta":%q}`, n, " "+rest)
				owed = append(owed, fmt.Sprintf(`{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_%d","transcript":%q}`, n, h.Text))
				n, open = n+1, false
			}
			if len(owed) > 1 {
				settle()
			}
		}
		for k := 0; ; k++ {
			_, b, err := c.Read(ctx)
			if err != nil || !prove.Misbehave(ctx, c, fault, after, k) {
				return
			}
			var m struct{ Type, Audio string }
			if err := json.Unmarshal(b, &m); err != nil {
				t.Error(err)
			}
			switch {
			case k == 0:
				if want := `{"session":{"audio":{"input":{"format":{"rate":24000,"type":"audio/pcm"},"transcription":{"language":"pt","model":"gpt-4o-transcribe"},"turn_detection":{"prefix_padding_ms":300,"silence_duration_ms":500,"threshold":0.5,"type":"server_vad"}}},"type":"transcription"},"type":"session.update"}`; string(b) != want {
					t.Errorf("%s", b)
				}
				say(`{"type":"session.updated"}`)
			case m.Type == "input_audio_buffer.append":
				pcm, err := base64.StdEncoding.DecodeString(m.Audio)
				if err != nil {
					t.Error(err)
				}
				hear(ear.Hear(pcm), false)
			case m.Type == "input_audio_buffer.commit":
				if rest := ear.Finish(); len(rest) > 0 {
					hear(rest, true)
				} else {
					say(`{"type":"error","error":{"type":"invalid_request_error","code":"input_audio_buffer_commit_empty","message":"spoken words"}}`)
				}
				settle()
			default:
				t.Errorf("%s", b)
			}
		}
	})
}

// TestT34_Realtime: the socket is lost at random; no final is lost, doubled or out of order.
func TestT34_Realtime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temper := prove.Moody(prove.Drops(12), prove.Refuse, prove.Garbage, prove.Drop, prove.Late)
		s := realtime(t, temper)
		service := New(Options{URL: "http" + strings.TrimPrefix(s.URL, "ws") + "/v1", Key: key, Model: "gpt-4o-transcribe", Realtime: true, Transport: s.Via})
		p := prove.Listen(t, service, 8*prove.Drops(12), recognize.Options{Who: who}, temper)
		if s.Most.Load() != 1 || p.Counts.Interims.Load() == 0 {
			t.Errorf("%d connections at once, %d interims", s.Most.Load(), p.Counts.Interims.Load())
		}
	})
}

func TestEvents(t *testing.T) {
	const words = `"type":"conversation.item.input_audio_transcription.`
	for _, c := range []struct {
		in   []string
		want string // of the last
	}{
		{[]string{`{` + words + `delta","item_id":"a","delta":"he"}`, `{` + words + `delta","item_id":"a","delta":"y"}`}, "hey false"},
		{[]string{`{"type":"input_audio_buffer.committed","item_id":"a"}`, `{` + words + `completed","item_id":"b","transcript":"second"}`}, ""},
		{[]string{`{"type":"input_audio_buffer.committed","item_id":"a"}`, `{` + words + `completed","item_id":"b","transcript":"second"}`, `{` + words + `completed","item_id":"a","transcript":"first"}`}, "first true, second true"},
		{[]string{`{"type":"something.new"}`}, ""},
		{[]string{`x`}, "error the service sent a message that is none"},
		{[]string{`{` + words + `failed","item_id":"a","error":{"message":"spoken words"}}`}, "error an utterance was not transcribed"},
		{[]string{`{` + words + `failed","item_id":"a","error":{"code":"insufficient_quota","message":"spoken words"}}`}, `error an utterance was not transcribed: "insufficient_quota"`},
		{[]string{`{"type":"error","error":{"code":"invalid_api_key","message":"spoken words"}}`}, `error the service reports an error "invalid_api_key"`},
		{[]string{`{"type":"error","error":{"code":"spoken words"}}`}, `error the service reports an error ""`},
	} {
		d, got := &dialect{items: map[string]*item{}}, ""
		for _, in := range c.in {
			results, _, err := d.Heard([]byte(in))
			var parts []string
			for _, r := range results {
				parts = append(parts, fmt.Sprint(r.Text, " ", r.Final))
			}
			if got = strings.Join(parts, ", "); err != nil {
				got = "error " + err.Error()
			}
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// TestCommitsCross: an item that the service has cut by itself is not the answer to our commit.
func TestCommitsCross(t *testing.T) {
	d := &dialect{items: map[string]*item{}, bye: true}
	const words = `{"type":"conversation.item.input_audio_transcription.completed","item_id":`
	for i, in := range []string{
		`{"type":"input_audio_buffer.speech_started","item_id":"a","audio_start_ms":0}`, `{"type":"input_audio_buffer.speech_stopped","item_id":"a","audio_end_ms":900}`,
		`{"type":"input_audio_buffer.committed","item_id":"a"}`, words + `"a","transcript":"x"}`,
		`{"type":"input_audio_buffer.committed","item_id":"b"}`, words + `"b","transcript":"y"}`,
	} {
		if _, done, err := d.Heard([]byte(in)); err != nil || done != (i == 5) {
			t.Errorf("%s: done %v %v", in, done, err)
		}
	}
}

// TestItemsAreBounded: a service that begins utterances and finishes none is left.
func TestItemsAreBounded(t *testing.T) {
	d := &dialect{items: map[string]*item{}}
	for i := range 1000 {
		if _, _, err := d.Heard(fmt.Appendf(nil, `{"type":"input_audio_buffer.committed","item_id":"%d"}`, i)); err != nil {
			return
		}
	}
	t.Errorf("%d items", len(d.items))
}

// TestRaise: the sound goes out at 24 kHz, all of it.
func TestRaise(t *testing.T) {
	d := &dialect{}
	var out []byte
	tone := audio.NewTone(1000, recognize.Rate, -10)
	for range 50 {
		d.part = make([]int16, frame)
		tone.Fill(d.part)
		out = d.raise(out)
	}
	var pcm []int16
	for ; len(out) > 1; out = out[2:] {
		pcm = append(pcm, int16(binary.LittleEndian.Uint16(out)))
	}
	if len(pcm) != 24000 || audio.Goertzel(pcm[2400:], 1000, 24000) < -10.5 || slices.Max(pcm) < 10_000 {
		t.Errorf("%d samples, %v dB", len(pcm), audio.Goertzel(pcm[2400:], 1000, 24000))
	}
}
