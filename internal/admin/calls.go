package admin

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Calls are the calls of the gateway, for who looks after it. Numbers in them are masked.
type Calls interface {
	// List gives those that run, oldest first, and those that have ended lately.
	List() (running, ended []Call)
	// Detail gives one of both kinds.
	Detail(id string) (CallDetail, bool)
	// Hangup, Mute and Press report whether there is such a call that runs.
	Hangup(id string) bool
	Mute(id string, on bool) bool
	Press(id, keys string) bool
}

// A Call is one call in short. Times are in ms.
type Call struct {
	ID        string    `json:"id"`
	Direction string    `json:"direction"`         // in or out
	Account   string    `json:"account,omitempty"` // by which it came, or went first; not of a trunk
	Peer      string    `json:"peer"`
	Room      string    `json:"room"`
	State     string    `json:"state"`
	Began     time.Time `json:"began"`
	LastedMS  int64     `json:"lasted_ms"`
	JoiningMS int64     `json:"joining_ms"`   // until the meeting was ready
	WaitingMS int64     `json:"waiting_ms"`   // of that: for people
	AnswerMS  int64     `json:"answering_ms"` // both sides going up
	TalkingMS int64     `json:"talking_ms"`
	Cause     string    `json:"cause,omitempty"` // of an ended call: its code, for machines
	Why       string    `json:"why,omitempty"`   // a sentence, for people
}

// A CallDetail is all that is known of a call.
type CallDetail struct {
	Call
	SIPCallID string         `json:"sip_call_id,omitempty"`
	Occupant  string         `json:"occupant,omitempty"`
	SIP       []Rung         `json:"sip"`     // the messages of its dialog
	Story     []Step         `json:"story"`   // what was logged of it
	Phone     map[string]any `json:"phone"`   // the sound of the phone's side
	Meeting   map[string]any `json:"meeting"` // the sound of the meeting's side
}

// A Rung is one message of a SIP dialog, a Step one line of a call's story; times are in ms since the call began.
type (
	Rung struct {
		MS  float64 `json:"ms"`
		Way string  `json:"way"` // "->" we sent it, "<-" the phone did
		SIP string  `json:"sip"`
	}
	Step struct {
		MS    float64           `json:"ms"`
		Level string            `json:"level"`
		What  string            `json:"what"`
		With  map[string]string `json:"with,omitempty"`
	}
)

// maxKeys is how many keys one request can send.
const maxKeys = 64

// calls serves /calls and what is under it.
func (s *Server) calls(w http.ResponseWriter, r *http.Request) {
	if s.opt.Calls == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/calls"), "/")
	id, verb, _ := strings.Cut(rest, "/")
	var h http.HandlerFunc
	switch {
	case r.URL.Path == "/calls":
		h = get(s.listCalls)
	case verb == "" && id != "" && !strings.HasSuffix(r.URL.Path, "/"):
		h = s.oneCall(id)
	case verb == "mute":
		h = post(s.order(func(o order) bool { return o.On != nil && s.opt.Calls.Mute(id, *o.On) }, func(o order) bool { return o.On != nil }))
	case verb == "dtmf":
		h = post(s.order(func(o order) bool { return s.opt.Calls.Press(id, o.Keys) }, order.keys))
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h(w, r)
}

func (s *Server) listCalls(w http.ResponseWriter, _ *http.Request) {
	running, ended := s.opt.Calls.List()
	private(w, http.StatusOK, object{"running": orEmpty(running), "ended": orEmpty(ended)})
}

func orEmpty(l []Call) []Call {
	if l == nil {
		return []Call{}
	}
	return l
}

func (s *Server) oneCall(id string) http.HandlerFunc {
	return only(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			s.log.Info("a call is hung up over HTTP", "call", id)
			status(w, s.opt.Calls.Hangup(id))
			return
		}
		d, ok := s.opt.Calls.Detail(id)
		if !ok {
			private(w, http.StatusNotFound, object{"reason": "there is no such call, or it ended long ago"})
			return
		}
		private(w, http.StatusOK, d)
	}, http.MethodGet, http.MethodHead, http.MethodDelete)
}

// order is the body of a POST: {"on":true} for mute, {"keys":"123#"} for dtmf.
type order struct {
	On   *bool  `json:"on"`
	Keys string `json:"keys"`
}

func (o order) keys() bool {
	return o.Keys != "" && len(o.Keys) <= maxKeys && strings.Trim(o.Keys, ",0123456789*#ABCD") == ""
}

func (s *Server) order(do, valid func(order) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		var o order
		if json.NewDecoder(r.Body).Decode(&o) != nil || !valid(o) {
			private(w, http.StatusBadRequest, object{"reason": `the body is {"on":true} for mute, {"keys":"0-9*#A-D"} for dtmf, with commas as pauses`})
			return
		}
		status(w, do(o))
	}
}

func status(w http.ResponseWriter, found bool) {
	if !found {
		private(w, http.StatusNotFound, object{"reason": "no such call runs"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// private replies with what no page of another origin may read.
func private(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}
