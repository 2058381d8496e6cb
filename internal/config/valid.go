package config

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"jigasi/internal/xlog"
)

// ParsePrefix reads a network, or an address as a network of one.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// oneOf wants a value of a list, in lower case where the list is.
func (l *loader) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		l.at(Error, key, "is one of %s, not %.40q", strings.Join(allowed, ", "), value)
	}
}

func (l *loader) within(key string, n, low, high int) {
	if n < low || n > high {
		l.at(Error, key, "lies between %d and %d, not at %d", low, high, n)
	}
}

// hostPort wants host or host:port, or nothing.
func (l *loader) hostPort(key, value string) {
	if value != "" && !validHostPort(value) {
		l.at(Error, key, "is host or host:port, not %.60q", value)
	}
}

// domain wants the name of a domain, or nothing: no URL, no address.
func (l *loader) domain(key, value string) {
	if strings.ContainsAny(value, ":/@ ") {
		l.at(Error, key, "is a domain such as meet.example.com, not %.60q", value)
	}
}

// path wants a path that is there, and makes it one that does not depend on where the gateway is started.
func (l *loader) path(key string, path *string) bool {
	if *path == "" {
		return false
	}
	*path = l.relative(*path)
	if _, err := os.Stat(*path); err != nil {
		l.at(Error, key, "cannot be read: %v", err)
		return false
	}
	return true
}

// pair wants a certificate together with its key, below a section.
func (l *loader) pair(section string, cert, key *string) {
	if (*cert == "") != (*key == "") {
		l.at(Error, section+".cert_file", "goes together with %s.key_file", section)
	}
	if c, k := l.path(section+".cert_file", cert), l.path(section+".key_file", key); !c || !k {
		return
	}
	if _, err := tls.LoadX509KeyPair(*cert, *key); err != nil {
		l.at(Error, section+".cert_file", "cannot be used: %v", err)
	}
}

func (l *loader) checkTrust(key string, t *TLSTrust) {
	if t.TrustAll {
		l.at(Warning, key+".trust_all", "every certificate is accepted: whoever is on the way can read passwords and listen. Give the server's authority in ca_file, or its fingerprint in pin_sha256, and set this to false")
	}
	if l.path(key+".ca_file", &t.CAFile) {
		if pem, err := os.ReadFile(t.CAFile); err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
			l.at(Error, key+".ca_file", "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
		}
	}
	for _, p := range t.PinSHA256 {
		if len(strings.ReplaceAll(p, ":", "")) != 64 && len(p) != 44 {
			l.at(Error, key+".pin_sha256", "%.70q is no SHA-256: 64 hex digits, or base64", p)
		}
	}
}

// noPlaceholder finds what a template or an example has left.
func (l *loader) noPlaceholder(key, value string) {
	if strings.HasPrefix(value, "<") && strings.HasSuffix(value, ">") || strings.Contains(value, "<<") {
		l.at(Warning, key, "still holds a placeholder; put your own value in its place")
	}
}

// hasSecrets reports whether the file itself may hold a password.
func (l *loader) hasSecrets() bool {
	c := l.cfg
	secrets := []xlog.Secret{c.XMPP.Password, c.Admin.Token}
	secrets = append(secrets, c.Transcription.secrets()...)
	for _, a := range c.SIP.Accounts {
		secrets = append(secrets, a.Password)
	}
	for _, b := range c.Breweries {
		secrets = append(secrets, b.XMPP.Password)
	}
	for _, t := range c.Media.TURN {
		secrets = append(secrets, t.Password)
	}
	return slices.ContainsFunc(secrets, func(s xlog.Secret) bool { return s != "" && !l.referred[s] })
}

// validHostPort wants host, host:port or an IP address.
func validHostPort(s string) bool {
	if s == "" || strings.ContainsAny(s, " /\t\r\n\"'") {
		return false
	}
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return true
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return !strings.Contains(s, ":")
	}
	n, err := strconv.Atoi(port)
	if strings.Contains(host, ":") { // between brackets there is an address of IPv6, and nothing else
		if _, bad := netip.ParseAddr(host); bad != nil {
			return false
		}
	}
	return err == nil && n > 0 && n < 65536 && host != ""
}

// isLoopback says whether a host can only be this machine.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

func validPublicIP(s string) bool {
	if server, ok := strings.CutPrefix(s, "stun:"); ok {
		return validHostPort(server)
	}
	_, err := netip.ParseAddr(s)
	return s == "auto" || err == nil
}

// sameBare compares an address with a room, without regard to case.
func sameBare(jid, room string) bool { return strings.EqualFold(jid, room) }
