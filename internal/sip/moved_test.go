package sip_test

import (
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"net/netip"
	"testing"
)

var thirdAt = netip.MustParseAddrPort("192.0.2.4:5060")

// TestRedirectedInTurn: of a redirection's addresses the one that is preferred most is called first, and the next where
// that one does not take the call; not after 6xx, which is for all of them.
func TestRedirectedInTurn(t *testing.T) {
	for status, next := range map[int]bool{486: true, 404: true, 503: true, 603: false} {
		play(t, sip.Options{}, func(s *scene) {
			low, high := newPhone(t, s.air, otherAt), newPhone(t, s.air, thirdAt)
			d, invite := s.dial(sip.DialOptions{})
			s.phone.respond(invite, 302, "Contact: <sip:low@192.0.2.3>;q=0.5, <mailto:me@example>, <sip:high@192.0.2.4>;q=0.9\n", "")
			s.phone.method("ACK")
			first := high.method("INVITE")
			if first.Recipient.String() != "sip:high@192.0.2.4" {
				t.Errorf("calls %s first", first.Recipient.String())
			}
			high.respond(first, status, "", "")
			high.method("ACK")
			if !next {
				if e := wait(t, d, sip.Ended); e.Cause.Status != status {
					t.Errorf("ended with %+v", e.Cause)
				}
				low.quiet()
				return
			}
			second := low.method("INVITE")
			low.respond(second, 486, "", "")
			low.method("ACK")
			if e := wait(t, d, sip.Ended); e.Cause.Status != 486 {
				t.Errorf("after %d ended with %+v", status, e.Cause)
			}
			s.empty()
		})
	}
}

// TestRedirectedWithinTheAccount: a call that the account's server forwards to another user of its own goes by way of that
// server again, which is told a proof.
func TestRedirectedWithinTheAccount(t *testing.T) {
	account := desk
	account.Domain, account.Registrar = "pbx.example", "192.0.2.2" // which only the account knows to be the same
	play(t, sip.Options{Accounts: []sip.Account{account}}, func(s *scene) {
		s.register("")
		d, invite := s.dial(sip.DialOptions{To: "sip:123@pbx.example"})
		s.phone.respond(invite, 302, "Contact: <sip:456@pbx.example>\n", "")
		s.phone.method("ACK")
		second := s.phone.method("INVITE")
		if second.Recipient.String() != "sip:456@pbx.example" {
			t.Errorf("calls %s", second.Recipient.String())
		}
		if !proves(second, "n1") {
			t.Errorf("the proof is %q", siptx.Value(second, "Authorization"))
		}
		s.phone.respond(second, 486, "", "")
		s.phone.method("ACK")
		wait(t, d, sip.Ended)
	})
}
