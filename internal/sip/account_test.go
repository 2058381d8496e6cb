package sip_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

var desk = sip.Account{ID: "desk", User: "room", Domain: "192.0.2.2", Password: "secret"}

const challenge = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", algorithm=MD5\n"

func md5sum(s string) string {
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

// proves reports whether a request holds the right answer to challenge.
func proves(req *gosip.Request, nonce string) bool {
	auth := siptx.Value(req, "Authorization")
	want := md5sum(md5sum("room:pbx:secret") + ":" + nonce + ":" + md5sum(string(req.Method)+":"+req.Recipient.String()))
	return strings.Contains(auth, `response="`+want+`"`)
}

// register lets the account in and gives the REGISTER that did it.
func (s *scene) register(fields string) *gosip.Request {
	s.Helper()
	first := s.phone.method("REGISTER")
	s.phone.respond(first, 401, challenge, "")
	second := s.phone.method("REGISTER")
	if !proves(second, "n1") || second.CallID().Value() != first.CallID().Value() || second.CSeq().SeqNo != first.CSeq().SeqNo+1 {
		s.Errorf("proof is\n%s", second)
	}
	if fields == "" {
		fields = "Contact: " + siptx.Value(second, "Contact") + "\n"
	}
	s.phone.respond(second, 200, fields, "")
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
	return second
}

func registered(s *scene) sip.Registration {
	return s.ua.Registrations()[0]
}

func TestRegistration(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		if registered(s).Registered {
			t.Error("registered before anything was said")
		}
		if _, err := s.ua.Dial(s.Context(), sip.DialOptions{Account: "desk", To: "sip:x@y"}); err == nil {
			t.Error("a call went out before the account was registered")
		}
		got := s.register("Contact: <sip:room@192.0.2.1:5060;transport=udp>;expires=200, <sip:room@192.0.2.9>;expires=900\n")
		if c := siptx.Value(got, "Contact"); c != "<sip:room@192.0.2.1:5060;transport=udp>;expires=600" || siptx.Value(got, "Expires") != "600" {
			t.Errorf("registered as %s", c)
		}
		if r := registered(s); !r.Registered || r.Status != "registered" {
			t.Errorf("stands at %+v", r)
		}
		start := time.Now()
		again := s.phone.method("REGISTER") // at nine tenths, with what is known already
		if waited := time.Since(start).Round(time.Second); waited != 180*time.Second || !proves(again, "n1") {
			t.Errorf("refreshed after %v with\n%s", waited, again)
		}
		s.phone.respond(again, 401, strings.ReplaceAll(challenge, "n1", "n2")+"X: stale\n", "")
		third := s.phone.method("REGISTER") // a server that forgot its nonce
		if !proves(third, "n2") {
			t.Errorf("answered\n%s", third)
		}
		s.phone.respond(third, 200, "Expires: 300\n", "")
		go func() {
			last := s.phone.method("REGISTER")
			if siptx.Value(last, "Expires") != "0" {
				t.Errorf("unregistered with\n%s", last)
			}
			s.phone.respond(last, 200, "", "")
		}()
		ctx, cancel := contextFor(2 * time.Second)
		defer cancel()
		_ = s.ua.Close(ctx)
	})
}

func TestRegistrationAsksForMoreTime(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		s.phone.respond(s.phone.method("REGISTER"), 423, "Min-Expires: 1800\n", "")
		second := s.phone.method("REGISTER")
		if siptx.Value(second, "Expires") != "1800" {
			t.Errorf("asks again with\n%s", second)
		}
		s.phone.respond(second, 200, "Expires: 1800\n", "")
	})
}

// T43: a server that is away is asked again without end, at most a minute apart; one that says no, twelve times an hour.
func TestT43_RegistrationBacksOff(t *testing.T) {
	count := func(status int, span time.Duration, back bool) (asked int, longest, shortest time.Duration) {
		play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
			start, last := time.Now(), time.Duration(0)
			shortest = time.Hour
			for s.phone.when < span {
				req := s.phone.method("REGISTER")
				if asked++; asked > 1 {
					longest, shortest = max(longest, s.phone.when-last), min(shortest, s.phone.when-last)
				}
				last = s.phone.when
				s.phone.respond(req, status, challenge, "")
			}
			if back {
				s.phone.respond(s.phone.method("REGISTER"), 200, "", "")
				time.Sleep(10 * time.Millisecond)
				if !registered(s).Registered {
					t.Error("not registered though the server is back")
				}
			}
			_ = start
		})
		return asked, longest, shortest
	}
	if n, longest, shortest := count(503, time.Hour, true); longest > 61*time.Second || shortest < 5*time.Second || n > 100 {
		t.Errorf("503: asked %d times an hour, %v to %v apart", n, shortest, longest)
	}
	if n, _, _ := count(403, time.Hour, false); n > 13 {
		t.Errorf("403: asked %d times an hour", n)
	}
	if n, _, _ := count(401, time.Hour, false); n > 26 { // with and without proof
		t.Errorf("401: asked %d times an hour", n)
	}
}

