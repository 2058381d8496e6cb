package export

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	batches       = 3 // of one socket: one is filled, one is heard, one waits
	batchMessages = 500
	batchBytes    = 64 << 10 // of sound
)

// A batch is what came at once. Its messages are borrowed until it is given back to the socket.
type batch struct {
	messages []message
	sound    []byte // of the messages
}

// A reader is the goroutine of a socket: it makes messages of what comes, and gives them to the meeting in batches.
type reader struct {
	s       *Server
	sock    *socket
	m       *meeting
	ctx     context.Context
	scanner scanner
	text    []byte // the message in hand
	atOnce  bool   // nobody tells when all is read

	mu    sync.Mutex // guards what follows: who closes the socket reads on, and rests, on another goroutine
	batch *batch     // in the making; nil: none
	bad   int        // messages
	ended bool       // by the bridge, or the meeting takes no more
}

// run reads until the socket or its meeting ends.
func (r *reader) run(l *line) {
	stop := context.AfterFunc(r.sock.ctx, func() {
		cut := time.AfterFunc(goodbye, func() { _ = r.sock.conn.CloseNow() })
		defer cut.Stop()
		_ = r.sock.conn.Close(websocket.StatusGoingAway, "")
	})
	defer stop()
	defer r.rest()
	if r.atOnce = l == nil; !r.atOnce {
		l.feed(r.rest)
	}
	for {
		kind, err := r.next()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.hear(kind)
		bad, ended := r.bad >= maxMalformed, r.ended
		r.mu.Unlock()
		switch {
		case bad:
			_ = r.sock.conn.Close(websocket.StatusPolicyViolation, "")
			return
		case ended:
			r.part()
			return
		}
	}
}

// next reads a message into text.
func (r *reader) next() (websocket.MessageType, error) {
	kind, in, err := r.sock.conn.Reader(r.ctx)
	if err != nil {
		return 0, err
	}
	r.text = r.text[:0]
	for {
		if len(r.text) == cap(r.text) {
			r.text = slices.Grow(r.text, 1024)
		}
		n, err := in.Read(r.text[len(r.text):cap(r.text)])
		r.text = r.text[:len(r.text)+n]
		switch {
		case errors.Is(err, io.EOF):
			return kind, nil
		case err != nil:
			return 0, err
		}
	}
}

// hear puts the message in hand into the batch. It answers a ping at once.
func (r *reader) hear(kind websocket.MessageType) {
	if r.batch == nil {
		select {
		case r.batch = <-r.sock.free:
			r.batch.messages, r.batch.sound = r.batch.messages[:0], r.batch.sound[:0]
		case <-r.m.over:
			r.ended = true
			return
		}
	}
	m, sound, err := r.scanner.read(r.text, r.batch.sound)
	if err != nil || kind != websocket.MessageText {
		r.s.counts.Malformed.Add(1)
		r.bad++
		return
	}
	r.batch.messages, r.batch.sound = append(r.batch.messages, m), sound
	if m.kind == ping && !r.sock.pong(m) {
		r.sock.close()
	}
	if m.kind == sessionEnd || r.atOnce || len(r.batch.messages) >= batchMessages || len(sound) >= batchBytes {
		r.flush()
	}
	r.ended = r.ended || m.kind == sessionEnd
}

// rest is what is done when all that has come is read.
func (r *reader) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
}

// flush gives the batch to the meeting. The lock is held.
func (r *reader) flush() {
	if r.batch == nil || len(r.batch.messages) == 0 {
		return
	}
	if !r.m.send(event{from: r.sock, batch: r.batch}) {
		r.ended = true
	}
	r.batch = nil
}

// part waits for the bridge to close, as it does after it has ended a session, and for our last words before we do.
func (r *reader) part() {
	limit := time.AfterFunc(r.s.opt.EndLimit+translateLimit, r.sock.cancel)
	defer limit.Stop()
	for {
		if _, err := r.next(); err != nil {
			return
		}
		if msg, err := parse(r.text); err == nil && msg.kind == ping && !r.sock.pong(msg) {
			return
		}
	}
}
