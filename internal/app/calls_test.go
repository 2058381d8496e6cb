package app_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
)

// rest asks the gateway's HTTP interface.
func rest(t *testing.T, method, url, body string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Errorf("%s %s: %v", method, url, err)
		}
	}
	return res.StatusCode
}

// TestCallsOverHTTP: why a call went as it did can be read while it runs and after it; it can be muted, given keys and ended.
func TestCallsOverHTTP(t *testing.T) {
	t.Parallel()
	port := ports.Free(t)
	m := start(t, lab.Options{}, func(c *config.Config) { c.Admin.Port = port })
	base := fmt.Sprintf("http://127.0.0.1:%d/calls", port)
	a := m.Join("alpha", 620)
	m.Join("alpha", 880)
	p := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 10*time.Second, "everybody hears everybody", func() bool { return hears(a, 440)() && p.tone(620) > -26 })

	var list struct {
		Running, Ended []struct{ ID, Peer, State string }
	}
	rest(t, "GET", base, "", &list)
	if len(list.Running) != 1 || list.Running[0].State != "active" || strings.Contains(list.Running[0].Peer, "30123") {
		t.Fatalf("%+v", list)
	}
	url := base + "/" + list.Running[0].ID
	var d struct {
		Cause, Why string
		SIP        []struct{ Way, SIP string }
		Story      []struct{ What string }
		Phone      struct {
			Codec    string
			Received float64
		}
		Meeting struct{ Received, Sent float64 }
	}
	rest(t, "GET", url, "", &d)
	ladder := ""
	for _, r := range d.SIP {
		ladder += r.Way + r.SIP + " "
	}
	if want := "<-INVITE ->100 INVITE ->180 INVITE ->200 INVITE <-ACK "; !strings.HasPrefix(ladder, want) && !strings.HasPrefix(ladder, strings.Replace(want, "->100 INVITE ", "", 1)) {
		t.Errorf("the ladder is %s", ladder)
	}
	story := fmt.Sprint(d.Story)
	for _, step := range []string{"call in", "room joined", "session offered", "media connected", "phone connected"} {
		if !strings.Contains(story, step) {
			t.Errorf("the story lacks %q: %s", step, story)
		}
	}
	if d.Phone.Codec != "PCMU" || d.Phone.Received == 0 || d.Meeting.Received == 0 || d.Meeting.Sent == 0 {
		t.Errorf("sound: %+v, %+v", d.Phone, d.Meeting)
	}

	if got := rest(t, "POST", url+"/mute", `{"on":true}`, nil); got != 204 {
		t.Errorf("mute: %d", got)
	}
	eventually(t, 5*time.Second, "the phone is not heard", func() bool { return !hears(a, 440)() })
	rest(t, "POST", url+"/mute", `{"on":false}`, nil)
	eventually(t, 5*time.Second, "the phone is heard again", hears(a, 440))
	if got := rest(t, "POST", url+"/dtmf", `{"keys":"12#"}`, nil); got != 204 {
		t.Errorf("dtmf: %d", got)
	}
	eventually(t, 5*time.Second, "the phone gets the keys", func() bool { return p.keys() == "12#" })

	if got := rest(t, "DELETE", url, "", nil); got != 204 {
		t.Errorf("hang-up: %d", got)
	}
	eventually(t, 10*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
	eventually(t, 5*time.Second, "it is remembered", func() bool {
		rest(t, "GET", url, "", &d)
		return d.Cause == cause.Normal.String() && d.Why == "the operator hung up" && strings.Contains(fmt.Sprint(d.Story), "call ended")
	})
}

// TestEndOfACallIsOneLine: the end of a call is told by one line: why, how long each stage took, and how the sound of both sides was.
func TestEndOfACallIsOneLine(t *testing.T) {
	t.Parallel()
	var log diary
	m := startWith(t, lab.Options{}, slog.New(slog.NewTextHandler(&log, nil)), nil)
	p, _ := connected(t, m)
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 15*time.Second, "the line is there", func() bool { return strings.Contains(log.String(), `msg="call ended"`) })
	lines := 0
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, `msg="call ended"`) {
			continue
		}
		lines++
		for _, key := range []string{
			"call", "room", "sip_call_id", "cause", "why", "direction", "account", "lasted_ms", "joining_ms", "waiting_ms", "answering_ms", "talking_ms",
			"phone.codec", "phone.remote", "phone.received", "phone.sent", "phone.lost", "phone.jitter_ms", "phone.level_in", "phone.level_out", "meeting.lost", "meeting.sent",
		} {
			if !strings.Contains(line, " "+key+"=") {
				t.Errorf("no %s in %s", key, line)
			}
		}
		if strings.Contains(line, "talking_ms=0 ") || strings.Contains(line, "30123") {
			t.Error(line)
		}
	}
	if lines != 1 {
		t.Errorf("%d lines", lines)
	}
}
