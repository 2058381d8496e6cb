package admin

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"jigasi/internal/xlog"
)

// addedUIDs remembers the ACCOUNT_UID of what was added here, by id.
type addedUIDs struct {
	mu   sync.Mutex // held while a brewery is added or removed: one at a time
	uids map[string]string
}

// properties reads the body of add and remove: a JSON object of strings, one of
// which is its id.
func (s *Server) properties(next func(http.ResponseWriter, *http.Request, string, map[string]string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		id := body["id"]
		if id == "" || len(id) > 128 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		delete(body, "id")
		if s.opt.Breweries == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.added.mu.Lock()
		defer s.added.mu.Unlock()
		next(w, r, id, body)
	}
}

// list gives the ids.
func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	ids := []string{}
	if s.opt.Breweries != nil {
		ids = append(ids, s.opt.Breweries.List()...)
	}
	reply(w, http.StatusOK, ids)
}

// add enters a brewery. One of that id with the same ACCOUNT_UID stays as it is,
// and so does one that was there from the start, as the documentation of Jigasi
// promises to scripts that post their whole file again.
func (s *Server) add(w http.ResponseWriter, r *http.Request, id string, props map[string]string) {
	if slices.Contains(s.opt.Breweries.List(), id) {
		uid, here := s.added.uids[id]
		if !here || uid == props["ACCOUNT_UID"] {
			return
		}
	}
	if err := s.opt.Breweries.Add(r.Context(), id, props); err != nil {
		s.log.Warn("brewery not added", xlog.Account, id, xlog.Err, err)
		reply(w, http.StatusInternalServerError, object{"reason": err.Error()})
		return
	}
	if s.added.uids == nil {
		s.added.uids = map[string]string{}
	}
	s.added.uids[id] = props["ACCOUNT_UID"]
	s.log.Info("brewery added", xlog.Account, id)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, id string, _ map[string]string) {
	delete(s.added.uids, id)
	if !s.opt.Breweries.Remove(r.Context(), id) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.log.Info("brewery removed", xlog.Account, id)
}
