// Package admin is the HTTP interface of the gateway: health, version,
// statistics, metrics, shutdown, and the breweries at run time. Paths, codes and
// names are those of Jigasi, because scripts and dashboards know them.
//
// It decides nothing: everything it shows or does is a function in Options. It
// alone knows Prometheus. It listens on loopback; elsewhere it wants a token. One
// goroutine serves, and one more each connection; Close waits for them.
package admin

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
	"runtime"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/xlog"

	"github.com/prometheus/client_golang/prometheus"
)

// Options makes a Server. Every function may be nil, must be safe for concurrent
// use, and should answer within a second.
type Options struct {
	Host  string // "" means 127.0.0.1
	Port  int
	Token xlog.Secret // that every request must bear; required where Host is not loopback
	TLS   *tls.Config // nil means HTTP

	Version string // of the program
	Build   string // what else tells builds apart, such as the Opus codec

	// Checks say whether the gateway works.
	Checks []Check
	// Stats is nil where there is no gateway: /about/stats is then 503.
	Stats func() Stats
	// Sessions are the running calls, for /debug.
	Sessions func() []Session
	// Calls are shown and ended under /calls; nil means not.
	Calls Calls
	// Shutdown begins a graceful shutdown and returns at once; nil means that it is
	// not allowed over HTTP.
	Shutdown func()
	// Breweries can be changed at run time; nil means not.
	Breweries Breweries
	// Metrics are asked at each scrape.
	Metrics []func() []Sample

	Log *slog.Logger
}

// A Check is one thing that has to work.
type Check struct {
	Name string // lower case, one word: sip, xmpp, brewery
	// Gateway marks what makes the gateway ready at all: /about/health is then 503
	// without a word, as Jigasi's is; any other failure is 500 with a reason.
	Gateway bool
	// Alive marks what only a new process can mend: /livez fails.
	Alive bool
	// Err tells what is wrong, nil for nothing. Its text is shown to whoever asks.
	Err func() error
}

// A Session is a running call.
type Session struct {
	Name       string // what the room shows
	Nick       string // endpoint id; "" while not in the room
	MeetingURL string // "" where there is none
	MeetingID  string
}

// Breweries are the rooms in which the focus finds us.
type Breweries interface {
	// Add enters one with the properties of Jigasi, PASSWORD in plain text. One of the
	// same id is replaced.
	Add(ctx context.Context, id string, properties map[string]string) error
	// Remove reports whether there was one of that id. Its calls go on.
	Remove(ctx context.Context, id string) bool
	// List gives the ids.
	List() []string
}

// A Server is the HTTP interface.
type Server struct {
	opt      Options
	log      *slog.Logger
	http     *http.Server
	listener net.Listener
	over     chan struct{}
	registry *prometheus.Registry
	added    addedUIDs
	token    [sha256.Size]byte
	answers  answers
}

// maxBody bounds the body of a request.
const maxBody = 64 << 10

// New makes a server that is not listening yet. It refuses an address other than
// loopback without a token.
func New(opt Options) (*Server, error) {
	opt.Host = cmp.Or(strings.Trim(opt.Host, "[]"), "127.0.0.1")
	if opt.Token == "" && !loopback(opt.Host) {
		return nil, fmt.Errorf("admin: %s is not loopback, and there is no token", opt.Host)
	}
	s := &Server{opt: opt, log: xlog.Or(opt.Log), over: make(chan struct{}), token: sha256.Sum256([]byte(opt.Token.Reveal()))}
	s.registry = s.newRegistry()
	s.http = &http.Server{
		Handler:           s.Handler(),
		TLSConfig:         opt.TLS,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Start listens and serves until Close.
func (s *Server) Start() error {
	ln, err := net.Listen("tcp", net.JoinHostPort(s.opt.Host, strconv.Itoa(s.opt.Port)))
	if err != nil {
		close(s.over)
		return fmt.Errorf("admin: %w", err)
	}
	if s.opt.TLS != nil {
		ln = tls.NewListener(ln, s.opt.TLS)
	}
	s.listener = ln
	go func() {
		defer close(s.over)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin stopped", xlog.Err, err)
		}
	}()
	return nil
}

// Addr is where it listens, after Start.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close stops listening and waits for the requests that run, or for ctx. It is
// for a server that was started.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.over
	return err
}

// Handler serves all paths. Paths are matched exactly, as Jigasi does.
func (s *Server) Handler() http.Handler {
	routes := map[string]http.HandlerFunc{
		"/about/health":   get(s.health),
		"/about/version":  get(s.version),
		"/about/stats":    get(s.stats),
		"/about/shutdown": s.shutdown,
		"/debug":          get(s.debug),
		"/metrics":        s.metrics,
		"/livez":          get(s.live),
		"/readyz":         get(s.ready),

		"/configure/call-control-muc/list":   get(s.list),
		"/configure/call-control-muc/add":    post(s.properties(s.add)),
		"/configure/call-control-muc/remove": post(s.properties(s.remove)),
	}
	// A page in somebody's browser must not reach what changes something.
	protect := http.NewCrossOriginProtection()
	return s.answers.counted(protect.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h, ok := routes[r.URL.Path]
		if r.URL.Path == "/calls" || strings.HasPrefix(r.URL.Path, "/calls/") {
			h, ok = s.calls, true
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h(w, r)
	})))
}

// authorized compares hashes, so that time tells nothing of the token.
func (s *Server) authorized(r *http.Request) bool {
	if s.opt.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}

func get(h http.HandlerFunc) http.HandlerFunc { return only(h, http.MethodGet, http.MethodHead) }

func post(h http.HandlerFunc) http.HandlerFunc { return only(h, http.MethodPost) }

func only(h http.HandlerFunc, methods ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if r.Method == m {
				h(w, r)
				return
			}
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// osName is the operating system as Java calls it.
func osName() string {
	switch runtime.GOOS {
	case "linux":
		return "Linux"
	case "darwin":
		return "Mac OS X"
	}
	return runtime.GOOS
}
