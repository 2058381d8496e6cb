// Package export is the second door of transcription: the WebSocket service that the bridge itself sends a meeting's
// sound to, where Jicofo's transcription.url-template names it. It needs no XMPP.
//
//	bridge ── line ── socket: scan ── batch ──> meeting: speaker of each tag ─ Opus, gaps ─> scribe ─┬─> journal
//	   ^                                                                                             │
//	   └──────────────────────────────── back: results ─────────────────────────────────────────────┘
//
// A socket has the goroutine of its request, which reads every 30 ms all that has come, and answers pings; a meeting has
// one, which owns the rest, and outlives its socket for a while, because the bridge comes back. Close waits for all.
// What was said is never logged.
package export

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/archive"
	"jigasi/internal/recognize"
	"jigasi/internal/scribe"
	"jigasi/internal/talk"
	"jigasi/internal/translate"
	"jigasi/internal/xlog"

	"github.com/coder/websocket"
)

// Options make a Server.
type Options struct {
	Host  string // "" is 127.0.0.1
	Port  int
	Token xlog.Secret // that the bridge must show; required where Host is not loopback
	TLS   *tls.Config // nil is plain

	// Service gives the speech service of one session, by the address of the room where the bridge's URL has ?room=,
	// else by the meeting's id.
	Service    func(room string) recognize.Service
	Language   string // of who does not say it
	Gate       bool
	Translator translate.Translator // nil is none
	Targets    []string
	Archive    *archive.Archive // keeps the transcripts; nil is none
	// Publishers read along, beside the bridge; nil is none.
	Publishers func(meeting string) []scribe.Publisher

	Meetings int            // at the same time; 0 is 100
	Speakers int            // of one meeting, at the same time; 0 is 100
	Linger   time.Duration  // that a meeting waits for the bridge to come back; 0 is 30 s
	Idle     time.Duration  // without sound, after which a speaker has left; 0 is 5 min
	EndLimit time.Duration  // that the last words may take; 0 is 10 s
	Counts   *scribe.Counts // of its sessions; nil is its own
	Log      *slog.Logger
}

// Counts count what happens in all meetings.
type Counts struct {
	Meetings  atomic.Int64 // there have been
	Strangers atomic.Int64 // refused without the token
	Busy      atomic.Int64 // refused by a bound, or while draining
	Malformed atomic.Int64 // messages
	talk.Counts
	Unheard    atomic.Int64 // packets of one speaker too many, or not in Opus
	Replaced   atomic.Int64 // sockets
	Incomplete atomic.Int64 // transcripts
	Panics     atomic.Int64
	// Undelivered are results that the bridge was not there for.
	Undelivered atomic.Int64
	Scribe      *scribe.Counts
}

// A Server takes the sound of bridges. Its methods are safe for concurrent use.
type Server struct {
	opt    Options
	log    *slog.Logger
	counts Counts
	token  [sha256.Size]byte
	http   *http.Server
	ln     net.Listener
	ctx    context.Context // of everything
	cancel context.CancelFunc

	mu       sync.Mutex
	meetings map[string]*meeting
	draining bool
	closed   bool
	failed   error
	emptied  chan struct{}  // closed when the last meeting has ended while draining
	running  sync.WaitGroup // meetings, sockets, the listener
	ended    int            // meetings that still write their last words
}

const (
	maxMessage     = 64 << 10
	maxMalformed   = 100 // of one socket
	goodbye        = time.Second
	translateLimit = translate.Limit + time.Second
	path           = "/transcribe/"
	maxID          = 256
)

// New makes a server that does not listen yet. It refuses an address other than loopback without a token.
func New(o Options) (*Server, error) {
	o.Host = cmp.Or(strings.Trim(o.Host, "[]"), "127.0.0.1")
	if o.Token == "" && !loopback(o.Host) {
		return nil, fmt.Errorf("export: %s is not loopback, and there is no token", o.Host)
	}
	o.Meetings, o.Speakers = cmp.Or(o.Meetings, 100), cmp.Or(o.Speakers, 100)
	o.Linger, o.Idle, o.EndLimit = cmp.Or(o.Linger, 30*time.Second), cmp.Or(o.Idle, 5*time.Minute), cmp.Or(o.EndLimit, 10*time.Second)
	s := &Server{opt: o, log: xlog.Or(o.Log), token: sha256.Sum256([]byte(o.Token.Reveal())), meetings: map[string]*meeting{}, emptied: make(chan struct{})}
	if s.counts.Scribe = o.Counts; o.Counts == nil {
		s.counts.Scribe = &scribe.Counts{}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ConnContext: withLine, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Start listens, and serves until Close.
func (s *Server) Start() error {
	ln, err := net.Listen("tcp", net.JoinHostPort(s.opt.Host, strconv.Itoa(s.opt.Port)))
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	s.ln = ln
	ln = &lines{Listener: ln, began: time.Now(), rests: lineRests}
	if s.opt.TLS != nil {
		ln = tls.NewListener(ln, s.opt.TLS)
	}
	s.running.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			s.log.Error("the service for the bridge has stopped", xlog.Err, err)
		}
	})
	return nil
}

// Addr is where it listens, after Start.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Counts are the counters.
func (s *Server) Counts() *Counts { return &s.counts }

// Meetings is how many are transcribed now.
func (s *Server) Meetings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.meetings) + s.ended
}

// Err is why nothing can come in, nil where it can.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Drain takes no new meetings and waits until those that there are have ended, or ctx is done.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.empty()
	s.mu.Unlock()
	select {
	case <-s.emptied:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the meetings, with their last words, and all else. What is not done when ctx is done is cut off.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.draining, s.closed = true, true
	if first {
		for _, m := range s.meetings {
			close(m.quit)
		}
	}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, s.cancel)
	_ = s.http.Close()
	s.running.Wait()
	stop()
	s.cancel()
	return ctx.Err()
}

// empty tells Drain that there is no meeting. The lock is held.
func (s *Server) empty() {
	if s.draining && len(s.meetings)+s.ended == 0 {
		select {
		case <-s.emptied:
		default:
			close(s.emptied)
		}
	}
}

// enter gives the meeting of an id, a new one where there is none; nil where there may be none.
func (s *Server) enter(id, room string) *meeting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.meetings[id]; m != nil && !s.closed {
		return m
	}
	if s.draining || len(s.meetings)+s.ended >= s.opt.Meetings {
		s.counts.Busy.Add(1)
		return nil
	}
	m := newMeeting(s, id, room)
	s.meetings[id] = m
	s.counts.Meetings.Add(1)
	s.running.Go(func() {
		m.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended--
		s.empty()
	})
	return m
}

// forget lets the id of a meeting be taken by the next one, while its last words are awaited.
func (s *Server) forget(m *meeting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.meetings, m.id)
	s.ended++
}

// serve answers the bridge.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	id := meetingOf(r)
	switch {
	case !s.authorized(r):
		s.counts.Strangers.Add(1)
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
	case id == "":
		w.WriteHeader(http.StatusNotFound)
	case !s.may(id):
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		defer s.running.Done()
		s.upgrade(w, r, id)
	}
}

// may reports whether a socket of that meeting can be taken, and if so counts it as running.
func (s *Server) may(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.meetings[id] == nil && (s.draining || len(s.meetings)+s.ended >= s.opt.Meetings) {
		s.counts.Busy.Add(1)
		return false
	}
	s.running.Add(1)
	return true
}

// meetingOf is the id in the path, or as the reference service has it; "" is none.
func meetingOf(r *http.Request) string {
	id, ok := strings.CutPrefix(r.URL.Path, path)
	if !ok && r.URL.Path == strings.TrimSuffix(path, "/") {
		id = r.URL.Query().Get("sessionId")
	}
	bad := func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '/' }
	if len(id) > maxID || strings.ContainsFunc(id, bad) {
		return ""
	}
	return id
}

// roomOf is the address of a room, "" where it is none.
func roomOf(s string) string {
	if len(s) > maxID || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return ""
	}
	return s
}

// authorized compares hashes, so that time tells nothing of the token. It comes in a header, or in the URL where
// the bridge can send none.
func (s *Server) authorized(r *http.Request) bool {
	if s.opt.Token == "" {
		return true
	}
	token := r.URL.Query().Get("token")
	if scheme, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}

// upgrade makes a socket of a request and serves it to its end.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id string) {
	o := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}
	if offered, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ","); offered != "" {
		o.Subprotocols = []string{strings.TrimSpace(offered)} // whatever the operator has the bridge say
	}
	c, err := websocket.Accept(w, r, o)
	if err != nil {
		return // it was answered
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(maxMessage)
	q := r.URL.Query()
	sock := newSocket(c, recognize.Tag(q.Get("lang")))
	sock.finals, sock.interims = q.Get("sendBack") != "false", q.Get("sendBackInterim") != "false"
	sock.ctx, sock.cancel = context.WithCancel(s.ctx)
	defer sock.cancel()
	m := s.enter(id, roomOf(q.Get("room")))
	if m == nil || !m.send(event{from: sock, come: true}) {
		_ = c.Close(websocket.StatusTryAgainLater, "")
		return
	}
	(&reader{s: s, sock: sock, m: m, ctx: context.WithoutCancel(sock.ctx)}).run(lineOf(r))
	m.send(event{from: sock, gone: true})
}
