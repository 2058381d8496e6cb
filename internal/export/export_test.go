package export

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/archive"
	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/recognize"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A word is 300 ms of a tone; word k has 400 + 150k Hz. That survives Opus, and Goertzel hears it.
const vocabulary = 20

func hz(word int) float64 { return 400 + 150*float64(word) }

// saying is the sound of sentences, at 16 kHz: words with a pause of 100 ms between, and of 500 ms after each sentence.
func saying(sentences ...string) []int16 {
	var out []int16
	for _, s := range sentences {
		for _, w := range strings.Fields(s) {
			var k int
			_, _ = fmt.Sscanf(w, "w%d", &k)
			word := make([]int16, 4800)
			audio.NewTone(hz(k), 16000, -12).Fill(word)
			out = append(append(out, word...), make([]int16, 1600)...)
		}
		out = append(out, make([]int16, 6400)...)
	}
	return out
}

// script is what somebody says, different for each n.
func script(n, sentences int) []string {
	var out []string
	for i := range sentences {
		out = append(out, fmt.Sprintf("w%d w%d w%d", (3*n+i)%vocabulary, (7*n+5*i+1)%vocabulary, (n+11*i+2)%vocabulary))
	}
	return out
}

// ears is a speech service that hears tones.
type ears struct {
	mu  sync.Mutex
	who []recognize.Who
}

func (*ears) Needs() recognize.Needs { return recognize.Needs{} }
func (e *ears) Open(_ context.Context, w recognize.Who) (recognize.Stream, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.who = append(e.who, w)
	return &ear{results: make(chan recognize.Result, 1000)}, nil
}

type ear struct {
	results chan recognize.Result
	once    sync.Once
	block   []int16
	n       int64 // blocks heard
	run     []int
	quiet   int
	said    []string
	began   int64
	ended   int64
}

func (e *ear) Results() <-chan recognize.Result { return e.results }
func (e *ear) CloseSend() error                 { e.word(); e.sentence(); e.Close(); return nil }
func (e *ear) Close()                           { e.once.Do(func() { close(e.results) }) }
func (e *ear) Err() error                       { return nil }
func (e *ear) Write(pcm []byte) error {
	for ; len(pcm) > 1; pcm = pcm[2:] {
		if e.block = append(e.block, int16(binary.LittleEndian.Uint16(pcm))); len(e.block) == 320 {
			e.hear()
		}
	}
	return nil
}

// hear takes 20 ms.
func (e *ear) hear() {
	defer func() { e.block, e.n = e.block[:0], e.n+1 }()
	best, level := -1, -35.0
	for k := range vocabulary {
		if l := audio.Goertzel(e.block, hz(k), 16000); l > level {
			best, level = k, l
		}
	}
	if best < 0 {
		if e.quiet++; e.quiet == 3 {
			e.word()
		} else if e.quiet >= 15 {
			e.sentence()
		}
		return
	}
	if len(e.run) == 0 && len(e.said) == 0 {
		e.began = e.n
	}
	e.run, e.quiet, e.ended = append(e.run, best), 0, e.n+1
}

func (e *ear) word() {
	if len(e.run) >= 5 {
		slices.Sort(e.run)
		e.said = append(e.said, fmt.Sprintf("w%d", e.run[len(e.run)/2]))
		e.give(false)
	}
	e.run = nil
}

func (e *ear) sentence() {
	if len(e.said) > 0 {
		e.give(true)
	}
	e.said = nil
}

func (e *ear) give(final bool) {
	const block = 20 * time.Millisecond
	e.results <- recognize.Result{Text: strings.Join(e.said, " "), Final: final, Confidence: .9, Start: time.Duration(e.began) * block, End: time.Duration(e.ended) * block}
}

