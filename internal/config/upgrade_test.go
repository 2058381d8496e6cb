package config

import (
	"path/filepath"
	"strings"
	"testing"
)

const sipAccount = "net.java.sip.communicator.impl.protocol.sip.acc1=acc1\n" +
	"net.java.sip.communicator.impl.protocol.sip.acc1.USER_ID=u@sip.test\n" +
	"net.java.sip.communicator.impl.protocol.sip.acc1.PASSWORD=c2VjcmV0\n" +
	"net.java.sip.communicator.impl.protocol.sip.acc1.DOMAIN_BASE=meet.test\n"

// loadOld reads an old file of these lines.
func loadOld(t *testing.T, text string) (*Config, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sip-communicator.properties"), text)
	cfg, found, _ := Load([]string{"--config=sip-communicator.properties"}, noEnv, dir)
	return cfg, show(found, dir)
}

// TestOldMistakesHaveALine: what is wrong with an old account is told with the line that makes it, or that says it.
func TestOldMistakesHaveALine(t *testing.T) {
	at := "net.java.sip.communicator.impl.protocol.sip.acc1."
	for text, want := range map[string]string{
		at + "JITSI_MEET_ROOM_HEADER_NAME=X Room":                                             ":1: error: sip.accounts[0].headers: ",
		at + "PROXY_AUTO_CONFIG=false\n" + at + "PROXY_ADDRESS=h\n" + at + "PROXY_PORT=70000": ":6: error: " + at + "PROXY_ADDRESS: ",
		"net.java.sip.communicator.impl.protocol.sip.acc2=acc2":                               ":5: error: sip.accounts[1].uri: ",
		"org.jitsi.jigasi.ENABLE_TRANSCRIPTION=1":                                             `:5: warning: org.jitsi.jigasi.ENABLE_TRANSCRIPTION: "1" is not true: it counts as false`,
		"org.jitsi.jigasi.transcription.SAVE_TXT=yes":                                         `:5: warning: org.jitsi.jigasi.transcription.SAVE_TXT: "yes" is not true: it counts as false`,
		"org.jitsi.jigasi.transcription.ENABLE_TRANSLATION=on":                                `:5: warning: org.jitsi.jigasi.transcription.ENABLE_TRANSLATION: "on" is not true: it counts as false`,
		"org.jitsi.jigasi.ENABLE_SIP_STARTMUTED=yes":                                          `:5: warning: org.jitsi.jigasi.ENABLE_SIP_STARTMUTED: "yes" is not true: it counts as false`,
		"\x00": "error: is no text of properties: save it as UTF-8",
	} {
		if _, found := loadOld(t, sipAccount+text+"\n"); !strings.Contains(found, want) {
			t.Errorf("%s\nno %q in\n%s", text, want, found)
		}
	}
}

// TestTrustedDomains: an array in the file, a list in the container's variable.
func TestTrustedDomains(t *testing.T) {
	for _, v := range []string{`["a.test", "b.test"]`, "a.test,b.test", "a.test, b.test,"} {
		cfg, found, err := Load(nil, environ("JIGASI_XMPP_PASSWORD=x", "JIGASI_SIP_URI=u@sip.test", "JIGASI_SIP_PASSWORD=x", "JIGASI_TRUSTED_DOMAINS="+v), t.TempDir())
		if got := strings.Join(cfg.Meeting.TrustedDomains, " "); err != nil || got != "a.test b.test" {
			t.Errorf("%s: %q, %v %v", v, got, err, found)
		}
	}
	if _, found := loadOld(t, sipAccount+"org.jitsi.jigasi.TRUSTED_DOMAINS=[a.test]\n"); !strings.Contains(found, "is no JSON array") {
		t.Errorf("a broken array: %s", found)
	}
}

// TestWhoChoseThePort: the port of SIP is a wish of old files and of those that say nothing, and an order of who writes sip.listen.
func TestWhoChoseThePort(t *testing.T) {
	for text, want := range map[string]bool{
		sipAccount: true,
		sipAccount + "net.java.sip.communicator.SIP_PREFERRED_CLEAR_PORT=5070\n": true,
	} {
		if cfg, _ := loadOld(t, text); cfg.SIP.ListenAny != want {
			t.Errorf("%s: %v", text, cfg.SIP.ListenAny)
		}
	}
	for text, want := range map[string]bool{"meeting: {domain: a.test}": true, "sip: {listen: [udp:0.0.0.0:5060, tcp:0.0.0.0:5060]}": false} {
		if cfg, _, _ := loadYAML(t, text); cfg.SIP.ListenAny != want {
			t.Errorf("%s: %v", text, cfg.SIP.ListenAny)
		}
	}
}

// TestPlainLoginsOfOld: as before, an anonymous login to a server on this machine does without TLS; no other does.
func TestPlainLoginsOfOld(t *testing.T) {
	call := "org.jitsi.jigasi.xmpp.acc."
	for text, want := range map[string]bool{
		call + "SERVER_ADDRESS=127.0.0.1\n" + call + "SERVER_PORT=5222": true,
		call + "SERVER_ADDRESS=localhost":                               true,
		call + "SERVER_ADDRESS=xmpp.meet.test":                          false,
		call + "SERVER_ADDRESS=127.0.0.1\n" + call + "USER_ID=u@meet.test\n" + call + "PASS=x\n" + call + "ANONYMOUS_AUTH=false": false,
		"": false,
	} {
		if cfg, _ := loadOld(t, sipAccount+text+"\n"); cfg.XMPP.Plaintext != want {
			t.Errorf("%s: %v", text, cfg.XMPP.Plaintext)
		}
	}
}

// TestRegistrarOfOld: a server's address or its port may stand alone; what is missing is the user's domain, or found by DNS.
func TestRegistrarOfOld(t *testing.T) {
	const acc = "net.java.sip.communicator.impl.protocol.sip.acc1."
	for text, want := range map[string]string{
		"":                              "",
		acc + "SERVER_ADDRESS=pbx.test": "pbx.test",
		acc + "SERVER_ADDRESS=sip.test": "",
		acc + "SERVER_PORT=5070":        "sip.test:5070",
		acc + "SERVER_ADDRESS=pbx.test\n" + acc + "SERVER_PORT=5070": "pbx.test:5070",
	} {
		if cfg, _ := loadOld(t, sipAccount+text+"\n"); len(cfg.SIP.Accounts) != 1 || cfg.SIP.Accounts[0].Registrar != want {
			t.Errorf("%q leads to %+v, want %q", text, cfg.SIP.Accounts, want)
		}
	}
}
