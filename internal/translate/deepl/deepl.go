// Package deepl is DeepL as a translator.
package deepl

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

// Options are what the service needs.
type Options struct {
	URL string // of /v2/translate; default that of the key's plan
	Key xlog.Secret
}

// A Service is DeepL's.
type Service struct {
	o      Options
	client *http.Client
}

// New makes a Service. Keys of the free plan end in :fx and have a host of their own.
func New(o Options) *Service {
	host := "https://api.deepl.com"
	if strings.HasSuffix(o.Key.Reveal(), ":fx") {
		host = "https://api-free.deepl.com"
	}
	o.URL = cmp.Or(o.URL, host+"/v2/translate")
	return &Service{o, translate.Client()}
}

// target is a language as DeepL has it: English and Portuguese need a region.
func target(tag string) string {
	switch tag = strings.ToUpper(tag); tag {
	case "EN":
		return "EN-US"
	case "PT":
		return "PT-PT"
	case "NO":
		return "NB"
	case "ZH-CN":
		return "ZH-HANS"
	case "ZH-TW", "ZH-HK":
		return "ZH-HANT"
	case "EN-GB", "EN-US", "PT-BR", "PT-PT", "ZH-HANS", "ZH-HANT", "ES-419":
		return tag
	}
	return strings.ToUpper(translate.Primary(tag))
}

// Translate asks the service.
func (s *Service) Translate(ctx context.Context, text, from, to string) (string, error) {
	in := struct {
		Text   []string `json:"text"`
		Source string   `json:"source_lang,omitempty"`
		Target string   `json:"target_lang"`
	}{[]string{text}, strings.ToUpper(translate.Primary(from)), target(to)}
	if in.Source == "NO" {
		in.Source = "NB"
	}
	var out struct {
		Translations []struct {
			Text string `json:"text"`
		} `json:"translations"`
	}
	header := http.Header{"Authorization": {"DeepL-Auth-Key " + s.o.Key.Reveal()}}
	if err := translate.Post(ctx, s.client, s.o.URL, header, in, &out); err != nil {
		return "", err
	}
	if len(out.Translations) == 0 || out.Translations[0].Text == "" {
		return "", translate.ErrNothing
	}
	return out.Translations[0].Text, nil
}
