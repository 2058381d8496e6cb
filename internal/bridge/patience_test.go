package bridge_test

import (
	"context"
	"net"
	"testing"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/jingle"
	"jigasi/internal/twin"

	"github.com/pion/stun/v4"
)

// A videobridge with one port for all can send checks only to who has sent it one (seen with a real one:
// "No socket found"). So ours have to go on as long as there is time, or a path that opens after a
// second is never found.
func TestChecksGoOnUntilTheLimit(t *testing.T) {
	t.Parallel()
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	limit := 2 * time.Second
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	checks := make(chan []time.Time)
	go func() {
		var at []time.Time
		buf := make([]byte, 1500)
		for {
			n, err := far.Read(buf)
			if err != nil {
				checks <- at
				return
			}
			if stun.IsMessage(buf[:n]) {
				if at = append(at, time.Now()); time.Since(at[0]) >= limit/2 {
					enough()
				}
			}
		}
	}()
	o := bridge.Options{Loopback: true, CheckLimit: limit, Loop: twin.NewLoop(func(v any, stack []byte) { t.Errorf("panic %v\n%s", v, stack) })}
	t.Cleanup(o.Loop.Close)
	c, err := bridge.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t)
	err = c.Connect(ctx, jingle.Transport{
		Ufrag: "ufrag", Pwd: "a password of twenty-two characters", Fingerprints: []jingle.Fingerprint{{Hash: "sha-256", Value: sha(p.der), Setup: "actpass"}},
		Candidates: []jingle.Candidate{{IP: "127.0.0.1", Port: far.LocalAddr().(*net.UDPAddr).Port, Protocol: "udp", Type: "host", Component: 1, Priority: 1, Foundation: "1"}},
	})
	c.Close()
	_ = far.Close()
	at := <-checks
	if err == nil || len(at) == 0 {
		t.Fatalf("connected to nobody (%v), after %d checks", err, len(at))
	}
	if lasted := at[len(at)-1].Sub(at[0]); lasted < limit/2 {
		t.Errorf("the last of %d checks came %v after the first, want them to go on for about %v", len(at), lasted.Round(time.Millisecond), limit)
	}
}
