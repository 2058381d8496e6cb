package admin

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rooms is a Breweries that remembers.
type rooms struct {
	ids  []string
	last map[string]string
	fail error
}

func (r *rooms) Add(_ context.Context, id string, p map[string]string) error {
	if r.fail != nil {
		return r.fail
	}
	if !slices.Contains(r.ids, id) {
		r.ids = append(r.ids, id)
	}
	r.last = p
	return nil
}

func (r *rooms) Remove(_ context.Context, id string) bool {
	i := slices.Index(r.ids, id)
	if i >= 0 {
		r.ids = slices.Delete(r.ids, i, i+1)
	}
	return i >= 0
}

func (r *rooms) List() []string { return r.ids }

func server(t *testing.T, opt Options) http.Handler {
	t.Helper()
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

// ask makes one request: "POST /path" or "/path"; headers are name: value.
func ask(h http.Handler, what, body string, headers ...string) *httptest.ResponseRecorder {
	method, path, ok := strings.Cut(what, " ")
	if !ok {
		method, path = "GET", what
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// pages are those of the capture, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/jigasi-rest.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for part := range strings.SplitSeq(strings.ReplaceAll(string(data), "\r", ""), "--- GET ") {
		path, page, _ := strings.Cut(part, "\n")
		out[path] = page
	}
	return out
}

// TestSameAsJigasi compares names, types and forms with a capture of the original.
func TestSameAsJigasi(t *testing.T) {
	h := server(t, Options{Version: "1.2.3", Stats: func() Stats { return Stats{} }, Breweries: &rooms{}})
	for path, page := range pages(t) {
		if path == "" || path == "/configure/call-control-muc/list" { // the capture ends before its answer
			continue
		}
		head, body, _ := strings.Cut(page, "\n\n")
		got := ask(h, path, "")
		for _, name := range []string{"Content-Type", "Access-Control-Allow-Origin"} {
			want := ""
			if m := regexp.MustCompile(`(?m)^` + name + `: (.*)$`).FindStringSubmatch(head); m != nil {
				want = m[1]
			}
			if got.Header().Get(name) != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got.Header().Get(name), want)
			}
		}
		switch path {
		case "/metrics":
			if diff := cmp.Diff(shape(body), shape(got.Body.String())); diff != "" {
				t.Errorf("metrics (-jigasi +ours):\n%s", diff)
			}
		case "/about/health": // the original was not ready
		case "/debug":
			if !regexp.MustCompile(`^{"gateways":{"\d+":{"sessions":{}}}}$`).MatchString(got.Body.String()) {
				t.Error(got.Body)
			}
		default:
			if diff := cmp.Diff(jsonShape(t, body), jsonShape(t, got.Body.String())); diff != "" {
				t.Errorf("%s (-jigasi +ours):\n%s", path, diff)
			}
		}
	}
}

// shape is the names and types of Jigasi's metrics, in order of name.
func shape(page string) []string {
	var out []string
	for line := range strings.Lines(page) {
		if !strings.Contains(line, "jitsi_jigasi_") || strings.HasPrefix(line, "# HELP jitsi_jigasi_threads") {
			continue
		}
		if !strings.HasPrefix(line, "#") {
			line, _, _ = strings.Cut(line, " ")
		}
		out = append(out, strings.TrimSpace(line))
	}
	slices.Sort(out)
	return out
}

func jsonShape(t *testing.T, s string) map[string]string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatal(err, s)
	}
	out := map[string]string{}
	for k, v := range m {
		out[k] = fmt.Sprintf("%T", v)
		if l, ok := v.([]any); ok {
			out[k] = fmt.Sprint(len(l))
		}
	}
	return out
}

