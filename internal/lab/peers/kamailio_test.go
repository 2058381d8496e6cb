//go:build lab

package peers

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/config"
)

// kamailio is a registrar and proxy for the domain lab.test, at which every user has the password secret.
type kamailio struct {
	port, tls int
	config    string
	cmd       *exec.Cmd
}

// registrar is how a Kamailio is set up.
type registrar struct {
	names  []string // in its certificate; default lab.test and 127.0.0.1
	digest string   // default MD5
	nonce  int      // how long one holds, in s; default 300
}

func startKamailio(t *testing.T, a *authority, r registrar) *kamailio {
	t.Helper()
	if r.names == nil {
		r.names = []string{"lab.test", "127.0.0.1"}
	}
	if r.digest == "" {
		r.digest = "MD5"
	}
	if r.nonce == 0 {
		r.nonce = 300
	}
	cert, key, _ := a.issue(t, r.names...)
	k := &kamailio{port: freePorts(t, 2)}
	k.tls = k.port + 1
	dir := t.TempDir()
	k.config = fill(t, dir, "kamailio.cfg", map[string]string{
		"PORT": fmt.Sprint(k.port), "TLS": fmt.Sprint(k.tls), "CERT": cert, "KEY": key, "CA": a.file, "NONCE": fmt.Sprint(r.nonce), "DIGEST": r.digest,
	})
	k.cmd = runKamailio(t, k.config, k.tls)
	return k
}

// restart kills it, with all its connections and what it knew, and starts it again.
func (k *kamailio) restart(t *testing.T) {
	t.Helper()
	_ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL)
	eventually(t, 10*time.Second, "Kamailio is dead", func() bool {
		c, err := net.Dial("tcp", addr(k.tls))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	k.cmd = runKamailio(t, k.config, k.tls)
}

// runKamailio runs one with a configuration until the end of the test, and returns when it takes connections at a port.
func runKamailio(t *testing.T, cfg string, port int) *exec.Cmd {
	t.Helper()
	dir := filepath.Dir(cfg)
	cmd := child(t, "kamailio", "-f", cfg, "-DD", "-E", "-m", "32", "-M", "4", "-Y", dir, "-w", dir)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", addr(port))
		if err == nil {
			c.Close()
			return cmd
		}
		if time.Now().After(end) {
			t.Fatal("kamailio does not start")
		}
	}
}

// at is Kamailio's address for a transport.
func (k *kamailio) at(transport string) string {
	port := k.port
	if transport == "tls" {
		port = k.tls
	}
	return fmt.Sprint("127.0.0.1:", port)
}

// account makes the gateway the user gw of Kamailio.
func (k *kamailio) account(transport string) config.SIPAccount {
	return config.SIPAccount{
		ID: "kamailio", URI: "gw@lab.test", Password: "secret", Registrar: k.at(transport), Transport: transport, Register: true,
		Expires: config.Duration(time.Minute), KeepAlive: "options", Interval: config.Duration(5 * time.Second),
	}
}

// phone is a baresip that is registered as a user of Kamailio.
func (k *kamailio) phone(t *testing.T, o softphone) *baresip {
	t.Helper()
	if o.transport == "" {
		o.transport = "udp"
	}
	o.domain = "lab.test"
	o.account += fmt.Sprintf(`;auth_user=%s;auth_pass=secret;regint=60;outbound="sip:%s;transport=%s"`, o.user, k.at(o.transport), o.transport)
	b := startBaresip(t, o)
	eventually(t, 20*time.Second, "baresip is registered", func() bool { // it may be before its control connection is open
		return strings.Contains(b.do("reginfo", ""), "OK")
	})
	return b
}

// registered waits until the gateway's account is.
func registered(t *testing.T, g *gateway) {
	t.Helper()
	eventually(t, 20*time.Second, "the gateway is registered", func() bool { return g.app.Registrations()[0].Registered })
}
