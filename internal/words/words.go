// Package words makes the speech services and translators that the configuration names: the table
// of them all. Which one a session uses is not decided here.
package words

import (
	"fmt"
	"net/http"

	"jigasi/internal/config"
	"jigasi/internal/gcloud"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/deepgram"
	speech "jigasi/internal/recognize/google"
	"jigasi/internal/recognize/openai"
	"jigasi/internal/recognize/oracle"
	"jigasi/internal/recognize/vosk"
	"jigasi/internal/recognize/whisper"
	"jigasi/internal/translate"
	"jigasi/internal/translate/bing"
	"jigasi/internal/translate/deepl"
	"jigasi/internal/translate/google"
	"jigasi/internal/translate/libre"
	chat "jigasi/internal/translate/openai"
)

// Service makes the speech service of a name, "" being the configured one, and what ends it. It is reached as NewServices says.
func Service(c config.Transcription, via http.RoundTripper, name string) (recognize.Service, func(), error) {
	nothing := func() {}
	if name == "" {
		name = c.Service
	}
	switch name {
	case "vosk":
		return vosk.New(vosk.Options{URL: c.Vosk.URL, URLs: c.Vosk.URLs, Transport: via}), nothing, nil
	case "whisper":
		s, err := whisper.New(whisper.Options{URL: c.Whisper.URL, Key: c.Whisper.Key, KeyName: c.Whisper.KeyName, Audience: c.Whisper.Audience, Transport: via})
		return s, nothing, err
	case "google":
		login := account(c)
		s, err := speech.New(speech.Options{Model: c.Google.Model, Project: c.Google.Project, Location: c.Google.Location, Punctuation: c.Google.Punctuation, Phrases: c.Google.Phrases, Token: login.Token, Quota: login.Quota})
		if err != nil {
			return nil, nothing, err
		}
		return s, s.Close, nil
	case "openai":
		return openai.New(openai.Options{URL: c.OpenAI.URL, Key: c.OpenAI.Key, Model: c.OpenAI.Model, Realtime: c.OpenAI.Realtime, Transport: via}), nothing, nil
	case "oracle":
		s, err := oracle.New(oracle.Options{
			URL: c.Oracle.URL, Compartment: c.Oracle.Compartment, ConfigFile: c.Oracle.ConfigFile, Profile: c.Oracle.Profile, Interim: c.Oracle.Interim, Final: c.Oracle.Final, Transport: via,
		})
		return s, nothing, err
	case "deepgram":
		return deepgram.New(deepgram.Options{URL: c.Deepgram.URL, Key: c.Deepgram.Key, Model: c.Deepgram.Model, Opus: c.Deepgram.Opus, Transport: via}), nothing, nil
	}
	return nil, nothing, fmt.Errorf("there is no speech service %q; see transcription.service in docs/jigasi.yaml", name)
}

// account is who we are to Google.
func account(c config.Transcription) *gcloud.Login {
	return gcloud.New(c.Google.Credentials, c.Google.Account)
}

// Translator makes the configured translator; with none it is an error that says what to set.
func Translator(t config.Transcription) (translate.Translator, error) {
	c := t.Translation
	switch c.Service {
	case "google":
		login := account(t)
		return google.New(google.Options{Key: c.Google.Key, Token: login.Token, Quota: login.Quota}), nil
	case "libre":
		return libre.New(libre.Options{URL: c.Libre.URL, Key: c.Libre.Key}), nil
	case "deepl":
		return deepl.New(deepl.Options{URL: c.DeepL.URL, Key: c.DeepL.Key}), nil
	case "bing":
		return bing.New(bing.Options{Endpoint: c.Bing.Endpoint, Version: c.Bing.Version, Key: c.Bing.Key, Region: c.Bing.Region}), nil
	case "openai":
		return chat.New(chat.Options{URL: c.OpenAI.URL, Key: c.OpenAI.Key, Model: c.OpenAI.Model}), nil
	}
	return nil, fmt.Errorf("no translator is configured: set transcription.translation.service")
}
