package sip_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// A phone that never acknowledges is asked 11 times in 32 s, and hung up (RFC 3261, 13.3.1.4).
func TestT20_LostACK(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.phone.request("INVITE", "", offer)
		s.phone.status(100)
		d := <-s.calls
		start := time.Now()
		d.Answer([]byte(offer))
		for i, at := range []float64{0, .5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5} {
			s.phone.status(200)
			if got := time.Since(start).Round(100 * time.Millisecond).Seconds(); got != at {
				t.Errorf("200 number %d after %g s, want %g", i, got, at)
			}
		}
		bye := s.phone.method("BYE")
		if got := time.Since(start).Round(100 * time.Millisecond); got != 32*time.Second {
			t.Errorf("BYE after %v", got)
		}
		s.phone.respond(bye, 200, "", "")
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Timeout {
			t.Errorf("ended with %v", e.Cause)
		}
		s.empty()
	})
}

func TestT20_LostAnswersAndRepeatedRequests(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		for range 3 { // the same INVITE
			s.phone.requestAs("INVITE", "", offer, 1, "z9hG4bKsame")
		}
		s.phone.seq = 1
		d := <-s.calls
		for range 3 {
			s.phone.status(100)
		}
		d.Ring()
		s.phone.status(180)
		s.phone.requestAs("INVITE", "", offer, 1, "z9hG4bKsame")
		s.phone.status(180)
		d.Answer([]byte(offer))
		tag := siptx.Param(s.phone.status(200).To().Params, "tag")
		s.phone.requestAs("INVITE", "", offer, 1, "z9hG4bKsame") // the 200 crossed it
		s.phone.status(200)                                      // repeated by the call, not by the request
		for range 2 {
			s.phone.ack(tag, "")
		}
		wait(t, d, sip.Confirmed)
		s.phone.requestAs("INVITE", "", offer, 1, "z9hG4bKelse") // forked to us twice
		s.phone.status(482)
		s.phone.quiet()
		if len(s.calls) != 0 {
			t.Error("one call was taken twice")
		}
		s.air.lose = func(_ netip.AddrPort, b []byte) bool { return strings.HasPrefix(string(b), "SIP/2.0 200") } // our 200 to BYE
		s.phone.in("BYE", tag, "", "")
		wait(t, d, sip.Ended)
		s.air.lose = nil
		s.phone.requestAs("BYE", "To: <sip:room@192.0.2.1>;tag="+tag+"\n", "", 2, "z9hG4bK192.0.2.22")
		s.phone.status(200)
		s.empty()
	})
}

// TestReasonsOfOld: what ends a call is said in the words that scripts behind a PBX know from Jigasi, and in ours.
func TestReasonsOfOld(t *testing.T) {
	for code, want := range map[cause.Code]string{
		cause.NoMedia:  `SIP;cause=408;text="Stopped receiving media", Q.850;cause=31;text="look"`,
		cause.NoInvite: `SIP;cause=408;text="No invite from conference focus", Q.850;cause=41;text="look"`,
		cause.Timeout:  `SIP;cause=408;text="look", Q.850;cause=102;text="look"`,
	} {
		play(t, sip.Options{}, func(s *scene) {
			d, tag := s.up("")
			d.Hangup(cause.Cause{Code: code, Text: "look"})
			if got := siptx.Value(s.phone.method("BYE"), "Reason"); got != want {
				t.Errorf("Reason %s, want %s", got, want)
			}
			s.phone.in("BYE", tag, "", "") // it hangs up too
			wait(t, d, sip.Ended)
		})
	}
}

// TestReasonsTellNoAddresses: a stranger who calls is not told where the servers are within.
func TestReasonsTellNoAddresses(t *testing.T) {
	inside := errors.New("dial tcp 10.0.0.5:5222: connection refused")
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("")
		d.Hangup(cause.Cause{Code: cause.Unavailable, Text: "the XMPP server cannot be reached: " + inside.Error(), Err: inside})
		if got := siptx.Value(s.phone.method("BYE"), "Reason"); !strings.HasSuffix(got, `text="the XMPP server cannot be reached"`) {
			t.Errorf("Reason %s", got)
		}
		s.phone.in("BYE", tag, "", "") // it hangs up too
		wait(t, d, sip.Ended)
	})
}

func TestT20_OurBYEIsNeverAnswered(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, _ := s.up("")
		d.Hangup(cause.Cause{Code: cause.Kicked, Text: `removed "by" a moderator`})
		for i := range 11 {
			bye := s.phone.method("BYE")
			if got := siptx.Value(bye, "Reason"); i == 0 && got != `Q.850;cause=16;text="removed 'by' a moderator"` {
				t.Errorf("Reason %s", got)
			}
		}
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Kicked {
			t.Errorf("ended with %v", e.Cause)
		}
		s.empty()
	})
}