func TestStats(t *testing.T) {
	st := Stats{Conferences: 3, Participants: 9, StressLevel: 0.03, Draining: true, ParticipantsTotal: 70, CallsMigrated: 2}
	st.ConferenceSizes[21] = 1
	st.Transcriber.VoskMillis = 5
	h := server(t, Options{Stats: func() Stats { return st }})
	var m map[string]any
	if err := json.Unmarshal(ask(h, "/about/stats", "").Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{"conferences": 3., "participants": 9., "stress_level": 0.03, "graceful_shutdown": true, "total_participants": 70., "total_calls_with_jvb_migrate": 2., "total_transcriber_vsk_millis": 5.} {
		if m[k] != want {
			t.Errorf("%s: %v, want %v", k, m[k], want)
		}
	}
	if _, err := time.Parse("2006-01-02 15:04:05.000", m["current_timestamp"].(string)); err != nil {
		t.Error(err)
	}
	if w := ask(server(t, Options{}), "/about/stats", ""); w.Code != 503 {
		t.Error(w.Code)
	}
}

func TestCodes(t *testing.T) {
	var shut atomic.Int64
	r := &rooms{ids: []string{"from-file"}}
	h := server(t, Options{Version: "1", Stats: func() Stats { return Stats{} }, Shutdown: func() { shut.Add(1) }, Breweries: r})
	const kind = "Content-Type: application/json"
	for _, c := range []struct {
		what, body, header string
		status             int
	}{
		{"/about/health", "", "", 200},
		{"POST /about/health", "", "", 405},
		{"/about/health/", "", "", 404},
		{"//about/health", "", "", 404},
		{"/about/health?x=y", "", "Accept: application/json", 200},
		{"HEAD /about/health", "", "", 200},
		{"PUT /about/version", "", "", 405},
		{"DELETE /about/stats", "", "", 405},
		{"PATCH /debug", "", "", 405},
		{"/", "", "", 404},
		{"/wibble", "", "", 404},
		{"/about/shutdown", "", "", 405},
		{"POST /about/shutdown", `{ "graceful-shutdown": "true" }`, kind, 200},
		{"POST /about/shutdown", "", "Sec-Fetch-Site: cross-site", 403},
		{"POST /metrics", "", "", 200},
		{"/metrics", "", "Accept: image/png", 500},
		{"/livez", "", "", 200},
		{"/readyz", "", "", 200},
		{"POST /configure/call-control-muc/list", "", "", 405},
		{"/configure/call-control-muc/add", "", "", 405},
		{"POST /configure/call-control-muc/other", `{"id":"x"}`, kind, 404},
		{"POST /configure/call-control-muc/add", `{"id":"x"}`, "", 415},
		{"POST /configure/call-control-muc/add", `{"id":"x"}`, "Content-Type: application/json; charset=latin1", 415},
		{"POST /configure/call-control-muc/add", `{"id":"x"}`, "Content-Type: application/json;charset=UTF-8", 200},
		{"POST /configure/call-control-muc/add", `{"id":5}`, kind, 400},
		{"POST /configure/call-control-muc/add", `{}`, kind, 400},
		{"POST /configure/call-control-muc/add", `[`, kind, 400},
		{"POST /configure/call-control-muc/add", `{"id":"x","a":["b"]}`, kind, 400},
		{"POST /configure/call-control-muc/add", `null`, kind, 400},
		{"POST /configure/call-control-muc/add", `{"id":"x","a":"` + strings.Repeat("b", maxBody) + `"}`, kind, 413},
		{"POST /configure/call-control-muc/remove", `{"id":"x"}`, kind, 200},
		{"POST /configure/call-control-muc/remove", `{"id":"x"}`, kind, 400},
	} {
		if got := ask(h, c.what, c.body, c.header); got.Code != c.status {
			t.Errorf("%s %.40s: %d, want %d", c.what, c.body, got.Code, c.status)
		}
	}
	if shut.Load() != 1 {
		t.Errorf("shut down %d times", shut.Load())
	}
	h = server(t, Options{})
	for _, what := range []string{"POST /about/shutdown", "/about/shutdown", "/about/version"} {
		if got := ask(h, what, ""); got.Code != 503 || got.Body.Len() != 0 {
			t.Errorf("%s: %d", what, got.Code)
		}
	}
	if got := ask(h, "POST /configure/call-control-muc/add", `{"id":"x"}`, kind); got.Code != 503 {
		t.Error(got.Code)
	}
}

func TestConfigure(t *testing.T) {
	r := &rooms{ids: []string{"from-file"}}
	h := server(t, Options{Breweries: r})
	add := func(body string) int {
		r.last = nil
		return ask(h, "POST /configure/call-control-muc/add", body, "Content-Type: application/json").Code
	}
	if code := add(`{"id":"a","ACCOUNT_UID":"Jabber:1","PASSWORD":"p"}`); code != 200 || !cmp.Equal(r.last, map[string]string{"ACCOUNT_UID": "Jabber:1", "PASSWORD": "p"}) {
		t.Error(code, r.last)
	}
	if code := add(`{"id":"a","ACCOUNT_UID":"Jabber:1"}`); code != 200 || r.last != nil {
		t.Error("the same account was entered again", code)
	}
	if code := add(`{"id":"a","ACCOUNT_UID":"Jabber:2"}`); code != 200 || r.last == nil {
		t.Error("another account was not entered", code)
	}
	if code := add(`{"id":"from-file","ACCOUNT_UID":"Jabber:3"}`); code != 200 || r.last != nil {
		t.Error("one of the file was replaced", code)
	}
	if got := ask(h, "/configure/call-control-muc/list", "").Body.String(); got != `["from-file","a"]` {
		t.Error(got)
	}
	if got := ask(server(t, Options{}), "/configure/call-control-muc/list", "").Body.String(); got != `[]` {
		t.Error(got)
	}
	r.fail = errors.New("no such server")
	if code := add(`{"id":"b"}`); code != 500 {
		t.Error(code)
	}
}

// TestT36_HealthTruth: every check that fails shows at once, and so does its
// recovery.
func TestT36_HealthTruth(t *testing.T) {
	var sip, brewery, clock atomic.Pointer[string]
	check := func(p *atomic.Pointer[string]) func() error {
		return func() error {
			if s := p.Load(); s != nil {
				return errors.New(*s)
			}
			return nil
		}
	}
	var draining atomic.Bool
	h := server(t, Options{
		Stats: func() Stats { return Stats{Draining: draining.Load()} },
		Checks: []Check{
			{Name: "sip", Gateway: true, Err: check(&sip)},
			{Name: "brewery", Err: check(&brewery)},
			{Name: "clock", Alive: true, Err: check(&clock)},
		},
	})
	state := func() string {
		w := ask(h, "/about/health", "")
		return fmt.Sprintf("%d %s ready %d live %d", w.Code, w.Body, ask(h, "/readyz", "").Code, ask(h, "/livez", "").Code)
	}
	const good = "200 {} ready 200 live 200"
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		p    *atomic.Pointer[string]
		want string
	}{
		{&sip, "503  ready 503 live 200"},
		{&brewery, `500 {"reason":"bad"} ready 503 live 200`},
		{&clock, `500 {"reason":"bad"} ready 503 live 500`},
	} {
		if got := state(); got != good {
			t.Error(got)
		}
		c.p.Store(text("bad"))
		if got := state(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
		c.p.Store(nil)
	}
	draining.Store(true)
	if got := state(); got != "200 {} ready 503 live 200" {
		t.Error(got)
	}
	brewery.Store(text("not in the room"))
	want := `{"checks":{"brewery":"not in the room","clock":"ok","draining":"no new calls are taken","sip":"ok"}}`
	if got := ask(h, "/readyz", "").Body.String(); got != want {
		t.Error(got)
	}
	if got := ask(h, "/metrics", "").Body.String(); !strings.Contains(got, "jigasi_check_up{check=\"brewery\"} 0") || !strings.Contains(got, "jigasi_check_up{check=\"sip\"} 1") {
		t.Error("no jigasi_check_up")
	}
}

func TestMetricsPage(t *testing.T) {
	h := server(t, Options{
		Version: "1.2.3", Build: "gopus (pure Go)",
		Stats: func() Stats { return Stats{Conferences: 2, ParticipantsTotal: 7, StressLevel: 0.25} },
		Metrics: []func() []Sample{func() []Sample {
			return []Sample{
				{Name: "jigasi_calls_total", Help: "Calls that ended.", Kind: Counter, Labels: []Label{{"direction", "in"}, {"cause", "normal"}}, Value: 5},
				{Name: "jigasi_calls_total", Help: "Calls that ended.", Kind: Counter, Labels: []Label{{"direction", "out"}, {"cause", "busy"}}, Value: 1},
				{Name: "jigasi_setup_seconds", Help: "INVITE to sound.", Kind: Histogram, Buckets: []Bucket{{0.1, 1}, {1, 4}}, Count: 5, Sum: 3.5},
				{Name: "jigasi_sip_registered", Help: "Account registered.", Labels: []Label{{"account", "a\xff\"b"}}, Value: 1},
				{Name: "bad name", Help: "Left out."},
			}
		}},
	})
	var page strings.Builder
	for line := range strings.Lines(ask(h, "/metrics", "", "Accept: text/plain").Body.String()) {
		if strings.Contains(line, "jigasi_") && !strings.Contains(line, "threads") && !strings.Contains(line, "transcriber") {
			page.WriteString(line)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/metrics.golden", []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/metrics.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("run with -update and review (-want +got):\n%s", diff)
	}
	var m map[string]float64
	w := ask(h, "/metrics", "", "Accept: application/json")
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m["conferences"] != 2 || m["total_participants_total"] != 7 || m["stress_level"] != 0.25 {
		t.Error(err, m)
	}
	if w := ask(h, "/metrics", ""); !strings.HasSuffix(w.Body.String(), "# EOF\n") || !strings.Contains(w.Body.String(), "jitsi_jigasi_total_participants_total 7.0\n") {
		t.Error(w.Body)
	}
}

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]string{
		"": openMetrics, "*/*": openMetrics, "text/plain": plainText, "application/json": jsonText, "image/png": "",
		"text/html,application/xhtml+xml,*/*;q=0.8":                                                 openMetrics,
		"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.6,*/*;q=0.2": plainText,
		"application/vnd.google.protobuf;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5":    openMetrics,
		";;;": "", "text/*": plainText,
	} {
		if got := negotiate(accept); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}
