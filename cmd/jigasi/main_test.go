package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/lab/ports"
	"jigasi/internal/lab/soak"
	"jigasi/internal/sip"
)

// TestMain makes the test binary the program itself where a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv("JIGASI_IS_THE_PROGRAM") == "1" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	soak.Together(8)
	os.Exit(m.Run())
}

// A program is jigasi as a process.
type program struct {
	*exec.Cmd
	mu     sync.Mutex
	text   bytes.Buffer // standard output and error
	stdout bytes.Buffer
	over   chan struct{}
}

type tee struct {
	p   *program
	out bool
}

func (w tee) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.p.text.Write(b)
	if w.out {
		w.p.stdout.Write(b)
	}
	return len(b), nil
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// jigasi starts the program in a folder of its own, with only these variables.
func jigasi(t *testing.T, dir string, env []string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.Command(self, args...), over: make(chan struct{})}
	p.Dir, p.Env = dir, append([]string{"JIGASI_IS_THE_PROGRAM=1", "GOCOVERDIR=" + t.TempDir()}, env...)
	p.Stdout, p.Stderr = tee{p, true}, tee{p, false}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait() // ProcessState has the status
		close(p.over)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.over
		if t.Failed() {
			t.Log(p.said())
		}
	})
	return p
}

// end waits for the end and gives the exit status.
func (p *program) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.over:
	case <-time.After(30 * time.Second):
		t.Fatal("the program goes on")
	}
	return p.ProcessState.ExitCode()
}

// until waits for a condition while the program runs.
func (p *program) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-p.over:
			t.Fatal("the program has ended before: " + what)
		case <-limit:
			t.Fatal("not within 30 s: " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serves waits until the gateway has started.
func (p *program) serves(t *testing.T) {
	t.Helper()
	p.until(t, "it has started", func() bool { return strings.Contains(p.said(), "gateway started") })
}

// refusing is the port of a SIP server that is there and registers nobody.
func refusing(t *testing.T) int {
	t.Helper()
	u := sip.New(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Open: true})
	if err := u.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close(t.Context()) })
	return int(u.Local()[0].Port())
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"version"}, 0, "opus: "},
		{[]string{"--version"}, 0, "opus: "},
		{[]string{"version", "--short"}, 0, "dev"},
		{[]string{"help"}, 0, "check-config"},
		{[]string{"--help"}, 0, "usage: jigasi"},
		{[]string{"run", "--help"}, 0, "--min-port=N"},
		{[]string{"demo", "--help"}, 0, "-listen"},
		{[]string{"demo", "--for", "1s"}, 2, "too short"},
		{[]string{"demo", "--listen", "here"}, 2, "IP:port"},
		{[]string{"wibble"}, 2, `"wibble" is no command`},
		{nil, 1, "no configuration: write jigasi.yaml"},
		{[]string{"configdir=" + dir}, 1, dir + "/jigasi-home: error: no configuration"},
		{[]string{"--config=nope.yaml"}, 1, "nope.yaml: error: cannot be read"},
		{[]string{"check-config", "nope.yaml"}, 1, "cannot be read"},
		{[]string{"check-config", "a", "b"}, 2, "two files"},
		{[]string{"convert-config", "nope.properties"}, 1, "cannot be read"},
		{[]string{"healthcheck", "--url", fmt.Sprintf("http://127.0.0.1:%d/", ports.Free(t))}, 1, "refused"},
	} {
		p := jigasi(t, dir, nil, c.args...)
		if status := p.end(t); status != c.status || !strings.Contains(p.said(), c.want) {
			t.Errorf("%v: status %d, want %d and %q:\n%s", c.args, status, c.status, c.want, p.said())
		}
	}
}

// yaml is a gateway that listens where nobody else does.
func yaml(t *testing.T) (text, url string) {
	port := ports.Free(t)
	return fmt.Sprintf("meeting: {domain: meet.example.com}\nsip: {listen: ['udp:127.0.0.1:0'], trunks: [192.0.2.0/24]}\nadmin: {port: %d, shutdown: true}\n", port),
		fmt.Sprintf("http://127.0.0.1:%d", port)
}

