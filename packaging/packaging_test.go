//go:build lab

package packaging

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// output runs a program that has to succeed, and gives what it said.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// built is a folder with the program, as a newcomer builds it (without a C compiler), and its package.
var built string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if built, err = os.MkdirTemp("", "packaging"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(built)
		return m.Run()
	}())
}

const version = "2.0~test"

var build = sync.OnceValues(func() (string, error) {
	to := filepath.Join(built, "jigasi")
	c := exec.Command("go", "build", "-trimpath", "-o", to, "../cmd/jigasi")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return to, nil
})

var buildDeb = sync.OnceValues(func() (string, error) {
	binary, err := build()
	if err != nil {
		return "", err
	}
	notices := filepath.Join(built, "notices")
	if err := os.WriteFile(notices, []byte("licences\n"), 0o644); err != nil {
		return "", err
	}
	c := exec.Command("debian/build.sh", binary, version, "amd64", notices, built)
	c.Env = append(os.Environ(), "DEB_COMPRESSION=none")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(built, "jigasi_"+version+"_amd64.deb"), nil
})

func binary(t *testing.T) string { return must(t, build) }

func deb(t *testing.T) string { return must(t, buildDeb) }

func must(t *testing.T, f func() (string, error)) string {
	t.Helper()
	s, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A machine is a folder that dpkg takes for a root file system.
type machine struct {
	root  string
	fresh []string // its files before anything was installed
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("installing a package takes root")
	}
	m := &machine{root: t.TempDir()}
	// The gateway runs as another user and has to come through.
	for dir := m.root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log", "usr/sbin", "tmp", "etc/systemd/system", "var/lib/systemd"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, m.path("var/lib/dpkg/status"), "")
	write(t, m.path("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")
	write(t, m.path("etc/group"), "root:x:0:\n")
	write(t, m.path("etc/shadow"), "root:*:1::::::\n")
	write(t, m.path("etc/gshadow"), "root:*::\n")
	m.fresh = m.files(t)
	return m
}

func (m *machine) path(p string) string { return filepath.Join(m.root, p) }

// files lists all but dpkg's own and what the user tools keep as backups.
func (m *machine) files(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(m.root, func(path string, _ fs.DirEntry, err error) error {
		p := strings.TrimPrefix(path, m.root)
		if strings.HasPrefix(p, "/var/lib/dpkg/") || strings.HasSuffix(p, "-") || strings.HasSuffix(p, ".lock") {
			return err
		}
		out = append(out, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (m *machine) dpkg(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, "dpkg", append([]string{"--root=" + m.root, "--force-script-chrootless", "--force-depends", "--force-confold", "--log=/dev/null"}, args...)...)
}

// id is the number of a user or a group of the machine.
func (m *machine) id(t *testing.T, file, name string) uint32 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + `:[^:]*:(\d+):`).FindStringSubmatch(read(t, m.path("etc/"+file)))
	if found == nil {
		t.Fatalf("%s is not in %s", name, file)
	}
	n, _ := strconv.ParseUint(found[1], 10, 32)
	return uint32(n)
}

// TestDebContents: the files are where those of the Java package were.
func TestDebContents(t *testing.T) {
	path := deb(t)
	contents := output(t, "dpkg-deb", "--contents", path)
	for _, want := range []string{
		"-rwxr-xr-x root/root .* ./usr/bin/jigasi\n", "-rwxr-xr-x root/root .* ./usr/share/jigasi/jigasi.sh\n",
		"lrwxrwxrwx root/root .* ./usr/share/jigasi/jigasi -> ../../bin/jigasi\n", "-rwxr-xr-x root/root .* ./usr/share/jigasi/graceful_shutdown.sh\n",
		"-rwxr-xr-x root/root .* ./usr/share/jigasi/reconfigure_xmpp.sh\n", "-rwxr-xr-x root/root .* ./usr/share/jigasi/collect-dump-logs.sh\n",
		"-rw-r--r-- root/root .* ./etc/jitsi/jigasi/config\n", "-rw-r--r-- root/root .* ./lib/systemd/system/jigasi.service\n",
		"-rw-r--r-- root/root .* ./usr/share/doc/jigasi/operations.md\n", "-rw-r--r-- root/root .* ./usr/share/doc/jigasi/copyright\n",
	} {
		if !regexp.MustCompile(want).MatchString(contents) {
			t.Errorf("no %q in\n%s", want, contents)
		}
	}
	if got := output(t, "dpkg-deb", "--field", path, "Package", "Version", "Architecture"); got != "Package: jigasi\nVersion: "+version+"\nArchitecture: amd64\n" {
		t.Error(got)
	}
	if err := exec.Command("dpkg", "--compare-versions", version, "gt", "1.1-400-gabcdef0-1").Run(); err != nil {
		t.Error("it is no upgrade from the Java package")
	}
}

// TestSystemdUnit: the unit is one that systemd takes, and hardened.
func TestSystemdUnit(t *testing.T) {
	unit := read(t, "jigasi.service")
	dir := t.TempDir()
	here := strings.ReplaceAll(unit, "/usr/share/jigasi/jigasi.sh", "/bin/true") // it is not installed on this machine
	here = strings.ReplaceAll(here, "WorkingDirectory=/usr/share/jigasi", "WorkingDirectory=/")
	path := write(t, filepath.Join(dir, "jigasi.service"), strings.ReplaceAll(here, "User=jigasi\nGroup=jitsi\n", ""))
	if out := output(t, "systemd-analyze", "verify", "--man=no", path); strings.Contains(out, "jigasi.service") {
		t.Error(out)
	}
	out := output(t, "systemd-analyze", "security", "--offline=true", "jigasi.service")
	found := regexp.MustCompile(`Overall exposure level for jigasi.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatal(out)
	}
	if level, _ := strconv.ParseFloat(found[1], 64); level > 2 {
		t.Errorf("exposure %v, and it was at most 2\n%s", level, out)
	}
}

// TestDebInstallAndPurge: user, configuration and log are there after installation, the gateway is not started
// before it is configured, removal keeps the configuration and purge leaves nothing.
func TestDebInstallAndPurge(t *testing.T) {
	m := newMachine(t)
	path := deb(t)
	out := m.dpkg(t, "-i", path)
	for _, want := range []string{"not started", "the secret cannot be read", "systemctl start jigasi"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	group := m.id(t, "group", "jitsi")
	user := m.id(t, "passwd", "jigasi")
	for p, want := range map[string]string{
		"etc/jitsi/jigasi/jigasi.yaml": fmt.Sprintf("-rw-r----- 0 %d", group),
		"etc/jitsi/jigasi/config":      fmt.Sprintf("-rw-r----- 0 %d", group),
		"var/log/jitsi/jigasi.log":     fmt.Sprintf("-rw-r----- %d %d", user, group),
		"var/lib/jigasi":               fmt.Sprintf("drwxr-x--- %d %d", user, group),
	} {
		if got := strings.TrimSpace(output(t, "stat", "-c", "%A %u %g", m.path(p))); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
	if got := m.dpkg(t, "--status", "jigasi"); !strings.Contains(got, "install ok installed") || !strings.Contains(got, " /etc/jitsi/jigasi/config ") {
		t.Error(got)
	}
	m.dpkg(t, "-r", "jigasi")
	if _, err := os.Stat(m.path("etc/jitsi/jigasi/config")); err != nil {
		t.Error("removal has taken the configuration along")
	}
	m.dpkg(t, "-P", "jigasi")
	if left := m.files(t); !slices.Equal(left, m.fresh) {
		t.Errorf("purge leaves\n%v\nthere was\n%v", left, m.fresh)
	}
	if got := read(t, m.path("etc/passwd")) + read(t, m.path("etc/group")); strings.Contains(got, "jigasi") || strings.Contains(got, "jitsi") {
		t.Error(got)
	}
}

// TestT60_DebUpgradeFromJigasi: an old installation keeps its property file, gets no yaml beside it, and is told
// what is unsafe in it.
func TestT60_DebUpgradeFromJigasi(t *testing.T) {
	m := newMachine(t)
	etc := m.path("etc/jitsi/jigasi")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	old := read(t, "../internal/config/testdata/readme-brewery.properties") +
		"net.java.sip.communicator.service.gui.ALWAYS_TRUST_MODE_ENABLED=true\norg.jitsi.jigasi.rest.jetty.host=0.0.0.0\n"
	write(t, filepath.Join(etc, "sip-communicator.properties"), old)
	write(t, filepath.Join(etc, "config"), "JIGASI_HOST=10.0.0.7\nJIGASI_HOSTNAME=meet.example.com\nJIGASI_OPTS=\"\"\n")
	path := deb(t)
	for range 2 { // and once more, as an upgrade from itself
		out := m.dpkg(t, "-i", path)
		for _, want := range []string{"ALWAYS_TRUST_MODE_ENABLED: every certificate is accepted", "rest.jetty.host: would open shutdown", "ALLOWED_JID is not set"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if read(t, filepath.Join(etc, "sip-communicator.properties")) != old || !strings.Contains(read(t, filepath.Join(etc, "config")), "10.0.0.7") {
			t.Error("the old configuration was changed")
		}
		if _, err := os.Stat(filepath.Join(etc, "jigasi.yaml")); err == nil {
			t.Error("there is a yaml, which would win over the old file")
		}
		if mode := output(t, "stat", "-c", "%a", filepath.Join(etc, "sip-communicator.properties")); mode != "640\n" {
			t.Error(mode)
		}
	}
	m.dpkg(t, "-P", "jigasi")
	if left := m.files(t); !slices.Equal(left, m.fresh) {
		t.Errorf("purge leaves\n%v\nthere was\n%v", left, m.fresh)
	}
}
