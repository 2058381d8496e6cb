package app_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/cli"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/stanza"
)

// diary keeps what is logged.
type diary struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (d *diary) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.buf.Write(b)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.buf.String()
}

var srtpKey = regexp.MustCompile(`inline:(\S+)`)

// T31: over whole calls in and out, with a login, registration, relays, passwords, keys and talk in the
// room, none of it stands in the log at its lowest level, nor on a page of the HTTP interface.
func TestT31_NoSecretInLogs(t *testing.T) {
	t.Parallel()
	canaries := map[string]string{
		"XMPP password": "canary-xmpp", "SIP password": "canary-sip", "admin token": "canary-admin-token", "TURN password": "canary-turn",
		"room password": "canary-room", "JWT": "canary-jwt.a.b", "dial's room password": "canary-dial-room",
		"caller's number": "4930666777888", "called number": "4989555444333", "chat": "canary-chat", "key": "canary-header",
	}
	r := newRegistrar(t)
	log := &diary{}
	m := startWith(t, lab.Options{Users: map[string]string{"jigasi@auth." + lab.Domain: canaries["XMPP password"]}},
		slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(cfg *config.Config) {
			withBrewery(cfg)
			withRegistrar(r)(cfg)
			briefly(t)(cfg)
			cfg.SIP.Accounts[0].Password, cfg.SIP.Trunks = "canary-sip", []string{"127.0.0.0/8"}
			cfg.Breweries[0].XMPP.Password = "canary-xmpp"
			cfg.Admin.Port, cfg.Admin.Token = ports.Free(t), "canary-admin-token"
			cfg.Media.SRTP = "optional"
			cfg.Media.TURN = []config.TURN{{Server: fmt.Sprintf("127.0.0.1:%d", ports.Free(t)), Transport: "tcp", User: "u", Password: "canary-turn"}}
		})
	eventually(t, 20*time.Second, "the focus sees the gateway and the registrar is content", func() bool { return joined(m)() && r.proofs.Load() > 0 })
	near := m.Join("alpha", 620)
	m.Join("alpha", 880)
	p, why := m.place(t, wish{
		room: "alpha", hz: 440, codecs: []string{"PCMU"}, srtp: sdp.Required, from: "sip:+" + canaries["caller's number"] + "@phone.test",
		headers: []sip.Header{{Name: "Jitsi-Conference-Room-Pass", Value: canaries["room password"]}, {Name: "Jitsi-Auth-Token", Value: canaries["JWT"]},
			{Name: "X-Key", Value: canaries["key"]}},
	})
	if p == nil {
		t.Fatal(why)
	}
	key := srtpKey.FindStringSubmatch(p.offer)
	if key == nil {
		t.Fatalf("no key in %s", p.offer)
	}
	canaries["SRTP key"] = strings.TrimSpace(key[1])
	eventually(t, 20*time.Second, "they hear each other", func() bool { return hears(near, 440)() && p.tone(620) > -26 })
	nick := m.nick(t)
	m.XMPP.Attach("guest@"+lab.Domain+"/x", func(*stanza.Elem) {})
	m.XMPP.Send("guest@"+lab.Domain+"/x", stanza.New("jabber:client", "presence", "to", "alpha@"+m.XMPP.MUC()+"/guest").Add(stanza.New("http://jabber.org/protocol/muc", "x")))
	m.XMPP.Send("guest@"+lab.Domain+"/x", stanza.New("jabber:client", "message", "type", "groupchat", "to", "alpha@"+m.XMPP.MUC()).Add(stanza.New("", "body").WithText(canaries["chat"])))
	m.XMPP.Send("guest@"+lab.Domain+"/x", stanza.New("jabber:client", "message", "type", "chat", "to", "alpha@"+m.XMPP.MUC()+"/"+nick).Add(stanza.New("", "body").WithText(canaries["chat"])))
	m.Focus.ReplaceTransport("alpha", nick, m.Bridge) // ICE and DTLS once more
	p.deaf()
	eventually(t, 20*time.Second, "they hear each other again", func() bool { return hears(near, 440)() && p.tone(620) > -26 })
	m.Focus.Dial("alpha@"+m.XMPP.MUC(), "+"+canaries["called number"], "JvbRoomPassword", canaries["dial's room password"], "X-Key", canaries["key"])
	pages := ""
	for _, path := range []string{"/debug", "/about/health", "/about/stats", "/readyz", "/metrics", "/calls", "/calls/" + m.app.Calls()[0].ID} {
		status, body := m.ask(t, path, canaries["admin token"])
		if status >= 400 && status != 503 {
			t.Errorf("%s: %d", path, status)
		}
		pages += body
	}
	m.XMPP.DropAll()
	p.deaf()
	eventually(t, 20*time.Second, "they hear each other after a loss", func() bool { return hears(near, 440)() && p.tone(620) > -26 })
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	m.app.HangupAll()
	eventually(t, 20*time.Second, "no call is left", func() bool { return len(m.app.Calls()) == 0 })
	pages += readConfigs(t, canaries)

	if n := len(canaries); n != 12 {
		t.Errorf("%d canaries, want 12", n)
	}
	for _, what := range slices.Sorted(maps.Keys(canaries)) {
		for where, text := range map[string]string{"the log": log.String(), "a page": pages} {
			if i := strings.Index(text, canaries[what]); i >= 0 {
				t.Errorf("the %s is in %s: %.300s", what, where, text[max(0, i-200):])
			}
		}
	}
	for _, line := range []string{"call ended", "call state", "media library", "SIP account registered"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log has no %q: it proves nothing", line)
		}
	}
}

// readConfigs has check-config and the gateway complain about files with secrets in wrong places.
func readConfigs(t *testing.T, canaries map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	dir := t.TempDir()
	env := func(string) string { return "" }
	for name, text := range map[string]string{
		"typo.yaml":   "xmpp:\n  pasword: canary-xmpp\n",
		"type.yaml":   "sip:\n  accounts:\n    - uri: a@b\n      password: [canary-sip]\n",
		"syntax.yaml": "xmpp:\n  password: \"canary-xmpp\n  user: x\n",
		"port.yaml":   "admin:\n  port: canary\n  token: canary-admin-token\nmedia:\n  turn:\n    - server: x\n      password: canary-turn\n",
		"good.yaml":   "meeting:\n  domain: x.test\nxmpp:\n  user: a@x.test\n  password: canary-xmpp\n",
		"old.properties": "net.java.sip.communicator.impl.protocol.sip.acc1=acc1\nnet.java.sip.communicator.impl.protocol.sip.acc1.PASSWORD=canary-sip\n" +
			"net.java.sip.communicator.impl.protocol.sip.acc1.PASWORD=canary-sip\norg.jitsi.jigasi.xmpp.acc.PASS=canary-xmpp\norg.jitsi.jigasi.xmpp.acc.PAS=canary-xmpp\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cli.CheckConfig([]string{file}, &out, &out, env)
		_, found, err := config.Load([]string{"--config=" + file}, env, dir)
		for _, f := range found {
			out.WriteString(f.String() + "\n")
		}
		if err != nil {
			out.WriteString(err.Error() + "\n")
		}
	}
	if !strings.Contains(out.String(), "pasword") {
		t.Errorf("check-config says nothing of a typo:\n%s", out.String())
	}
	return out.String()
}
