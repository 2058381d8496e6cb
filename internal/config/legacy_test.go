package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProperties: the corners of java.util.Properties.
func TestProperties(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a=b", "a=b"},
		{"a = b ", "a=b "},
		{"a:b", "a=b"},
		{"a b", "a=b"},
		{"a\t=\tb", "a=b"},
		{"a", "a="},
		{"a=", "a="},
		{"a==b", "a==b"},
		{"a = = b", "a== b"},
		{"a: =b", "a==b"},
		{"=b", "=b"},
		{"a b=c", "a=b=c"},
		{"# x\n! y\n  # z\na=b # no comment", "a=b # no comment"},
		{"a=b\\\n  c", "a=bc"},
		{"a=b\\\r\n\tc\r\nd=e", "a=bc d=e"},
		{"a=b\\\\\nc=d", `a=b\ c=d`},
		{"a=b\\", "a=b"},
		{"a=b\\\n# c", "a=b# c"},
		{"a=b\\\n\nc=d", "a=b c=d"},
		{"\\\n# a\n\\\n", "="},
		{"a\\\n=b", "a=b"},
		{`a\ b=c\:d`, "a b=c:d"},
		{`SIP\:u@h=1`, "SIP:u@h=1"},
		{`a=\q\t\u00e9\uD83D\uDE00`, "a=q\té😀"},
		{"a=caf\xe9", "a=café"},
		{"a=caf\xc3\xa9 \xf0\x9f\x98\x80", "a=café 😀"}, // UTF-8, which Java garbles
		{"a=\\\xc3\xa9", "a=é"},
		{"\xef\xbb\xbf# c\na=b", "a=b"}, // the mark that some editors write
		{"\xef\xbb\xbfa=b", "a=b"},
		{"a=1\ra=2", "a=1 a=2"},
		{"\f a\fb", "a=b"},
		{"\n\r\n \n", ""},
		{`a=\u12`, "!1"},
		{`a=\u12g4`, "!1"},
		{"x=1\n\\uZ=2\ny=3", "x=1 y=3 !2"},
	} {
		props, bad := parseProperties("f", []byte(c.in))
		var got []string
		for _, p := range props {
			got = append(got, p.key+"="+p.value)
		}
		for _, b := range bad {
			got = append(got, fmt.Sprintf("!%d", b.line))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q: %q, want %q", c.in, s, c.want)
		}
	}
}

func TestPropertyLines(t *testing.T) {
	props, _ := parseProperties("f", []byte("# one\n\na=1\\\n  2\\\n  3\nb=4\r\nc=5"))
	var got []int
	for _, p := range props {
		got = append(got, p.line)
	}
	if !slices.Equal(got, []int{3, 6, 7}) {
		t.Error(got)
	}
}

func FuzzProperties(f *testing.F) {
	f.Add([]byte("a=b\\\n c\nd\\:e : f\\u00e9\n#x\n!y"))
	f.Add([]byte("\\\n\n\\\\\n=\n:=: \f\r\n\\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		props, bad := parseProperties("f", data)
		if n := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 1; len(props)+len(bad) > n {
			t.Fatalf("%d properties in %d lines", len(props), n)
		}
		// What was read, written with every character escaped, reads back the same.
		for _, p := range props {
			again, bad := parseProperties("f", []byte(escape(p.key)+"="+escape(p.value)))
			if len(bad) > 0 || len(again) != 1 || again[0].key != p.key || again[0].value != p.value {
				if p.key == "" && p.value == "" {
					continue
				}
				t.Fatalf("%q = %q reads back as %v %v", p.key, p.value, again, bad)
			}
		}
		old := (&loader{env: noEnv, cwd: "/nowhere", cfg: Default()}).newLegacy()
		old.addFile("f", data)
		old.apply()
	})
}

func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}

