package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"jigasi/internal/jingle"
)

// identity is the certificate of this process, renewed each day.
var identity struct {
	sync.Mutex
	cert  tls.Certificate
	fp    jingle.Fingerprint
	until time.Time
}

// certificate gives our certificate and its fingerprint: ECDSA P-256, which is
// what the bridge asks its clients for.
func certificate(now time.Time) (tls.Certificate, jingle.Fingerprint, error) {
	identity.Lock()
	defer identity.Unlock()
	if now.Before(identity.until) {
		return identity.cert, identity.fp, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, jingle.Fingerprint{}, fmt.Errorf("bridge: key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return tls.Certificate{}, jingle.Fingerprint{}, fmt.Errorf("bridge: key: %w", err)
	}
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "jigasi"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, jingle.Fingerprint{}, fmt.Errorf("bridge: certificate: %w", err)
	}
	identity.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	identity.fp = jingle.Fingerprint{Hash: "sha-256", Value: digest("sha-256", der), Setup: "active"}
	identity.until = now.Add(24 * time.Hour)
	return identity.cert, identity.fp, nil
}

// digest is the fingerprint of a certificate, "" for a hash that is not trusted.
func digest(hash string, der []byte) string {
	var sum []byte
	switch strings.ToLower(hash) {
	case "sha-256":
		s := sha256.Sum256(der)
		sum = s[:]
	case "sha-384":
		s := sha512.Sum384(der)
		sum = s[:]
	case "sha-512":
		s := sha512.Sum512(der)
		sum = s[:]
	default:
		return ""
	}
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(parts, ":")
}

// ErrFingerprint says that the bridge's certificate is not the one that was signalled: trying again
// would not help, and nothing it sends is to be trusted.
var ErrFingerprint = errors.New("the bridge's certificate is not the one that was signalled")

// matches checks the bridge's certificate against the signalled fingerprints: one
// of a trusted hash has to be there, and all of those have to be right (T25).
func matches(raw [][]byte, theirs []jingle.Fingerprint) error {
	if len(raw) == 0 {
		return ErrFingerprint
	}
	checked := false
	for _, f := range theirs {
		want := digest(f.Hash, raw[0])
		if want == "" {
			continue
		}
		if !strings.EqualFold(want, strings.TrimSpace(f.Value)) {
			return ErrFingerprint
		}
		checked = true
	}
	if !checked {
		return ErrFingerprint
	}
	return nil
}
