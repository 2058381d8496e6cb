package sipleg

import (
	"net/netip"
	"testing"

	"jigasi/internal/cause"
	"jigasi/internal/sdp"
)

// TestUnheardSaysWhere: of a phone that was never heard it is told which of the two addresses cannot be right.
func TestUnheardSaysWhere(t *testing.T) {
	for _, c := range []struct{ its, ours, want string }{
		{"172.18.0.6:4000", "192.0.2.1:10000", "the phone sent no sound: its SDP names 172.18.0.6:4000, a private address; check that our UDP ports are reachable from it"},
		{"203.0.113.9:4000", "172.18.0.6:10000", "the phone sent no sound: its SDP names 203.0.113.9:4000; ours names 172.18.0.6, a private address that it cannot reach: set public_ip"},
		{"10.0.0.9:4000", "10.0.0.1:10000", "the phone sent no sound: its SDP names 10.0.0.9:4000, a private address; check that our UDP ports are reachable from it"},
		{"203.0.113.9:4000", "192.0.2.1:10000", "the phone sent no sound: its SDP names 203.0.113.9:4000; check that our UDP ports are reachable from it"},
		{"", "192.0.2.1:10000", "the phone sent no sound: its SDP names no address; check that our UDP ports are reachable from it"},
	} {
		its, _ := netip.ParseAddrPort(c.its)
		l := &Leg{result: sdp.Result{Remote: its}, local: sdp.Local{Addr: netip.MustParseAddrPort(c.ours)}}
		if got := l.unheard(cause.Cause{Code: cause.NoMedia}); got.Text != c.want || got.Code != cause.NoMedia {
			t.Errorf("%s, ours %s: %s", c.its, c.ours, got.Text)
		}
		l.heard = true
		if got := l.unheard(cause.Cause{Text: "as it was"}); got.Text != "as it was" {
			t.Errorf("heard before: %s", got.Text)
		}
	}
}
