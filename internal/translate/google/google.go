// Package google is Google Cloud Translation (v2, nmt) as a translator, over plain HTTP.
package google

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

// Options are what the service needs: a key or a token.
type Options struct {
	URL   string // default Google's
	Key   xlog.Secret
	Token func(context.Context) (string, error) // of the application's default credentials
	Quota func() string                         // the project that pays, known with a token; nil or "" is that of the account
}

// A Service is Google's.
type Service struct {
	o      Options
	client *http.Client
}

// New makes a Service.
func New(o Options) *Service {
	o.URL = cmp.Or(o.URL, "https://translation.googleapis.com/language/translate/v2")
	return &Service{o, translate.Client()}
}

// code is a language as Google has it: Norwegian by its old name alone.
func code(tag string) string {
	if tag == "nb" || tag == "nn" {
		return "no"
	}
	return tag
}

// Translate asks the service. It asks for plain text: in HTML, quotes come back as entities, which
// clients cannot read.
func (s *Service) Translate(ctx context.Context, text, from, to string) (string, error) {
	header := http.Header{}
	if s.o.Key != "" {
		header.Set("X-Goog-Api-Key", s.o.Key.Reveal())
	} else {
		token, err := s.o.Token(ctx)
		if err != nil {
			return "", fmt.Errorf("google's credentials: %w", err)
		}
		header.Set("Authorization", "Bearer "+token)
		if s.o.Quota != nil && s.o.Quota() != "" {
			header.Set("X-Goog-User-Project", s.o.Quota())
		}
	}
	in := struct {
		Q      []string `json:"q"`
		Source string   `json:"source,omitempty"`
		Target string   `json:"target"`
		Format string   `json:"format"`
		Model  string   `json:"model"`
	}{[]string{text}, code(from), code(to), "text", "nmt"}
	var out struct {
		Data struct {
			Translations []struct {
				Text string `json:"translatedText"`
			} `json:"translations"`
		} `json:"data"`
	}
	if err := translate.Post(ctx, s.client, s.o.URL, header, in, &out); err != nil {
		return "", err
	}
	if len(out.Data.Translations) == 0 || out.Data.Translations[0].Text == "" {
		return "", translate.ErrNothing
	}
	return out.Data.Translations[0].Text, nil
}