// TestRoutes: every path of the HTTP interface, as a script asks for it, and the shutdown that a script asks for.
func TestRoutes(t *testing.T) {
	t.Parallel()
	text, url := yaml(t)
	dir := t.TempDir()
	p := jigasi(t, dir, nil, "--config="+write(t, filepath.Join(dir, "my.yaml"), text))
	p.serves(t)
	const jabber = `"USER_ID":"j@auth.example.com","PASSWORD":"pw","SERVER_ADDRESS":"127.0.0.1","SERVER_PORT":"9","IS_SERVER_OVERRIDDEN":"true"`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/about/health", "", 200, "{}"},
		{"GET", "/about/version", "", 200, `"name":"Jigasi"`},
		{"GET", "/about/stats", "", 200, `"conferences":0`},
		{"GET", "/debug", "", 200, `{"gateways":{"1":{"sessions":{}}}}`},
		{"GET", "/livez", "", 200, `"clock":"ok"`},
		{"GET", "/readyz", "", 200, `{"checks":{"brewery":"ok","clock":"ok","sip":"ok"}}`},
		{"GET", "/metrics", "", 200, "jitsi_jigasi_conferences 0"},
		{"GET", "/configure/call-control-muc/list", "", 200, "[]"},
		{"POST", "/configure/call-control-muc/add", `{"id":"a",` + jabber + `,"BREWERY":"b@muc.example.com"}`, 200, ""},
		{"POST", "/configure/call-control-muc/add", `{"id":"x",` + jabber + `}`, 500, "BREWERY is missing"},
		{"GET", "/configure/call-control-muc/list", "", 200, `["a"]`},
		{"GET", "/about/health", "", 500, `{"reason":"brewery a is `},
		{"GET", "/readyz", "", 503, `"brewery":"brewery a`},
		{"POST", "/configure/call-control-muc/remove", `{"id":"a"}`, 200, ""},
		{"POST", "/configure/call-control-muc/remove", `{"id":"a"}`, 400, ""},
		{"GET", "/about/health", "", 200, "{}"},
		{"GET", "/about/shutdown", "", 405, ""},
		{"GET", "/nothing", "", 404, ""},
		{"POST", "/about/shutdown", `{ "graceful-shutdown": "true" }`, 200, ""},
	} {
		r, err := http.NewRequest(c.method, url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(c.path, err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.path, res.StatusCode, body, c.status, c.want)
		}
	}
	if status := p.end(t); status != 0 {
		t.Error("status", status)
	}
}

// TestOldInstallation: the old command line, an old property file, SIGTERM.
func TestOldInstallation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port := ports.Free(t)
	write(t, filepath.Join(dir, "etc", "jigasi", "sip-communicator.properties"), fmt.Sprintf(`org.jitsi.jigasi.rest.jetty.port=%d
net.java.sip.communicator.SIP_PREFERRED_CLEAR_PORT=%d
net.java.sip.communicator.impl.protocol.sip.acc1=acc1
net.java.sip.communicator.impl.protocol.sip.acc1.USER_ID=bot@127.0.0.1
net.java.sip.communicator.impl.protocol.sip.acc1.SERVER_ADDRESS=127.0.0.1
net.java.sip.communicator.impl.protocol.sip.acc1.SERVER_PORT=%d
`, port, ports.Free(t), refusing(t)))
	p := jigasi(t, dir, []string{"JAVA_SYS_PROPS=-Xmx1g -Dorg.jitsi.jigasi.STATS_ID=gw"}, "--host=localhost", "--domain=meet.example.com", "--min-port=21000", "--max-port=21100",
		"--configdir="+filepath.Join(dir, "etc"), "--configdirname=jigasi", "--logdir=/var/log/jitsi", "--nocomponent=true")
	p.serves(t)
	check := jigasi(t, dir, nil, "healthcheck", "--url", fmt.Sprintf("http://127.0.0.1:%d/about/health", port))
	if status := check.end(t); status != 1 || !strings.Contains(check.said(), "not registered: the server answered") {
		t.Error("nothing is registered, and healthcheck says", status, check.said())
	}
	if err := p.Process.Signal(syscall.SIGQUIT); err != nil { // kill -3: what a Java program survives
		t.Fatal(err)
	}
	p.until(t, "it tells what it does", func() bool { return strings.Contains(p.said(), "goroutine profile: ") })
	p.serves(t)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := p.end(t); status != 0 {
		t.Error("status", status)
	}
}

// TestContainerVariables: the gateway starts from the variables of Jigasi's image alone.
func TestContainerVariables(t *testing.T) {
	t.Parallel()
	port := ports.Free(t)
	env := []string{
		fmt.Sprintf("JIGASI_SIP_URI=bot@127.0.0.1:%d", refusing(t)), "JIGASI_SIP_PASSWORD=sip-secret", "JIGASI_XMPP_PASSWORD=xmpp-secret", "XMPP_SERVER=127.0.0.1:9", fmt.Sprintf("JIGASI_STATS_PORT=%d", port),
		fmt.Sprintf("JIGASI_CONFIGURATION=net.java.sip.communicator.SIP_PREFERRED_CLEAR_PORT=%d", ports.Free(t)),
	}
	env = append(env, "JIGASI_SIP_PASWORD=typo")
	p := jigasi(t, t.TempDir(), env, "--nocomponent=true", "--configdir=/run/jigasi", "--configdirname=config")
	p.serves(t)
	if !strings.Contains(p.said(), "environment: warning: JIGASI_SIP_PASWORD: is no variable of the gateway and has no effect; did you mean JIGASI_SIP_PASSWORD?") {
		t.Error("nobody is told of a misspelt variable")
	}
	check := jigasi(t, t.TempDir(), env, "healthcheck")
	if status := check.end(t); status != 1 || !strings.Contains(check.said(), "brewery acc0 is offline") || strings.Contains(check.said(), "cannot be found") {
		t.Error(status, check.said())
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := p.end(t); status != 0 || strings.Contains(p.said(), "secret") {
		t.Error("status", status)
	}
}

// TestPortTaken: the program says which port, and ends.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := fmt.Sprintf("sip: {listen: ['udp:127.0.0.1:0'], trunks: [192.0.2.0/24]}\nadmin: {port: %d}\n", l.Addr().(*net.TCPAddr).Port)
	p := jigasi(t, t.TempDir(), []string{"JIGASI_CONFIG_BODY=" + text})
	if status := p.end(t); status != 1 || !strings.Contains(p.said(), l.Addr().String()) {
		t.Error("status", status)
	}
}
