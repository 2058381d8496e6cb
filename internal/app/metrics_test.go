package app_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
)

func page(t *testing.T, url string) string {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDropsAreCounted: what strangers send shows in the metrics, with its reason.
func TestDropsAreCounted(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Admin.Port = ports.Free(t)
		withBrewery(c)
		c.SIP.Trunks = []string{"192.0.2.0/24"} // so that we are a stranger
	})
	conn, err := net.Dial("udp", m.app.SIPAddrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(s string) {
		if _, err := io.WriteString(conn, s); err != nil {
			t.Fatal(err)
		}
	}
	url := "http://" + m.app.AdminAddr() + "/metrics"
	for what, want := range map[string]string{
		"INVITE sip:x@y SIP/2.0\r\n\r\n": `jigasi_sip_dropped_total{reason="malformed"} `,
		"INVITE sip:room@gw SIP/2.0\r\nVia: SIP/2.0/UDP a.test;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:room@gw>\r\nCall-ID: s\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n": `jigasi_sip_dropped_total{reason="stranger"} `,
	} {
		eventually(t, 10*time.Second, want+"is counted", func() bool {
			send(what)
			p := page(t, url)
			return strings.Contains(p, want) && !strings.Contains(p, want+"0\n")
		})
	}
	eventually(t, 20*time.Second, "the brewery shows", func() bool { return strings.Contains(page(t, url), `jigasi_brewery_joined{brewery="one"} 1`) })
}

// TestMetricsInDocsExist: a name that the documentation tells the operator to look at is there.
func TestMetricsInDocsExist(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{".", "../admin", "../scribe", "../recognize"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
	}
	docs, _ := filepath.Glob("../../docs/*.md")
	name := regexp.MustCompile(`\bjigasi_[a-z_]+[a-z]`)
	found := 0
	for _, f := range append(docs, "../../README.md") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range name.FindAllString(string(b), -1) {
			if n == "jigasi_detector" { // an identity of Prosody's
				continue
			}
			if found++; !strings.Contains(code.String(), n) {
				t.Errorf("%s names %s, which no metric is called", filepath.Base(f), n)
			}
		}
	}
	if found == 0 {
		t.Error("the documentation names no metric at all")
	}
}
