package config

import (
	"encoding/json"
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
		{"transcription: {fallback: [ear]}\n", "transcription.fallback: is one of"},
		{"transcription: {fallback: [deepgram]}\n", "transcription.deepgram.key: is missing"},
		{"transcription: {rooms: [{service: vosk}]}\n", "transcription.rooms: wants match"},
		{"transcription: {rooms: [{match: x, service: ear}]}\n", "transcription.rooms: is one of"},
		{"transcription: {rooms: [{match: x, fallback: [ear]}]}\n", "transcription.rooms: is one of"},
		{"transcription: {remote: {url: 'ws://x'}}\n", "transcription.remote.url: begins with https:// or http://"},
		{"transcription: {budget: {room: -1}}\n", "transcription.budget.room: lies between"},
		{"transcription: {budget: {service: ear}}\n", "transcription.budget.service: is one of"},
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

// TestRemoteConfigurationOfOld: as the code of Jigasi reads it, and as its README has it.
func TestRemoteConfigurationOfOld(t *testing.T) {
	dir := t.TempDir()
	path, key := filepath.Join(dir, "sip-communicator.properties"), filepath.Join(dir, "key.pem")
	write(t, key, "-----BEGIN PRIVATE KEY-----\n")
	const at = w + "remoteTranscriptionConfigUrl"
	for props, want := range map[string]RemoteChoice{
		at + "=https://cfg/ts\n" + at + ".kid=k\n" + at + ".keyPath=" + key + "\n" + at + ".aud=a\n": {URL: "https://cfg/ts", Key: "-----BEGIN PRIVATE KEY-----", KeyName: "k", Audience: "a", Cache: time.Minute},
		at + "=https://cfg/tenant\n" + at + ".kid=k\n" + at + ".key=MII\n" + at + ".aud=a\n":         {URL: "https://cfg/tenant", Key: "MII", KeyName: "k", Audience: "a", Cache: time.Minute},
		at + "=https://cfg/ts\n" + at + ".keyPath=/nowhere/key\n":                                    {URL: "https://cfg/ts", Cache: time.Minute},
		"": {Cache: time.Minute},
	} {
		write(t, path, props)
		c, found, err := Load([]string{"--config=" + path}, noEnv, dir)
		if got := c.Transcription.Remote; err != nil || got != want {
			t.Errorf("%s\n%+v\n%s", props, got, show(found, dir))
		}
		if strings.Contains(props, "nowhere") != strings.Contains(show(found, dir), "there is no login") {
			t.Errorf("%s\n%s", props, show(found, dir))
		}
	}
}

// TestGoogleAccountOfTheContainer: the six variables make the key of a service account, with the line ends that a
// variable cannot hold.
func TestGoogleAccountOfTheContainer(t *testing.T) {
	env := []string{"JIGASI_XMPP_PASSWORD=x", "GC_PROJECT_ID=p", "GC_PRIVATE_KEY_ID=i", `GC_PRIVATE_KEY="-----BEGIN PRIVATE KEY-----\nAB\n-----END PRIVATE KEY-----\n"`, "GC_CLIENT_EMAIL=a@b", "GC_CLIENT_ID=1", "GC_CLIENT_CERT_URL=https://c"}
	c, found, err := Load([]string{"--configdir=" + t.TempDir()}, environ(env...), t.TempDir())
	var key map[string]string
	if err != nil || json.Unmarshal([]byte(c.Transcription.Google.Account.Reveal()), &key) != nil {
		t.Fatal(err, found)
	}
	if key["type"] != "service_account" || key["private_key"] != "-----BEGIN PRIVATE KEY-----\nAB\n-----END PRIVATE KEY-----\n" || key["private_key_id"] != "i" || key["client_email"] != "a@b" || key["project_id"] != "p" || key["token_uri"] == "" {
		t.Errorf("%q", key)
	}
	c, found, err = Load([]string{"--configdir=" + t.TempDir()}, environ("JIGASI_XMPP_PASSWORD=x", "GC_PROJECT_ID=p"), t.TempDir())
	if err != nil || c.Transcription.Google.Account != "" || !strings.Contains(show(found, ""), "GC_PROJECT_ID: has no effect without both") {
		t.Errorf("%v %s", err, show(found, ""))
	}
}

// TestEveryPropertyOfTranscription: none of Jigasi's falls to the row for what nothing reads.
func TestEveryPropertyOfTranscription(t *testing.T) {
	for _, name := range strings.Fields(`customService remoteTranscriptionConfigUrl remoteTranscriptionConfigUrl.kid remoteTranscriptionConfigUrl.keyPath remoteTranscriptionConfigUrl.aud
		remoteTranscriptionConfigUrl.key translationService ENABLE_TRANSLATION FILTER_SILENCE google_model vosk.websocket_url whisper.websocket_url whisper.private_key
		whisper.private_key_name whisper.jwt_audience oci.websocketUrl oci.compartmentId oci.configFile oci.finalThresholdMs oci.interimThresholdMs libreTranslate.api_url
		bing.subscription_key bing.subscription_region bing.endpoint bing.api_version DIRECTORY BASE_URL ADVERTISE_URL SAVE_JSON SAVE_TXT SEND_JSON SEND_TXT
		SEND_JSON_REMOTE_URLS RECORD_AUDIO RECORD_AUDIO_FORMAT EXECUTE_SCRIPTS SCRIPTS_TO_EXECUTE_LIST SCRIPTS_TO_EXECUTE_LIST_SEPARATOR action.x.PHRASE action.x.URL
		jetty.port jetty.host jetty.tls.port jetty.sslContextFactory.keyStorePath USE_VIDEO_MODEL`) {
		if r, ok := findRow(w+name, globals); !ok || r.name == w+"*" {
			t.Errorf("nothing is said of %s", name)
		}
	}
}
