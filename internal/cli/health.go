package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"jigasi/internal/config"
)

// Healthcheck asks the gateway on this machine whether it is well, as the
// container's health check does, and says the reason if it is not.
func Healthcheck(args []string, stdout, stderr io.Writer, env func(string) string) int {
	flags := flag.NewFlagSet("healthcheck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("url", "", "what to ask; default /about/health at the address of the configuration")
	limit := flags.Duration("timeout", 3*time.Second, "how long to wait")
	file := flags.String("config", "", "configuration to read the address and the token from")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var where []string
	if *file != "" {
		where = append(where, "--config="+*file)
	}
	where = append(where, flags.Args()...)
	c, _, err := config.Load(where, env, cwd())
	if err != nil { // the address is a default then, or good in spite of it
		say(stderr, "the configuration has errors; see jigasi check-config")
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	if err := askHealth(ctx, c, *url); err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			err = fmt.Errorf("%w: no gateway runs there; --config names the file of one that does", err)
		}
		say(stdout, "not healthy: %v", err)
		return 1
	}
	say(stdout, "healthy")
	return 0
}

func askHealth(ctx context.Context, c *config.Config, url string) error {
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	if c.Admin.CertFile != "" {
		conf, err := onlyCertificate(c.Admin.CertFile)
		if err != nil {
			return err
		}
		transport.TLSClientConfig = conf
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, cmp.Or(url, address(c.Admin)+"/about/health"), nil)
	if err != nil {
		return err
	}
	if c.Admin.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Admin.Token.Reveal())
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	status, body, err := fetch(&client, r)
	switch {
	case err != nil:
		return err
	case status == http.StatusOK:
		return nil
	case status == http.StatusServiceUnavailable && len(body) == 0: // as Jigasi says it; /readyz knows what it is
		return errors.New(cmp.Or(failing(&client, r), "a gateway is not ready: not registered, or not connected"))
	}
	var reason struct{ Reason string }
	if json.Unmarshal(body, &reason) == nil && reason.Reason != "" {
		return errors.New(reason.Reason)
	}
	return fmt.Errorf("%s says %d %s", r.URL.Redacted(), status, http.StatusText(status))
}

func fetch(c *http.Client, r *http.Request) (status int, body []byte, err error) {
	w, err := c.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = w.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(w.Body, 16<<10))
	return w.StatusCode, body, err
}

// failing are the checks that fail, in words; "" where nobody says.
func failing(c *http.Client, health *http.Request) string {
	r := health.Clone(health.Context())
	r.URL.Path = "/readyz"
	_, body, err := fetch(c, r)
	var ready struct{ Checks map[string]string }
	if err != nil || json.Unmarshal(body, &ready) != nil {
		return ""
	}
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(ready.Checks)) {
		if says := ready.Checks[name]; says != "ok" {
			bad = append(bad, says)
		}
	}
	return strings.Join(bad, "; ")
}

// address is where to reach the interface from this machine.
func address(a config.Admin) string {
	scheme, port := "http", a.Port
	if a.CertFile != "" {
		scheme, port = "https", a.TLSPort
	}
	host := strings.Trim(a.Host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// onlyCertificate believes a server that has the certificate of the file, by
// whatever name it is reached.
func onlyCertificate(path string) (*tls.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection compares the whole certificate
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("the certificate is not that of admin.cert_file")
			}
			return nil
		},
	}, nil
}
