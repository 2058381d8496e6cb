package sip_test

import (
	"context"
	"jigasi/internal/cause"
	"jigasi/internal/locate"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A whole call over IPv6, with a public address of each family.
func TestT15_CallOverIPv6(t *testing.T) {
	gw, far := netip.MustParseAddrPort("[2001:db8::1]:5060"), netip.MustParseAddrPort("[2001:db8::2]:5070")
	synctest.Test(t, func(t *testing.T) {
		a := newAir()
		calls := make(chan *sip.Dialog, 1)
		var uas [2]*sip.UA
		for i, at := range []netip.AddrPort{gw, far} {
			uas[i] = sip.New(sip.Options{
				Wire: a, Listen: []sip.Listener{{Network: "udp", Addr: at.String()}}, Trunks: everybody, Incoming: func(d *sip.Dialog) { calls <- d },
				PublicIP: netip.MustParseAddr("203.0.113.1"), // of the other family: not for this peer
			})
			a.join(at, func(b []byte, network string, from netip.AddrPort) {
				if strings.Contains(string(b), "203.0.113.1") || !strings.Contains(string(b), "Via: SIP/2.0/UDP [2001:db8::") {
					t.Errorf("on the wire:\n%s", b)
				}
				uas[i].Receive(b, network, at, from)
			})
			if err := uas[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		out, err := uas[0].Dial(t.Context(), sip.DialOptions{To: "sip:x@[2001:db8::2]:5070", SDP: []byte(offer)})
		if err != nil {
			t.Fatal(err)
		}
		in := <-calls
		in.Answer([]byte(offer))
		wait(t, out, sip.Answered)
		wait(t, in, sip.Confirmed)
		if in.Peer() != gw || in.MediaIP() != far.Addr() || out.MediaIP() != gw.Addr() {
			t.Errorf("peer %v, media at %v and %v", in.Peer(), in.MediaIP(), out.MediaIP())
		}
		in.Hangup(cause.Cause{Code: cause.Normal})
		wait(t, out, sip.Ended)
		wait(t, in, sip.Ended)
		ctx, cancel := contextFor(time.Second)
		defer cancel()
		_, _ = uas[0].Close(ctx), uas[1].Close(ctx)
		a.close()
	})
}

// records is a name server for two names.
type records struct{}

func (records) NAPTR(context.Context, string) ([]locate.NAPTR, time.Duration, error) {
	return nil, time.Minute, locate.ErrNotFound
}

func (records) SRV(_ context.Context, name string) ([]locate.SRV, time.Duration, error) {
	if name == "_sip._udp.pbx.example" {
		return []locate.SRV{{Priority: 1, Port: 5060, Host: "a.pbx.example"}, {Priority: 2, Port: 5060, Host: "b.pbx.example"}}, time.Minute, nil
	}
	return nil, time.Minute, locate.ErrNotFound
}

func (records) Addrs(_ context.Context, host string) ([]netip.Addr, time.Duration, error) {
	switch host {
	case "a.pbx.example":
		return []netip.Addr{otherAt.Addr()}, time.Minute, nil
	case "b.pbx.example":
		return []netip.Addr{phoneAt.Addr()}, time.Minute, nil
	}
	return nil, time.Minute, locate.ErrNotFound
}

// The servers of a name are tried in the order of RFC 3263.
func TestServersByName(t *testing.T) {
	l, err := locate.New(locate.Options{Resolver: records{}})
	if err != nil {
		t.Fatal(err)
	}
	play(t, sip.Options{Resolver: sip.Located(l)}, func(s *scene) {
		first := newPhone(t, s.air, otherAt)
		go func() {
			invite := first.method("INVITE")
			first.respond(invite, 503, "", "")
		}()
		d, invite := s.dial(sip.DialOptions{To: "sip:x@pbx.example"})
		if invite.Recipient.Host != "pbx.example" {
			t.Errorf("asks for %s", invite.Recipient.String())
		}
		s.phone.respond(invite, 486, "", "")
		wait(t, d, sip.Ended)
		if _, err := s.ua.Dial(s.Context(), sip.DialOptions{To: "sip:x@nowhere.example"}); cause.Of(err).Code != cause.Unavailable {
			t.Errorf("a name that is not there gives %v", err)
		}
	})
}

func TestWhatIsKnownOfACall(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.phone.request("INVITE", "X-Room: alpha\nx-room: beta\nJitsi-Auth-Token: "+strings.Repeat("t", 6000)+"\n", offer)
		s.phone.status(100)
		d := <-s.calls
		if d.Header("X-ROOM") != "alpha" || len(d.Header("jitsi-auth-token")) != 6000 || d.Header("none") != "" {
			t.Errorf("room %q", d.Header("X-ROOM"))
		}
		rooms := 0
		for _, h := range d.Headers() {
			if strings.EqualFold(h.Name, "X-Room") {
				rooms++
			}
		}
		if user, name := d.Caller(); rooms != 2 || user != "phone" || name != "" || d.Called() != "room" || !d.Inbound() || d.CallID() != "c1" || d.Account() != "" {
			t.Errorf("%d rooms, %q %q, %q", rooms, user, name, d.Called())
		}
		d.Answer([]byte(offer), sip.Header{Name: "X-Out", Value: "1\r\nEvil: 2"}, sip.Header{Name: "To", Value: "x"})
		ok := s.phone.status(200)
		if siptx.Value(ok, "X-Out") != "1Evil: 2" || siptx.Value(ok, "Evil") != "" {
			t.Errorf("answered\n%s", ok)
		}
	})
}
