package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

// fakeCalls has one call that runs and one that has ended.
type fakeCalls struct{ did []string }

func (f *fakeCalls) List() (running, ended []Call) {
	return []Call{{ID: "run-1", Direction: "in", Peer: "+49xxx678", State: "active"}}, []Call{{ID: "end-1", Cause: "busy", Why: "Busy Here"}}
}

func (f *fakeCalls) Detail(id string) (CallDetail, bool) {
	d := CallDetail{Call: Call{ID: id}, SIP: []Rung{{MS: 0, Way: "<-", SIP: "INVITE"}}, Phone: map[string]any{"codec": "PCMU"}}
	return d, id == "run-1" || id == "end-1"
}

func (f *fakeCalls) note(ok bool, what string) bool {
	if ok {
		f.did = append(f.did, what)
	}
	return ok
}

func (f *fakeCalls) Hangup(id string) bool { return f.note(id == "run-1", "hangup") }

func (f *fakeCalls) Mute(id string, on bool) bool {
	return f.note(id == "run-1", map[bool]string{true: "mute", false: "unmute"}[on])
}
func (f *fakeCalls) Press(id, keys string) bool { return f.note(id == "run-1", keys) }

func TestCalls(t *testing.T) {
	calls := &fakeCalls{}
	h := server(t, Options{Calls: calls})
	kind := "Content-Type: application/json"
	for _, c := range []struct {
		what, body, header string
		status             int
	}{
		{"/calls", "", "", 200},
		{"POST /calls", "", "", 405},
		{"/calls/", "", "", 404},
		{"/calls/run-1", "", "", 200},
		{"/calls/run-1/", "", "", 404},
		{"/calls/end-1", "", "", 200},
		{"/calls/nobody", "", "", 404},
		{"/calls/run-1/wibble", "", "", 404},
		{"/callsome", "", "", 404},
		{"/calls/run-1/mute", "", "", 405},
		{"POST /calls/run-1/mute", `{"on":true}`, kind, 204},
		{"POST /calls/run-1/mute", `{"on":false}`, kind, 204},
		{"POST /calls/run-1/mute", `{"on":true}`, "", 415},
		{"POST /calls/run-1/mute", `{}`, kind, 400},
		{"POST /calls/run-1/mute", `{"on":"yes"}`, kind, 400},
		{"POST /calls/end-1/mute", `{"on":true}`, kind, 404},
		{"POST /calls/run-1/dtmf", `{"keys":"12*#"}`, kind, 204},
		{"POST /calls/run-1/dtmf", `{"keys":"call me"}`, kind, 400},
		{"POST /calls/run-1/dtmf", `{"keys":""}`, kind, 400},
		{"POST /calls/run-1/dtmf", `{"keys":"` + strings.Repeat("1", maxKeys+1) + `"}`, kind, 400},
		{"POST /calls/nobody/dtmf", `{"keys":"1"}`, kind, 404},
		{"DELETE /calls/end-1", "", "", 404},
		{"DELETE /calls/run-1", "", "Sec-Fetch-Site: cross-site", 403},
		{"DELETE /calls/run-1", "", "", 204},
	} {
		if got := ask(h, c.what, c.body, c.header); got.Code != c.status {
			t.Errorf("%s %.40s: %d, want %d", c.what, c.body, got.Code, c.status)
		} else if got.Header().Get("Access-Control-Allow-Origin") != "" && c.status != 404 {
			t.Errorf("%s: a page of another origin may read it", c.what)
		}
	}
	if got := strings.Join(calls.did, " "); got != "mute unmute 12*# hangup" {
		t.Errorf("did %s", got)
	}
	var list struct{ Running, Ended []Call }
	if err := json.Unmarshal(ask(h, "/calls", "", "").Body.Bytes(), &list); err != nil || len(list.Running) != 1 || list.Ended[0].Why != "Busy Here" {
		t.Errorf("%+v, %v", list, err)
	}
	if got := ask(server(t, Options{}), "/calls", "", ""); got.Code != 503 {
		t.Errorf("without calls: %d", got.Code)
	}
}
