package config

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// certificate writes a certificate in PEM.
func certificate(t *testing.T, path string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
}

// TestFilesBesideTheConfiguration: a file is looked for beside the configuration that names it, wherever the gateway is started, by the
// check and by what uses it alike; one that cannot serve is an error before the start.
func TestFilesBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	certificate(t, filepath.Join(dir, "ca.pem"))
	write(t, filepath.Join(dir, "other.txt"), "x")
	if err := os.Mkdir(filepath.Join(dir, "voices"), 0o700); err != nil {
		t.Fatal(err)
	}
	load := func(text string) (*Config, string) {
		write(t, filepath.Join(dir, "jigasi.yaml"), text)
		c, found, _ := Load([]string{"--config=" + filepath.Join(dir, "jigasi.yaml")}, noEnv, t.TempDir())
		return c, show(found, dir)
	}
	c, found := load("xmpp: {tls: {ca_file: ca.pem}}\nmedia: {turn_tls: {ca_file: ca.pem}}\nsip: {tls: {trust: {ca_file: ca.pem}}}\nsounds: {dir: voices}\n")
	want := filepath.Join(dir, "ca.pem")
	if strings.Contains(found, "error") || c.XMPP.TLS.CAFile != want || c.Media.TURNTLS.CAFile != want || c.SIP.TLS.Trust.CAFile != want || c.Sounds.Dir != filepath.Join(dir, "voices") {
		t.Errorf("%+v %s\n%s", c.XMPP.TLS, c.Sounds.Dir, found)
	}
	for text, want := range map[string]string{
		"xmpp: {tls: {ca_file: other.txt}}\n":                        "xmpp.tls.ca_file: holds no certificate in PEM",
		"sip: {tls: {cert_file: ca.pem}}\n":                          "sip.tls.cert_file: goes together with sip.tls.key_file",
		"admin: {cert_file: ca.pem, key_file: other.txt}\n":          "admin.cert_file: cannot be used",
		"transcription: {http: {key_file: gone.pem}}\n":              "transcription.http.key_file: cannot be read",
		"breweries: [{room: a@b, xmpp: {tls: {ca_file: gone.pem}}}]": "breweries[0].xmpp.tls.ca_file: cannot be read",
	} {
		if _, found := load(text); !strings.Contains(found, "error: "+want) {
			t.Errorf("%s: %s, want %s", text, found, want)
		}
	}
}

// TestSecretsAreNotForEverybody: a file with a password that everybody on the machine can read is told of.
func TestSecretsAreNotForEverybody(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "pw"), "secret\n")
		if err := os.Chmod(filepath.Join(dir, "pw"), mode); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "jigasi.yaml"), "xmpp: {user: a@b.example, password: \"file:pw\"}\n")
		c, found, err := Load(nil, noEnv, dir)
		if err != nil || c.XMPP.Password != "secret" || strings.Contains(show(found, dir), "pw: warning: is a secret") != want {
			t.Errorf("%o: %v %s", mode, err, show(found, dir))
		}
	}
}

// elsewhere are secrets that do not stand in the file.
var elsewhere = regexp.MustCompile(`"?(file|env):[^"\s,}]+"?`)

// TestDocumentedYAML: each piece of jigasi.yaml in the README and the documentation is one that loads.
func TestDocumentedYAML(t *testing.T) {
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pieces := 0
	for _, doc := range append(docs, "../../README.md", "../../packaging/debian/first.yaml") {
		data, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if strings.HasSuffix(doc, ".yaml") {
			text = "```yaml\n" + text + "```\n"
		}
		for _, rest := range strings.Split(text, "```yaml\n")[1:] {
			piece, _, _ := strings.Cut(rest, "```")
			if strings.HasPrefix(piece, "scrape_configs:") { // of Prometheus
				continue
			}
			pieces++
			_, found, _ := loadYAML(t, elsewhere.ReplaceAllString(piece, `"plain:0123456789abcdef"`))
			for line := range strings.Lines(found) {
				if strings.Contains(line, " error: ") && !strings.Contains(line, "cannot be read: stat") { // files of the example
					t.Errorf("%s: %s in\n%s", filepath.Base(doc), line, piece)
				}
			}
		}
	}
	if pieces < 4 {
		t.Errorf("%d pieces of yaml were found", pieces)
	}
}
