package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// TestT30_AdminClosed: it listens on loopback, refuses anything else without a
// token, and with one answers 401 on every path.
func TestT30_AdminClosed(t *testing.T) {
	for _, host := range []string{"0.0.0.0", "::", "[::]", "192.0.2.1", "gateway.example.com"} {
		if _, err := New(Options{Host: host}); err == nil {
			t.Errorf("%s is opened without a token", host)
		}
	}
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if a := s.Addr().(*net.TCPAddr); !a.IP.IsLoopback() {
		t.Error(a)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}

	var log bytes.Buffer
	shut := false
	h := server(t, Options{Host: "0.0.0.0", Token: "a long secret token", Version: "1", Shutdown: func() { shut = true }, Log: slog.New(slog.NewTextHandler(&log, nil))})
	paths := []string{
		"/", "/wibble", "/about/health", "/about/version", "/about/stats", "POST /about/shutdown", "/debug", "/metrics", "/livez", "/readyz",
		"/configure/call-control-muc/list", "POST /configure/call-control-muc/add", "POST /configure/call-control-muc/remove", "OPTIONS /about/health",
	}
	for _, path := range paths {
		for _, auth := range []string{"", "Authorization: Bearer", "Authorization: Bearer a long secret", "Authorization: Basic a long secret token", "Authorization: a long secret token", "X: y"} {
			if got := ask(h, path, "", auth); got.Code != 401 || got.Body.Len() != 0 {
				t.Errorf("%s with %q: %d %s", path, auth, got.Code, got.Body)
			}
		}
	}
	if shut {
		t.Error("shut down by a stranger")
	}
	if got := ask(h, "/about/version", "", "Authorization: Bearer a long secret token"); got.Code != 200 {
		t.Error(got.Code)
	}
	if strings.Contains(log.String(), "secret") {
		t.Error("the token is in the log")
	}
}

func TestDebug(t *testing.T) {
	h := server(t, Options{Sessions: func() []Session {
		return []Session{{Name: "Alice", Nick: "1f2e3d4c", MeetingURL: "https://meet.example.com/room", MeetingID: "m"}, {Name: "Alice"}, {}}
	}})
	want := `{"gateways":{"1":{"sessions":{"#3":{"jvbConference":{}},"Alice":{"jvbConference":{"meetingId":"m","meetingUrl":"https://meet.example.com/room","nick":"1f2e3d4c"}},"Alice#2":{"jvbConference":{}}}}}}`
	if got := ask(h, "/debug", "").Body.String(); got != want {
		t.Error(got)
	}
}

// TestSlowAndLarge: a client that sends its request a byte at a time, or headers
// without end, is cut off and leaves nothing.
func TestSlowAndLarge(t *testing.T) {
	s, err := New(Options{Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	s.http.ReadHeaderTimeout = 50 * time.Millisecond
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"GET /about/ver", "GET /about/version HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 64<<10)} {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, request)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		answer, err := io.ReadAll(c)
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || strings.Contains(string(answer), "200 OK") {
			t.Errorf("%.20q: %q, %v", request, answer, err)
		}
		c.Close()
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPortInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	s, err := New(Options{Port: busy.Addr().(*net.TCPAddr).Port})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("started on a port in use")
	}
}

// FuzzConfigure: whatever is posted, only an object of strings with an id gets
// through, and nothing is answered 5xx.
func FuzzConfigure(f *testing.F) {
	f.Add([]byte(`{"id":"a","USER_ID":"b@c"}`), "application/json")
	f.Add([]byte(`{"id":{"a":1}}`), "application/json; charset=UTF-8")
	f.Add([]byte(strings.Repeat(`{"a":`, 1000)), "text/plain")
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		r := &rooms{}
		s, err := New(Options{Breweries: r})
		if err != nil {
			t.Fatal(err)
		}
		w := ask(s.Handler(), "POST /configure/call-control-muc/add", string(body), "Content-Type: "+kind)
		if w.Code >= 500 || (w.Code == 200) != (len(r.ids) == 1) {
			t.Fatalf("%d, %d added", w.Code, len(r.ids))
		}
		var m map[string]string
		if len(r.ids) == 1 && (json.NewDecoder(bytes.NewReader(body)).Decode(&m) != nil || m["id"] != r.ids[0]) {
			t.Fatalf("%q added from %q", r.ids, body)
		}
	})
}
