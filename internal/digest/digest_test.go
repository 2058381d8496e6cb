package digest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

var mufasa = Login{User: "Mufasa", Password: "Circle of Life"}

// TestRFC7616Vectors holds the examples of RFC 7616, 3.9.1 and RFC 2617, 3.5.
func TestRFC7616Vectors(t *testing.T) {
	const cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	const nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
	for _, c := range []struct {
		login                                Login
		alg, realm, nonce, cnonce, uri, want string
	}{
		{mufasa, "MD5", "http-auth@example.org", nonce, cnonce, "/dir/index.html", "8ca523f5e9506fed4657c9700eebdbec"},
		{mufasa, "SHA-256", "http-auth@example.org", nonce, cnonce, "/dir/index.html", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{Login{User: "Mufasa", Password: "Circle Of Life"}, "", "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b", "/dir/index.html", "6629fae49393a05397450978507c4ef1"},
	} {
		ch := challenge{realm: c.realm, nonce: c.nonce, algorithm: c.alg, qop: "auth"}
		got := ch.answer(c.login, Request{Method: "GET", URI: c.uri}, c.cnonce, 1)
		if !strings.Contains(got, `response="`+c.want+`"`) {
			t.Errorf("%s: %s", c.alg, got)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		want   string // algorithm/qop of each chosen
		err    error
	}{
		{"unknown first", []string{`Digest realm="r", nonce="n", algorithm=AKAv1-MD5, qop="auth"`, `Digest realm="r", nonce="n", algorithm=MD5, qop="auth,auth-int"`}, "MD5/auth", nil},
		{"topmost wins", []string{`Digest realm="r", nonce="n", algorithm=SHA-256`, `Digest realm="r",nonce="n",algorithm=MD5`}, "SHA-256/", nil},
		{"md5 on top", []string{`Digest realm="r",nonce="n"`, `Digest realm="r", nonce="n", algorithm=SHA-256`}, "/", nil},
		{"one line", []string{`Digest realm="r", nonce="n", algorithm=SHA-999, Digest realm="r", nonce="m", algorithm=SHA-512-256, qop="auth-int"`}, "SHA-512-256/auth-int", nil},
		{"other scheme", []string{`Basic realm="r"`, `digest Realm = "r" , NONCE = "n" , qop = "auth-int , auth"`}, "/auth", nil},
		{"two realms", []string{`Digest realm="a", nonce="n"`, `Digest realm="b", nonce="n", algorithm=md5-sess, qop=auth`}, "/ md5-sess/auth", nil},
		{"empty nonce", []string{`Digest realm="r", nonce=""`}, "", ErrMalformed},
		{"no realm", []string{`Digest nonce="n"`}, "", ErrMalformed},
		{"open quote", []string{`Digest realm="r", nonce="n`}, "", ErrMalformed},
		{"injection", []string{"Digest realm=\"r\r\nX: y\", nonce=\"n\""}, "", ErrMalformed},
		{"qop unknown", []string{`Digest realm="r", nonce="n", qop="token"`}, "", ErrUnsupported},
		{"none", nil, "", ErrMalformed},
		{"huge", []string{`Digest realm="r", nonce="` + strings.Repeat("n", maxValue) + `"`}, "", ErrMalformed},
	} {
		got, err := choose(c.values)
		var s []string
		for _, ch := range got {
			s = append(s, ch.algorithm+"/"+ch.qop)
		}
		if strings.Join(s, " ") != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, s, err, c.want, c.err)
		}
	}
}

var register = Request{Method: "REGISTER", URI: "sip:example.org"}

func TestAttempt(t *testing.T) {
	c := New(mufasa)
	a := c.Start(register)
	if h := a.Headers(); len(h) != 0 {
		t.Fatalf("credentials before a challenge: %v", h)
	}
	must(t, a.Challenged(WWW, []string{`Digest realm="r", nonce="one", qop="auth"`}))
	h := a.Headers()
	if len(h) != 1 || h[0].Name != "Authorization" || !strings.Contains(h[0].Value, "nc=00000001") {
		t.Fatal(h)
	}
	// A later request counts on, and a stale nonce is replaced without complaint.
	b := c.Start(register)
	if h := b.Headers(); !strings.Contains(h[0].Value, "nc=00000002") {
		t.Fatal(h)
	}
	must(t, b.Challenged(WWW, []string{`Digest realm="r", nonce="two", qop="auth", stale=TRUE`}))
	if h := b.Headers(); !strings.Contains(h[0].Value, `nonce="two"`) || !strings.Contains(h[0].Value, "nc=00000001") {
		t.Fatal(h)
	}
	// A nonce that expired without stale is believed once, then it is a refusal.
	d := c.Start(register)
	d.Headers()
	must(t, d.Challenged(WWW, []string{`Digest realm="r", nonce="three"`}))
	d.Headers()
	if err := d.Challenged(WWW, []string{`Digest realm="r", nonce="four"`}); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	if h := c.Start(register).Headers(); len(h) != 0 {
		t.Fatalf("refused credentials are kept: %v", h)
	}
}

