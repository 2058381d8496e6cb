package export

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/transcript"

	"github.com/coder/websocket"
)

const writeLimit = 3 * time.Second

// back is the publisher that gives results to the bridge, which gives them to everybody in the meeting. While the
// bridge is away finals wait, each as long as its outlet lets it, and interims are not worth it.
type back struct {
	undelivered *atomic.Int64 // finals that the bridge did not come back for; the journal has them

	mu      sync.Mutex
	socket  *socket
	ending  bool
	changed chan struct{} // closed with the next change
}

func newBack(undelivered *atomic.Int64) *back {
	return &back{undelivered: undelivered, changed: make(chan struct{})}
}

// to says where the bridge is; nil is nowhere.
func (b *back) to(s *socket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.socket = s
	b.change()
}

// last says that nobody comes any more.
func (b *back) last() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ending = true
	b.change()
}

func (b *back) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Name is what the log calls it.
func (*back) Name() string { return "bridge" }

// A result is a message to the bridge. It looks for the event; what is in the meeting looks at the type.
type result struct {
	Event string `json:"event"`
	Type  string `json:"type"`
	transcript.Message
}

// Notice shows a sentence of ours where captions are shown.
func (b *back) Notice(ctx context.Context, text string) error {
	return b.Publish(ctx, transcript.Entry{
		Kind: transcript.Speech, At: time.Now(), Person: transcript.Person{ID: "transcriber", Name: "Transcriber"}, ID: transcript.NewID(time.Now()),
		Language: "en-US", Text: text, Confidence: 1,
	})
}

// Publish sends what was said, and translations.
func (b *back) Publish(ctx context.Context, e transcript.Entry) error {
	m := result{Event: "transcription-result", Message: transcript.MessageOf(e)}
	switch e.Kind {
	case transcript.Speech:
		m.Type = "transcription-result"
	case transcript.Translation:
		m.Type = "translation-result"
	case transcript.Start, transcript.Join, transcript.Leave, transcript.RaiseHand, transcript.End:
		return nil // the bridge knows
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	for failed := (*socket)(nil); ; {
		b.mu.Lock()
		s, ending, changed := b.socket, b.ending, b.changed
		b.mu.Unlock()
		switch {
		case s != nil && s != failed && !s.wants(e):
			return nil
		case s != nil && s != failed:
			if s.write(ctx, text) == nil {
				return nil
			}
			failed = s
			continue
		case e.Interim:
			return nil
		case ending:
			b.undelivered.Add(1)
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			b.undelivered.Add(1)
			return nil
		}
	}
}

// A socket is one connection of the bridge.
type socket struct {
	conn     *websocket.Conn
	ctx      context.Context
	cancel   context.CancelFunc
	language string // of who does not say it, tidied
	finals   bool   // wanted back
	interims bool
	free     chan *batch // that its reader may fill
}

func newSocket(c *websocket.Conn, language string) *socket {
	s := &socket{conn: c, language: language, free: make(chan *batch, batches)}
	for range batches {
		s.free <- &batch{}
	}
	return s
}

func (s *socket) wants(e transcript.Entry) bool { return s.finals && (s.interims || !e.Interim) }

func (s *socket) write(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	return s.conn.Write(ctx, websocket.MessageText, text)
}

// pong answers a ping, for which the bridge does not wait long.
func (s *socket) pong(m message) bool {
	return s.write(s.ctx, fmt.Appendf(nil, `{"event":"pong","id":%d}`, m.id)) == nil
}

// close ends it at once.
func (s *socket) close() { s.cancel() }
