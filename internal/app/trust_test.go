package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
)

// TestTrustOfSIPPeers: what sip.tls.trust says about a server whose certificate names sip.example.
func TestTrustOfSIPPeers(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"sip.example"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, wrong := sha256.Sum256(der), sha256.Sum256([]byte("another"))
	server := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	for name, test := range map[string]struct {
		trust config.TLSTrust
		host  string
		want  bool
	}{
		"unknown authority":   {config.TLSTrust{}, "sip.example", false},
		"known authority":     {config.TLSTrust{CAFile: file}, "sip.example", true},
		"another host":        {config.TLSTrust{CAFile: file}, "192.0.2.1", false},
		"its name by setting": {config.TLSTrust{CAFile: file, ServerName: "sip.example"}, "192.0.2.1", true},
		"another by setting":  {config.TLSTrust{CAFile: file, ServerName: "other.example"}, "sip.example", false},
		"name, unknown":       {config.TLSTrust{ServerName: "sip.example"}, "sip.example", false},
		"its pin":             {config.TLSTrust{PinSHA256: []string{hex.EncodeToString(sum[:])}}, "192.0.2.1", true},
		"another pin":         {config.TLSTrust{CAFile: file, PinSHA256: []string{hex.EncodeToString(wrong[:])}}, "sip.example", false},
		"everybody":           {config.TLSTrust{TrustAll: true}, "192.0.2.1", true},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := tlsConfig(config.SIPTLS{Trust: test.trust})
			if err != nil {
				t.Fatal(err)
			}
			client.ServerName = test.host
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			go func() { _ = tls.Server(a, server).Handshake() }()
			if err := tls.Client(b, client).Handshake(); (err == nil) != test.want {
				t.Errorf("the handshake ends with %v", err)
			}
		})
	}
	if _, err := tlsConfig(config.SIPTLS{Trust: config.TLSTrust{PinSHA256: []string{"short"}}}); err == nil {
		t.Error("a bad pin is taken")
	}
}

// TestTrustIsWarnedOf: where every certificate is accepted, the log says so at the start, once for each setting.
func TestTrustIsWarnedOf(t *testing.T) {
	cfg := config.Default()
	cfg.XMPP.TLS.TrustAll, cfg.SIP.TLS.Trust.TrustAll = true, true
	cfg.Breweries = []config.Brewery{{ID: "one", XMPP: config.XMPP{TLS: config.TLSTrust{TrustAll: true}}}, {ID: "two", XMPP: config.XMPP{TLS: config.TLSTrust{TrustAll: true, PinSHA256: []string{"x"}}}}}
	var log bytes.Buffer
	a := &App{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil))}
	a.warnOfTrust()
	for _, setting := range []string{"xmpp.tls", "sip.tls.trust", "breweries.one.xmpp.tls"} {
		if strings.Count(log.String(), "setting="+setting+".trust_all\n") != 1 {
			t.Errorf("no warning of %s in\n%s", setting, log.String())
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 3 {
		t.Errorf("%d warnings in\n%s", n, log.String())
	}
}
