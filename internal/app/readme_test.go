package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/app"
	"jigasi/internal/config"
	"jigasi/internal/lab/ports"
)

// What every example needs beside it, as a package installs it: a brewery, and the account in the hidden domain.
const transcriberProperties = `
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1=acc-xmpp-1
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.ACCOUNT_UID=Jabber:jigasi@auth.meet.example.com
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.USER_ID=jigasi@auth.meet.example.com
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.IS_SERVER_OVERRIDDEN=true
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.SERVER_ADDRESS=127.0.0.1
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.SERVER_PORT=1
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.PASSWORD=c2VjcmV0
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.BREWERY=jigasibrewery@internal.auth.meet.example.com
net.java.sip.communicator.impl.protocol.jabber.acc-xmpp-1.DOMAIN_BASE=meet.example.com
org.jitsi.jigasi.xmpp.acc.USER_ID=transcriber@recorder.meet.example.com
org.jitsi.jigasi.xmpp.acc.PASS=secret
org.jitsi.jigasi.xmpp.acc.ANONYMOUS_AUTH=false
org.jitsi.jigasi.ENABLE_SIP=false
org.jitsi.jigasi.ENABLE_TRANSCRIPTION=true
`

// TestReadmeExamplesStart: the gateway starts from each example of the old README, unchanged, with the service and the
// translator that it means, and tells of no property that it does not know.
func TestReadmeExamplesStart(t *testing.T) {
	t.Parallel()
	const w = "org.jitsi.jigasi.transcription."
	for name, c := range map[string]struct{ text, service, translator string }{
		"google":          {"", "google", "none"},
		"google, model":   {w + "google_model=latest_short\n", "google", "none"},
		"old video":       {w + "USE_VIDEO_MODEL=true\n", "google", "none"},
		"vosk":            {w + "customService=org.jitsi.jigasi.transcription.VoskTranscriptionService\n" + w + "vosk.websocket_url=ws://localhost:2700\n", "vosk", "none"},
		"vosk, map":       {"# For several languages\n" + w + "customService=org.jitsi.jigasi.transcription.VoskTranscriptionService\n" + w + `vosk.websocket_url={"en": "ws://localhost:2700", "fr": "ws://localhost:2710"}` + "\n", "vosk", "none"},
		"vosk, commented": {"# " + w + "customService=org.jitsi.jigasi.transcription.VoskTranscriptionService\n# Vosk server\n#" + w + "vosk.websocket_url=ws://localhost:2700\n", "google", "none"},
		"whisper": {w + "customService=org.jitsi.jigasi.transcription.WhisperTranscriptionService\n" + w + "whisper.websocket_url=ws://localhost:8000/ws\n" +
			w + "whisper.private_key=\n" + w + "whisper.private_key_name=\n", "whisper", "none"},
		"oracle": {w + "customService=org.jitsi.jigasi.transcription.OracleTranscriptionService\n" + w + "oci.websocketUrl=wss://realtime.aiservice.us-phoenix-1.oci.oraclecloud.com\n" +
			w + "oci.compartmentId=ocid1.compartment.oc1..x\n", "oracle", "none"},
		"libretranslate": {w + "ENABLE_TRANSLATION=true\n" + w + "translationService=org.jitsi.jigasi.transcription.LibreTranslateTranslationService\n" + w + "libreTranslate.api_url=http://localhost:5000/translate\n", "google", "libre"},
		"bing":           {w + "ENABLE_TRANSLATION=true\n" + w + "translationService=org.jitsi.jigasi.transcription.BingTranslationService\n" + w + "bing.subscription_key=k\n", "google", "bing"},
		"remote":         {w + "remoteTranscriptionConfigUrl=https://YOUR-URL/tenant\n" + w + "remoteTranscriptionConfigUrl.kid=YOUR-KID\n" + w + "remoteTranscriptionConfigUrl.aud=YOUR-AUD\n", "google", "none"},
		"table of options": {w + "DIRECTORY=" + t.TempDir() + "\n" + w + "BASE_URL=http://localhost/\n" + w + "jetty.port=-1\n" + w + "ADVERTISE_URL=false\n" + w + "SAVE_JSON=false\n" +
			w + "SAVE_TXT=true\n" + w + "SEND_JSON=true\n" + w + "SEND_TXT=false\n", "google", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "sip-communicator.properties")
			text := transcriberProperties + c.text
			if !strings.Contains(text, "DIRECTORY=") {
				text += w + "DIRECTORY=" + filepath.Join(dir, "transcripts") + "\n"
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, found, err := config.Load([]string{"--config=" + path}, func(string) string { return "" }, dir)
			if err != nil {
				t.Fatal(err, found)
			}
			for _, f := range found {
				if strings.Contains(f.Text, "is not a property") || strings.Contains(f.Text, "not used yet") {
					t.Errorf("%v", f)
				}
			}
			if cfg.Transcription.Service != c.service || cfg.Transcription.Translation.Service != c.translator {
				t.Errorf("%s and %s", cfg.Transcription.Service, cfg.Transcription.Translation.Service)
			}
			cfg.Admin.Port = ports.Free(t)
			low := portRange(t)
			cfg.Media.MinPort, cfg.Media.MaxPort = low, low+199
			a, err := app.New(cfg, app.Options{Version: "test", Loopback: true, Log: logger(t)})
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Start(); err != nil {
				t.Fatal(err)
			}
			if p, want := page(t, "http://"+a.AdminAddr()+"/metrics"), fmt.Sprintf(`jigasi_speech_up{service=%q} 1`, c.service); !strings.Contains(p, want) {
				t.Errorf("no %s in the metrics", want)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_ = a.Close(ctx) // it has no brewery to leave
		})
	}
}
