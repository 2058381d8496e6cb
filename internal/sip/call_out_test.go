package sip_test

import (
	"context"
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// places is a Resolver with a list for each host.
type places map[string][]sip.Target

func (p places) Targets(_ context.Context, host string, port int, transport string, _ bool) ([]sip.Target, error) {
	if t := p[host]; t != nil {
		return t, nil
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if port == 0 {
		port = 5060
	}
	if transport == "" {
		transport = "udp"
	}
	return []sip.Target{{Network: transport, Addr: netip.AddrPortFrom(ip, uint16(port))}}, err
}

func TestCancelOutAtEveryMoment(t *testing.T) {
	why := cause.Cause{Code: cause.Kicked}
	t.Run("before any answer", func(t *testing.T) {
		play(t, sip.Options{}, func(s *scene) {
			d, invite := s.dial(sip.DialOptions{})
			d.Hangup(why)
			s.phone.method("INVITE") // repeated: no CANCEL without a provisional answer (RFC 3261, 9.1)
			s.phone.respond(invite, 180, "", "")
			cancel := s.phone.method("CANCEL")
			if a, b := siptx.Value(cancel, "Via"), siptx.Value(invite, "Via"); a != b {
				t.Errorf("CANCEL goes by %s, INVITE by %s", a, b)
			}
			s.phone.respond(cancel, 200, "", "")
			s.phone.respond(invite, 487, "", "")
			s.phone.method("ACK")
			if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Kicked {
				t.Errorf("ended with %v", e.Cause)
			}
			s.empty()
		})
	})
	t.Run("crossing 200", func(t *testing.T) {
		play(t, sip.Options{}, func(s *scene) {
			d, invite := s.dial(sip.DialOptions{})
			s.phone.respond(invite, 180, "", "")
			time.Sleep(10 * time.Millisecond)
			d.Hangup(why)
			s.phone.respond(invite, 200, "", offer)
			s.phone.method("CANCEL")
			s.phone.method("ACK")
			bye := s.phone.method("BYE")
			s.phone.respond(bye, 200, "", "")
			wait(t, d, sip.Ended)
			s.empty()
		})
	})
	t.Run("a phone that never answers", func(t *testing.T) {
		play(t, sip.Options{}, func(s *scene) {
			d, invite := s.dial(sip.DialOptions{})
			s.phone.respond(invite, 180, "", "")
			time.Sleep(time.Second)
			d.Hangup(why)
			wait(t, d, sip.Ended)
			s.empty()
		})
	})
	t.Run("rings too long", func(t *testing.T) {
		play(t, sip.Options{}, func(s *scene) {
			d, invite := s.dial(sip.DialOptions{Timeout: time.Minute})
			s.phone.respond(invite, 180, "", "")
			cancel := s.phone.method("CANCEL")
			s.phone.respond(cancel, 200, "", "")
			s.phone.respond(invite, 487, "", "")
			if e := wait(t, d, sip.Ended); e.Cause.Code != cause.NoAnswer || s.phone.when.Round(time.Second) != time.Minute {
				t.Errorf("ended with %v after %v", e.Cause, s.phone.when)
			}
		})
	})
}

func TestOutRefused(t *testing.T) {
	for status, want := range map[int]cause.Code{486: cause.Busy, 603: cause.Declined, 404: cause.NotFound, 480: cause.NoAnswer, 488: cause.NoCodec, 500: cause.Unavailable} {
		play(t, sip.Options{}, func(s *scene) {
			d, invite := s.dial(sip.DialOptions{})
			s.phone.respond(invite, status, "Reason: Q.850;cause=17;text=\"gone fishing\"\n", "")
			ack := s.phone.method("ACK")
			if siptx.Param(ack.Via().Params, "branch") != siptx.Param(invite.Via().Params, "branch") {
				t.Error("the ACK to a refusal has another branch")
			}
			if e := wait(t, d, sip.Ended); e.Cause.Code != want || e.Cause.Status != status || e.Cause.Text != "gone fishing" {
				t.Errorf("%d ends with %+v", status, e.Cause)
			}
			s.empty()
		})
	}
}

// TestWarningsAreHeard: a refusal's Warning says more than its phrase.
func TestWarningsAreHeard(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		for value, want := range map[string]string{
			`304 pbx.test "Media type, not available", 399 x "more"`: "Media type, not available",
			`304 pbx.test`: "Not Acceptable Here",
		} {
			d, invite := s.dial(sip.DialOptions{})
			s.phone.respond(invite, 488, "Warning: "+value+"\n", "")
			s.phone.method("ACK")
			if e := wait(t, d, sip.Ended); e.Cause.Text != want {
				t.Errorf("%s ends with %q", value, e.Cause.Text)
			}
		}
	})
}

