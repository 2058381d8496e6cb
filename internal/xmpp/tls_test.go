package xmpp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

// An authority signs certificates for tests.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.cert = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, a.key)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(tmpl, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	tmpl.SerialNumber, tmpl.Subject = big.NewInt(1), pkix.Name{CommonName: "test"}
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = time.Now().Add(time.Hour)
	}
	tmpl.NotBefore = time.Now().Add(-2 * time.Hour)
	signer := a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func (a *authority) issue(name string, until time.Time) tls.Certificate {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := a.sign(&x509.Certificate{DNSNames: []string{name}, NotAfter: until}, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

func selfSigned(t *testing.T, name string) tls.Certificate {
	a := &authority{t: t}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := a.sign(&x509.Certificate{DNSNames: []string{name}}, nil, key)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// TestT04_TLSVerifiedNoDowngrade: a password leaves this machine in the two good cases only.
func TestT04_TLSVerifiedNoDowngrade(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	good, own := ours.issue(domain, time.Time{}), selfSigned(t, domain)
	sum := sha256.Sum256(own.Leaf.RawSubjectPublicKeyInfo)
	sumCert := sha256.Sum256(own.Leaf.Raw)
	const offered = "<starttls xmlns='" + nsTLS + "'><required/></starttls>"
	mechs := "<mechanisms xmlns='" + nsSASL + "'>" + plain + "</mechanisms>"
	for _, tt := range []struct {
		name     string
		cert     tls.Certificate
		opt      TLSOptions
		max      uint16
		features string
		answer   string // to <starttls/>, in place of TLS
		good     bool
		says     string // what to do
	}{
		{name: "right", cert: good, opt: TLSOptions{CAs: ours.pool}, good: true},
		{name: "pinned by key", cert: own, opt: TLSOptions{PinSHA256: []string{base64.StdEncoding.EncodeToString(sum[:])}}, good: true},
		{name: "pinned whole", cert: own, opt: TLSOptions{PinSHA256: []string{hex.EncodeToString(sumCert[:])}}, good: true},
		{name: "trust all", cert: own, opt: TLSOptions{TrustAll: true}, good: true},
		{name: "wrong name", cert: ours.issue("meet.example.org", time.Time{}), opt: TLSOptions{CAs: ours.pool}, says: "a certificate for this domain"},
		{name: "expired", cert: ours.issue(domain, time.Now().Add(-time.Hour)), opt: TLSOptions{CAs: ours.pool}, says: "renew it on the server"},
		{name: "self-signed", cert: own, opt: TLSOptions{CAs: ours.pool}, says: "pin its key: tls.pin_sha256: [" + hex.EncodeToString(sum[:]) + "]"},
		{name: "other authority", cert: other.issue(domain, time.Time{}), opt: TLSOptions{CAs: ours.pool}},
		{name: "other than pinned", cert: good, opt: TLSOptions{CAs: ours.pool, PinSHA256: []string{hex.EncodeToString(sum[:])}}, says: "change tls.pin_sha256"},
		{name: "system authorities", cert: good},
		{name: "TLS 1.0", cert: good, opt: TLSOptions{CAs: ours.pool}, max: tls.VersionTLS10},
		{name: "TLS 1.1", cert: good, opt: TLSOptions{CAs: ours.pool}, max: tls.VersionTLS11},
		{name: "no STARTTLS", features: mechs},
		{name: "stripped", features: "<starttl xmlns='" + nsTLS + "'/>" + mechs},
		{name: "other namespace", features: "<starttls xmlns='urn:x'/>" + mechs},
		{name: "mechanisms beside", features: offered + mechs, cert: own, opt: TLSOptions{CAs: ours.pool}},
		{name: "failure", answer: "<failure xmlns='" + nsTLS + "'/>" + mechs},
		{name: "injection", cert: good, opt: TLSOptions{CAs: ours.pool}, answer: "<proceed xmlns='" + nsTLS + "'/><stream:stream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, s := serve(t, func(s *server) {
				features := tt.features
				if features == "" {
					features = offered
				}
				tempt(s, features, tt.answer, tt.cert, tt.max)
			})
			o.AllowPlain, o.TLS = false, tt.opt
			c, err := Dial(context.Background(), o)
			if c != nil {
				_ = c.Close(context.Background())
			}
			if (err == nil) != tt.good || (s.sasl.Load() > 0) != tt.good {
				t.Errorf("error %v, %d logins sent", err, s.sasl.Load())
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v does not say %s", err, tt.says)
			}
		})
	}
}

// tempt plays a server that a client should log in to only behind a good certificate.
func tempt(s *server, features, answer string, cert tls.Certificate, version uint16) {
	switch {
	case !s.open(features):
	case answer != "":
		s.hear()
		s.say("%s", answer)
		s.rest()
	case cert.PrivateKey == nil:
		s.rest()
	default:
		cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: version} //nolint:gosec // what is to be refused
		if s.startTLS(cfg) && s.login() {
			s.rest()
		}
	}
}

func TestTLSOptionsRefuse(t *testing.T) {
	for _, o := range []TLSOptions{{CAFile: "/nowhere"}, {CAFile: "tls.go"}, {PinSHA256: []string{"x"}}, {PinSHA256: []string{"00:11"}}} {
		if _, err := o.config("x"); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}

func TestWebNeedsTLS(t *testing.T) {
	for _, tt := range []struct{ transport, url string }{
		{WebSocket, "ws://127.0.0.1:1/x"}, {BOSH, "http://127.0.0.1:1/x"}, {BOSH, "HTTP://127.0.0.1:1/x"},
	} {
		o := Options{Domain: domain, Anonymous: true, Transport: tt.transport, URL: tt.url}
		if _, err := Dial(context.Background(), o); !errors.Is(err, ErrNoTLS) {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
}
