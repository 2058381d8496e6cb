// Package libre is LibreTranslate as a translator.
package libre

import (
	"context"
	"net/http"

	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

// Options are what the service needs.
type Options struct {
	URL string // of /translate
	Key xlog.Secret
}

// A Service is a LibreTranslate server.
type Service struct {
	o      Options
	client *http.Client
}

// New makes a Service.
func New(o Options) *Service { return &Service{o, translate.Client()} }

// code is a language as LibreTranslate has it.
func code(tag string) string {
	switch tag {
	case "zh-TW", "zh-Hant", "zh-HK":
		return "zt"
	case "no":
		return "nb"
	case "fil":
		return "tl"
	case "":
		return "auto"
	}
	return translate.Primary(tag)
}

// Translate asks the server.
func (s *Service) Translate(ctx context.Context, text, from, to string) (string, error) {
	in := struct {
		Q      string `json:"q"`
		Source string `json:"source"`
		Target string `json:"target"`
		Format string `json:"format"`
		Key    string `json:"api_key"`
	}{text, code(from), code(to), "text", s.o.Key.Reveal()}
	var out struct {
		Text string `json:"translatedText"`
	}
	err := translate.Post(ctx, s.client, s.o.URL, nil, in, &out)
	if err == nil && out.Text == "" {
		err = translate.ErrNothing
	}
	return out.Text, err
}
