package gcloud

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jigasi/internal/xlog"
)

// account writes the key of a service account whose tokens come from a server.
func account(t *testing.T, tokens http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(tokens)
	t.Cleanup(s.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@b.example", "private_key_id": "k", "token_uri": s.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToken(t *testing.T) {
	asked := 0
	path := account(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if err := r.ParseForm(); err != nil || strings.Count(r.FormValue("assertion"), ".") != 2 {
			t.Errorf("%v %v", err, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"topsecret","expires_in":3600,"token_type":"Bearer"}`)
	})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Login{New(path, ""), New("", ""), New("/nowhere", xlog.Secret(data))} {
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
		for range 3 {
			if got, err := l.Token(t.Context()); err != nil || got != "topsecret" {
				t.Error(got, err)
			}
		}
	}
	if asked != 3 {
		t.Errorf("%d requests", asked)
	}
}

func TestNoToken(t *testing.T) {
	path := account(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "topsecret", http.StatusForbidden)
	})
	if _, err := New(path, "").Token(t.Context()); !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "topsecret") {
		t.Error(err)
	}
	path = account(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "topsecret", http.StatusBadGateway)
	})
	if _, err := New(path, "").Token(t.Context()); err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "topsecret") {
		t.Error(err)
	}
	for _, bad := range []string{filepath.Join(t.TempDir(), "none.json"), os.Args[0]} {
		if _, err := New(bad, "").Token(t.Context()); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "credentials_file") {
			t.Error(err)
		}
	}
}

// TestQuota: who logs in as a person (gcloud auth application-default login) names the project that pays; the environment may
// name another.
func TestQuota(t *testing.T) {
	path := account(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"t","expires_in":3600,"token_type":"Bearer"}`)
	})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	personal := strings.Replace(string(data), "{", `{"quota_project_id":"payer",`, 1)
	for _, c := range []struct{ key, env, want string }{{string(data), "", ""}, {personal, "", "payer"}, {personal, "other", "other"}, {string(data), "other", "other"}} {
		t.Setenv("GOOGLE_CLOUD_QUOTA_PROJECT", c.env)
		l := New("", xlog.Secret(c.key))
		if _, err := l.Token(t.Context()); err != nil || l.Quota() != c.want {
			t.Errorf("%q, want %q: %v", l.Quota(), c.want, err)
		}
	}
}