// No answer at all: INVITE seven times, and the end after 32 s (T45).
func TestT45_OutUnanswered(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, _ := s.dial(sip.DialOptions{})
		for range 6 {
			s.phone.method("INVITE")
		}
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Unavailable {
			t.Errorf("ended with %v", e.Cause)
		}
		if got := time.Since(s.phone.since).Round(100 * time.Millisecond); got != 32*time.Second {
			t.Errorf("given up after %v", got)
		}
		s.empty()
	})
}

// A hundred provisional answers, in order, and the answer is heard all the same.
func TestProgressInOrder(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, invite := s.dial(sip.DialOptions{})
		s.phone.respond(invite, 100, "", "")
		s.phone.respond(invite, 183, "X-A: 1\n", offer)
		s.phone.respond(invite, 180, "X-A: 2\n", "")
		for range 100 {
			s.phone.respond(invite, 180, "", "")
		}
		s.phone.respond(invite, 200, "X-A: 3\n", offer)
		s.phone.method("ACK")
		for i, want := range []int{183, 180} {
			if e := <-d.Events(); e.Status != want || e.Header("x-a") != fmt.Sprint(i+1) {
				t.Errorf("%d, want %d", e.Status, want)
			}
		}
		if e := wait(t, d, sip.Answered); e.Header("X-A") != "3" || string(e.SDP) != offer {
			t.Error("the answer lacks something")
		}
		s.phone.respond(invite, 200, "", offer) // our ACK was lost
		s.phone.method("ACK")
	})
}

func TestForkedAnswers(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, invite := s.dial(sip.DialOptions{})
		other := newPhone(t, s.air, otherAt)
		s.phone.respond(invite, 180, "To: <sip:phone@x>;tag=f1\n", "")
		s.phone.respond(invite, 180, "To: <sip:phone@x>;tag=f2\n", "")
		s.phone.respond(invite, 200, "To: <sip:phone@x>;tag=f1\n", offer)
		if ack := s.phone.method("ACK"); !strings.Contains(siptx.Value(ack, "To"), "tag=f1") {
			t.Error("the ACK is for another fork")
		}
		s.phone.respond(invite, 200, "To: <sip:phone@x>;tag=f2\nContact: <sip:f2@192.0.2.3>\n", offer)
		ack, bye := other.method("ACK"), other.method("BYE")
		if siptx.Value(ack, "To") != "<sip:phone@x>;tag=f2" || siptx.Value(bye, "To") != "<sip:phone@x>;tag=f2" || bye.Recipient.User != "f2" {
			t.Errorf("the other fork is told\n%s\n%s", ack, bye)
		}
		other.respond(bye, 200, "", "")
		wait(t, d, sip.Answered)
		d.Hangup(cause.Cause{Code: cause.Normal})
		mine := s.phone.method("BYE")
		if siptx.Value(mine, "To") != "<sip:phone@x>;tag=f1" {
			t.Errorf("hung up\n%s", mine)
		}
		s.phone.respond(mine, 200, "", "")
		wait(t, d, sip.Ended)
		s.empty()
	})
}

func TestPRACKOut(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, invite := s.dial(sip.DialOptions{})
		for range 2 { // a repeated one is acknowledged once
			s.phone.respond(invite, 183, "Require: 100rel\nRSeq: 7\n", offer)
		}
		prack := s.phone.method("PRACK")
		if got := siptx.Value(prack, "RAck"); got != fmt.Sprintf("7 %d INVITE", invite.CSeq().SeqNo) || prack.CSeq().SeqNo <= invite.CSeq().SeqNo {
			t.Errorf("RAck %s\n%s", got, prack)
		}
		s.phone.respond(prack, 200, "", "")
		s.phone.quiet()
		s.phone.respond(invite, 200, "", offer)
		s.phone.method("ACK")
		wait(t, d, sip.Answered)
	})
}

