package whisper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"

	"github.com/coder/websocket"
)

const (
	dialLimit  = 15 * time.Second
	writeLimit = 5 * time.Second
	byeLimit   = time.Second
	// lastFinal is how long the last final of a speaker may take: skynet waits 2 s, and thinks.
	lastFinal = 4 * time.Second
	// another is how long after a final a further one may come.
	another = time.Second
)

var errOver = errors.New("the connection is over")

// A room is the socket of a session. It lives while somebody uses it.
type room struct {
	service *Service
	session string
	ready   chan struct{} // closed when conn or err is set
	err     error
	conn    *websocket.Conn
	ctx     context.Context
	cancel  context.CancelFunc
	users   int // guarded by service.mu

	mu      sync.Mutex
	over    error // why the socket has ended
	streams map[string]*stream
}

// run opens the socket and reads it until its end.
func (r *room) run() {
	r.conn, r.err = r.dial()
	close(r.ready)
	why := r.err
	if r.err == nil {
		go socket.Ping(r.ctx, r.conn, r.cancel)
		why = r.read()
		r.cancel()
		_ = r.conn.CloseNow()
	}
	r.service.mu.Lock()
	if r.service.rooms[r.session] == r {
		delete(r.service.rooms, r.session)
	}
	r.service.mu.Unlock()
	r.mu.Lock()
	streams := r.streams
	r.over, r.streams = why, nil
	r.mu.Unlock()
	for _, st := range streams {
		st.finish(why)
	}
}

func (r *room) dial() (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(r.ctx, dialLimit)
	defer cancel()
	header, err := r.service.login()
	if err != nil {
		return nil, err
	}
	return socket.Connect(ctx, r.service.o.Transport, r.service.address(r.session), header)
}

func (r *room) read() error {
	for {
		_, b, err := r.conn.Read(r.ctx)
		if err != nil {
			return fmt.Errorf("the stream ended: %w", socket.Plain(err))
		}
		who, result, err := parse(b)
		if err != nil {
			return err
		}
		r.mu.Lock()
		st := r.streams[who]
		r.mu.Unlock()
		if st != nil {
			st.hear(result)
		}
	}
}

// join lets a speaker use the socket.
func (r *room) join(st *stream) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over != nil:
		return errOver
	case r.streams[st.who] != nil:
		return errors.New("the speaker has a stream already")
	}
	r.streams[st.who] = st
	return nil
}

// leave takes a speaker off.
func (r *room) leave(st *stream) {
	r.mu.Lock()
	if r.streams[st.who] == st {
		delete(r.streams, st.who)
	}
	r.mu.Unlock()
	r.release()
}

// release ends the socket with its last user: a zero byte says so to skynet.
func (r *room) release() {
	s := r.service
	s.mu.Lock()
	r.users--
	last := r.users == 0
	if last && s.rooms[r.session] == r {
		delete(s.rooms, r.session)
	}
	s.mu.Unlock()
	if !last {
		return
	}
	select {
	case <-r.ready:
		if r.err == nil && r.write([]byte{0}) == nil {
			time.AfterFunc(byeLimit, r.cancel) // skynet hangs up before that
			return
		}
	default:
	}
	r.cancel()
}

func (r *room) write(b []byte) error {
	ctx, cancel := context.WithTimeout(r.ctx, writeLimit)
	defer cancel()
	if err := r.conn.Write(ctx, websocket.MessageBinary, b); err != nil {
		return fmt.Errorf("a message cannot be sent: %w", socket.Plain(err))
	}
	return nil
}

// A stream is one speaker's part of a room.
type stream struct {
	room    *room
	who     string
	head    [headerSize]byte
	buf     []byte
	results chan recognize.Result
	gone    chan struct{}
	once    sync.Once

	mu    sync.Mutex // guards what follows, and sending on results against closing it
	done  bool
	err   error
	timer *time.Timer // set once no more sound follows
}

// Write sends sound with its header.
func (st *stream) Write(pcm []byte) error {
	st.buf = append(append(st.buf[:0], st.head[:]...), pcm...)
	return st.room.write(st.buf)
}

// Results are what was heard.
func (st *stream) Results() <-chan recognize.Result { return st.results }

// CloseSend waits for the last final, which comes by itself.
func (st *stream) CloseSend() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.done {
		st.timer = time.AfterFunc(lastFinal, func() { st.finish(nil) })
	}
	return nil
}

// Close ends the stream; the socket stays while others use it.
func (st *stream) Close() {
	st.once.Do(func() {
		close(st.gone)
		st.finish(context.Canceled)
		st.room.leave(st)
	})
}

// Err says why Results was closed.
func (st *stream) Err() error { return st.err }

// hear passes a result on.
func (st *stream) hear(r recognize.Result) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.done {
		return
	}
	if st.timer != nil {
		wait := lastFinal
		if r.Final {
			wait = another
		}
		st.timer.Reset(wait)
	}
	select {
	case st.results <- r:
	case <-st.gone:
	}
}

// finish closes Results, once.
func (st *stream) finish(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.done {
		return
	}
	st.done, st.err = true, err
	if st.timer != nil {
		st.timer.Stop()
	}
	close(st.results)
}