// convert gives the yaml and the findings of an old configuration, and checks that
// the yaml says the same as the original.
func convert(t *testing.T, args []string, env func(string) string, dir string) []byte {
	t.Helper()
	out, found, err := Convert(args, env, dir)
	if err != nil {
		t.Fatal(err, show(found, dir))
	}
	old, _, err := Load(args, env, dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jigasi.yaml")
	write(t, path, string(out))
	again, found2, err := Load([]string{"--config=" + path}, noEnv, dir)
	if err != nil {
		t.Fatal(err, show(found2, dir))
	}
	again.Path = old.Path
	if diff := cmp.Diff(old, again, equateEmpty); diff != "" {
		t.Errorf("the yaml is another configuration (-old +yaml):\n%s\n%s", diff, out)
	}
	return append(out, "\n# found:\n"+strings.ReplaceAll("# "+strings.TrimSpace(show(found, dir)), "\n", "\n# ")+"\n"...)
}

func TestConvert(t *testing.T) {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"whole", "readme-brewery"} {
		golden(t, "testdata/"+name+".golden", convert(t, []string{"--config=" + name + ".properties"}, noEnv, dir))
	}
	golden(t, "testdata/docker.golden", convert(t, []string{"--nocomponent=true", "--configdir=" + t.TempDir()}, environ(
		"JIGASI_SIP_URI=bot@sip.example.org", "JIGASI_SIP_PASSWORD=s3cret", "JIGASI_SIP_SERVER=sip.example.org", "JIGASI_SIP_PORT=5080",
		"JIGASI_SIP_TRANSPORT=TLS", "JIGASI_SIP_DEFAULT_ROOM=hall@muc.meet.jitsi", "JIGASI_SIP_KEEP_ALIVE_METHOD=REGISTER", "JIGASI_ENABLE_SDES_SRTP=1",
		"JIGASI_XMPP_USER=gw", "JIGASI_XMPP_PASSWORD=xs3cret", "JIGASI_BREWERY_MUC=pub", "JIGASI_PORT_MIN=21000", "JIGASI_PORT_MAX=21100",
		"XMPP_SERVER=xmpp.meet.jitsi,10.0.0.2:6222:shard2", "JIGASI_HEALTH_CHECK_SIP_URI=echo", "JIGASI_ENABLE_REST=true", "SHUTDOWN_REST_ENABLED=true",
		"JIGASI_LOCAL_REGION=eu", "JIGASI_STATS_ID=gw7", "JIGASI_JVB_TIMEOUT=20000", "ENABLE_AUTH=1", "ENABLE_GUESTS=1", "JIGASI_TRUSTED_DOMAINS=[\"a.b\"]",
		"BOSH_URL_PATTERN=https://{host}{subdomain}/http-bind?room={roomName}", "JIGASI_SENTRY_DSN=https://x", "USE_TRANSLATOR_IN_CONFERENCE=1",
		"JIGASI_CONFIGURATION=org.jitsi.jigasi.CONFERENCES_THRESHOLD=9,org.jitsi.jigasi.MUC_JOIN_TIMEOUT=5", "ENABLE_VISITORS=true",
	), dir))
}

// TestReadmeBrewery: the example in Jigasi's README loads as it stands.
func TestReadmeBrewery(t *testing.T) {
	c, found, err := Load([]string{"--config=testdata/readme-brewery.properties"}, noEnv, ".")
	if err != nil || len(c.Breweries) != 1 {
		t.Fatal(err, found)
	}
	b := c.Breweries[0]
	if b.ID != "acc-xmpp-1" || b.Room != "JigasiBrewery@internal.auth.meet.example.com" || b.XMPP.User != "jigasi@auth.meet.example.com" ||
		b.XMPP.Ping != 30*time.Second || !b.XMPP.Plaintext || b.CallURL != "https://{host}{subdomain}/http-bind?room={roomName}" || c.Meeting.Domain != "meet.example.com" {
		t.Errorf("%+v", b)
	}
}

func TestEncryptedPassword(t *testing.T) {
	c, _, err := Load([]string{"--config=testdata/whole.properties"}, noEnv, ".")
	if err != nil || c.Breweries[1].XMPP.Password.Reveal() != "zwei geheim" {
		t.Error(err, c.Breweries)
	}
	for _, s := range []string{"", "x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="} {
		if _, err := decrypt(s); err == nil {
			t.Errorf("%q is decrypted", s)
		}
	}
}