func TestWhatRequestsAreAnswered(t *testing.T) {
	for _, tt := range []struct {
		name, first, fields, body string
		want                      int
		has                       string
	}{
		{"options", "OPTIONS sip:room@192.0.2.1 SIP/2.0", "", "", 200, "Allow: INVITE, ACK"},
		{"options of a far domain", "OPTIONS sip:192.0.2.1 SIP/2.0", "Max-Forwards: 0", "", 200, ""},
		{"options with a requirement", "OPTIONS sip:room@192.0.2.1 SIP/2.0", "Require: a, timer\nProxy-Require: b", "", 420, "Unsupported: a, b"},
		{"register", "REGISTER sip:192.0.2.1 SIP/2.0", "", "", 405, "Allow: INVITE"},
		{"message", "MESSAGE sip:room@192.0.2.1 SIP/2.0", "Content-Type: text/plain", "hi", 405, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY, REFER\r\n"},
		{"a version in small letters", "OPTIONS sip:room@192.0.2.1 sip/2.0", "", "", 200, ""},
		{"subscribe", "SUBSCRIBE sip:room@192.0.2.1 SIP/2.0", "Event: presence", "", 489, ""},
		{"notify", "NOTIFY sip:room@192.0.2.1 SIP/2.0", "Event: message-summary", "", 489, ""},
		{"refer", "REFER sip:room@192.0.2.1 SIP/2.0", "Refer-To: <sip:x@y>", "", 603, ""},
		{"unknown method", "DANCE sip:room@192.0.2.1 SIP/2.0", "", "", 501, "Allow: INVITE"},
		{"lower case is another method", "invite sip:room@192.0.2.1 SIP/2.0", "", offer, 501, ""},
		{"bye to nothing", "BYE sip:room@192.0.2.1 SIP/2.0", "To: <sip:room@192.0.2.1>;tag=none", "", 481, ""},
		{"bye without a tag", "BYE sip:room@192.0.2.1 SIP/2.0", "", "", 481, ""},
		{"re-invite to nothing", "INVITE sip:room@192.0.2.1 SIP/2.0", "To: <sip:room@192.0.2.1>;tag=none", offer, 481, ""},
		{"another scheme", "INVITE callto:12 SIP/2.0", "", offer, 416, ""},
		{"version", "INVITE sip:room@192.0.2.1 SIP/3.0", "", offer, 505, ""},
		{"hops", "INVITE sip:room@192.0.2.1 SIP/2.0", "Max-Forwards: 0", offer, 483, ""},
		{"requirement", "INVITE sip:room@192.0.2.1 SIP/2.0", "Require: replaces", offer, 420, "Unsupported: replaces"},
		{"body", "INVITE sip:room@192.0.2.1 SIP/2.0", "Content-Type: text/plain", "hi", 415, "Accept: application/sdp"},
		{"compressed", "INVITE sip:room@192.0.2.1 SIP/2.0", "Content-Encoding: gzip\nContent-Type: application/sdp", offer, 415, "Accept-Encoding: identity"},
		{"answer", "INVITE sip:room@192.0.2.1 SIP/2.0", "Accept: text/plain", offer, 406, ""},
		{"short timer", "INVITE sip:room@192.0.2.1 SIP/2.0", "Session-Expires: 30\nSupported: timer", offer, 422, "Min-SE: 90"},
		{"two From", "INVITE sip:room@192.0.2.1 SIP/2.0", "f: <sip:x@y>;tag=9", offer, 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, sip.Options{}, func(s *scene) {
				method := strings.Fields(tt.first)[0]
				usual := "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx\nFrom: <sip:p@192.0.2.2>;tag=p1\nCall-ID: c9\nCSeq: 1 " + method + "\nContact: <sip:p@192.0.2.2>\n"
				if !strings.HasPrefix(tt.fields, "To:") {
					usual += "To: <sip:room@192.0.2.1>\n"
				}
				if tt.body == offer && !strings.Contains(tt.fields, "Content-Type") {
					usual += "Content-Type: application/sdp\n"
				}
				if tt.fields != "" {
					usual += tt.fields + "\n"
				}
				s.phone.send(tt.first + "\n" + usual + fmt.Sprintf("Content-Length: %d\n\n", len(tt.body)) + strings.ReplaceAll(tt.body, "\r\n", "\n"))
				res := s.phone.status(tt.want)
				if !strings.Contains(show(res), tt.has) {
					t.Errorf("no %q in\n%s", tt.has, show(res))
				}
				s.empty()
				if len(s.calls) != 0 {
					t.Error("a call was taken")
				}
			})
		})
	}
}

