package demo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/config"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/lab/voskd"

	"github.com/coder/websocket"
)

// sentence is what Anna says when there is an engine that can hear words.
const sentence = "please call the meeting room one two three"

// captions are what is said in the meeting, as text: the bridge of the demo sends it to the gateway, which has a speech
// service hear it. That is PocketSphinx where it and flite are installed, else one that knows tones.
type captions struct {
	dir    string
	url    string // of the speech service
	engine bool
	speech []int16 // Anna's sentence, at 48 kHz
	end    func()
	port   int
	export *sfu.Export
	shown  int
	names  map[string]string // by endpoint id
	read   map[string]bool   // names of whom a caption was shown
}

// newCaptions starts the speech service, one for words if there is one and they are wanted, and sets what the gateway needs.
func newCaptions(cfg *config.Config, words bool) (*captions, error) {
	c := &captions{names: map[string]string{"transcriber": "notice"}, read: map[string]bool{}}
	var err error
	if c.dir, err = os.MkdirTemp("", "jigasi-demo"); err != nil {
		return nil, err
	}
	if words {
		c.hearWords()
	}
	if !c.engine {
		if err := c.listenToTones(); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.close()
		return nil, err
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close() // the gateway takes it
	t := &cfg.Transcription
	t.Service, t.Vosk.URL, t.Directory, t.Export.Port = "vosk", c.url, "", c.port
	return c, nil
}

// hearWords starts the engine, where there is one and a voice to try it.
func (c *captions) hearWords() {
	speech, err := synthesize(c.dir)
	if err != nil {
		return
	}
	if s, err := voskd.Start(c.dir); err == nil {
		c.speech, c.engine, c.url, c.end = speech, true, s.URL, s.Close
	}
}

// begin has the bridge send a room.
func (c *captions) begin(b *sfu.Bridge, room string) {
	c.export = b.Export(room, fmt.Sprintf("ws://127.0.0.1:%d/transcribe/demo", c.port), nil)
}

// show shows the captions that are new, and reports how many there have been.
func (c *captions) show(s *screen) int {
	if c.export == nil {
		return 0
	}
	n := 0
	for _, r := range c.export.Results() {
		if r.Interim || len(r.Transcript) == 0 {
			continue
		}
		if n++; n <= c.shown {
			continue
		}
		name := c.names[r.Participant.ID]
		if name == "" {
			name = r.Participant.ID
		}
		c.read[name] = true
		s.say(fmt.Sprintf("             caption  %s: %s", name, r.Transcript[0].Text))
	}
	c.shown = n
	return n
}

// lacking reports whether somebody's tone was not read yet. Words are said and read after the call.
func (c *captions) lacking() bool {
	return !c.engine && !(c.read["Anna"] && c.read["Ben"] && c.read["phone"])
}

func (c *captions) close() {
	if c.export != nil {
		_ = c.export.Close() // the demo ends
	}
	if c.end != nil {
		c.end()
	}
	_ = os.RemoveAll(c.dir)
}

// synthesize has flite say the sentence.
func synthesize(dir string) ([]int16, error) {
	path := filepath.Join(dir, "sentence.wav")
	if _, err := exec.LookPath("pocketsphinx_continuous"); err != nil {
		return nil, err
	}
	if err := exec.Command("flite", "-voice", "rms", "-t", sentence, "-o", path).Run(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	pcm, rate, err := audio.ReadWAV(f)
	if err != nil {
		return nil, err
	}
	if rate != 16000 || len(pcm) == 0 {
		return nil, errors.New("flite speaks at another rate")
	}
	out := make([]int16, 0, 3*len(pcm))
	for i, v := range pcm {
		next := int(pcm[min(i+1, len(pcm)-1)])
		for k := range 3 {
			out = append(out, int16(int(v)+(next-int(v))*k/3))
		}
	}
	return out, nil
}

// listenToTones starts a speech service, with the protocol of Vosk, that writes down the tones of the demo.
func (c *captions) listenToTones() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		conn.SetReadLimit(1 << 20)
		tones(r.Context(), conn)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Serve(l) }()
	c.url = "ws://" + l.Addr().String()
	c.end = func() { _ = h.Close(); <-done }
	return nil
}

// tones answers each message of sound with one of its own: a sentence after two seconds of a tone.
func tones(ctx context.Context, c *websocket.Conn) {
	const block, rate, sentenceOf = 800, 16000, 40 // of 50 ms
	var pcm []int16
	heard := map[float64]int{}
	for {
		kind, b, err := c.Read(ctx)
		if err != nil {
			return
		}
		answer := `{"partial" : ""}`
		switch {
		case kind == websocket.MessageText && strings.Contains(string(b), "eof"):
			_ = c.Write(ctx, websocket.MessageText, []byte(`{"text" : ""}`))
			return
		case kind == websocket.MessageText:
			continue
		}
		for ; len(b) > 1; b = b[2:] {
			if pcm = append(pcm, int16(binary.LittleEndian.Uint16(b))); len(pcm) < block {
				continue
			}
			for _, hz := range []float64{phoneTone, annaTone, benTone} {
				if audio.Goertzel(pcm, hz, rate) < heardAt {
					continue
				}
				if heard[hz]++; heard[hz]%sentenceOf == 0 {
					answer = fmt.Sprintf(`{"text" : "I say %.0f hertz"}`, hz)
				}
			}
			pcm = pcm[:0]
		}
		if err := c.Write(ctx, websocket.MessageText, []byte(answer)); err != nil {
			return
		}
	}
}

// sayWords has Anna say her sentence, when the call is over and nobody says a tone, and waits for the caption.
func (s *session) sayWords(ctx context.Context) bool {
	c := s.captions
	s.anna.Hush(true)
	s.ben.Hush(true)
	c.begin(s.meeting.Bridge, s.room())
	s.line.show.say("\nAnna says: " + sentence + " (PocketSphinx takes some seconds)")
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	s.anna.Speak(c.speech)
	for {
		select {
		case <-tick.C:
		case <-limit.C:
			return false
		case <-ctx.Done():
			return false
		}
		if c.show(s.line.show) > 0 {
			return true
		}
	}
}

func (s *session) room() string { return roomName + "@" + s.meeting.XMPP.MUC() }
