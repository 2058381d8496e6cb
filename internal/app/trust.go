package app

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"jigasi/internal/config"
)

var errPin = errors.New("the certificate is none of those in pin_sha256")

// warnOfTrust says at the start, once, where every certificate is accepted.
func (a *App) warnOfTrust() {
	warn := func(section string, t config.TLSTrust) {
		if t.TrustAll && len(t.PinSHA256) == 0 {
			a.log.Warn("no certificate is checked: whoever is on the way can read passwords and listen", "setting", section+".trust_all")
		}
	}
	warn("xmpp.tls", a.cfg.XMPP.TLS)
	warn("sip.tls.trust", a.cfg.SIP.TLS.Trust)
	warn("media.turn_tls", a.cfg.Media.TURNTLS)
	for _, b := range a.cfg.Breweries {
		warn("breweries."+b.ID+".xmpp.tls", b.XMPP.TLS)
	}
}

// trust sets which certificates of peers are accepted: by pin and by nothing else, by another name than that of
// the server, or as usual. key names the setting.
func trust(c *tls.Config, t config.TLSTrust, key string) error {
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fmt.Errorf("%s.ca_file: %w", key, err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s.ca_file: %s holds no certificate", key, t.CAFile)
		}
	}
	pins, err := pinned(t.PinSHA256, key)
	if err != nil {
		return err
	}
	switch {
	case len(pins) > 0:
		c.InsecureSkipVerify = true //nolint:gosec // the pin is checked in place of names and authorities
		c.VerifyConnection = func(s tls.ConnectionState) error { return onlyPinned(s, pins) }
	case t.TrustAll:
		c.InsecureSkipVerify = true //nolint:gosec // an explicit choice, said loudly by check-config
	case t.ServerName != "":
		c.InsecureSkipVerify = true //nolint:gosec // all is checked here, with another name
		roots := c.RootCAs
		c.VerifyConnection = func(s tls.ConnectionState) error { return named(s, t.ServerName, roots) }
	}
	return nil
}

// pinned reads digests in hex, with or without colons, or in base64.
func pinned(list []string, key string) ([][]byte, error) {
	var pins [][]byte
	for _, s := range list {
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
		if err != nil {
			b, err = base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		}
		if err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("%s.pin_sha256: %q is no SHA-256 digest in hex or base64", key, s)
		}
		pins = append(pins, b)
	}
	return pins, nil
}

// onlyPinned checks the certificate of a server; who connects to us shows none.
func onlyPinned(s tls.ConnectionState, pins [][]byte) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	leaf := s.PeerCertificates[0]
	for _, raw := range [][]byte{leaf.Raw, leaf.RawSubjectPublicKeyInfo} {
		sum := sha256.Sum256(raw)
		if slices.ContainsFunc(pins, func(p []byte) bool { return string(p) == string(sum[:]) }) {
			return nil
		}
	}
	return errPin
}

func named(s tls.ConnectionState, name string, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between})
	return err
}
