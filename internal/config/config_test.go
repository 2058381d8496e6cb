package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); run with -update and review\n%s", path, diff)
	}
}

func noEnv(string) string { return "" }

func environ(pairs ...string) func(string) string {
	m := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return func(k string) string { return m[k] }
}

// loadYAML loads text from a file, which it names jigasi.yaml in its findings.
func loadYAML(t *testing.T, text string, args ...string) (*Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "jigasi.yaml"), text)
	c, found, err := Load(args, noEnv, dir)
	return c, show(found, dir), err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func show(found []Finding, dir string) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintln(&b, strings.ReplaceAll(f.String(), dir+"/", ""))
	}
	return b.String()
}

func TestSampleIsTheReference(t *testing.T) {
	golden(t, "../../docs/jigasi.yaml", Sample())
	c, found, err := loadYAML(t, string(Sample()))
	if err != nil {
		t.Fatal(err, found)
	}
	want := Default()
	want.Path = c.Path
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("the sample does not hold the defaults (-want +got):\n%s", diff)
	}
	// With the examples of list items switched on, every key is there and every
	// key is known.
	text := regexp.MustCompile(`(?m)^( *)# (- |  )`).ReplaceAllString(string(Sample()), "$1$2")
	text = regexp.MustCompile(`(?m)^(#.*|\s*|  (meeting|xmpp|sip|breweries):\n(    .*\n)*)$\n?`).ReplaceAllString(text, "")
	_, found, _ = loadYAML(t, text)
	if strings.Contains(found, "unknown key") || strings.Contains(found, "not YAML") {
		t.Errorf("%s\n%s", found, text)
	}
	for _, key := range allKeys(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`(?m)^[ #-]*` + key + `:`).Match(Sample()) {
			t.Errorf("the sample has no %s", key)
		}
	}
	for line := range strings.Lines(string(Sample())) {
		if regexp.MustCompile(`^  .*\S+: \S`).MatchString(line) && !strings.HasPrefix(line, "#") && !strings.Contains(line, " # ") {
			t.Errorf("no word of explanation: %s", line)
		}
	}
}

func allKeys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		tag, ft := t.Field(i).Tag.Get("yaml"), t.Field(i).Type
		if tag == "-" {
			continue
		}
		out = append(out, tag)
		if ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct {
			out = append(out, allKeys(ft)...)
		}
	}
	return out
}

func TestLegacyPageIsUpToDate(t *testing.T) {
	golden(t, "../../docs/legacy.md", Legacy())
	// Every row that names a key names one that exists.
	for _, r := range globals {
		if r.how == composed || r.to == "" {
			continue
		}
		v := reflect.ValueOf(Default()).Elem()
		for part := range strings.SplitSeq(r.to, ".") {
			var ok bool
			if v, ok = fieldByKey(v, part); !ok {
				t.Fatalf("%s names %s, which is no key", r.name, r.to)
			}
		}
	}
}

const small = `
meeting:
  domain: meet.example.com
sip:
  accounts:
    - uri: bot@sip.example.org
      password: secret
      keep_alive_interval: 5s
breweries:
  - room: JigasiBrewery@internal.auth.meet.example.com
    xmpp: {user: jigasi@auth.meet.example.com, password: topsecret, server: 127.0.0.1}
`

func TestYAML(t *testing.T) {
	c, found, err := loadYAML(t, small, "--min-port=30000", "--max-port=30100", "--host=10.0.0.9", "--nocomponent=true")
	if err != nil || found != "" {
		t.Fatal(err, found)
	}
	a, b := c.SIP.Accounts[0], c.Breweries[0]
	if a.ID != "sip1" || a.Password.Reveal() != "secret" || a.Interval != 5*time.Second || !a.Register || a.Expires != 10*time.Minute {
		t.Errorf("%+v", a)
	}
	if b.ID != "brewery1" || b.XMPP.Password.Reveal() != "topsecret" || b.XMPP.Ping != 30*time.Second || b.XMPP.Anonymous() {
		t.Errorf("%+v", b)
	}
	if c.Meeting.MUC != "conference.meet.example.com" || c.Media.MinPort != 30000 || c.Media.MaxPort != 30100 || c.XMPP.Server != "10.0.0.9" || !c.XMPP.Anonymous() {
		t.Errorf("%+v", c)
	}
	if got := c.Allowed(b); !cmp.Equal(got, []string{"JigasiBrewery@internal.auth.meet.example.com/focus"}) {
		t.Error(got)
	}
	c.DialOut.Allowed = []string{"jigasibrewery@internal.auth.meet.example.com", "boss@example.com/x"}
	if got := c.Allowed(b); !cmp.Equal(got, []string{"jigasibrewery@internal.auth.meet.example.com/focus", "boss@example.com/x"}) {
		t.Error(got)
	}
	// --host and --domain, which the Debian unit always passes, do not undo what the file says.
	c2, found, err := loadYAML(t, small+"xmpp: {server: 10.0.0.1}\n", "--host=localhost", "--domain=")
	if err != nil || found != "" || c2.XMPP.Server != "10.0.0.1" || c2.Meeting.Domain != "meet.example.com" {
		t.Errorf("%v %s %+v", err, found, c2.XMPP)
	}
	if s := fmt.Sprintf("%v %+v %#v", c, c, *c); strings.Contains(s, "secret") {
		t.Error("a secret is printed")
	}
}

func TestYAMLMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"sip:\n  acounts: []\n", "jigasi.yaml:2: error: sip.acounts: unknown key; did you mean accounts?"},
		{"sip:\n  accounts:\n    - uri: a@b\n      pasword: x\n", "jigasi.yaml:4: error: sip.accounts[0].pasword: unknown key; did you mean password?"},
		{"domain: x\n", "jigasi.yaml:1: error: domain: unknown key; did you mean meeting.domain?"},
		{"defaultRoom: x\n", "unknown key; did you mean meeting.default_room?"},
		{"log:\n  wibble: 1\n", "jigasi.yaml:2: error: log.wibble: unknown key; log has level, format"},
		{"media:\n  min_port: many\n", "jigasi.yaml:2: error: media.min_port: wants a whole number, not \"many\""},
		{"media:\n  min_port: 1\n  min_port: 2\n", "jigasi.yaml:3: error: media.min_port: stands twice, first in line 2"},
		{"meeting:\n  invite_timeout: 30\n", "jigasi.yaml:2: error: meeting.invite_timeout: wants a time such as"},
		{"admin:\n  shutdown: yes\n", "jigasi.yaml:2: error: admin.shutdown: write true or false, not \"yes\""},
		{"sip: 5\n", "jigasi.yaml:1: error: sip: is a section"},
		{"sip:\n  accounts: x\n", "wants a list"},
		{"log:\n  level: [a]\n", "wants one value"},
		{"meeting: {url_hosts: [a]}\n", "wants pairs"},
		{"a: b: c\n", "jigasi.yaml:1: error: is not YAML: "},
		{"log:\n\tlevel: info\n", "jigasi.yaml:2: error: is not YAML: found character that cannot start any token: indent by spaces, not by tabs"},
		{"dial_out:\n  rules:\n    - match: *\n", "put a value that begins with * or & into quotes"},
		{"dial_out:\n  rules:\n    - match: *49\n", "put a value that begins with * into quotes"},
		{"meeting:\n  domain: https://meet.example.com\n", "jigasi.yaml:2: error: meeting.domain: is a domain such as"},
		{"sip:\n  accounts: [{uri: 'sip:x@y'}]\n", "error: sip.accounts[0].uri: is user@domain alone, without sip:"},
		{"sip:\n  accounts: [{uri: x@y, headers: {room: 'X-Room:'}}]\n", "sip.accounts[0].headers: \"X-Room:\" is no name of a header"},
		{"sip:\n  accounts: [{uri: x@y}]\n", "warning: sip.accounts[0].password: is missing"},
		{"sounds: {dir: nowhere}\n", "error: sounds.dir: cannot be read"},
		{"log: {}\n---\nlog: {}\n", "second document"},
		{"", "warning: is empty"},
		{"xmpp:\n  user: a@b\n  password: env:NOPE\n", "jigasi.yaml:3: error: xmpp.password: the variable NOPE is not set"},
		{"xmpp:\n  user: a@b\n  password: file:nope\n", "jigasi.yaml:3: error: xmpp.password: the secret cannot be read"},
		{"xmpp:\n  user: a@b\n", "error: xmpp.password: is missing"},
		{"xmpp:\n  url: ftp://x\n", "jigasi.yaml:2: error: xmpp.url: begins with https://"},
		{"xmpp:\n  tls: {pin_sha256: [abc]}\n", "xmpp.tls.pin_sha256: \"abc\" is no SHA-256"},
		{"public_ip: here\n", "jigasi.yaml:1: error: public_ip: is auto, an IP"},
		{"public_ip: 'stun:'\n", "error: public_ip"},
		{"sip:\n  listen: [5060]\n", "jigasi.yaml:2: error: sip.listen"},
		{"sip:\n  listen: ['tls:0.0.0.0:5061']\n", "sip.tls.cert_file: is needed"},
		{"sip:\n  trunks: [trunk.example]\n", "is no network"},
		{"sip:\n  accounts: [{uri: x}]\n", "jigasi.yaml:2: error: sip.accounts[0].uri: needs a domain"},
		{"sip:\n  accounts: [{uri: x@y, id: a}, {uri: z@y, id: a}]\n", "\"a\" is there twice"},
		{"sip:\n  accounts: [{uri: x@y, forward: true, codecs: [PCMU]}]\n", "warning: sip.accounts[0].forward: has no effect without opus"},
		{"sip:\n  accounts: [{uri: x@y, transport: sctp}]\n", "sip.accounts[0].transport: is one of udp, tcp, tls"},
		{"sip:\n  accounts: [{uri: x@y, extra_headers: [{name: 'X: y'}]}]\n", "is no header name"},
		{"media:\n  codecs: [opus, G729]\n", "jigasi.yaml:2: error: media.codecs: \"G729\" is no codec here"},
		{"media:\n  max_port: 10001\n", "ports lie between"},
		{"media:\n  srtp: maybe\n", "media.srtp: is one of off, optional, required"},
		{"breweries:\n  - room: nowhere\n", "breweries[0].room: is the address of a room"},
		{"admin:\n  host: 0.0.0.0\n", "error: admin.token: is needed"},
		{"admin: {cert_file: x.pem}\n", "goes together with admin.key_file"},
		{"sip: {trunks: 0.0.0.0/0}\n", "warning: sip.trunks: everybody may call in"},
		{"xmpp: {tls: {trust_all: true}}\n", "jigasi.yaml:1: warning: xmpp.tls.trust_all: every certificate is accepted"},
	} {
		_, found, err := loadYAML(t, c.text)
		if !strings.Contains(found, c.want) {
			t.Errorf("%q\n got %s want %s", c.text, found, c.want)
		}
		if strings.Contains(c.want, "warning") == errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pw"), "from a file\n")
	path := filepath.Join(dir, "my.yaml")
	write(t, path, "xmpp: {user: a@b, password: file:pw}\nsip: {accounts: [{uri: a@b, password: 'env:PW'}, {uri: c@d, password: 'plain:env:PW'}, {uri: e@f, password: 0123}]}\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	c, found, err := Load([]string{"--config=my.yaml"}, environ("PW=from a variable"), dir)
	if err != nil {
		t.Fatal(err, found)
	}
	var got []string
	got = append(got, c.XMPP.Password.Reveal())
	for _, a := range c.SIP.Accounts {
		got = append(got, a.Password.Reveal())
	}
	if want := []string{"from a file", "from a variable", "env:PW", "0123"}; !cmp.Equal(got, want) {
		t.Error(got)
	}
	if !strings.Contains(show(found, dir), "can be read by everybody") {
		t.Error(found)
	}
	back := filepath.Join(dir, "back.yaml")
	write(t, back, string(c.YAML()))
	again, found, err := Load([]string{"--config=back.yaml"}, noEnv, dir)
	again.Path = c.Path
	if err != nil || !cmp.Equal(c, again) {
		t.Error(err, found, cmp.Diff(c, again))
	}
}

func TestWhichFile(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "etc", "jigasi")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"--configdir=etc", "--configdirname=jigasi"}
	which := func(env func(string) string, args ...string) string {
		c, _, _ := Load(args, env, dir)
		return strings.TrimPrefix(c.Path, dir+"/")
	}
	if _, found, err := Load(args, noEnv, dir); !errors.Is(err, ErrInvalid) || !strings.Contains(show(found, dir), "no configuration") {
		t.Error(err, found)
	}
	if got := which(environ("JIGASI_SIP_URI=a@b"), args...); got != "" {
		t.Error(got)
	}
	for _, f := range []string{"etc/jigasi/sip-communicator.properties", "sip-communicator.properties", "etc/jigasi/jigasi.yaml", "jigasi.yaml"} {
		write(t, filepath.Join(dir, f), "")
		if got := which(environ("JIGASI_SIP_URI=a@b"), args...); got != f {
			t.Errorf("%s is read, not %s", got, f)
		}
	}
	write(t, filepath.Join(dir, "other.properties"), "")
	if got := which(environ("JIGASI_CONFIG=other.properties"), args...); got != "other.properties" {
		t.Error(got)
	}
	c, found, err := Load(nil, environ("JIGASI_CONFIG_BODY="+small), dir)
	if err != nil || c.Meeting.Domain != "meet.example.com" {
		t.Error(err, found)
	}
	if _, found, err := Load([]string{"--config=nope.yaml"}, noEnv, dir); !errors.Is(err, ErrInvalid) || !strings.Contains(show(found, dir), "cannot be read") {
		t.Error(err, found)
	}
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte(small))
	f.Add(Sample())
	f.Add([]byte("a: &a [*a]\nsip: {accounts: [{uri: a@b, password: 'x\"y', headers: {room: \"\\x00\"}}]}\n"))
	f.Add([]byte("meeting: {url_hosts: {a: b, 'c: d': e}}\nlimits: {threshold: 1e3}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &loader{env: noEnv, cwd: "/nowhere", cfg: Default()}
		start := time.Now()
		l.readYAML("fuzz", data)
		if d := time.Since(start); d > 2*time.Second {
			t.Fatalf("%v", d)
		}
		for _, f := range l.found {
			if f.Severity == Error {
				return
			}
		}
		// What was read without a complaint is written so that it reads back the same.
		again := &loader{env: noEnv, cwd: "/nowhere", cfg: Default()}
		again.readYAML("fuzz", l.cfg.YAML())
		if diff := cmp.Diff(l.cfg, again.cfg, equateEmpty); diff != "" {
			t.Fatalf("%s\n%v\n%s", diff, again.found, l.cfg.YAML())
		}
	})
}