func TestRoutesAndTargets(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) { // through loose routers, in reverse order
		d, _ := s.answered("Record-Route: <sip:192.0.2.3;lr>, <sip:192.0.2.2;lr>\nContact: <sip:deep@10.1.1.1:5070>\n")
		d.Hangup(cause.Cause{})
		bye := s.phone.method("BYE")
		if got := siptx.Values(bye, "Route"); len(got) != 2 || got[0] != "<sip:192.0.2.2;lr>" || got[1] != "<sip:192.0.2.3;lr>" || bye.Recipient.String() != "sip:deep@10.1.1.1:5070" {
			t.Errorf("BYE goes\n%s", bye)
		}
	})
	play(t, sip.Options{}, func(s *scene) { // a strict router
		d, _ := s.answered("Record-Route: <sip:192.0.2.3>, <sip:192.0.2.2>\nContact: <sip:deep@10.1.1.1>\n")
		d.Hangup(cause.Cause{})
		bye := s.phone.method("BYE")
		if got := siptx.Values(bye, "Route"); len(got) != 2 || got[0] != "<sip:192.0.2.3>" || got[1] != "<sip:deep@10.1.1.1>" || bye.Recipient.String() != "sip:192.0.2.2" {
			t.Errorf("BYE goes\n%s", bye)
		}
	})
	play(t, sip.Options{}, func(s *scene) { // a new target in a re-INVITE
		d, tag := s.up("Contact: <sip:first@192.0.2.2>\n")
		other := newPhone(t, s.air, otherAt)
		s.phone.in("INVITE", tag, "Contact: <sip:second@192.0.2.3>\n", offer)
		s.phone.status(100)
		wait(t, d, sip.Offer).Reply(200, []byte(offer))
		s.phone.status(200)
		s.phone.ack(tag, "")
		time.Sleep(10 * time.Millisecond)
		d.Hangup(cause.Cause{})
		if bye := other.method("BYE"); bye.Recipient.User != "second" {
			t.Errorf("BYE goes\n%s", bye)
		}
	})
	play(t, sip.Options{}, func(s *scene) { // behind NAT the Contact says nothing
		s.phone.send("INVITE sip:room@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKn;rport\nFrom: <sip:p@x>;tag=p1\nTo: <sip:room@x>\n" +
			"Call-ID: nat\nCSeq: 1 INVITE\nContact: <sip:p@10.9.9.9:5060>\nContent-Length: 0\n\n")
		s.phone.status(100)
		d := <-s.calls
		d.Answer([]byte(offer))
		tag := siptx.Param(s.phone.status(200).To().Params, "tag")
		s.phone.send("ACK sip:room@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKm;rport\nFrom: <sip:p@x>;tag=p1\nTo: <sip:room@x>;tag=" + tag +
			"\nCall-ID: nat\nCSeq: 1 ACK\nContent-Length: 0\n\n")
		wait(t, d, sip.Confirmed)
		d.Hangup(cause.Cause{})
		s.phone.method("BYE")
	})
}

func TestRedirected(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, invite := s.dial(sip.DialOptions{Headers: []sip.Header{{Name: "X-A", Value: "1"}}})
		other := newPhone(t, s.air, otherAt)
		s.phone.respond(invite, 302, "Contact: <sip:else@192.0.2.3?X-Evil=1>\n", "")
		s.phone.method("ACK")
		second := other.method("INVITE")
		if second.Recipient.String() != "sip:else@192.0.2.3" || second.CallID().Value() != invite.CallID().Value() || siptx.Value(second, "X-A") != "1" {
			t.Errorf("goes elsewhere as\n%s", second)
		}
		other.respond(second, 302, "Contact: <sip:else@192.0.2.3>\n", "") // a loop
		other.method("ACK")
		if e := wait(t, d, sip.Ended); e.Cause.Status != 302 {
			t.Errorf("ended with %+v", e.Cause)
		}
		s.empty()
	})
}

