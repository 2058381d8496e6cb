// Package shelf serves the finished files of an archive over HTTP, to people who were given a link.
//
// The link is the only key: a directory and a file whose names nobody can guess. All else is 404, in the same words:
// there is no list, no page, no script, and of what is served nothing is more than text or sound to a browser. Journals
// and what is still being written are not served.
package shelf

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/transcript"
	"jigasi/internal/xlog"
)

// Options make a Server.
type Options struct {
	Dir  string // of the archive
	Host string // "" is 127.0.0.1
	Port int    // 0 is any
	TLS  *tls.Config

	AtOnce int // requests that are answered at the same time; 0 is 64
	Each   int // of one address, loopback aside; 0 is 8
	Rate   int // requests a second of one address, loopback aside; 0 is 50
	Log    *slog.Logger
}

// Counts count what was asked for.
type Counts struct {
	Served, Missing, Busy atomic.Int64
}

// A Server serves. Its methods are safe for concurrent use.
type Server struct {
	opt    Options
	log    *slog.Logger
	counts Counts
	http   *http.Server
	ln     net.Listener
	done   chan struct{}
	open   chan struct{} // one for each connection that may be open

	mu     sync.Mutex
	asking map[netip.Addr]int
	total  int
	asked  map[netip.Addr]int // in this second
	second int64
	failed error
}

const (
	maxConns  = 512
	slowest   = 10 << 10 // bytes a second that who reads a file must take at least
	firstPart = 30 * time.Second
)

// New makes a server that does not listen yet.
func New(o Options) *Server {
	o.Host, o.AtOnce, o.Each = cmp.Or(strings.Trim(o.Host, "[]"), "127.0.0.1"), cmp.Or(o.AtOnce, 64), cmp.Or(o.Each, 8)
	o.Rate = cmp.Or(o.Rate, 50)
	s := &Server{opt: o, log: xlog.Or(o.Log), asking: map[netip.Addr]int{}, done: make(chan struct{}), open: make(chan struct{}, maxConns)}
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s
}

// Start listens, and serves until Close.
func (s *Server) Start() error {
	ln, err := net.Listen("tcp", net.JoinHostPort(s.opt.Host, strconv.Itoa(s.opt.Port)))
	if err != nil {
		return fmt.Errorf("the server of transcripts: %w", err)
	}
	s.ln = &gate{Listener: ln, open: s.open}
	if s.opt.TLS != nil {
		s.ln = tls.NewListener(s.ln, s.opt.TLS)
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			s.log.Error("transcripts are no longer served", xlog.Err, err)
		}
	}()
	return nil
}

// Addr is where it listens, after Start.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Counts are the counters.
func (s *Server) Counts() *Counts { return &s.counts }

// Err is why nobody is served, nil where it works.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Close lets running requests end until ctx is done, then cuts them off.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, kv := range [][2]string{
		{"X-Content-Type-Options", "nosniff"}, {"Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
		{"Cache-Control", "no-store"}, {"Referrer-Policy", "no-referrer"}, {"X-Robots-Tag", "noindex, nofollow"}, {"X-Frame-Options", "DENY"},
		{"Cross-Origin-Resource-Policy", "same-origin"}, {"Cross-Origin-Opener-Policy", "same-origin"},
	} {
		h.Set(kv[0], kv[1])
	}
	leave, ok := s.enter(r)
	if !ok {
		s.counts.Busy.Add(1)
		h.Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer leave()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	f, info := s.find(r.URL.Path)
	if f == nil {
		s.counts.Missing.Add(1)
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "There is nothing here. A transcript is here when its meeting has ended.\n")
		return
	}
	defer func() { _ = f.Close() }()
	s.counts.Served.Add(1)
	kind, how := kindOf(info.Name())
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", how+`; filename="`+strings.ReplaceAll(info.Name(), ":", "")+`"`)
	limit := firstPart + time.Duration(info.Size()/slowest)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit)) // else the connection has none
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// kindOf gives the type of a file and how a browser shows it. Only plain text is shown, all else is kept.
func kindOf(name string) (kind, how string) {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "txt":
		return "text/plain; charset=utf-8", "inline"
	case "json":
		return "application/json", "attachment"
	case "vtt":
		return "text/vtt; charset=utf-8", "attachment"
	case "wav":
		return "audio/wav", "attachment"
	case "opus":
		return "audio/ogg", "attachment"
	}
	return "text/plain; charset=utf-8", "attachment"
}

// find opens the file of a path: /directory/file, both with names of ours, within the directory and no link.
func (s *Server) find(path string) (*os.File, os.FileInfo) {
	dir, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if _, ok := transcript.Named(dir); !ok || !transcript.IsFile(name) || strings.HasSuffix(name, ".jsonl") {
		return nil, nil
	}
	root, err := os.OpenRoot(s.opt.Dir)
	if err != nil {
		return nil, nil
	}
	defer func() { _ = root.Close() }()
	for _, p := range []string{dir, dir + "/" + name} {
		info, err := root.Lstat(p)
		if err != nil || info.Mode()&os.ModeSymlink != 0 {
			return nil, nil
		}
	}
	f, err := root.Open(dir + "/" + name)
	if err != nil {
		return nil, nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, nil
	}
	return f, info
}

// enter reports whether a request is answered now; leave is called at its end.
func (s *Server) enter(r *http.Request) (leave func(), ok bool) {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	a := ap.Addr().Unmap()
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64) // one household
		a = p.Addr()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now().Unix(); now != s.second || s.asked == nil {
		s.second, s.asked = now, map[netip.Addr]int{}
	}
	s.asked[a]++
	far := !ap.Addr().IsLoopback() // behind a proxy all are loopback
	if err != nil || s.total >= s.opt.AtOnce || far && (s.asking[a] >= s.opt.Each || s.asked[a] > s.opt.Rate) {
		return nil, false
	}
	s.total++
	s.asking[a]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.asking[a]--; s.asking[a] == 0 {
			delete(s.asking, a)
		}
	}, true
}

// A gate bounds how many connections are open.
type gate struct {
	net.Listener
	open chan struct{}
}

// Accept waits until one may be open.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case g.open <- struct{}{}:
			return &conn{Conn: c, gone: sync.OnceFunc(func() { <-g.open })}, nil
		default:
			_ = c.Close() // too many: whoever it is comes again
		}
	}
}

type conn struct {
	net.Conn
	gone func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.gone()
	return c.Conn.Close()
}
