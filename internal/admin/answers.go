package admin

import (
	"maps"
	"net/http"
	"sync"
)

// answers counts answers by their status.
type answers struct {
	mu   sync.Mutex
	seen map[int]int64
}

func (a *answers) all() map[int]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.seen)
}

// counted counts what h answers.
func (a *answers) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &noted{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(n, r)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.seen == nil {
			a.seen = map[int]int64{}
		}
		a.seen[n.status]++
	})
}

// noted is a ResponseWriter that remembers the status.
type noted struct {
	http.ResponseWriter
	status int
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// Unwrap gives the writer to http.ResponseController.
func (n *noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }
