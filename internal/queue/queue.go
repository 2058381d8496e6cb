// Package queue waits for meetings that are not live yet at the visitor queue service: STOMP 1.2 over a WebSocket, with
// a JWT of ours (gateway spec 4.12).
//
// A wait is one connection and has no goroutine but the reader's, the caller's own, and one that sends heart-beats. Both end with it.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"jigasi/internal/asap"
	"jigasi/internal/stanza"
	"jigasi/internal/xlog"

	"github.com/coder/websocket"
)

const (
	connectLimit = 5 * time.Second
	answerLimit  = 10 * time.Second // to CONNECT
	writeLimit   = 5 * time.Second
	maxFrame     = 64 << 10
	maxFailures  = 3 // in a row, before the one who waits is told
)

// Options makes a service. URL is required.
type Options struct {
	URL     string // ws:// or wss://
	KeyFile string // RSA key, PKCS#8 in PEM; "" shows no token
	KeyID   string
	Log     *slog.Logger
}

// A Service is a visitor queue service. It is safe for concurrent use.
type Service struct {
	url   string
	key   *asap.Signer // nil: no token
	log   *slog.Logger
	apart time.Duration // most between two connections
	beat  time.Duration // heart-beats that we offer, and want
}

// New makes a service. The key is read once, here.
func New(o Options) (*Service, error) {
	s := &Service{url: o.URL, log: xlog.Or(o.Log), apart: 5 * time.Second, beat: 15 * time.Second}
	if o.KeyFile == "" || o.KeyID == "" {
		return s, nil
	}
	text, err := os.ReadFile(o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("visitor queue service: %w", err)
	}
	if s.key, err = asap.New(string(text), o.KeyID, "jitsi", "jitsi"); err != nil {
		return nil, fmt.Errorf("visitor queue service: the private key %w", err)
	}
	return s, nil
}

// Live waits until the meeting of a room is live, and gives the time within which all who wait are to come. A lost connection
// is made again; where that fails three times, the error says why.
func (s *Service) Live(ctx context.Context, room stanza.JID) (time.Duration, error) {
	for failures := 0; ; {
		within, connected, err := s.attend(ctx, room.String())
		switch {
		case err == nil:
			return within, nil
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case connected:
			failures = 0
		}
		if failures++; failures == maxFailures {
			return 0, err
		}
		s.log.Warn("the connection to the visitor queue service was lost", xlog.Err, err)
		select {
		case <-time.After(rand.N(s.apart)):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// attend waits on one connection. connected tells that the service has taken us in.
func (s *Service) attend(ctx context.Context, room string) (within time.Duration, connected bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return 0, false, err
	}
	defer c.CloseNow() //nolint:errcheck // it is over either way
	send := func(f frame) error { return write(ctx, c, websocket.MessageText, f.bytes()) }
	hello := frame{command: "CONNECT", headers: [][2]string{{"accept-version", "1.2,1.1,1.0"}, {"heart-beat", fmt.Sprintf("%d,%[1]d", s.beat.Milliseconds())}}}
	if s.key != nil {
		token, err := s.key.Token(time.Now())
		if err != nil {
			return 0, false, err
		}
		hello.headers = append(hello.headers, [2]string{"Authorization", "Bearer " + token})
	}
	if err := send(hello); err != nil {
		return 0, false, err
	}
	var beats sync.WaitGroup
	defer beats.Wait()
	defer cancel()
	silence := answerLimit
	for {
		f, err := read(ctx, c, silence)
		if err != nil {
			return 0, connected, err
		}
		switch f.command {
		case "": // a heart-beat
		case "CONNECTED":
			if connected {
				continue
			}
			connected = true
			out, in := f.beats(s.beat)
			if silence = 2 * in; in == 0 {
				silence = 0
			}
			if out > 0 {
				beats.Go(func() { beat(ctx, c, out) })
			}
			if err := send(frame{command: "SUBSCRIBE", headers: [][2]string{{"destination", "/secured/conference/visitor/topic." + room}, {"id", "1"}}}); err != nil {
				return 0, true, err
			}
		case "MESSAGE":
			if within, live := f.live(); live {
				_ = c.Close(websocket.StatusNormalClosure, "") // it is over either way
				return within, true, nil
			}
		case "ERROR":
			return 0, false, errors.New("the visitor queue service refuses us: check its key")
		}
	}
}

// connect opens the WebSocket. Redirects are not followed: the address is the operator's, whole.
func (s *Service) connect(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c, answer, err := websocket.Dial(ctx, s.url, &websocket.DialOptions{HTTPClient: client, CompressionMode: websocket.CompressionDisabled})
	switch {
	case err == nil:
		c.SetReadLimit(maxFrame)
		return c, nil
	case answer != nil:
		return nil, fmt.Errorf("the visitor queue service answers %d to the WebSocket", answer.StatusCode)
	}
	return nil, errors.New("the visitor queue service cannot be reached")
}

func write(ctx context.Context, c *websocket.Conn, kind websocket.MessageType, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	if err := c.Write(ctx, kind, b); err != nil {
		return errors.New("the visitor queue service does not read")
	}
	return nil
}

// read waits for a frame so long; 0 is for ever.
func read(ctx context.Context, c *websocket.Conn, limit time.Duration) (frame, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	_, b, err := c.Read(ctx)
	switch {
	case err == nil:
		return parse(b), nil
	case ctx.Err() != nil:
		return frame{}, errors.New("the visitor queue service is silent")
	}
	return frame{}, errors.New("the visitor queue service has closed the connection")
}

// beat sends heart-beats until ctx is done. One that cannot be sent shows where we read.
func beat(ctx context.Context, c *websocket.Conn, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if write(ctx, c, websocket.MessageBinary, []byte("\n")) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