// TestPrecedence: the file wins over the command line, that over -D pairs.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	env := environ("JAVA_SYS_PROPS=-Xmx3g '-Dorg.jitsi.jigasi.STATS_ID=two words' -Dorg.jitsi.jigasi.LOCAL_REGION=d -D" + prefixService + "MIN_MEDIA_PORT_NUMBER=1111 -verbose")
	path := filepath.Join(dir, "sip-communicator.properties")
	write(t, path, "org.jitsi.jigasi.LOCAL_REGION=file\n")
	c, _, _ := Load([]string{"--min-port=22222", "max-port=33333", "-domain=x.example"}, env, dir)
	if c.Meeting.StatsID != "two words" || c.Meeting.Region != "file" || c.Media.MinPort != 22222 || c.Media.MaxPort != 33333 || c.Meeting.Domain != "x.example" {
		t.Errorf("%+v %+v", c.Meeting, c.Media)
	}
	write(t, path, prefixService+"MIN_MEDIA_PORT_NUMBER=4444\n"+prefixService+"MAX_MEDIA_PORT_NUMBER=5555\n")
	if c, _, _ = Load([]string{"--min-port=22222"}, env, dir); c.Media.MinPort != 4444 || c.Media.MaxPort != 5555 {
		t.Errorf("%+v", c.Media)
	}
}

func TestArguments(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "jigasi.yaml"), small)
	_, found, err := Load([]string{"--help", "=x", "--logdir=", "--nocomponent=true", "--wibble=1", "--logdir=/var/log/jitsi", "--min-port=many", "--host=localhost"}, noEnv, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`"--help" is skipped`, `"=x" is skipped`, "--logdir: is skipped", "--wibble: is not known", "--min-port: is no number"}
	got := show(found, dir)
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("no %q in\n%s", w, got)
		}
	}
	if len(found) != len(want) {
		t.Error(got)
	}
}

// TestDockerCustomFile: the file that users append wins over the variables.
func TestDockerCustomFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "custom-sip-communicator.properties"), "org.jitsi.jigasi.STATS_ID=custom\n")
	c, found, err := Load([]string{"--configdir=" + filepath.Dir(dir), "--configdirname=" + filepath.Base(dir), "--min-port=25000", "--max-port=26000"},
		environ("JIGASI_SIP_URI=a@b", "JIGASI_STATS_ID=env", "JIGASI_XMPP_PASSWORD=x"), t.TempDir())
	if err != nil || c.Meeting.StatsID != "custom" || c.Media.MinPort != 25000 || c.Media.MaxPort != 26000 || len(c.SIP.Accounts) != 1 {
		t.Error(err, found, c.Media)
	}
	// The transcriber's container makes no calls.
	c, _, err = Load([]string{"--configdir=" + t.TempDir()}, environ("JIGASI_MODE=transcriber", "JIGASI_XMPP_PASSWORD=x", "JIGASI_TRANSCRIBER_PASSWORD=y"), dir)
	if err != nil || c.SIP.Enabled || c.XMPP.User != "transcriber@hidden.meet.jitsi" {
		t.Errorf("%v %+v", err, c.XMPP)
	}
}

// TestServerWithPort: a server that comes with its port keeps it.
func TestServerWithPort(t *testing.T) {
	for server, want := range map[string]string{"sip.example": "sip.example:5070", "sip.example:5099": "sip.example:5099", "2001:db8::1": "[2001:db8::1]:5070"} {
		c, _, err := Load([]string{"--configdir=" + t.TempDir()}, environ("JIGASI_SIP_URI=a@b.example", "JIGASI_SIP_PASSWORD=x", "JIGASI_XMPP_PASSWORD=y", "JIGASI_SIP_PORT=5070", "JIGASI_SIP_SERVER="+server), t.TempDir())
		if err != nil || c.SIP.Accounts[0].Proxy != want {
			t.Errorf("%s: %v %s, want %s", server, err, c.SIP.Accounts[0].Proxy, want)
		}
	}
	for s, want := range map[string]bool{"[127.0.0.1:9]:5060": false, "[2001:db8::1]:5060": true, "a:5060": true, "a:b:5060": false} {
		if validHostPort(s) != want {
			t.Errorf("%s is taken: %v", s, !want)
		}
	}
}

