package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/sip"
)

// TestBOSHOfATenant: where a call logs in by HTTP follows from its headers: host by domain, path by tenant, room and token in the query; and
// the login is in the domain of the token's user, or in that of the meeting.
func TestBOSHOfATenant(t *testing.T) {
	t.Parallel()
	type request struct{ url, body string }
	seen := make(chan request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		select {
		case seen <- request{r.URL.String(), string(body)}:
		default:
		}
		http.Error(w, "not here", http.StatusNotFound) // where it was asked is all that counts
	}))
	defer server.Close()
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.XMPP.Server, c.XMPP.URL = "", "http://{host}{subdomain}/http-bind?room={roomName}"
		c.Meeting.URLHosts = map[string]string{lab.Domain: strings.TrimPrefix(server.URL, "http://"), "other.test": strings.TrimPrefix(server.URL, "http://")}
	})
	for _, c := range []struct{ headers, url, domain string }{
		{"Jitsi-Conference-Room=Alpha@conference." + lab.Domain, "/http-bind?room=alpha", lab.Domain},
		{"X-Room-Name=alpha@conference.acme." + lab.Domain, "/acme/http-bind?room=alpha", lab.Domain},
		{"X-Room-Name=beta X-Domain-Base=other.test", "/http-bind?room=beta", "other.test"},
		{"X-Room-Name=alpha X-Auth-Token=t.o.k", "/http-bind?room=alpha&token=t.o.k", lab.Domain},
		{"X-Room-Name=alpha X-Auth-Token=t.o.k X-User-ID-Token=anna@users.test", "/http-bind?room=alpha&token=t.o.k", "users.test"},
	} {
		w := wish{hz: 440, noRoom: true}
		for h := range strings.FieldsSeq(c.headers) {
			name, value, _ := strings.Cut(h, "=")
			w.headers = append(w.headers, sip.Header{Name: name, Value: value})
		}
		if p, _ := m.place(t, w); p != nil {
			t.Fatal("the call is answered")
		}
		select {
		case got := <-seen:
			if got.url != c.url || !strings.Contains(got.body, fmt.Sprintf("to='%s'", c.domain)) && !strings.Contains(got.body, fmt.Sprintf("to=%q", c.domain)) {
				t.Errorf("%s: asked at %s by %s, want %s of %s", c.headers, got.url, got.body, c.url, c.domain)
			}
		case <-time.After(patience):
			t.Fatalf("%s: nobody asked", c.headers)
		}
		for len(seen) > 0 {
			<-seen
		}
	}
}
