package bridge_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/jingle"

	"github.com/pion/stun/v4"
)

// stunServer answers that everybody comes from one address, and gives its own.
func stunServer(t *testing.T, seen netip.Addr) string {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			req := &stun.Message{Raw: slices.Clone(b[:n])}
			if req.Decode() != nil {
				continue
			}
			res := stun.MustBuild(req, stun.BindingSuccess, &stun.XORMappedAddress{IP: seen.AsSlice(), Port: 40000}, stun.Fingerprint)
			_, _ = c.WriteToUDP(res.Raw, from)
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c.LocalAddr().String()
}

// TestSTUN: a STUN server tells our address, for public_ip as well as for what a bridge is offered.
func TestSTUN(t *testing.T) {
	seen := netip.MustParseAddr("203.0.113.9")
	server := stunServer(t, seen)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if got, err := bridge.Discover(ctx, server); err != nil || got != seen {
		t.Errorf("%v, %v", got, err)
	}
	c, err := bridge.New(ctx, bridge.Options{Loopback: true, Relays: []bridge.Relay{{URL: "stun:" + server}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !slices.ContainsFunc(c.Local().Candidates, func(j jingle.Candidate) bool { return j.Type == "srflx" && j.IP == seen.String() }) {
		t.Errorf("%+v", c.Local().Candidates)
	}
	short, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if _, err := bridge.Discover(short, "127.0.0.1:9"); err == nil {
		t.Error("an address from nobody")
	}
}