// TestT60_OldConfigSafe: what is dangerous in an old installation is said, and
// an interface without authentication is not opened.
func TestT60_OldConfigSafe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sip-communicator.properties")
	jabber := prefixJabber + "acc1"
	write(t, path, strings.Join([]string{
		"net.java.sip.communicator.service.gui.ALWAYS_TRUST_MODE_ENABLED=true",
		"org.jitsi.jigasi.rest.jetty.host=0.0.0.0",
		jabber + "=acc1", jabber + ".USER_ID=j@a.b", jabber + ".PASSWORD=c2VjcmV0", jabber + ".BREWERY=r@a.b",
		jabber + ".SERVER_ADDRESS=10.0.0.1", jabber + ".IS_SERVER_OVERRIDDEN=true", jabber + ".ALLOW_NON_SECURE=true",
		prefixSIP + "acc1=acc1", prefixSIP + "acc1.USER_ID=bot",
	}, "\n"))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	c, found, err := Load(nil, noEnv, dir)
	if err != nil {
		t.Fatal(err, found)
	}
	for _, key := range []string{"ALWAYS_TRUST_MODE_ENABLED", "rest.jetty.host", "acc1.PASSWORD", "dial_out.allowed", "ALLOW_NON_SECURE", "acc1.USER_ID", ""} {
		if !slices.ContainsFunc(found, func(f Finding) bool {
			return f.Severity == Warning && strings.HasSuffix(f.Key, key) && f.File == path && (f.Line > 0 || key == "" || key == "dial_out.allowed")
		}) {
			t.Errorf("no warning for %q in\n%s", key, show(found, dir))
		}
	}
	if c.Admin.Host != "127.0.0.1" {
		t.Error("the interface is open")
	}
	if got := c.Allowed(c.Breweries[0]); !slices.Equal(got, []string{"r@a.b/focus"}) {
		t.Error(got)
	}
}

func TestSuggestions(t *testing.T) {
	if got := suggest(reflect.TypeFor[SIPAccount](), "x", "keepalive"); got != "; did you mean keep_alive?" {
		t.Error(got)
	}
	if edits("ab", "ba") != 1 || edits("", "abc") != 3 || edits("same", "same") != 0 || edits(strings.Repeat("x", 99), "x") < 99 {
		t.Error("edits")
	}
}

func TestReadBrewery(t *testing.T) {
	authority := filepath.Join(t.TempDir(), "ca.pem")
	certificate(t, authority)
	b, found, err := ReadBrewery("acc-xmpp-2", map[string]string{
		"ACCOUNT_UID": "Jabber:jigasi@auth.shard2.example.com", "USER_ID": "jigasi@auth.shard2.example.com", "PASSWORD": "se cret",
		"PROTOCOL_NAME": "Jabber", "IS_SERVER_OVERRIDDEN": "true", "SERVER_ADDRESS": "127.0.0.2", "SERVER_PORT": "5222", "ALLOW_NON_SECURE": "true",
		"BREWERY": "jigasibrewery@internal.auth.shard2.example.com", "DOMAIN_BASE": "shard2.example.com", "MUC_DOMAIN_PREFIX": "conference",
	}, TLSTrust{CAFile: authority})
	want := Brewery{
		ID: "acc-xmpp-2", Room: "jigasibrewery@internal.auth.shard2.example.com", Domain: "shard2.example.com", MUCPrefixes: []string{"conference"},
		XMPP: XMPP{User: "jigasi@auth.shard2.example.com", Password: "se cret", Server: "127.0.0.2:5222", Plaintext: true, Ping: 30 * time.Second, TLS: TLSTrust{CAFile: authority}},
	}
	if err != nil || !cmp.Equal(b, want) {
		t.Error(err, found, cmp.Diff(want, b))
	}
	for _, f := range found {
		if f.Severity > Info {
			t.Error(f)
		}
	}
	for _, bad := range []map[string]string{
		{}, {"USER_ID": "a@b"}, {"BREWERY": "no room"}, {"BREWERY": "a@b", "BOSH_URL": "gopher://x"},
	} {
		if _, _, err := ReadBrewery("x", bad, TLSTrust{}); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
