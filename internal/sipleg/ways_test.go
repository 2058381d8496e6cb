package sipleg_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
)

// silent is a UDP port that nobody answers at.
func silent(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}

// closed is a port where nobody is; over TCP it refuses.
func closed(t *testing.T) string {
	t.Helper()
	c, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Addr().String()
}

// noTLS accepts connections and speaks no TLS.
func noTLS(t *testing.T) string {
	t.Helper()
	c, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		for {
			conn, err := c.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "go away\r\n")
			_ = conn.Close()
		}
	}()
	return c.Addr().String()
}

// TestT42_NextAccount: six kinds of a dead trunk, and the call goes out by the next account, once.
func TestT42_NextAccount(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(r *rig) string{
		"says nothing":   func(r *rig) string { return "sip:x@" + silent(r.t) },
		"is not there":   func(r *rig) string { return "sip:x@" + closed(r.t) },
		"refuses TCP":    func(r *rig) string { return "sip:x@" + closed(r.t) + ";transport=tcp" },
		"breaks TLS":     func(r *rig) string { return "sip:x@" + noTLS(r.t) + ";transport=tls" },
		"has no address": func(*rig) string { return "sip:x@trunk.invalid" },
		"answers 503":    func(r *rig) string { return "sip:busy@" + r.phone.Local()[0].String() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *sip.Options) {
				if name == "says nothing" || name == "is not there" { // the others say so
					o.Patience = 300 * time.Millisecond
				}
			})
			dial := func(to string) sipleg.Way {
				return func(offer []byte, hasty bool) (*sip.Dialog, error) {
					return r.gw.Dial(t.Context(), sip.DialOptions{To: to, From: "sip:gw@gateway.test", SDP: offer, Hasty: hasty})
				}
			}
			l, err := sipleg.Dial(r.opt, loop, dial(first(r)), dial("sip:phone@"+r.phone.Local()[0].String()))
			if err != nil {
				t.Fatal(err)
			}
			l.Answer()
			if name == "answers 503" {
				r.call().Reject(cause.Cause{Code: cause.Unavailable, Status: 503})
			}
			d := r.call()
			d.Ring()
			d.Answer(describe(40000))
			for e := range l.Events() {
				if e.Phase == leg.Over && e.Signal == nil {
					t.Fatalf("over: %v", e.Why)
				}
				if e.Phase == leg.Up && e.Signal == nil {
					break
				}
			}
			d.Hangup(cause.Cause{Code: cause.Normal})
			over(t, l, cause.Normal)
			select {
			case <-r.calls:
				t.Error("called twice")
			case <-time.After(100 * time.Millisecond):
			}
		})
	}
}

// TestNoOtherAccountForTheCalled: who is busy, or unknown, is not called again by another way.
func TestNoOtherAccountForTheCalled(t *testing.T) {
	for status, code := range map[int]cause.Code{486: cause.Busy, 404: cause.NotFound, 603: cause.Declined} {
		r := newRig(t)
		way := func(offer []byte, hasty bool) (*sip.Dialog, error) {
			return r.gw.Dial(t.Context(), sip.DialOptions{To: "sip:x@" + r.phone.Local()[0].String(), From: "sip:gw@gateway.test", SDP: offer, Hasty: hasty})
		}
		l, err := sipleg.Dial(r.opt, loop, way, way)
		if err != nil {
			t.Fatal(err)
		}
		l.Answer()
		r.call().Reject(cause.Cause{Code: code, Status: status})
		over(t, l, code)
		select {
		case <-r.calls:
			t.Errorf("%d: called by another way", status)
		default:
		}
	}
}

// TestPlainForWhoRefusesEncryption: a phone that cannot read an offer of both, as many cannot, is offered plain sound where
// encryption is optional, once; and not where it is required.
func TestPlainForWhoRefusesEncryption(t *testing.T) {
	for _, tt := range []struct {
		policy       sdp.Policy
		rings, again bool
	}{{sdp.Optional, false, true}, {sdp.Optional, true, true}, {sdp.Required, false, false}, {sdp.Off, false, false}, {sdp.Off, true, false}} {
		policy, again := tt.policy, tt.again
		r := newRig(t)
		r.opt.SRTP = policy
		l := r.out()
		l.Answer()
		first := r.call()
		if tt.rings { // a proxy, or a phone that looks at the offer when it is picked up
			first.Ring()
		}
		if got := strings.Contains(string(first.SDP()), "RTP/SAVP"); got != (policy != sdp.Off) {
			t.Errorf("policy %v offers encryption: %v", policy, got)
		}
		first.Reject(cause.Cause{Code: cause.NoCodec, Status: 488})
		if !again {
			over(t, l, cause.NoCodec)
			continue
		}
		second := r.call()
		if offer := string(second.SDP()); strings.Contains(offer, "RTP/SAVP") || strings.Contains(offer, "a=crypto") || !strings.Contains(offer, "RTP/AVP") {
			t.Errorf("offers again\n%s", offer)
		}
		second.Reject(cause.Cause{Code: cause.NoCodec, Status: 488})
		over(t, l, cause.NoCodec)
	}
}
