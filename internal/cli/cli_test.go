package cli

import (
	"bytes"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jigasi/internal/lab/soak"
)

func TestMain(m *testing.M) {
	soak.Together(8)
	os.Exit(m.Run())
}

func noEnv(string) string { return "" }

// run gives the status and what was written.
func run(c Command, env func(string) string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = c(args, &out, &errs, env)
	return status, out.String(), errs.String()
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const good = "meeting: {domain: meet.example.com}\nsip: {trunks: 192.0.2.0/24}\n"

func TestCheckConfig(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "jigasi.yaml"), good)
	for _, arg := range []string{path, dir, "--config=" + path} {
		status, out, errs := run(CheckConfig, noEnv, arg)
		if status != 0 || errs != "" || !strings.Contains(out, path+": good, 0 warnings\n") || !strings.Contains(out, "info: breweries") {
			t.Errorf("%s: %d %s%s", arg, status, out, errs)
		}
	}
	bad := write(t, filepath.Join(dir, "bad.yaml"), "meeting:\n  domian: x\nmedia:\n  srtp: maybe\n")
	status, out, _ := run(CheckConfig, noEnv, bad)
	for _, want := range []string{bad + ":2: error: meeting.domian: unknown key; did you mean domain?\n", bad + ":4: error: media.srtp: is one of", bad + ": 2 errors, 2 warnings\n"} {
		if status != 1 || !strings.Contains(out, want) {
			t.Errorf("%d, no %q in\n%s", status, want, out)
		}
	}
	sample := ""
	if status, sample, _ = run(CheckConfig, noEnv, "--sample"); status != 0 || !strings.Contains(sample, "meeting:") {
		t.Error(status, sample)
	}
	if status, out, _ = run(CheckConfig, noEnv, write(t, filepath.Join(dir, "sample.yaml"), sample)); status != 0 {
		t.Error(out)
	}
	for _, wrong := range [][]string{{path, bad}, {t.TempDir()}} {
		if status, _, errs := run(CheckConfig, noEnv, wrong...); status != 2 || errs == "" {
			t.Errorf("%v: %d", wrong, status)
		}
	}
	if status, out, _ = run(CheckConfig, noEnv, "--help"); status != 0 || !strings.HasPrefix(out, "usage:") {
		t.Error(status, out)
	}
}

func TestConvertConfig(t *testing.T) {
	dir := t.TempDir()
	old := write(t, filepath.Join(dir, "sip-communicator.properties"), "org.jitsi.jigasi.LOCAL_REGION=eu\norg.jitsi.jigasi.transcription.WIBBLE=true\n")
	for _, arg := range []string{old, dir} {
		status, out, errs := run(ConvertConfig, noEnv, arg)
		if status != 0 || !strings.HasPrefix(out, "meeting:\n  region: eu\n") || !strings.Contains(errs, old+":2: info: org.jitsi.jigasi.transcription.WIBBLE: has no effect") {
			t.Errorf("%s: %d\n%s%s", arg, status, out, errs)
		}
	}
	status, out, _ := run(ConvertConfig, func(k string) string {
		return map[string]string{"JIGASI_SIP_URI": "bot@sip.example.org", "JIGASI_XMPP_PASSWORD": "x"}[k]
	}, "--configdir="+t.TempDir())
	if status != 0 || !strings.Contains(out, "uri: bot@sip.example.org") {
		t.Error(status, out)
	}
	if status, _, errs := run(ConvertConfig, noEnv, filepath.Join(dir, "nope.properties")); status != 1 || !strings.Contains(errs, "cannot be read") {
		t.Error(status, errs)
	}
}

func TestHealthcheck(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {}
	check := func(r *http.Request) {}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check(r)
		answer(w, r)
	}))
	s.Start()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	path := write(t, filepath.Join(t.TempDir(), "jigasi.yaml"), good+"admin: {host: 0.0.0.0, token: 0123456789abcdef, port: "+port+"}\n")
	check = func(r *http.Request) {
		if r.URL.Path != "/about/health" && r.URL.Path != "/readyz" || r.Header.Get("Authorization") != "Bearer 0123456789abcdef" {
			t.Error(r.URL, r.Header)
		}
	}
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{200, "{}", "healthy\n"},
		{-503, `{"checks":{"sip":"SIP account a: not registered: 403","clock":"ok","brewery":"brewery one is offline"}}`, "not healthy: brewery one is offline; SIP account a: not registered: 403\n"},
		{503, "", "not healthy: a gateway is not ready: not registered, or not connected\n"},
		{500, `{"reason":"the brewery is lost"}`, "not healthy: the brewery is lost\n"},
		{401, "", "401 Unauthorized"},
		{302, "", "302 Found"},
	} {
		answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			if c.status < 0 && r.URL.Path == "/about/health" { // as Jigasi: why is said elsewhere
				w.WriteHeader(-c.status)
				return
			}
			w.WriteHeader(max(c.status, -c.status))
			_, _ = w.Write([]byte(c.body))
		}
		status, out, errs := run(Healthcheck, noEnv, "--config="+path)
		if (status == 0) != (c.status == 200) || !strings.Contains(out, c.want) || strings.Contains(out+errs, "0123") {
			t.Errorf("%d: %d %s%s", c.status, status, out, errs)
		}
	}
	answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	if status, out, _ := run(Healthcheck, noEnv, "--config="+path, "--timeout=50ms"); status != 1 || !strings.Contains(out, "deadline") {
		t.Error(status, out)
	}
	s.Close()
	if status, out, _ := run(Healthcheck, noEnv, "--config="+path); status != 1 || !strings.Contains(out, "refused: no gateway runs there") {
		t.Error(status, out)
	}
	if status, _, _ := run(Healthcheck, noEnv, "--wibble"); status != 2 {
		t.Error(status)
	}
}

func TestHealthcheckTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	dir := t.TempDir()
	cert := func(der []byte) {
		write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	write(t, filepath.Join(dir, "key.pem"), "")
	path := write(t, filepath.Join(dir, "jigasi.yaml"), good+"admin: {cert_file: cert.pem, key_file: key.pem, tls_port: "+port+"}\n")
	cert(s.Certificate().Raw)
	if status, out, errs := run(Healthcheck, noEnv, "--config="+path); status != 0 {
		t.Error(out, errs)
	}
	cert([]byte("another"))
	if status, out, _ := run(Healthcheck, noEnv, "--config="+path); status != 1 || !strings.Contains(out, "not that of admin.cert_file") {
		t.Error(status, out)
	}
}

func TestVersion(t *testing.T) {
	status, out, _ := run(Commands("1.2.3")["version"], noEnv)
	if status != 0 || !strings.HasPrefix(out, "jigasi 1.2.3\ngo1.") || !strings.Contains(out, "\nopus: ") {
		t.Error(status, out)
	}
	if status, out, _ = run(Version("1.2.3"), noEnv, "--short"); status != 0 || out != "1.2.3\n" {
		t.Error(status, out)
	}
	if Number("") == "" {
		t.Error("no number")
	}
	if status, _, _ = run(Version(""), noEnv, "--wibble"); status != 2 {
		t.Error(status)
	}
}
