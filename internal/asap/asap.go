// Package asap makes the tokens by which the services of Jitsi know each other: JWTs, signed with an RSA key whose
// name (kid) tells the other side where to find the public half. They are good for five minutes.
package asap

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrKey says what a private key looks like, and nothing of the one that was given.
var ErrKey = errors.New("is no RSA key: give PKCS#8, as base64 on one line or as PEM")

// life is how long a token is good.
const life = 5 * time.Minute

// A Signer makes tokens. It is safe for concurrent use.
type Signer struct {
	key                    *rsa.PrivateKey
	name, issuer, audience string
}

// New makes a Signer of a key: base64 of PKCS#8 on one line, or PEM.
func New(key, name, issuer, audience string) (*Signer, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(key), ""))
	if block, _ := pem.Decode([]byte(key)); block != nil {
		der, err = block.Bytes, nil
	}
	if err != nil {
		return nil, ErrKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, ErrKey
	}
	rsaKey, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, ErrKey
	}
	return &Signer{rsaKey, name, issuer, audience}, nil
}

// Token is a fresh one.
func (s *Signer) Token(now time.Time) (string, error) {
	head, err := json.Marshal(map[string]string{"alg": "RS256", "kid": s.name, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{"iss": s.issuer, "aud": s.audience, "iat": now.Unix(), "exp": now.Add(life).Unix()})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(head) + "." + enc.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("a token: %w", err)
	}
	return text + "." + enc.EncodeToString(sig), nil
}