// T42: the next server within 4 s of silence, at once after 503, and never two calls.
func TestT42_NextServer(t *testing.T) {
	two := places{"pbx": {{Network: "udp", Addr: otherAt}, {Network: "udp", Addr: phoneAt}}}
	play(t, sip.Options{Resolver: two}, func(s *scene) {
		dead := newPhone(t, s.air, otherAt)
		d, invite := s.dial(sip.DialOptions{To: "sip:phone@pbx"})
		if got := s.phone.when.Round(100 * time.Millisecond); got != 4*time.Second {
			t.Errorf("the second server is asked after %v", got)
		}
		first := dead.method("INVITE")
		for m := true; m; {
			select {
			case <-dead.inbox:
			default:
				m = false
			}
		}
		s.phone.respond(invite, 200, "", offer)
		s.phone.method("ACK")
		wait(t, d, sip.Answered)
		dead.respond(first, 200, "To: <sip:phone@pbx>;tag=late\n", offer) // wakes up
		dead.method("ACK")
		dead.respond(dead.method("BYE"), 200, "", "")
		d.Hangup(cause.Cause{})
		s.phone.respond(s.phone.method("BYE"), 200, "", "")
		wait(t, d, sip.Ended)
		s.empty()
	})
	play(t, sip.Options{Resolver: two}, func(s *scene) {
		busy := newPhone(t, s.air, otherAt)
		go func() {
			busy.respond(busy.method("INVITE"), 503, "", "")
		}()
		d, _ := s.dial(sip.DialOptions{To: "sip:phone@pbx"})
		if s.phone.when > time.Second {
			t.Errorf("the second server is asked after %v", s.phone.when)
		}
		d.Hangup(cause.Cause{})
	})
}

// T23: nothing that comes from elsewhere makes a header.
func TestT23_NoHeaderInjection(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "\r\n", "\n", "\r", "Evil: 1", "\x00", ";", "<", ">", `"`, `\`, "ä", " ", "\t", "\r\n\r\n", "Via: x", ":", ","}
	nasty := func() string {
		var b strings.Builder
		for range rng.IntN(8) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		return b.String()
	}
	allowed := " Via From To Call-ID CSeq Max-Forwards Contact User-Agent Allow Accept Supported Session-Expires Min-SE Content-Type Content-Length X-Room "
	play(t, sip.Options{}, func(s *scene) {
		for range 1000 {
			d, err := s.ua.Dial(s.Context(), sip.DialOptions{
				To: "sip:phone@192.0.2.2", From: "sip:" + nasty() + "@x", Name: nasty(), SDP: []byte(offer),
				Headers: []sip.Header{{Name: "X-Room", Value: nasty()}, {Name: nasty(), Value: "x"}, {Name: "Via", Value: "x"}, {Name: "Route", Value: "x"}, {Name: "authorization", Value: "x"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			invite := s.phone.method("INVITE")
			for _, h := range invite.Headers() {
				if !strings.Contains(allowed, " "+h.Name()+" ") && h.Name() != "Accept-Contact" && strings.Trim(h.Name(), "a") != "" {
					t.Fatalf("a header was made:\n%s", invite)
				}
			}
			s.phone.respond(invite, 486, "", "")
			s.phone.method("ACK")
			wait(t, d, sip.Ended)
		}
		for range 200 {
			if d, err := s.ua.Dial(s.Context(), sip.DialOptions{To: "sip:" + nasty() + "@192.0.2.2", SDP: []byte(offer)}); err == nil {
				s.phone.method("INVITE")
				d.Hangup(cause.Cause{})
				time.Sleep(time.Minute)
				for len(s.phone.inbox) > 0 {
					<-s.phone.inbox
				}
			}
		}
	})
}

// T42: where the caller knows another way, 4 s of silence end the call for it; who answers after that is hung up.
func TestT42_HastyCallsGiveUp(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		began := time.Now()
		d, invite := s.dial(sip.DialOptions{Hasty: true})
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Unavailable || time.Since(began).Round(100*time.Millisecond) != 4*time.Second {
			t.Errorf("ended after %v with %+v", time.Since(began), e.Cause)
		}
		for more := true; more; { // repetitions
			select {
			case <-s.phone.inbox:
			default:
				more = false
			}
		}
		s.phone.respond(invite, 200, "To: <sip:phone@192.0.2.2>;tag=late\n", offer)
		s.phone.method("ACK")
		s.phone.respond(s.phone.method("BYE"), 200, "", "")
		time.Sleep(time.Minute)
		s.empty()
	})
	play(t, sip.Options{}, func(s *scene) { // a word is enough
		d, invite := s.dial(sip.DialOptions{Hasty: true})
		s.phone.respond(invite, 100, "", "")
		time.Sleep(20 * time.Second)
		s.phone.respond(invite, 200, "", offer)
		s.phone.method("ACK")
		wait(t, d, sip.Answered)
		d.Hangup(cause.Cause{})
		s.phone.respond(s.phone.method("BYE"), 200, "", "")
	})
}
