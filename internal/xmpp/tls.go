package xmpp

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"jigasi/internal/cause"
)

var errPin = errors.New("certificate matches no pin")

// config makes a client's configuration for a server called name. Nothing below
// TLS 1.2 is spoken.
func (t TLSOptions) config(name string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12, RootCAs: t.CAs}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read XMPP CA file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in XMPP CA file %s", t.CAFile)
		}
	}
	switch {
	case len(t.PinSHA256) > 0:
		pins, err := parsePins(t.PinSHA256)
		if err != nil {
			return nil, err
		}
		cfg.InsecureSkipVerify = true //nolint:gosec // the pin is checked instead
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(s, pins) }
	case t.TrustAll:
		cfg.InsecureSkipVerify = true //nolint:gosec // asked for by name, and logged
	}
	return cfg, nil
}

// cureOf says what to do about a certificate that is not trusted, "" where that is not what failed.
func cureOf(err error) string {
	if errors.Is(err, errPin) {
		return "it was renewed with another key, or somebody is in between; compare it with the server's, and change tls.pin_sha256"
	}
	return cause.Distrust(err, "tls")
}

func checkPin(s tls.ConnectionState, pins map[[sha256.Size]byte]bool) error {
	if len(s.PeerCertificates) == 0 {
		return errPin
	}
	leaf := s.PeerCertificates[0]
	if pins[sha256.Sum256(leaf.Raw)] || pins[sha256.Sum256(leaf.RawSubjectPublicKeyInfo)] {
		return nil
	}
	return errPin
}

// parsePins reads digests in hex, with or without colons, or in base64.
func parsePins(in []string) (map[[sha256.Size]byte]bool, error) {
	pins := make(map[[sha256.Size]byte]bool, len(in))
	for _, s := range in {
		s = strings.TrimSpace(s)
		b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
		if err != nil {
			b, err = base64.StdEncoding.DecodeString(s)
		}
		if err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("XMPP pin %q is no SHA-256 digest in hex or base64", s)
		}
		pins[[sha256.Size]byte(b)] = true
	}
	return pins, nil
}