// What the server sees as our address becomes our Contact, at once, and the wrong one is taken back.
func TestPublicAddressIsLearnt(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		nat := func(req *gosip.Request, status int, fields string) {
			req.Via().Params.Add("received", "203.0.113.5")
			req.Via().Params.Add("rport", "40123")
			s.phone.respond(req, status, fields, "")
		}
		nat(s.phone.method("REGISTER"), 200, "Expires: 600\n")
		second := s.phone.method("REGISTER")
		contacts := siptx.Values(second, "Contact")
		if len(contacts) != 2 || contacts[0] != "<sip:room@203.0.113.5:40123;transport=udp>;expires=600" || contacts[1] != "<sip:room@192.0.2.1:5060;transport=udp>;expires=0" {
			t.Errorf("registers %q", contacts)
		}
		nat(second, 200, "Expires: 600\n")
		s.phone.quiet()
		if got := s.ua.PublicAddr("desk"); got.String() != "203.0.113.5:40123" {
			t.Errorf("learnt %v", got)
		}
		if got := s.ua.MediaIP(s.Context(), "desk", "sip:x@y"); got.String() != "203.0.113.5" {
			t.Errorf("media at %v", got)
		}
		_, invite := s.dial(sip.DialOptions{Account: "desk", To: "sip:123@192.0.2.2"})
		if got := siptx.Value(invite, "Contact"); got != "<sip:room@203.0.113.5:40123;transport=udp>" {
			t.Errorf("calls as %s", got)
		}
	})
}

// TestKeepAlive: by OPTIONS, empty lines, or registrations, as the account says.
func TestKeepAlive(t *testing.T) {
	account := desk
	account.KeepAlive, account.CRLF = 25*time.Second, true
	play(t, sip.Options{Accounts: []sip.Account{account}}, func(s *scene) {
		s.register("")
		time.Sleep(101 * time.Second)
		if n := s.phone.blank.Load(); n != 4 {
			t.Errorf("%d empty lines in 100 s", n)
		}
	})
	account = desk
	account.Refresh = 50 * time.Second
	play(t, sip.Options{Accounts: []sip.Account{account}}, func(s *scene) {
		s.register("")
		for range 3 {
			start := time.Now()
			again := s.phone.method("REGISTER")
			s.phone.respond(again, 200, "Contact: "+siptx.Value(again, "Contact")+"\n", "")
			if got := time.Since(start).Round(time.Second); got != 45*time.Second {
				t.Errorf("registers anew after %v", got)
			}
		}
	})
	account = desk
	account.KeepAlive = 25 * time.Second
	play(t, sip.Options{Accounts: []sip.Account{account}}, func(s *scene) {
		s.register("")
		start := time.Now()
		s.phone.respond(s.phone.method("OPTIONS"), 405, "", "")
		s.phone.respond(s.phone.method("OPTIONS"), 200, "", "")
		if got := time.Since(start).Round(time.Second); got != 50*time.Second {
			t.Errorf("two keep-alives in %v", got)
		}
	})
}

func TestCallsThroughAnAccount(t *testing.T) {
	account := desk
	account.Headers = []sip.StaticHeader{{Header: sip.Header{Name: "X-Line", Value: "7"}, Method: "INVITE"}, {Header: sip.Header{Name: "Via", Value: "x"}}}
	play(t, sip.Options{Accounts: []sip.Account{account}}, func(s *scene) {
		s.register("")
		d, invite := s.dial(sip.DialOptions{To: "sip:123@192.0.2.9"}) // to whomever: by way of the registrar
		if siptx.Value(invite, "X-Line") != "7" || !strings.HasPrefix(siptx.Value(invite, "From"), "<sip:room@192.0.2.2>") {
			t.Errorf("calls with\n%s", invite)
		}
		s.phone.respond(invite, 407, strings.Replace(strings.ReplaceAll(challenge, "n1", "n3"), "WWW", "Proxy", 1), "")
		s.phone.method("ACK")
		second := s.phone.method("INVITE")
		if siptx.Value(second, "Proxy-Authorization") == "" || second.CSeq().SeqNo != invite.CSeq().SeqNo+1 {
			t.Errorf("proves\n%s", second)
		}
		s.phone.respond(second, 200, "", offer)
		if ack := s.phone.method("ACK"); siptx.Value(ack, "Proxy-Authorization") != siptx.Value(second, "Proxy-Authorization") {
			t.Error("the ACK has other credentials than the INVITE")
		}
		wait(t, d, sip.Answered)
		done := make(chan error, 1)
		d.Reinvite([]byte(offer), func(_ []byte, err error) { done <- err })
		again := s.phone.method("INVITE")
		s.phone.respond(again, 401, strings.ReplaceAll(challenge, "n1", "n4")+"X: y\n", "") // asked inside the call
		s.phone.method("ACK")
		proof := s.phone.method("INVITE")
		if !proves(proof, "n4") {
			t.Errorf("proves\n%s", proof)
		}
		s.phone.respond(proof, 200, "", offer)
		s.phone.method("ACK")
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.Hangup(cause.Cause{})
		s.phone.respond(s.phone.method("BYE"), 200, "", "")
	})
}

