package app_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
)

// withRegistrar configures an account at a registrar over TCP.
func withRegistrar(r *registrar) func(*config.Config) {
	return func(cfg *config.Config) {
		acc := config.SIPAccount{ID: "pbx", URI: "room@pbx.test", Password: "sip-password", Registrar: r.addr, Transport: "tcp", Register: true}
		acc.Expires = 10 * time.Minute
		cfg.SIP.Accounts = append(cfg.SIP.Accounts, acc)
		cfg.SIP.Listen = append(cfg.SIP.Listen, "tcp:127.0.0.1:0")
	}
}

// ask reads a page of the HTTP interface; the token may be "".
func (m *meeting) ask(t *testing.T, path, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.app.AdminAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// T36: when a dependency of the real gateway goes, health is red within 5 s, and green again within 5 s of what
// it waits for; a call that runs goes on meanwhile.
func TestT36_HealthFollowsDependencies(t *testing.T) {
	t.Parallel()
	r, quiet := newRegistrar(t), newQuietRegistrar(t)
	port := ports.Free(t)
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		withBrewery(cfg)
		withRegistrar(r)(cfg)
		cfg.SIP.Accounts = append(cfg.SIP.Accounts, config.SIPAccount{
			ID: "itsp", URI: "room@itsp.test", Password: "sip-password", Registrar: quiet.addr, Transport: "udp", Register: true, Expires: 10 * time.Minute,
		})
		cfg.Admin.Port = port
	})
	health := func(want int) func() bool {
		return func() bool {
			got, _ := m.ask(t, "/about/health", "")
			ready, _ := m.ask(t, "/readyz", "")
			return got == want && (ready == 200) == (want == 200)
		}
	}
	eventually(t, 20*time.Second, "all is well", health(200))
	p, heard := connected(t, m)
	for _, dep := range []struct {
		name       string
		status     int
		stop, back func()
		recovered  func() bool // what health waits for: a registrar is asked again after 5 s at the earliest (T43)
	}{
		{"registrar", 503, r.stop, r.start, func() bool { return r.proofs.Load() > 1 }},
		{"registrar over UDP, which says nothing", 503, func() { quiet.silent.Store(true) }, func() { quiet.silent.Store(false) }, func() bool { return true }},
		{"XMPP server of the brewery", 500, m.XMPP.Stop, func() {
			if err := m.XMPP.Resume(); err != nil {
				t.Fatal(err)
			}
		}, joined(m)},
	} {
		dep.stop()
		began := time.Now()
		promised(t, 5*time.Second, "red without the "+dep.name, health(dep.status))
		red := time.Since(began)
		dep.back()
		eventually(t, 30*time.Second, "the "+dep.name+" is back", dep.recovered)
		began = time.Now()
		promised(t, 5*time.Second, "green with the "+dep.name, health(200))
		t.Logf("%s: red after %v, green %v after it was back", dep.name, red.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	p.deaf()
	eventually(t, 20*time.Second, "the call goes on", heard)
	if status, _ := m.ask(t, "/livez", ""); status != 200 {
		t.Errorf("livez %d", status)
	}
}
