package callerid

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func serve(t *testing.T, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s
}

// TestFind: the number is escaped, and what a service says is taken where it is of use.
func TestFind(t *testing.T) {
	answer := ""
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/caller" || r.URL.Query().Get("number") != "+49 30&x=1" || r.URL.Query().Get("x") != "" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(answer))
	})
	for in, want := range map[string]Person{
		`{"result":{"user":{"id":"12346798","name":"Joe Bob","avatar":"https://avatars.example/joe.png"},"group":"877292"},"success":true}`: {Name: "Joe Bob", Avatar: "https://avatars.example/joe.png"},
		`{"result":{},"success":false}`: {},
		`{"result":{},"success":true}`:  {},
		`{"result":{"user":{"name":" Joe\n\u0000 Bob\u202e ","avatar":"javascript:alert(1)","email":"joe@example.com"}},"success":true}`: {Name: "Joe Bob", Email: "joe@example.com"},
		`{"result":{"user":{"name":"` + strings.Repeat("ä", 200) + `"}},"success":true}`:                                                 {Name: strings.Repeat("ä", maxName)},
		`{"result":{"user":{"name":"Joe"}},"success":false}`:                                                                             {},
	} {
		answer = in
		got, err := New(s.URL+"/caller?number={0}").Find(t.Context(), "+49 30&x=1")
		if err != nil || got != want {
			t.Errorf("%s: %v %+v, want %+v", in, err, got, want)
		}
	}
}

// TestNobodyFound: every answer that is none is an error, in time, without the number.
func TestNobodyFound(t *testing.T) {
	for name, f := range map[string]http.HandlerFunc{
		"status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"a number": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"success":true,"result":{"user":{"name":7}}}`))
		},
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"success":true,"x":"` + strings.Repeat("x", maxAnswer) + `"}`))
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"success":`))
		},
		"round and round": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) },
		"nobody there":    nil,
		"silence":         func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, f)
			if f == nil {
				s.Close()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "silence" { // as at the end of a call
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			p, err := New(s.URL+"?number={0}").Find(ctx, "4930123456")
			if err == nil || p != (Person{}) || strings.Contains(err.Error(), "4930123456") {
				t.Errorf("%v %+v", err, p)
			}
		})
	}
}

// TestRedirects: a few are followed, but not from https to http.
func TestRedirects(t *testing.T) {
	end := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"success":true,"result":{"user":{"name":"Joe"}}}`))
	})
	to := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, end.URL, http.StatusFound) }
	if p, err := New(serve(t, to).URL).Find(t.Context(), "1"); err != nil || p.Name != "Joe" {
		t.Errorf("%v %+v", err, p)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(to))
	defer secure.Close()
	s := New(secure.URL)
	s.client.Transport = secure.Client().Transport
	if p, err := s.Find(t.Context(), "1"); err == nil {
		t.Errorf("follows to plain HTTP: %+v", p)
	}
}

// FuzzAnswer: nothing that a service says makes a name or a picture that cannot stand in a presence.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"success":true,"result":{"user":{"name":"Joe\u0001","avatar":"https://x/\u0000"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _ := read(b)
		for _, s := range []string{p.Name, p.Avatar, p.Email} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\r\x01") || len(s) > 4*maxAddress {
				t.Errorf("%q", s)
			}
		}
	})
}
