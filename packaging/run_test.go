//go:build lab

package packaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/lab/ports"
)

// eventually waits for a condition, long enough for a busy machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A process is a gateway that runs.
type process struct {
	*exec.Cmd
	url  string
	log  bytes.Buffer
	over chan struct{} // closed when it has ended
}

func start(t *testing.T, c *exec.Cmd, port int) *process {
	t.Helper()
	p := &process{Cmd: c, url: fmt.Sprintf("http://127.0.0.1:%d", port), over: make(chan struct{})}
	c.Stdout, c.Stderr = &p.log, &p.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.Wait() // its status is read from ProcessState
		close(p.over)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-p.over
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	eventually(t, "it serves HTTP", func() bool {
		select {
		case <-p.over:
			t.Fatal("the gateway has ended")
		default:
		}
		r, err := http.Get(p.url + "/livez")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

func yaml(port int) string {
	return fmt.Sprintf(`meeting: {domain: meet.example.com}
sip:
  listen: ["udp:127.0.0.1:0"]
  trunks: [192.0.2.0/24]
admin: {port: %d, shutdown: true}
`, port)
}

// command is the unit's, on a machine that is a folder, as the unit's user.
func (m *machine) command(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	unit := read(t, m.path("lib/systemd/system/jigasi.service"))
	line := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(unit)[1]
	vars := map[string]string{}
	file := read(t, m.path("etc/jitsi/jigasi/config")) // EnvironmentFile
	for _, v := range regexp.MustCompile(`(?m)^([A-Z_]+)=(.*)$`).FindAllStringSubmatch(file, -1) {
		vars[v[1]] = strings.Trim(v[2], `"`)
	}
	line = os.Expand(line, func(name string) string { return vars[name] })
	line = strings.ReplaceAll(line, "--configdir=/etc", "--configdir="+m.path("etc"))
	words := strings.Fields(line)
	c := exec.Command(m.path(words[0]), words[1:]...)
	c.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	for k, v := range vars {
		c.Env = append(c.Env, k+"="+v)
	}
	c.Dir = m.path(regexp.MustCompile(`(?m)^WorkingDirectory=(.*)$`).FindStringSubmatch(unit)[1])
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: m.id(t, "passwd", "jigasi"), Gid: m.id(t, "group", "jitsi")}}
	return c
}

// TestDebServiceAndScripts: the installed gateway starts by its unit's command line as its user, tells systemd, and
// the helper scripts of the package work against it.
func TestDebServiceAndScripts(t *testing.T) {
	m := newMachine(t)
	m.dpkg(t, "-i", deb(t))
	port := ports.Free(t)
	write(t, m.path("etc/jitsi/jigasi/jigasi.yaml"), yaml(port))
	m.dpkg(t, "--force-confmiss", "-i", deb(t)) // sets owner and mode again

	dir := filepath.Join(m.root, "run")
	if err := os.Mkdir(dir, 0o777); err != nil || os.Chmod(dir, 0o777) != nil {
		t.Fatal(err)
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil || os.Chmod(filepath.Join(dir, "notify"), 0o777) != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	p := start(t, m.command(t, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=300000"), port)
	told := make([]byte, 100)
	for _, want := range []string{"READY=1", "WATCHDOG=1"} {
		_ = notify.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := notify.Read(told)
		if err != nil || !strings.HasPrefix(string(told[:n]), want) {
			t.Errorf("%q, %v; want %s", told[:n], err, want)
		}
	}
	status := read(t, fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if uid := m.id(t, "passwd", "jigasi"); !strings.Contains(status, fmt.Sprintf("\nUid:\t%d\t%d\t", uid, uid)) {
		t.Error(status)
	}

	properties := filepath.Join(t.TempDir(), "sip-communicator.properties")
	script := func(name string, env ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, m.path("usr/share/jigasi/"+name))
		c.Env = append(os.Environ(), "JIGASI_URL="+p.url, "CONFIG_PATH="+properties, "JIGASI_LOG=/dev/null")
		c.Env, c.Dir = append(c.Env, env...), t.TempDir()
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	list := func() string {
		r, err := http.Get(p.url + "/configure/call-control-muc/list")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		return b.String()
	}
	brewery := func(id, room string) string {
		at := "net.java.sip.communicator.impl.protocol.jabber." + id
		return at + "=" + id + "\n" + at + ".ACCOUNT_UID=Jabber\\:" + id + "@a.b\n" + at + ".USER_ID = jigasi@auth.example.com\n" + at + ".PASSWORD=cyJlXGM=\n" +
			at + ".SERVER_ADDRESS=127.0.0.1\n" + at + ".SERVER_PORT=9\n" + at + ".IS_SERVER_OVERRIDDEN=true\n" + at + ".BREWERY=" + room + "\n"
	}
	write(t, properties, brewery("acc-1", "x@internal.example.com")+brewery("acc-2", "y@internal.example.com")+"#"+brewery("acc-3", "z@z"))
	if out := script("reconfigure_xmpp.sh", "DRY_RUN=1"); strings.Contains(out, `s"e`) || !strings.Contains(out, `POST add {"id":"acc-1",`) || list() != "[]" {
		t.Errorf("dry run: %s %s", out, list())
	}
	if script("reconfigure_xmpp.sh"); list() != `["acc-1","acc-2"]` {
		t.Error(list())
	}
	write(t, properties, brewery("acc-2", "y@internal.example.com"))
	if script("reconfigure_xmpp.sh"); list() != `["acc-2"]` {
		t.Error(list())
	}
	t.Run("dump", func(t *testing.T) {
		c := exec.Command(m.path("usr/share/jigasi/collect-dump-logs.sh"), strconv.Itoa(p.Process.Pid))
		c.Env, c.Dir = append(os.Environ(), "JIGASI_URL="+p.url), t.TempDir()
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := output(t, "tar", "-tzf", filepath.Join(c.Dir, strings.TrimSpace(string(out)))); !strings.Contains(got, "about-stats") || !strings.Contains(got, "process-status") {
			t.Error(got)
		}
		if list() != `["acc-2"]` { // it was asked what it does, and goes on
			t.Error(list())
		}
	})
	c := exec.Command(m.path("usr/share/jigasi/graceful_shutdown.sh"), "-p", strconv.Itoa(p.Process.Pid), "-h", p.url)
	c.Env = append(os.Environ(), "JIGASI_POLL_SECONDS=1")
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "the gateway has ended") {
		t.Errorf("%v\n%s", err, out)
	}
	<-p.over
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Error("status", code)
	}
}

// TestGracefulShutdownKills: a process that is asked and stays is killed, and one that refuses is left alone.
func TestGracefulShutdownKills(t *testing.T) {
	deaf := exec.Command("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
	if err := deaf.Start(); err != nil {
		t.Fatal(err)
	}
	dead := make(chan error, 1)
	go func() { dead <- deaf.Wait() }()
	allowed := false
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/about/shutdown" && !allowed {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"a":1,"conferences":0,"b":2}`))
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	run := func() (string, error) {
		c := exec.Command("scripts/graceful_shutdown.sh", "-p", strconv.Itoa(deaf.Process.Pid), "-h", "http://"+l.Addr().String(), "-t", "1")
		c.Env = append(os.Environ(), "JIGASI_POLL_SECONDS=1")
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err == nil || !strings.Contains(out, "HTTP 503") {
		t.Errorf("%v\n%s", err, out)
	}
	allowed = true
	if out, err := run(); err != nil || !strings.Contains(out, "killing it") {
		t.Errorf("%v\n%s", err, out)
	}
	var exit *exec.ExitError
	if err := <-dead; !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Error(err)
	}
}

// TestArchive: what is in it starts by jigasi.sh, also through a link; it is the same each time.
func TestArchive(t *testing.T) {
	notices := write(t, filepath.Join(t.TempDir(), "notices"), "licences\n")
	var sums []string
	var path string
	for range 2 {
		path = strings.TrimSpace(output(t, "./archive.sh", binary(t), version, "linux", "amd64", notices, t.TempDir()))
		sums = append(sums, strings.Fields(output(t, "sha256sum", path))[0])
	}
	if sums[0] != sums[1] {
		t.Error("two archives of the same differ")
	}
	dir := t.TempDir()
	output(t, "tar", "-xzf", path, "-C", dir)
	link := filepath.Join(dir, "start")
	if err := os.Symlink(filepath.Join(dir, "jigasi-"+version+"-linux-amd64", "jigasi.sh"), link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JIGASI_MAX_MEMORY", "3072m")
	if out := output(t, link, "version"); !strings.HasPrefix(out, "jigasi ") {
		t.Error(out)
	}
	if out := output(t, link, "check-config", "--sample"); out != read(t, filepath.Join(dir, "jigasi-"+version+"-linux-amd64", "docs", "jigasi.yaml")) {
		t.Error("the archive has another reference")
	}
}

// TestContainer: the image's contents are enough, without a shell and without root; the variables of Jigasi's
// image are understood, and the health check finds the gateway. (There is no daemon here to build the image.)
func TestContainer(t *testing.T) {
	file := read(t, "Dockerfile")
	for _, want := range []string{"FROM scratch", "USER 10001:10001", `HEALTHCHECK .*CMD \["/usr/bin/jigasi", "healthcheck"\]`, `"--configdir=/run/jigasi", "--configdirname=config"`} {
		if !regexp.MustCompile(want).MatchString(file) {
			t.Errorf("no %s in the Dockerfile", want)
		}
	}
	root := t.TempDir()
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755) // the user of the container has to come through
	}
	output(t, "install", "-D", "-m", "0755", binary(t), filepath.Join(root, "usr/bin/jigasi"))
	port := ports.Free(t)
	env := []string{
		"JIGASI_SIP_URI=bot@sip.example.org", "JIGASI_SIP_PASSWORD=x", "JIGASI_SIP_SERVER=127.0.0.1:9", "JIGASI_XMPP_PASSWORD=x", "XMPP_SERVER=127.0.0.1",
		"JIGASI_STATS_PORT=" + strconv.Itoa(port), "SHUTDOWN_REST_ENABLED=true", "HEALTH_CHECK_SIP_URI=",
		"JIGASI_CONFIGURATION=net.java.sip.communicator.SIP_PREFERRED_CLEAR_PORT=" + strconv.Itoa(ports.Free(t)),
	}
	inside := func(args ...string) *exec.Cmd {
		c := exec.Command("/usr/bin/jigasi", args...)
		c.Env, c.Dir = env, "/"
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 10001, Gid: 10001}}
		return c
	}
	p := start(t, inside("--nocomponent=true", "--configdir=/run/jigasi", "--configdirname=config", "--min-port=20000", "--max-port=20050"), port)
	out, err := inside("healthcheck").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not healthy: ") || strings.Contains(string(out), "no gateway runs there") {
		t.Errorf("the registrar is not there, and healthcheck says %v %s", err, out)
	}
	r, err := http.Post(p.url+"/about/shutdown", "application/json", strings.NewReader("{}"))
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r, err)
	}
	select {
	case <-p.over:
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Error("status", code)
	}
}