func TestProxyAndServer(t *testing.T) {
	a := New(Login{User: "u", Password: "p", Realms: []string{"Edge", "core"}}).Start(register)
	a.Headers()
	must(t, a.Challenged(Proxy, []string{`Digest realm="edge", nonce="n"`}))
	a.Headers()
	must(t, a.Challenged(WWW, []string{`Digest realm="core", nonce="n", opaque=""`}))
	h := a.Headers()
	if len(h) != 2 || h[0].Name != "Proxy-Authorization" || h[1].Name != "Authorization" || !strings.Contains(h[1].Value, `opaque=""`) {
		t.Fatal(h)
	}
	// A proxy whose nonces are good for one request asks again, and is no refusal.
	must(t, a.Challenged(Proxy, []string{`Digest realm="edge", nonce="n2"`}))
	a.Headers()
	if err := a.Challenged(Proxy, []string{`Digest realm="edge", nonce="n3"`}); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
}

// TestT19_NoDigestLeak gives nothing to a realm that is not ours, to an empty
// nonce, to a peer that never stops asking, and prints no password.
func TestT19_NoDigestLeak(t *testing.T) {
	pinned := New(Login{User: "u", Password: "sesame", Realms: []string{"trunk"}})
	a := pinned.Start(register)
	if err := a.Challenged(WWW, []string{`Digest realm="evil", nonce="n"`}); !errors.Is(err, ErrRealm) {
		t.Error(err)
	}
	if err := a.Challenged(WWW, []string{`Digest realm="trunk", nonce=""`}); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if h := a.Headers(); len(h) != 0 {
		t.Errorf("leaked %v", h)
	}
	first := New(Login{User: "u", Password: "sesame"})
	b := first.Start(register)
	must(t, b.Challenged(WWW, []string{`Digest realm="first", nonce="n"`}))
	if err := first.Start(register).Challenged(Proxy, []string{`Digest realm="second", nonce="n"`}); !errors.Is(err, ErrRealm) {
		t.Error(err)
	}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		b.Headers()
		err = b.Challenged(WWW, []string{fmt.Sprintf(`Digest realm="first", nonce="n%d", stale=true`, i)})
	}
	if !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	if err := New(Login{}).Start(register).Challenged(WWW, nil); !errors.Is(err, ErrNoLogin) {
		t.Error(err)
	}
	if s := fmt.Sprintf("%v %+v %#v", first.login, first.login, first.login); strings.Contains(s, "sesame") {
		t.Error(s)
	}
}

func TestQuoting(t *testing.T) {
	ch := challenge{realm: `a "b" \c`, nonce: "n"}
	got := ch.answer(Login{User: "x\r\nEvil: 1"}, register, "", 1)
	if strings.ContainsAny(got, "\r\n") || !strings.Contains(got, `realm="a \"b\" \\c"`) {
		t.Error(got)
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="o", stale=false`)
	f.Add(`Digest realm="a\"b", nonce=n, Basic realm="x", Digest realm=q,nonce=m`)
	f.Add("Digest realm=\"r\r\n\", nonce=\"")
	f.Fuzz(func(t *testing.T, value string) {
		a := New(mufasa).Start(register)
		err := a.Challenged(WWW, []string{value})
		headers := a.Headers()
		if (err == nil) != (len(headers) > 0) && err == nil {
			t.Fatal("taken, but no answer")
		}
		for _, h := range headers {
			if strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Fatalf("injected: %q", h.Value)
			}
			// What we write reads back as what was asked.
			back := read(h.Value)
			if len(back) != 1 || back[0].nonce == "" || !strings.EqualFold(back[0].realm, a.client.spots[0].chal.realm) && len(headers) == 1 {
				t.Fatalf("%q reads back as %+v", h.Value, back)
			}
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
