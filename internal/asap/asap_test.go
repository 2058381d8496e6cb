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
	"testing"
	"time"
)

// TestToken: both forms of a key give a token that its public half verifies, with the claims of Jitsi's services.
func TestToken(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	for _, form := range []string{base64.StdEncoding.EncodeToString(der), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))} {
		s, err := New(form, "jigasi/k", "jitsi", "cfg")
		if err != nil {
			t.Fatal(err)
		}
		token, err := s.Token(now)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(token, ".")
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
			t.Error(err)
		}
		for i, want := range []string{"map[alg:RS256 kid:jigasi/k typ:JWT]", "map[aud:cfg exp:1.7000003e+09 iat:1.7e+09 iss:jitsi]"} {
			raw, _ := base64.RawURLEncoding.DecodeString(parts[i])
			var got map[string]any
			if err := json.Unmarshal(raw, &got); err != nil || fmt.Sprint(got) != want {
				t.Errorf("%v %v", got, err)
			}
		}
	}
	for _, bad := range []string{"", "topsecret", "MII", base64.StdEncoding.EncodeToString([]byte("topsecret"))} {
		if _, err := New(bad, "k", "i", "a"); !errors.Is(err, ErrKey) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
