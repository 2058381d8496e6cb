package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/ports"
	"jigasi/internal/sip"
	"jigasi/internal/stanza"
)

// refusal is something that is not granted, and how it is counted.
type refusal struct {
	name, counter string
	do            func()
}

// TestRefusalsAreCounted: what is malformed, oversized, out of order or of the wrong sender, over SIP, XMPP and HTTP,
// raises a counter, and the call beside it goes on.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(c *config.Config) {
		c.Admin.Port, c.SIP.Trunks = ports.Free(t), []string{"127.0.0.0/8"}
		withBrewery(c)
	})
	eventually(t, 20*time.Second, "the focus sees the gateway", joined(m))
	p, heard := connected(t, m)
	seat := "alpha@" + m.XMPP.MUC() + "/" + m.nick(t)
	guest := "guest@" + lab.Domain + "/g"
	m.XMPP.Attach(guest, func(*stanza.Elem) {})
	m.XMPP.Send(guest, stanza.New("jabber:client", "presence", "to", "alpha@"+m.XMPP.MUC()+"/guest").Add(stanza.New("http://jabber.org/protocol/muc", "x")))
	iq := func(typ, id string, kids ...*stanza.Elem) func() {
		return func() {
			m.XMPP.Send(guest, stanza.New("jabber:client", "iq", "type", typ, "id", id, "to", seat).Add(kids...))
		}
	}
	info := func(kind, body string) func() { return func() { p.d.Info(kind, []byte(body), nil) } }
	invite := func(body string) func() {
		return func() {
			d, err := m.ua.Dial(t.Context(), sip.DialOptions{To: "sip:gw@" + m.gateway(), From: "sip:x@y", SDP: []byte(body), Headers: []sip.Header{{Name: "Jitsi-Conference-Room", Value: "alpha"}}})
			if err != nil {
				t.Error(err)
				return
			}
			for e := range d.Events() {
				if e.Kind == sip.Answered {
					t.Errorf("a call is taken for %q", body)
					d.Hangup(cause.Cause{Code: cause.Normal})
				}
			}
		}
	}
	web := func(method, path, body string) func() {
		return func() {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://"+m.app.AdminAddr()+path, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			if res, err := c.Do(req); err == nil {
				_ = res.Body.Close()
			}
		}
	}
	jingle := stanza.New("urn:xmpp:jingle:1", "jingle", "action", "session-initiate", "sid", "s")
	sipAnswer := func(method string, code int) string {
		return fmt.Sprintf(`jigasi_sip_requests_total{code="%d",direction="in",method=%q}`, code, method)
	}
	for _, r := range []refusal{
		{"a description that is none", sipAnswer("INVITE", 400), invite("nonsense")},
		{"a description without sound", sipAnswer("INVITE", 488), invite("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 9 RTP/AVP 99\r\n")},
		{"JSON that is none", sipAnswer("INFO", 400), info("application/json", "{")},
		{"a message of another type", sipAnswer("INFO", 415), info("text/html", "x")},
		{"Jingle of a guest", `jigasi_xmpp_dropped_total{reason="forbidden"}`, iq("set", "1", jingle)},
		{"Jingle that is none", `jigasi_xmpp_dropped_total{reason="forbidden"}`, iq("set", "2", stanza.New("urn:xmpp:jingle:1", "jingle"))},
		{"a mute of a guest", `jigasi_xmpp_dropped_total{reason="forbidden"}`, iq("set", "3", stanza.New("http://jitsi.org/jitmeet/audio", "mute").WithText("true"))},
		{"a hang-up of a guest", `jigasi_xmpp_dropped_total{reason="forbidden"}`, iq("set", "4", stanza.New("urn:xmpp:rayo:1", "hangup"))},
		{"an answer nobody asked for", `jigasi_xmpp_dropped_total{reason="stray"}`, func() {
			m.XMPP.Send(guest, stanza.New("jabber:client", "iq", "type", "result", "id", "5", "to", m.app.Breweries()["one"].JID.String()).Add(jingle))
		}},
		{"a request without a child", `jigasi_xmpp_dropped_total{reason="malformed"}`, iq("set", "6")},
		{"a request nobody knows", `jigasi_xmpp_dropped_total{reason="unknown"}`, iq("get", "7", stanza.New("urn:example", "query"))},
		{"a stanza that is too large", `jigasi_xmpp_dropped_total{reason="too_large"}`, iq("set", "8", stanza.New("urn:example", "x").WithText(strings.Repeat("x", 1100<<10)))},
		{"a path that is not there", `jigasi_http_requests_total{code="404"}`, web("GET", "/nothing", "")},
		{"a method that is not for it", `jigasi_http_requests_total{code="405"}`, web("DELETE", "/about/health", "")},
		{"a body that is none", `jigasi_http_requests_total{code="400"}`, web("POST", "/configure/call-control-muc/add", "{")},
		{"a body that is too large", `jigasi_http_requests_total{code="413"}`, web("POST", "/configure/call-control-muc/add", `{"id":"`+strings.Repeat("x", 70<<10)+`"}`)},
	} {
		before := counter(t, m, r.counter)
		r.do()
		eventually(t, 20*time.Second, r.name+" raises "+r.counter, func() bool { return counter(t, m, r.counter) > before })
	}
	p.deaf()
	eventually(t, 20*time.Second, "everybody hears everybody", heard)
}

// counter is the value of a metric with its labels, 0 while it is not there.
func counter(t *testing.T, m *meeting, name string) (v float64) {
	t.Helper()
	_, text := get(t, "http://"+m.app.AdminAddr()+"/metrics", "text/plain")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatal(err)
			}
		}
	}
	return v
}
