package config

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const w = prefixWords

// TestOldTranscription: what Jigasi's README, its sample file and its users write.
func TestOldTranscription(t *testing.T) {
	for _, c := range []struct {
		props string
		good  func(Transcription) bool
	}{
		{"", func(t Transcription) bool {
			return t.Service == "vosk" && t.Translation.Service == "none" && !t.Gate && slices.Equal(t.Save, []string{"txt"})
		}},
		{w + "customService=org.jitsi.jigasi.transcription.VoskTranscriptionService\n# a comment\n" + w + "vosk.websocket_url=ws://localhost:2701\n",
			func(t Transcription) bool { return t.Service == "vosk" && t.Vosk.URL == "ws://localhost:2701" }},
		{w + "customService=VoskTranscriptionService\n" + w + `vosk.websocket_url={"en": "ws://localhost:2700", "fr": "ws://localhost:2710"}` + "\n",
			func(t Transcription) bool {
				return maps.Equal(t.Vosk.URLs, map[string]string{"en": "ws://localhost:2700", "fr": "ws://localhost:2710"})
			}},
		{w + "ENABLE_TRANSLATION=true\n" + w + "translationService=org.jitsi.jigasi.transcription.LibreTranslateTranslationService\n" + w + "libreTranslate.api_url=http://localhost:5000/translate\n",
			func(t Transcription) bool {
				return t.Translation.Service == "libre" && t.Translation.Libre.URL == "http://localhost:5000/translate"
			}},
		{w + "customService=org.jitsi.jigasi.transcription.WhisperTranscriptionService\n" + w + "whisper.websocket_url=wss://h/streaming-whisper/ws\n" + w + "whisper.private_key=MII\n" + w + "whisper.private_key_name=k\n" + w + "whisper.jwt_audience=a\n",
			func(t Transcription) bool {
				return t.Service == "whisper" && t.Whisper == Whisper{"wss://h/streaming-whisper/ws", "MII", "k", "a"}
			}},
		{prefixJigasi + "ENABLE_TRANSCRIPTION=true\n" + w + "USE_VIDEO_MODEL=true\n",
			func(t Transcription) bool { return t.Service == "google" && t.Google.Model == "video" }},
		{w + "customService=GOOGLE\n" + w + "google_model=latest_short\n",
			func(t Transcription) bool { return t.Service == "google" && t.Google.Model == "latest_short" }},
		{w + "customService=org.jitsi.jigasi.transcription.OracleTranscriptionService\n" + w + "oci.websocketUrl=wss://r\n" + w + "oci.compartmentId=c\n" + w + "oci.configFile=/f\n" + w + "oci.finalThresholdMs=700\n",
			func(t Transcription) bool {
				return t.Service == "oracle" && t.Oracle == Oracle{"wss://r", "c", "/f", "DEFAULT", 500 * time.Millisecond, 700 * time.Millisecond}
			}},
		{w + "ENABLE_TRANSLATION=true\n", func(t Transcription) bool { return t.Translation.Service == "google" }},
		{w + "ENABLE_TRANSLATION=true\n" + w + "translationService=BingTranslationService\n" + w + "bing.subscription_key=k\n" + w + "bing.subscription_region=westeurope\n",
			func(t Transcription) bool {
				b := t.Translation.Bing
				return t.Translation.Service == "bing" && b.Key.Reveal() == "k" && b.Region == "westeurope" && b.Version == "3.0"
			}},
		{w + "DIRECTORY=/srv/t\n" + w + "SAVE_JSON=true\n" + w + "SAVE_TXT=false\n" + w + "FILTER_SILENCE=true\n",
			func(t Transcription) bool {
				return t.Directory == "/srv/t" && slices.Equal(t.Save, []string{"json"}) && t.Gate
			}},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "sip-communicator.properties")
		write(t, path, c.props)
		got, found, err := Load([]string{"--config=" + path}, noEnv, dir)
		if err != nil || !c.good(got.Transcription) {
			t.Errorf("%s\n%+v\n%s", c.props, got.Transcription, show(found, dir))
		}
	}
}

func TestTranscriptionMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"transcription: {service: ear}\n", "transcription.service: is one of"},
		{"transcription: {save: [txt, doc]}\n", "transcription.save: is one of txt, json, vtt, srt"},
		{"transcription: {vosk: {url: 'http://x'}}\n", "transcription.vosk.url: begins with wss:// or ws://"},
		{"transcription: {vosk: {urls: {fr: vosk-fr}}}\n", "transcription.vosk.urls: begins with"},
		{"transcription: {translation: {service: deepl}}\n", "transcription.translation.deepl.key: is missing"},
		{"transcription: {translation: {libre: {url: 'ftp://x'}}}\n", "transcription.translation.libre.url: begins with https:// or http://"},
		{"transcription: {service: oracle}\n", "transcription.oracle: needs url and compartment"},
		{"transcription: {service: deepgram}\n", "transcription.deepgram.key: is missing"},
		{"transcription: {openai: {url: 'ws://x'}}\n", "transcription.openai.url: begins with https:// or http://"},
		{"transcription: {export: {host: 0.0.0.0, port: 9090}}\n", "transcription.export.token: is needed"},
		{"transcription: {export: {port: 99999}}\n", "transcription.export.port:"},
		{"transcription: {export: {speakers: 0}}\n", "transcription.export.speakers:"},
		{"transcription: {export: {cert_file: /nowhere}}\n", "transcription.export.cert_file: goes together"},
		{"transcription: {export: {listen: x}}\n", "transcription.export.listen: unknown key"},
		{"transcription: {language: ''}\n", "transcription.language: is empty"},
	} {
		if _, found, err := loadYAML(t, c.text); !errors.Is(err, ErrInvalid) || !strings.Contains(found, c.want) {
			t.Errorf("%q\n got %s want %s", c.text, found, c.want)
		}
	}
	dir := t.TempDir()
	for _, bad := range []string{"customService=com.example.MyService", "vosk.websocket_url={en", "ENABLE_TRANSLATION=true\n" + w + "translationService=Babel"} {
		path := filepath.Join(dir, "sip-communicator.properties")
		write(t, path, w+bad+"\n")
		if _, found, err := Load([]string{"--config=" + path}, noEnv, dir); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s\n%s", bad, show(found, dir))
		}
	}
}

func TestTranscriberContainer(t *testing.T) {
	c, found, err := Load([]string{"--configdir=" + t.TempDir()}, environ("JIGASI_MODE=transcriber", "JIGASI_XMPP_PASSWORD=x", "JIGASI_TRANSCRIBER_PASSWORD=y",
		"JIGASI_TRANSCRIBER_CUSTOM_SERVICE=org.jitsi.jigasi.transcription.VoskTranscriptionService", "JIGASI_TRANSCRIBER_VOSK_URL=ws://vosk:2700",
		"JIGASI_TRANSCRIBER_ENABLE_TRANSLATION=1", "JIGASI_TRANSCRIBER_CUSTOM_TRANSLATION_SERVICE=LibreTranslateTranslationService",
		"JIGASI_TRANSCRIBER_LIBRETRANSLATE_URL=http://libre/translate", "JIGASI_TRANSCRIBER_FILTER_SILENCE=1"), t.TempDir())
	tr := c.Transcription
	if err != nil || tr.Service != "vosk" || tr.Vosk.URL != "ws://vosk:2700" || tr.Translation.Service != "libre" || tr.Translation.Libre.URL != "http://libre/translate" || !tr.Gate {
		t.Errorf("%+v\n%v", tr, found)
	}
}
