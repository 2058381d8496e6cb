package digest

import (
	"strings"
	"testing"
)

// TestRFC7616Example is the example of RFC 7616, 3.9.1, both algorithms.
func TestRFC7616Example(t *testing.T) {
	for alg, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		c := Challenge{Realm: "http-auth@example.org", Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", Algorithm: alg, QOP: []string{"auth", "auth-int"}}
		got := c.answer(Credentials{User: "Mufasa", Password: "Circle of Life"}, "GET", "/dir/index.html", nil, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", 1)
		if !strings.Contains(got, `response="`+want+`"`) {
			t.Errorf("%s: %s", alg, got)
		}
	}
}

func TestChoice(t *testing.T) {
	cr := Credentials{User: "u", Password: "p", Realm: "a"}
	for _, tt := range []struct {
		name, want string
		values     []string
	}{
		{"first known algorithm", "SHA-256", []string{`Digest realm="a", nonce="n", algorithm=AKAv1-MD5`, `Digest realm="a",nonce="n",algorithm=SHA-256`, `Digest realm="a",nonce="n"`}},
		{"another realm gets nothing", "none", []string{`Digest realm="evil",nonce="n"`}},
		{"Basic gets nothing", "none", []string{`Basic realm="a"`}},
		{"unknown protection gets nothing", "none", []string{`Digest realm="a",nonce="n",qop="auth-conf"`}},
		{"no nonce", "none", []string{`Digest realm="a"`}},
		{"odd spacing", "md5", []string{`digest  realm = "a" ,nonce="n\"x" , algorithm = md5`}},
	} {
		c, err := Choose(tt.values, cr)
		got := c.Algorithm
		if err != nil {
			got = "none"
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestSessionCountsAndStops(t *testing.T) {
	s := NewSession(Credentials{User: "u", Password: "secret"})
	if _, ok := s.Authorize("INVITE", "sip:x", nil); ok {
		t.Error("credentials before a challenge")
	}
	ch := []string{`Digest realm="a",nonce="n",qop="auth"`}
	if err := s.Challenged(ch, false); err != nil {
		t.Fatal(err)
	}
	one, _ := s.Authorize("INVITE", "sip:x", nil)
	two, _ := s.Authorize("INVITE", "sip:x", nil)
	if !strings.Contains(one, "nc=00000001") || !strings.Contains(two, "nc=00000002") || strings.Contains(one, "secret") {
		t.Errorf("%s\n%s", one, two)
	}
	if err := s.Challenged(ch, true); err == nil {
		t.Error("refused credentials are tried again")
	}
	if err := s.Challenged([]string{`Digest realm="a",nonce="n2",stale=true`}, true); err != nil {
		t.Errorf("a stale nonce ends it: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`Digest realm="a",nonce="n",qop="auth"`)
	f.Fuzz(func(t *testing.T, v string) {
		c, err := Parse(v)
		if err != nil {
			return
		}
		if a := c.answer(Credentials{User: "u\r\nX: y", Password: "p"}, "INVITE", "sip:x", nil, "c", 1); strings.ContainsAny(a, "\r\n") {
			t.Errorf("%q", a)
		}
	})
}