func TestDrainingRefusesCalls(t *testing.T) {
	play(t, sip.Options{Draining: func() bool { return true }}, func(s *scene) {
		s.phone.request("OPTIONS", "", "")
		s.phone.status(503)
		s.phone.request("INVITE", "", offer)
		if res := s.phone.status(503); siptx.Value(res, "Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}

// TestCallsOfStrangersAreLogged: an operator who has not named a PBX in sip.trunks sees its calls, but not each of a scanner's.
func TestCallsOfStrangersAreLogged(t *testing.T) {
	var log bytes.Buffer
	play(t, sip.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(s *scene) {
		stranger := newPhone(t, s.air, netip.MustParseAddrPort("198.51.100.7:5060"))
		stranger.request("OPTIONS", "", "")
		stranger.quiet()
		if strings.Contains(log.String(), "dropped") {
			t.Errorf("a question is logged: %s", log.String())
		}
		for range 5 {
			stranger.request("INVITE", "", "")
		}
		stranger.quiet()
		if n := strings.Count(log.String(), "peer=198.51.100.7:5060 more=0"); n != 1 || strings.Count(log.String(), "dropped") != 1 {
			t.Errorf("%d lines for five calls:\n%s", n, log.String())
		}
		time.Sleep(time.Minute)
		stranger.request("INVITE", "", "")
		stranger.quiet()
		if !strings.Contains(log.String(), "more=4") || !strings.Contains(log.String(), "sip.trunks") {
			t.Error(log.String())
		}
	})
}

func TestStrangersHearNothing(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		stranger := newPhone(t, s.air, netip.MustParseAddrPort("198.51.100.7:5060"))
		for _, m := range []string{"INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "DANCE"} {
			stranger.request(m, "", "")
		}
		stranger.send("OPTIONS nonsense\n\n")
		stranger.quiet()
		if n := s.ua.Stats().Strangers.Load(); n != 6 {
			t.Errorf("%d were counted", n)
		}
		// Who knows the tags of a call is its peer, whatever the address.
		d, tag := s.up("")
		stranger.seq = 50
		stranger.in("BYE", tag, "", "")
		stranger.status(200)
		wait(t, d, sip.Ended)
	})
}

func TestDelayedOffer(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.phone.request("INVITE", "", "")
		s.phone.status(100)
		d := <-s.calls
		if d.SDP() != nil {
			t.Error("a description out of nothing")
		}
		d.Answer([]byte(offer))
		ok := s.phone.status(200)
		if string(ok.Body()) != offer {
			t.Error("our 200 carries no offer")
		}
		tag := siptx.Param(ok.To().Params, "tag")
		s.phone.ack(tag, "v=0\n")
		if e := wait(t, d, sip.Confirmed); string(e.SDP) != "v=0\r\n" {
			t.Errorf("the ACK brought %q", e.SDP)
		}
		s.phone.in("INVITE", tag, "", "") // and again
		s.phone.status(100)
		if e := wait(t, d, sip.Offer); e.SDP != nil {
			t.Error("a description out of nothing")
		} else {
			e.Reply(200, []byte(offer))
		}
		s.phone.status(200)
		s.phone.ack(tag, "v=1\n")
		if e := wait(t, d, sip.Confirmed); string(e.SDP) != "v=1\r\n" {
			t.Errorf("the ACK brought %q", e.SDP)
		}
	})
}

func TestPRACKWhereRequired(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.phone.request("INVITE", "Require: 100rel\n", offer)
		s.phone.status(100)
		d := <-s.calls
		d.Ring()
		d.Progress([]byte(offer)) // waits for the PRACK
		ringing := s.phone.status(180)
		tag, rseq := siptx.Param(ringing.To().Params, "tag"), siptx.Value(ringing, "RSeq")
		if again := s.phone.status(180); siptx.Value(again, "RSeq") != rseq {
			t.Error("a repeated response has another RSeq")
		}
		s.phone.in("PRACK", tag, "RAck: "+rseq+" 99 INVITE\n", "")
		s.phone.status(481)
		s.phone.in("PRACK", tag, "RAck: "+rseq+" 1 INVITE\n", "")
		s.phone.status(200)
		progress := s.phone.status(183)
		d.Answer([]byte(offer)) // not before the description was acknowledged
		if m := s.phone.status(183); string(m.Body()) != offer {
			t.Error("no description")
		}
		s.phone.in("PRACK", tag, "RAck: "+siptx.Value(progress, "RSeq")+" 1 INVITE\n", "")
		s.phone.status(200)
		s.phone.status(200)
		s.phone.seq = 1
		s.phone.ack(tag, "")
		wait(t, d, sip.Confirmed)
	})
	play(t, sip.Options{}, func(s *scene) { // never acknowledged
		s.phone.request("INVITE", "Require: 100rel\n", offer)
		s.phone.status(100)
		d := <-s.calls
		d.Ring()
		m := s.phone.any()
		for ; m.(*gosip.Response).StatusCode == 180; m = s.phone.any() {
		}
		if m.(*gosip.Response).StatusCode != 504 {
			t.Errorf("there came\n%s", show(m))
		}
		if got := s.phone.when.Round(100 * time.Millisecond); got != 32*time.Second {
			t.Errorf("given up after %v", got)
		}
		wait(t, d, sip.Ended)
		s.empty()
	})
}

// A defect that one call meets ends that call and no other (T33).
func TestT33_PanicCostsOneCall(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, _ := s.up("")
		other, invite := s.dial(sip.DialOptions{})
		d.Info("a/b", nil, func(int) { panic("on purpose") })
		info := s.phone.method("INFO")
		s.phone.respond(info, 200, "", "")
		s.phone.method("BYE")
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Panic {
			t.Errorf("ended with %v", e.Cause)
		}
		s.phone.respond(invite, 200, "", offer)
		s.phone.method("ACK")
		wait(t, other, sip.Answered)
	})
}
