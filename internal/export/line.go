package export

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// A line is a connection of a bridge. Once it is fed it is read by the clock where the system can (docs/adr/0022): what
// the speakers of all meetings say in 30 ms wakes us once, and not for each packet of each.
//
// It is read by one goroutine at a time.
type line struct {
	net.Conn
	began time.Time // of the clock, which all lines share
	rests int       // looks without anything, after which it is waited for
	raw   syscall.RawConn
	gone  chan struct{} // closed by Close
	once  sync.Once

	rest  func() // told when all that has come is read; nil: not fed yet
	timer *time.Timer
	look  func(fd uintptr) bool // reads what is there
	buf   []byte
	have  []byte // of buf, not read yet
	full  bool   // there was more than fits in buf
	n     int    // what look has found
	err   error
}

const (
	lineBytes = 16 << 10
	lineEvery = 30 * time.Millisecond
	lineRests = 50
)

// lines listens, and makes lines.
type lines struct {
	net.Listener
	began time.Time
	rests int
}

func (l *lines) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &line{Conn: c, began: l.began, rests: l.rests, gone: make(chan struct{})}, nil
}

type lineKey struct{}

// withLine lets a request know its line.
func withLine(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, lineKey{}, c)
}

func lineOf(r *http.Request) *line {
	l, _ := r.Context().Value(lineKey{}).(*line)
	return l
}

// feed says that from now on sound comes. rest is told each time that all that has come is read, on the goroutine of Read.
func (l *line) feed(rest func()) {
	l.rest, l.buf = rest, make([]byte, lineBytes)
	l.pace()
}

// Read reads what has come, or waits for it.
func (l *line) Read(p []byte) (int, error) {
	if l.rest == nil {
		return l.Conn.Read(p)
	}
	if len(l.have) == 0 {
		l.rest()
		n, err := l.fill()
		if l.have, l.full = l.buf[:n], n == len(l.buf); n == 0 {
			return 0, err
		}
	}
	n := copy(p, l.have)
	l.have = l.have[n:]
	return n, nil
}

// fill reads into buf: at once where there is more, else with the next tick of the clock.
func (l *line) fill() (int, error) {
	if l.look == nil {
		return l.Conn.Read(l.buf)
	}
	for range l.rests {
		if !l.full && !l.wait() {
			return 0, net.ErrClosed
		}
		l.full = false
		if err := l.raw.Read(l.look); err != nil {
			return 0, err
		}
		if l.n > 0 || l.err != nil {
			return l.n, l.err
		}
	}
	l.wake(1) // nobody speaks
	defer l.wake(lineBytes)
	return l.Conn.Read(l.buf)
}

// wait waits for the next tick.
func (l *line) wait() bool {
	d := lineEvery - time.Since(l.began)%lineEvery
	if l.timer == nil {
		l.timer = time.NewTimer(d)
	} else {
		l.timer.Reset(d)
	}
	select {
	case <-l.timer.C:
		return true
	case <-l.gone:
		l.timer.Stop()
		return false
	}
}

// Close ends it, also for who waits.
func (l *line) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Conn.Close()
}
