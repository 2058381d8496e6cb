package config

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oldFile makes up a property file: some of the names that an installation may have, with values that may be
// right, odd, or wrong.
func oldFile(r *rand.Rand, names map[string][]string) string {
	values := []string{
		"true", "false", "TRUE", "0", "1", "-1", "25", "5061", "99999999999999999999", "9223372036854775807", "", "x", "a@b.example", "sip.example.org", "10.0.0.1", "::1",
		"c2VjcmV0", "not base64!", "conference,muc", "a=b, c=d", `["a.b","c.d"]`, "opus", "1000", "UDP", "TLS", "OPTIONS", "SIP_INFO_DTMF", "INBAND_DTMF",
		"env:HOME", "file:/etc/passwd", "plain:x", "# no comment", "- dash", "{a}", "[b]", "null", "~", "yes", "1e3", "0x10", "'", `"quoted"`, "ä ö €", "a: b", "trailing:", "%", "*star", "&and", "!bang", "|", ">", "@at", "`tick`",
		"https://{host}{subdomain}/http-bind?room={roomName}", "jigasibrewery@internal.auth.example.com",
	}
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	line := func(name, value string) {
		fmt.Fprintf(&b, "%s=%s\n", escape(name), escape(value))
	}
	for range r.IntN(30) {
		line(pick(names["global"]), pick(values))
	}
	for _, group := range []struct{ prefix, of string }{{prefixSIP, "sip"}, {prefixJabber, "jabber"}} {
		for i := range r.IntN(3) {
			id := fmt.Sprintf("acc%d", i)
			line(group.prefix+id, id)
			if group.of == "jabber" && r.IntN(4) > 0 {
				line(group.prefix+id+".BREWERY", "room@muc.example.com")
			}
			for range r.IntN(25) {
				line(group.prefix+id+"."+pick(names[group.of]), pick(values))
			}
		}
	}
	for range r.IntN(10) {
		line(prefixCall+pick(names["jabber"]), pick(values))
	}
	return b.String()
}

// TestConvertRoundTrip: whatever an old file says, the yaml that it is converted to says the same.
func TestConvertRoundTrip(t *testing.T) {
	names := oldNames(t)
	for seed := range uint64(200) {
		text := oldFile(rand.New(rand.NewPCG(seed, 3)), names)
		l := &loader{env: noEnv, cwd: "/nowhere", cfg: Default()}
		l.readLegacy("old.properties", []byte(text))
		again := &loader{env: noEnv, cwd: "/nowhere", cfg: Default()}
		again.readYAML("jigasi.yaml", l.cfg.YAML())
		if diff := cmp.Diff(l.cfg, again.cfg, equateEmpty); diff != "" {
			t.Fatalf("seed %d: the yaml is another configuration (-old +yaml):\n%s\n%v\n%s\n%s", seed, diff, again.found, l.cfg.YAML(), text)
		}
		for _, f := range again.found {
			if f.Severity == Error {
				t.Fatalf("seed %d: %v\n%s", seed, f, l.cfg.YAML())
			}
		}
	}
}