// begin makes a server that listens, and is closed at the end of the test.
func begin(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Service == nil {
		o.Service = func(string) recognize.Service { return &ears{} }
	}
	if o.Language == "" {
		o.Language = "en-US"
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A jvb is a bridge of the test's: a socket, and what came back.
type jvb struct {
	t    *testing.T
	c    *websocket.Conn
	mu   sync.Mutex
	got  []answer
	seq  int
	over chan struct{}
}

type answer struct {
	Event, Type, Language, Text string
	ID                          int64
	Interim                     bool   `json:"is_interim"`
	MessageID                   string `json:"message_id"`
	Timestamp                   int64
	Participant                 struct{ ID string }
	Transcript                  []struct{ Text string }
}

func url(s *Server, meeting string) string {
	return fmt.Sprintf("ws://%s/transcribe/%s", s.Addr(), meeting)
}

func connect(t *testing.T, url string, header http.Header) *jvb {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, c)
}

// listen is the bridge at a socket.
func listen(t *testing.T, c *websocket.Conn) *jvb {
	t.Helper()
	b := &jvb{t: t, c: c, over: make(chan struct{})}
	t.Cleanup(func() { _ = c.CloseNow(); <-b.over })
	go func() {
		defer close(b.over)
		for {
			_, text, err := c.Read(context.Background())
			if err != nil {
				return
			}
			var a answer
			if err := json.Unmarshal(text, &a); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			b.mu.Lock()
			b.got = append(b.got, a)
			b.mu.Unlock()
		}
	}()
	return b
}

func (b *jvb) send(format string, args ...any) {
	b.t.Helper()
	if err := b.c.Write(b.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		b.t.Error(err)
	}
}

func (b *jvb) start(tag string) {
	b.seq++
	b.send(`{"event":"start","sequenceNumber":"%d","start":{"tag":%q,"mediaFormat":{"encoding":"opus","sampleRate":48000,"channels":2,"parameters":{"useinbandfec":"1","minptime":"10"}},"customParameters":{"endpointId":%q}},"event":"start"}`, b.seq, tag, endpoint(tag))
}

func (b *jvb) media(tag string, chunk, at int64, payload []byte) {
	b.seq++
	b.send(`{"event":"media","sequenceNumber":"%d","media":{"tag":%q,"chunk":"%d","timestamp":"%d","payload":%q,"audioLevel":20,"vad":true},"event":"media"}`, b.seq, tag, chunk, at, base64.StdEncoding.EncodeToString(payload))
}

// finals are the texts that came back for somebody.
func (b *jvb) finals(person string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, a := range b.got {
		if a.Type == "transcription-result" && a.Event == "transcription-result" && !a.Interim && a.Participant.ID == person {
			out = append(out, a.Transcript[0].Text)
		}
	}
	return out
}

// A talker is one source: it encodes what it says.
type talker struct {
	b         *jvb
	tag       string
	enc       *codec.OpusEncoder
	chunk, at int64
	lose      func(chunk int64) bool
	wrap      func(packet []byte) []byte // nil is as it is
}

func (b *jvb) talker(tag string, at int64) *talker {
	b.t.Helper()
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: 16000, Bitrate: 32000})
	if err != nil {
		b.t.Fatal(err)
	}
	return &talker{b: b, tag: tag, enc: enc, chunk: 1156, at: at}
}

// next sends the first 20 ms of sound and gives the rest.
func (k *talker) next(sound []int16) []int16 {
	var packet [codec.MaxOpus]byte
	n, err := k.enc.Encode(packet[:], sound[:320])
	if err != nil {
		k.b.t.Fatal(err)
	}
	if k.lose == nil || !k.lose(k.chunk) {
		sound := packet[:n]
		if k.wrap != nil {
			sound = k.wrap(sound)
		}
		k.b.media(k.tag, k.chunk, k.at, sound)
	}
	k.chunk, k.at = k.chunk+1, k.at+960
	return sound[320:]
}

func (k *talker) say(sound []int16) {
	for len(sound) > 0 {
		sound = k.next(sound)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not in 20 s: " + what)
}

// keep is an archive in a directory.
func keep(t *testing.T, dir string, forms ...string) *archive.Archive {
	t.Helper()
	a, err := archive.New(archive.Options{Dir: dir, Forms: forms})
	if err != nil {
		t.Fatal(err)
	}
	return a
}
