// Package words makes the speech services and translators that the configuration names: the table
// of them all. Which one a session uses is not decided here.
package words

import (
	"fmt"

	"jigasi/internal/config"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/deepgram"
	"jigasi/internal/recognize/openai"
	"jigasi/internal/recognize/vosk"
	"jigasi/internal/recognize/whisper"
	"jigasi/internal/translate"
	"jigasi/internal/translate/bing"
	"jigasi/internal/translate/deepl"
	"jigasi/internal/translate/google"
	"jigasi/internal/translate/libre"
	chat "jigasi/internal/translate/openai"
)

// Service makes the speech service of a name, "" being the configured one.
func Service(c config.Transcription, name string) (recognize.Service, error) {
	if name == "" {
		name = c.Service
	}
	switch name {
	case "vosk":
		return vosk.New(vosk.Options{URL: c.Vosk.URL, URLs: c.Vosk.URLs}), nil
	case "whisper":
		return whisper.New(whisper.Options{URL: c.Whisper.URL, Key: c.Whisper.Key, KeyName: c.Whisper.KeyName, Audience: c.Whisper.Audience})
	case "openai":
		return openai.New(openai.Options{URL: c.OpenAI.URL, Key: c.OpenAI.Key, Model: c.OpenAI.Model, Realtime: c.OpenAI.Realtime}), nil
	case "deepgram":
		return deepgram.New(deepgram.Options{URL: c.Deepgram.URL, Key: c.Deepgram.Key, Model: c.Deepgram.Model}), nil
	}
	return nil, fmt.Errorf("there is no speech service %q; see transcription.service in docs/jigasi.yaml", name)
}

// Translator makes the configured translator; with none it is an error that says what to set.
func Translator(c config.Translation) (translate.Translator, error) {
	switch c.Service {
	case "google":
		if c.Google.Key == "" {
			return nil, fmt.Errorf("set transcription.translation.google.key")
		}
		return google.New(google.Options{Key: c.Google.Key}), nil
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