// equateEmpty: an empty list is written as none.
var equateEmpty = cmp.FilterValues(func(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	return x.IsValid() && y.IsValid() && x.Kind() == y.Kind() && (x.Kind() == reflect.Slice || x.Kind() == reflect.Map) && x.Len() == 0 && y.Len() == 0
}, cmp.Comparer(func(a, b any) bool { return true }))

func TestAliasBomb(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "x%d: &x%d [", i, i)
		b.WriteString(strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10), ", ") + "]\n")
	}
	b.WriteString("sip: {accounts: *x8, trunks: *x8}\n")
	start := time.Now()
	if _, found, err := loadYAML(t, b.String()); err == nil || time.Since(start) > time.Second {
		t.Error(time.Since(start), len(found))
	}
}

// TestDialOutAnywhere: without accounts an address is called directly, wherever it is, which is said.
func TestDialOutAnywhere(t *testing.T) {
	const text = "meeting: {domain: meet.example.com}\nsip: {trunks: [192.0.2.1]%s}\nbreweries: [{room: a@b.example, xmpp: {user: x@y.example, password: z}}]\n%s"
	for more, want := range map[[2]string]bool{
		{"", ""}: true, {", accounts: [{uri: a@b.example, password: c}]", ""}: false, {"", "dial_out: {rules: [{match: \"*@pbx.example.com\"}]}\n"}: false,
	} {
		if _, found, _ := loadYAML(t, fmt.Sprintf(text, more[0], more[1])); strings.Contains(found, "dial_out.rules: are not set") != want {
			t.Errorf("%q: %s", more, found)
		}
	}
}

// TestDialRules: what is wrong in a rule is said with the rule.
func TestDialRules(t *testing.T) {
	for rule, want := range map[string]string{
		`{match: "[0-9"}`:                  "dial_out.rules[0].match",
		`{strip: -1}`:                      "dial_out.rules[0].strip",
		`{deny: true, prefix: "0"}`:        "dial_out.rules[0].deny",
		`{accounts: [nobody]}`:             "dial_out.rules[0].accounts",
		`{match: "*"}, {match: "+49*"}`:    "dial_out.rules[0].match",
		`{match: "+49*", accounts: [pbx]}`: "",
	} {
		text := "meeting: {domain: meet.example.com}\nsip: {accounts: [{id: pbx, uri: a@b.example}]}\ndial_out: {rules: [" + rule + "]}\n"
		_, found, _ := loadYAML(t, text)
		if strings.Contains(found, "dial_out.rules") != (want != "") || !strings.Contains(found, want) {
			t.Errorf("%s: %s, want %s", rule, found, want)
		}
	}
}
