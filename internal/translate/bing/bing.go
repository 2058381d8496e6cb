// Package bing is the Translator of Azure, which Jigasi calls Bing.
package bing

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

// Options are what the service needs.
type Options struct {
	Endpoint string // default the global one
	Version  string // of the API; default 3.0
	Key      xlog.Secret
	Region   string // of the subscription; "" for a global one
}

// A Service is Azure's.
type Service struct {
	o      Options
	client *http.Client
}

// New makes a Service.
func New(o Options) *Service {
	o.Endpoint = strings.TrimSuffix(cmp.Or(o.Endpoint, "https://api.cognitive.microsofttranslator.com"), "/")
	o.Version = cmp.Or(o.Version, "3.0")
	return &Service{o, translate.Client()}
}

// code is a language as Azure has it.
func code(tag string) string {
	switch tag {
	case "zh-CN", "zh":
		return "zh-Hans"
	case "zh-TW", "zh-HK":
		return "zh-Hant"
	case "pt-PT", "fr-CA", "zh-Hans", "zh-Hant":
		return tag
	case "no":
		return "nb"
	case "tl":
		return "fil"
	}
	return translate.Primary(tag)
}

// Translate asks the service.
func (s *Service) Translate(ctx context.Context, text, from, to string) (string, error) {
	query := url.Values{"api-version": {s.o.Version}, "to": {code(to)}}
	if from != "" {
		query.Set("from", code(from))
	}
	header := http.Header{"Ocp-Apim-Subscription-Key": {s.o.Key.Reveal()}}
	if s.o.Region != "" {
		header.Set("Ocp-Apim-Subscription-Region", s.o.Region)
	}
	type part struct {
		Text string `json:"Text"`
	}
	var out []struct {
		Translations []struct {
			Text string `json:"text"`
		} `json:"translations"`
	}
	if err := translate.Post(ctx, s.client, s.o.Endpoint+"/translate?"+query.Encode(), header, []part{{text}}, &out); err != nil {
		return "", err
	}
	if len(out) == 0 || len(out[0].Translations) == 0 || out[0].Translations[0].Text == "" {
		return "", translate.ErrNothing
	}
	return out[0].Translations[0].Text, nil
}
