package xmpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/locate"
	"jigasi/internal/stanza"
)

func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int64
		o, _ := serve(t, func(s *server) {
			s.login()
			for e := s.hear(); e.Is(nsClient, "iq"); e = s.hear() {
				if pings.Add(1) < 4 {
					s.say("<iq type='result' id='%s' from='%s'/>", e.Get("id"), domain)
				}
			}
		})
		began := time.Now()
		c := dial(t, o)
		<-c.Done()
		if took := time.Since(began); !errors.Is(c.Err(), ErrSilent) || pings.Load() != 4 || took < 130*time.Second || took > 160*time.Second {
			t.Errorf("%v after %v and %d pings", c.Err(), took, pings.Load())
		}
	})
}

func TestSeeOtherHost(t *testing.T) {
	var hosts []string
	o, _ := serve(t, func(s *server) {
		if len(hosts) == 1 {
			s.r = stanza.NewReader(s.conn, stanza.Limits{})
			_, _ = s.r.Header()
			s.say("<stream:stream xmlns='jabber:client' xmlns:stream='%s'><stream:error><see-other-host xmlns='%s'>[::1]:5269</see-other-host></stream:error>", nsStream, nsStreams)
			return
		}
		s.login()
		s.rest()
	})
	inner := o.dial
	o.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		hosts = append(hosts, addr)
		return inner(ctx, network, addr)
	}
	_ = dial(t, o).Close(within(t))
	if fmt.Sprint(hosts) != "[h:1 [::1]:5269]" {
		t.Error(hosts)
	}
}

type records []*net.SRV

func (r records) LookupSRV(_ context.Context, service, _, name string) (string, []*net.SRV, error) {
	if r == nil || name != domain {
		return "", nil, &net.DNSError{IsNotFound: true}
	}
	r[0].Weight = uint16(len(service))
	return "", r, nil
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		r    records
		want string
	}{
		{Options{Host: "h:1"}, nil, "[h:1]"},
		{Options{Host: "h"}, nil, "[h:5222]"},
		{Options{Host: "::1", Transport: TLS}, nil, "[[::1]:5223]"},
		{Options{Host: "[::1]"}, nil, "[[::1]:5222]"},
		{Options{}, nil, "[" + domain + ":5222]"},
		{Options{Transport: TLS}, nil, "[" + domain + ":5223]"},
		{Options{}, records{{Target: "a.example.", Port: 1}, {Target: "b.example.", Port: 2}}, "[a.example:1 b.example:2]"},
		{Options{}, records{{Target: "."}}, "[] auth.example.org has no XMPP service (SRV record says so)"},
	} {
		tt.o.Domain, tt.o.resolver = domain, tt.r
		got, err := tt.o.addresses(context.Background())
		s := fmt.Sprint(got)
		if err != nil {
			s += " " + err.Error()
		}
		if s != tt.want {
			t.Errorf("%+v: %s", tt.o.Host, s)
		}
	}
}

// nothing is a name server that knows no name.
type nothing struct{}

func (nothing) NAPTR(context.Context, string) ([]locate.NAPTR, time.Duration, error) {
	return nil, 0, locate.ErrNotFound
}

func (nothing) SRV(context.Context, string) ([]locate.SRV, time.Duration, error) {
	return nil, 0, locate.ErrNotFound
}

func (nothing) Addrs(context.Context, string) ([]netip.Addr, time.Duration, error) {
	return nil, 0, locate.ErrNotFound
}

// TestDomainWithoutAddress: the host of accounts mostly has none, and the error says what to set.
func TestDomainWithoutAddress(t *testing.T) {
	names, err := locate.New(locate.Options{Resolver: nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), Options{Domain: domain, Anonymous: true, Names: names}); err == nil || !strings.Contains(err.Error(), "xmpp.server") {
		t.Errorf("%v does not say what to set", err)
	}
}

func TestNextServerIsTried(t *testing.T) {
	o, _ := serve(t, func(s *server) { s.login(); s.rest() })
	inner := o.dial
	o.Host, o.resolver = "", records{{Target: "dead.", Port: 1}, {Target: "live.", Port: 2}}
	o.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "dead:1" {
			return nil, errors.New("refused")
		}
		return inner(ctx, network, addr)
	}
	_ = dial(t, o).Close(within(t))
}

func TestDialGivesUp(t *testing.T) {
	for name, play := range map[string]func(s *server){
		"silence":       func(s *server) { s.open("<x/>"); s.rest() },
		"no features":   func(s *server) { s.login(); s.rest() },
		"other answers": func(s *server) { s.say("HTTP/1.1 400 Bad Request\r\n\r\n") },
		"end":           func(s *server) { s.open(""); _ = s.conn.Close() },
		"no address": func(s *server) {
			s.open("<mechanisms xmlns='" + nsSASL + "'>" + plain + "</mechanisms>")
			s.hear()
			s.say("<success xmlns='%s'/>", nsSASL)
			s.open("<bind xmlns='" + nsBind + "'/>")
			s.say("<message/><iq type='error' id='%s'><error type='cancel'><conflict xmlns='%s'/></error></iq>", s.hear().Get("id"), nsStanzas)
		},
	} {
		o, _ := serve(t, play)
		o.Timeout = 50 * time.Millisecond
		if name == "no features" {
			o.Anonymous = true
		}
		if c, err := Dial(context.Background(), o); err == nil {
			t.Errorf("%s: connected as %v", name, c.JID())
		}
	}
	for _, o := range []Options{{}, {Domain: "x"}, {User: "u", Transport: "x"}, {User: "u@d", Transport: "carrier pigeon"}, {User: "u@d", Transport: BOSH}, {User: "u@d", Transport: BOSH, URL: "x"}} {
		if _, err := Dial(context.Background(), o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
