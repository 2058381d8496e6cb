package whisper

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

// errKey says what a private key looks like, and nothing of this one.
var errKey = errors.New("the private key of the Whisper service is no RSA key: give PKCS#8, as base64 on one line or as PEM")

// readKey reads an RSA key: base64 of PKCS#8 on one line, or PEM.
func readKey(s string) (*rsa.PrivateKey, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	if block, _ := pem.Decode([]byte(s)); block != nil {
		der, err = block.Bytes, nil
	}
	if err != nil {
		return nil, errKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errKey
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errKey
	}
	return key, nil
}

// token is a JWT (RS256) as skynet checks it, good for five minutes.
func token(key *rsa.PrivateKey, name, audience string, now time.Time) (string, error) {
	head, err := json.Marshal(map[string]string{"alg": "RS256", "kid": name, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{"iss": "jigasi", "aud": audience, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(head) + "." + enc.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("a token: %w", err)
	}
	return text + "." + enc.EncodeToString(sig), nil
}
