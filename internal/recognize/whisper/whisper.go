// Package whisper is the Whisper service of skynet: one WebSocket for all speakers of a meeting, each
// of whose messages says whose sound it is.
//
// Its finals do not say how much sound they cover, so the last seconds are said again after a lost
// socket, and repeated words are cut off (recognize.Needs.Overlap). The end of one speaker cannot be
// told to it: it gives the last final by itself, two seconds after the last sound.
package whisper

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"jigasi/internal/asap"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
	"jigasi/internal/xlog"
)

// Options are what the service needs.
type Options struct {
	URL       string            // without the id of a connection, such as wss://host/streaming-whisper/ws
	Key       xlog.Secret       // RSA, PKCS#8; "" is no login
	KeyName   string            // the kid of the token
	Audience  string            // default jitsi
	Transport http.RoundTripper // to the service; nil is http.DefaultTransport
}

// A Service is a skynet server.
type Service struct {
	o      Options
	signer *asap.Signer // nil is no login

	mu    sync.Mutex
	rooms map[string]*room // by session
}

// New makes a Service. The error says that the key is none.
func New(o Options) (*Service, error) {
	o.URL, o.Audience = strings.TrimSuffix(o.URL, "/"), cmp.Or(o.Audience, "jitsi")
	s := &Service{o: o, rooms: map[string]*room{}}
	if o.Key == "" || o.KeyName == "" {
		return s, nil
	}
	var err error
	if s.signer, err = asap.New(o.Key.Reveal(), o.KeyName, "jigasi", o.Audience); err != nil {
		return s, fmt.Errorf("the private key of the Whisper service %w", err)
	}
	return s, nil
}

// Needs are those of skynet: at least a second of sound at once, in real time.
func (*Service) Needs() recognize.Needs {
	return recognize.Needs{Chunk: time.Second, Idle: 5 * time.Second, Overlap: 3 * time.Second, Patience: 15 * time.Second, Pace: true}
}

const headerSize = 60

// Open takes a seat on the socket of the session, and opens that if there is none.
func (s *Service) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	code, ok := recognize.WhisperCode(cmp.Or(w.Language, "en"))
	if !ok { // skynet would hang up on everybody in the room
		return nil, fmt.Errorf("%w: Whisper has not been taught %q: transcription.fallback may name a service that has", recognize.ErrLanguage, code)
	}
	head := w.ID + "|" + code
	if len(head) > headerSize || w.ID == "" || strings.Contains(w.ID, "|") {
		return nil, errors.New("the speaker's id does not fit into the header of skynet")
	}
	for {
		r := s.room(w.Session)
		select {
		case <-r.ready:
		case <-ctx.Done():
			r.release()
			return nil, context.Cause(ctx)
		}
		if r.err != nil {
			r.release()
			return nil, r.err
		}
		st := &stream{room: r, who: w.ID, results: make(chan recognize.Result, 64), gone: make(chan struct{})}
		copy(st.head[:], head)
		switch err := r.join(st); {
		case err == nil:
			return st, nil
		case !errors.Is(err, errOver):
			r.release()
			return nil, err
		}
		r.release() // it broke just now: try the next
	}
}

// room is the socket of a session with one more user.
func (s *Service) room(session string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[session]
	if r == nil {
		r = &room{service: s, session: session, ready: make(chan struct{}), streams: map[string]*stream{}}
		r.ctx, r.cancel = context.WithCancel(context.Background())
		s.rooms[session] = r
		go r.run()
	}
	r.users++
	return r
}

// address is the URL of a session. Its id stays the same over reconnects.
func (s *Service) address(session string) string {
	h := sha256.Sum256([]byte("skynet " + session))
	h[6], h[8] = 0x40|h[6]&0x0f, 0x80|h[8]&0x3f
	return fmt.Sprintf("%s/%x-%x-%x-%x-%x", s.o.URL, h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// login is the header of a connection, with a fresh token.
func (s *Service) login() (http.Header, error) {
	if s.signer == nil {
		return nil, nil
	}
	t, err := s.signer.Token(time.Now())
	if err != nil {
		return nil, err
	}
	return http.Header{"Authorization": {"Bearer " + t}}, nil
}

type message struct {
	Who      string   `json:"participant_id"`
	Text     string   `json:"text"`
	Type     string   `json:"type"`
	Variance *float64 `json:"variance"`
}

// parse reads a message. Older servers leave out what is not there.
func parse(b []byte) (who string, r recognize.Result, err error) {
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return "", r, socket.ErrMessage
	}
	r = recognize.Result{Text: m.Text, Final: m.Type == "final", Confidence: 1, Start: recognize.Unknown, End: recognize.Unknown}
	if m.Variance != nil {
		r.Stability = *m.Variance
	}
	return m.Who, r, nil
}