// A server that never says yes does not make us ask for ever.
func TestT13_ChallengedWithoutEnd(t *testing.T) {
	play(t, sip.Options{Accounts: []sip.Account{desk}}, func(s *scene) {
		s.register("")
		d, invite := s.dial(sip.DialOptions{To: "sip:123@192.0.2.2"})
		for i := range 20 {
			s.phone.respond(invite, 401, fmt.Sprintf("WWW-Authenticate: Digest realm=\"pbx\", nonce=\"x%d\", stale=true\n", i), "")
			s.phone.method("ACK")
			time.Sleep(10 * time.Millisecond)
			if len(s.phone.inbox) == 0 {
				break
			}
			if invite = s.phone.method("INVITE"); i > 10 {
				t.Fatal("asks for ever")
			}
		}
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.AuthFailed {
			t.Errorf("ended with %v", e.Cause)
		}
	})
}

// T19: nobody but the account's own server, for its own realm, in a call of ours, is told a proof.
func TestT19_NoDigestLeak(t *testing.T) {
	account := desk
	account.CallUnregistered = true
	o := sip.Options{Accounts: []sip.Account{account}, Trunks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	for name, f := range map[string]func(*scene){
		"after a redirect": leakRedirect, "another realm": leakRealm, "no nonce": leakNonce,
		"in a call of the peer": leakInbound, "where the call was routed to": leakRoute,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, o, func(s *scene) {
				s.register("")
				f(s)
			})
		})
	}
}

var rogue = strings.ReplaceAll(challenge, "n1", "rogue")

func (s *scene) unproved(reqs ...*gosip.Request) {
	s.Helper()
	for _, req := range reqs {
		if siptx.Value(req, "Authorization") != "" || siptx.Value(req, "Proxy-Authorization") != "" {
			s.Errorf("a proof was given away:\n%s", req)
		}
	}
}

func leakRedirect(s *scene) {
	other := newPhone(s.T, s.air, otherAt)
	d, invite := s.dial(sip.DialOptions{To: "sip:123@192.0.2.2"})
	s.phone.respond(invite, 302, "Contact: <sip:x@192.0.2.3>\n", "")
	s.phone.method("ACK")
	second := other.method("INVITE")
	other.respond(second, 401, rogue, "")
	s.unproved(second, other.method("ACK"))
	other.quiet()
	wait(s.T, d, sip.Ended)
}

func leakRealm(s *scene) {
	d, invite := s.dial(sip.DialOptions{To: "sip:123@192.0.2.2"})
	s.phone.respond(invite, 401, strings.ReplaceAll(rogue, "pbx", "evil"), "")
	s.phone.method("ACK")
	s.phone.quiet()
	wait(s.T, d, sip.Ended)
}

func leakNonce(s *scene) {
	d, invite := s.dial(sip.DialOptions{To: "sip:123@192.0.2.2"})
	s.phone.respond(invite, 407, "Proxy-Authenticate: Digest realm=\"pbx\", nonce=\"\"\n", "")
	s.phone.method("ACK")
	s.phone.quiet()
	wait(s.T, d, sip.Ended)
}

func leakInbound(s *scene) {
	d, _ := s.up("")
	d.Reinvite([]byte(offer), func([]byte, error) {})
	invite := s.phone.method("INVITE")
	s.phone.respond(invite, 401, rogue, "")
	s.unproved(invite, s.phone.method("ACK"))
	d.Info("a/b", []byte("x"), nil)
	info := s.phone.method("INFO")
	s.phone.respond(info, 407, strings.Replace(rogue, "WWW", "Proxy", 1), "")
	d.Hangup(cause.Cause{})
	bye := s.phone.method("BYE")
	s.phone.respond(bye, 401, rogue, "")
	s.unproved(info, bye)
	s.phone.quiet()
	wait(s.T, d, sip.Ended)
}

func leakRoute(s *scene) {
	other := newPhone(s.T, s.air, otherAt)
	d, invite := s.dial(sip.DialOptions{To: "sip:123@192.0.2.2"})
	s.phone.respond(invite, 200, "Record-Route: <sip:192.0.2.3;lr>\n", offer)
	s.unproved(other.method("ACK"))
	wait(s.T, d, sip.Answered)
	d.Hangup(cause.Cause{})
	bye := other.method("BYE")
	other.respond(bye, 401, rogue, "")
	s.unproved(bye)
	other.quiet()
	wait(s.T, d, sip.Ended)
}
