//go:build lab

package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/lab/client"
)

// prosody is a real Prosody with the hosts and rooms of a Jitsi deployment. Its data and its
// certificate, of an authority of its own, outlive a restart.
type prosody struct {
	dir    string
	config string
	ports  map[string]int // by name in the template
	caFile string
	cas    *x509.CertPool
	leaf   []byte // the certificate, DER
	cmd    *exec.Cmd
	gone   chan struct{}
}

// accounts by file name of the host, as Prosody writes it.
var accounts = map[string]string{
	"auth%2emeet%2etest/jigasi": "secret", "auth%2emeet%2etest/focus": "focuspw",
	"recorder%2emeet%2etest/transcriber": "hidden",
	"sha1%2emeet%2etest/jigasi":          "secret", "sha256%2emeet%2etest/jigasi": "secret", "plain%2emeet%2etest/jigasi": "secret",
}

// newProsody starts one until the end of the test; services is Lua, of mod_external_services, and more
// are templates of configuration beside the first.
func newProsody(t *testing.T, services string, more ...string) *prosody {
	t.Helper()
	p := &prosody{dir: t.TempDir(), ports: map[string]int{}, cas: x509.NewCertPool()}
	plugins, err := filepath.Abs("testdata/prosody")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"DIR": p.dir, "SERVICES": services, "PLUGINS": plugins, "MORE": ""}
	for _, name := range more {
		values["MORE"] += fmt.Sprintf("Include %q\n", fill(t, p.dir, name, values))
	}
	for _, name := range []string{"C2S", "TLS", "COMPONENT", "HTTP", "HTTPS"} {
		p.ports[name] = freeTCP(t)
		values[name] = fmt.Sprint(p.ports[name])
	}
	p.certify(t)
	for name, password := range accounts {
		host, user, _ := strings.Cut(name, "/")
		dir := filepath.Join(p.dir, "data", host, "accounts")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, user+".dat"), []byte(`return { ["password"] = "`+password+`" };`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.config = fill(t, p.dir, "prosody.cfg.lua", values)
	p.start(t)
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			log := p.log(t)
			t.Logf("prosody said:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return p
}

// start runs Prosody on its ports, and returns when it takes connections.
func (p *prosody) start(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(need(t, "prosody"), "--config", p.config, "-F")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.gone = make(chan struct{})
	cmd, gone := p.cmd, p.gone
	go func() { _ = cmd.Wait(); close(gone) }()
	for _, port := range p.ports {
		eventually(t, 20*time.Second, fmt.Sprint("Prosody listens at ", port), func() bool {
			c, err := net.Dial("tcp", addr(port))
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
	}
}

// stop ends Prosody as its init script does.
func (p *prosody) stop() { p.signal(syscall.SIGTERM) }

// signal ends Prosody by a signal, and waits for its end.
func (p *prosody) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.gone:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.gone
	}
}

// log is what Prosody has logged.
func (p *prosody) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "prosody.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func addr(port int) string { return fmt.Sprint("127.0.0.1:", port) }

func (p *prosody) c2s() string { return addr(p.ports["C2S"]) }

// xmppAuthority makes a certificate authority and gives its pool and the file of its certificate.
func xmppAuthority(t *testing.T, file string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, file, "CERTIFICATE", der)
	return ca, key
}

// certify makes the authority and the server's certificate.
func (p *prosody) certify(t *testing.T) {
	t.Helper()
	p.caFile = filepath.Join(p.dir, "ca.crt")
	ca, caKey := xmppAuthority(t, p.caFile)
	p.cas.AddCert(ca)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "meet.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"meet.test", "*.meet.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if p.leaf, err = x509.CreateCertificate(rand.Reader, tmpl, ca, &key.PublicKey, caKey); err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(p.dir, "server.crt"), "CERTIFICATE", p.leaf)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(p.dir, "server.key"), "PRIVATE KEY", der)
}

// pin is the digest of the server's certificate.
func (p *prosody) pin() string {
	sum := sha256.Sum256(p.leaf)
	return hex.EncodeToString(sum[:])
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeTCP(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// guest is an anonymous client.
func (p *prosody) guest(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	o.Addr, o.CAs = p.c2s(), p.cas
	if o.Domain == "" {
		o.Domain = "meet.test"
	}
	c, err := client.Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
