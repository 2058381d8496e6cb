package cause

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestDistrust: a certificate that is refused comes with what to do; other errors come as they are.
func TestDistrust(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	its := x509.NewCertPool()
	its.AddCert(s.Certificate())
	key := fmt.Sprintf("x.pin_sha256: [%x]", sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo))
	for name, c := range map[string]struct {
		cfg  *tls.Config
		want []string
	}{
		"authority": {&tls.Config{ServerName: "example.com", RootCAs: x509.NewCertPool()}, []string{"x.ca_file", key}},
		"name":      {&tls.Config{ServerName: "other.test", RootCAs: its}, []string{"x.server_name", key}},
		"expired":   {&tls.Config{ServerName: "example.com", RootCAs: its, Time: func() time.Time { return time.Now().AddDate(200, 0, 0) }}, []string{"renew it"}},
	} {
		conn, err := tls.Dial("tcp", s.Listener.Addr().String(), c.cfg)
		if err == nil {
			conn.Close()
			t.Fatalf("%s: trusted", name)
		}
		got := Distrust(fmt.Errorf("with the server: %w", err), "x")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q says nothing of %s", name, got, want)
			}
		}
	}
	if got := Distrust(errors.New("refused"), "x"); got != "" {
		t.Error(got)
	}
}
