// Package gcloud is who we are to Google's services: application default credentials, or a file.
package gcloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"jigasi/internal/xlog"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const scope = "https://www.googleapis.com/auth/cloud-platform"

// ErrNone says what to do without credentials.
var ErrNone = errors.New("no Google credentials: set transcription.google.credentials_file or account, or GOOGLE_APPLICATION_CREDENTIALS to the key of a service account")

// ErrRefused says that Google does not take the credentials. It hides what Google wrote.
var ErrRefused = errors.New("google gives no token for these credentials: is the key of transcription.google still valid?")

var errAway = errors.New("google cannot be asked for a token")

// A Login gives tokens. It is safe for concurrent use.
type Login struct {
	file string
	key  xlog.Secret

	mu     sync.Mutex
	source oauth2.TokenSource
	quota  string
}

// New makes a Login by a key (JSON), else by the key in a file, else by what the environment has. Nothing is read
// before the first token.
func New(file string, key xlog.Secret) *Login { return &Login{file: file, key: key} }

const limit = 10 * time.Second

// Token gives a token that is good for a while.
func (l *Login) Token(ctx context.Context) (string, error) {
	source, err := l.find(ctx)
	if err != nil {
		return "", err
	}
	t, err := source.Token()
	if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 {
		return "", ErrRefused
	}
	if err != nil {
		return "", errAway
	}
	return t.AccessToken, nil
}

func (l *Login) find(ctx context.Context) (oauth2.TokenSource, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.source != nil {
		return l.source, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var c *google.Credentials
	var err error
	if l.file == "" && l.key == "" {
		c, err = google.FindDefaultCredentials(ctx, scope)
	} else {
		data := []byte(l.key.Reveal())
		if l.key == "" {
			data, err = os.ReadFile(l.file)
		}
		if err == nil {
			c, err = google.CredentialsFromJSON(context.Background(), data, scope) //nolint:staticcheck // the key is the operator's own, of any type
		}
	}
	if err != nil {
		return nil, ErrNone
	}
	var account struct {
		Quota string `json:"quota_project_id"`
	}
	if len(c.JSON) > 0 && json.Unmarshal(c.JSON, &account) != nil {
		return nil, ErrNone
	}
	l.source, l.quota = c.TokenSource, cmp.Or(os.Getenv("GOOGLE_CLOUD_QUOTA_PROJECT"), account.Quota)
	return l.source, nil
}

// Quota is the project that pays, where the credentials are those of a person, as gcloud auth application-default login
// makes them: each request has to name it. It is known with the first token; "" is that of the account.
func (l *Login) Quota() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.quota
}
