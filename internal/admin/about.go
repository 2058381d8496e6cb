package admin

import (
	"encoding/json"
	"net/http"
	"runtime"
	"strconv"
	"time"
)

// reply writes JSON as Jigasi does.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone
}

type object = map[string]any

// health is Jigasi's: 200, 503 while a gateway is not ready, 500 with the reason
// of the first other check that fails.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	var reason error
	for _, c := range s.opt.Checks {
		err := c.Err()
		if err != nil && c.Gateway {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if err != nil && reason == nil {
			reason = err
		}
	}
	if reason != nil {
		reply(w, http.StatusInternalServerError, object{"reason": reason.Error()})
		return
	}
	reply(w, http.StatusOK, object{})
}

// ready says of each check how it is; 503 when one fails or when no new calls
// are taken.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	s.checks(w, http.StatusServiceUnavailable, func(Check) bool { return true }, s.opt.Stats != nil && s.opt.Stats().Draining)
}

// live fails only where a new process would help.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	s.checks(w, http.StatusInternalServerError, func(c Check) bool { return c.Alive }, false)
}

func (s *Server) checks(w http.ResponseWriter, bad int, which func(Check) bool, draining bool) {
	status, results := http.StatusOK, map[string]string{}
	if draining {
		status, results["draining"] = bad, "no new calls are taken"
	}
	for _, c := range s.opt.Checks {
		if !which(c) {
			continue
		}
		results[c.Name] = "ok"
		if err := c.Err(); err != nil {
			status, results[c.Name] = bad, err.Error()
		}
	}
	reply(w, status, object{"checks": results})
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	if s.opt.Version == "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	reply(w, http.StatusOK, object{"name": "Jigasi", "version": s.opt.Version, "os": osName()})
}

func (s *Server) stats(w http.ResponseWriter, _ *http.Request) {
	if s.opt.Stats == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	st := s.opt.Stats()
	out := object{
		"conference_sizes":  st.ConferenceSizes,
		"current_timestamp": time.Now().UTC().Format("2006-01-02 15:04:05.000"),
		"graceful_shutdown": st.Draining,
		"stress_level":      st.StressLevel,
	}
	for _, d := range definitions {
		if _, there := out[d.name]; !there {
			out[d.name] = int64(d.get(&st))
		}
	}
	reply(w, http.StatusOK, out)
}

// shutdown begins a graceful shutdown. Its body is not read: scripts send one.
func (s *Server) shutdown(w http.ResponseWriter, r *http.Request) {
	if s.opt.Shutdown == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	post(func(http.ResponseWriter, *http.Request) {
		s.log.Info("shutdown asked for over HTTP")
		s.opt.Shutdown()
	})(w, r)
}

// debug lists the calls. Jigasi names the one gateway by a number.
func (s *Server) debug(w http.ResponseWriter, _ *http.Request) {
	sessions := object{}
	if s.opt.Sessions != nil {
		for i, c := range s.opt.Sessions() {
			name := c.Name
			if _, taken := sessions[name]; taken || name == "" {
				name += "#" + strconv.Itoa(i+1)
			}
			conference := object{}
			for k, v := range map[string]string{"meetingUrl": c.MeetingURL, "meetingId": c.MeetingID, "nick": c.Nick} {
				if v != "" {
					conference[k] = v
				}
			}
			sessions[name] = object{"jvbConference": conference}
		}
	}
	reply(w, http.StatusOK, object{"gateways": object{"1": object{"sessions": sessions}}})
}

// threads are what Java would have as threads.
func threads() int { return runtime.NumGoroutine() }
