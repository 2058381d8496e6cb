package oracle

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A login is one profile of an OCI configuration file.
type login struct {
	id  string // tenancy/user/fingerprint
	key *rsa.PrivateKey
}

// readLogin reads a profile. Its errors name keys, and no value.
func readLogin(path, profile string) (*login, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the OCI configuration cannot be read: %w", err)
	}
	values := map[string]string{}
	section := ""
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		} else if name, value, ok := strings.Cut(line, "="); ok && section == profile && !strings.HasPrefix(line, "#") {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	for _, name := range []string{"tenancy", "user", "fingerprint", "key_file"} {
		if values[name] == "" {
			return nil, fmt.Errorf("the profile %s of the OCI configuration has no %s", profile, name)
		}
	}
	file := values["key_file"]
	if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(file, "~/") {
		file = filepath.Join(home, file[2:])
	} else if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(path), file)
	}
	l := &login{id: values["tenancy"] + "/" + values["user"] + "/" + values["fingerprint"]}
	l.key, err = readKey(file)
	return l, err
}

var errKey = errors.New("the key_file of the OCI configuration is no RSA key in PEM without a pass phrase")

func readKey(path string) (*rsa.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the key_file of the OCI configuration cannot be read: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errKey
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errKey
	}
	return key, nil
}

// sign makes the headers of a signed GET, as the first message carries them.
func (l *login) sign(u *url.URL, now time.Time) (map[string]string, error) {
	date := now.UTC().Format(http.TimeFormat)
	text := "date: " + date + "\n(request-target): get " + u.RequestURI() + "\nhost: " + u.Hostname()
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, l.key, crypto.SHA256, sum[:])
	if err != nil {
		return nil, errKey
	}
	return map[string]string{
		"date": date, "host": u.Hostname(), "uri": u.String(),
		"authorization": fmt.Sprintf(`Signature version="1",keyId="%s",algorithm="rsa-sha256",headers="date (request-target) host",signature="%s"`, l.id, base64.StdEncoding.EncodeToString(sig)),
	}, nil
}
