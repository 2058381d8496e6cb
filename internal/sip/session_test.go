package sip_test

import (
	"fmt"
	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"testing"
	"time"
)

func TestReinviteByThePhone(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("")
		for _, method := range []string{"INVITE", "UPDATE"} {
			s.phone.in(method, tag, "", offer)
			if method == "INVITE" {
				s.phone.status(100)
			}
			e := wait(t, d, sip.Offer)
			if string(e.SDP) != offer {
				t.Errorf("%s offers %q", method, e.SDP)
			}
			e.Reply(200, []byte("v=0\r\n"))
			e.Reply(488, nil) // once is enough
			if ok := s.phone.status(200); string(ok.Body()) != "v=0\r\n" || ok.Contact() == nil {
				t.Errorf("answered\n%s", ok)
			}
			if method == "INVITE" {
				s.phone.ack(tag, "")
			}
		}
		s.phone.in("UPDATE", tag, "", "") // a refresh
		s.phone.status(200)
		s.phone.in("INVITE", tag, "", offer)
		s.phone.status(100)
		wait(t, d, sip.Offer).Reply(488, nil)
		s.phone.status(488)
		s.phone.ackRefusal(tag)
		s.phone.in("INVITE", tag, "Content-Type: text/plain\n", "x")
		s.phone.status(415)
		s.phone.ackRefusal(tag)
		s.phone.requestAs("INFO", "To: <sip:room@192.0.2.1>;tag="+tag+"\n", "", 2, "z9hG4bKold")
		s.phone.status(500) // out of order
		s.phone.in("REFER", tag, "Refer-To: <sip:x@y>\n", "")
		s.phone.status(603)
		s.phone.in("MESSAGE", tag, "", "")
		s.phone.status(405)
		s.phone.in("NOTIFY", tag, "Event: refer\n", "")
		s.phone.status(489)
		s.phone.in("DANCE", tag, "", "")
		s.phone.status(501)
		s.phone.in("OPTIONS", tag, "", "")
		s.phone.status(200)
		// A re-INVITE that nobody answered yet ends with the call.
		s.phone.in("INVITE", tag, "", offer)
		s.phone.status(100)
		s.phone.in("INVITE", tag, "", offer) // a second one at once
		if siptx.Value(s.phone.status(500), "Retry-After") == "" {
			t.Error("no Retry-After")
		}
		s.phone.in("BYE", tag, "Reason: SIP;cause=200;text=\"bye bye\"\n", "")
		s.phone.status(200)
		s.phone.status(487)
		wait(t, d, sip.Offer)
		if e := wait(t, d, sip.Ended); e.Cause.Text != "bye bye" {
			t.Errorf("ended with %v", e.Cause)
		}
		s.empty()
	})
}

func TestLostACKOfAReinvite(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("")
		s.phone.in("INVITE", tag, "", offer)
		s.phone.status(100)
		wait(t, d, sip.Offer).Reply(200, []byte(offer))
		for range 11 {
			s.phone.status(200)
		}
		s.phone.respond(s.phone.method("BYE"), 200, "", "")
		wait(t, d, sip.Ended)
		s.empty()
	})
}

func TestGlare(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("")
		got := make(chan string, 1)
		d.Reinvite([]byte(offer), func(answer []byte, err error) { got <- fmt.Sprint(string(answer), err) })
		ours := s.phone.method("INVITE")
		s.phone.in("INVITE", tag, "", offer)
		s.phone.status(491)
		s.phone.ackRefusal(tag)
		start := time.Now()
		s.phone.respond(ours, 491, "", "")
		s.phone.method("ACK")
		again := s.phone.method("INVITE")
		if waited := time.Since(start); waited > 2*time.Second+10*time.Millisecond { // who was called waits less
			t.Errorf("tried again after %v", waited)
		}
		if again.CSeq().SeqNo <= ours.CSeq().SeqNo {
			t.Error("the new re-INVITE has an old CSeq")
		}
		s.phone.respond(again, 200, "", "v=0\r\n")
		ack := s.phone.method("ACK")
		if ack.CSeq().SeqNo != again.CSeq().SeqNo {
			t.Error("the ACK has another CSeq than the re-INVITE")
		}
		if answer := <-got; answer != "v=0\r\n<nil>" {
			t.Errorf("the owner is told %q", answer)
		}
		s.phone.respond(again, 200, "", "v=0\r\n") // the ACK was lost
		s.phone.method("ACK")
	})
	play(t, sip.Options{}, func(s *scene) { // and it does not go on for ever
		d, _ := s.answered("")
		got := make(chan error, 1)
		d.Reinvite([]byte(offer), func(_ []byte, err error) { got <- err })
		for range 5 {
			s.phone.respond(s.phone.method("INVITE"), 491, "", "")
			s.phone.method("ACK")
		}
		if err := <-got; err == nil {
			t.Error("a change that is never let through succeeded")
		}
		d.Hangup(cause.Cause{})
	})
}

func TestInfo(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("")
		s.phone.in("INFO", tag, "Content-Type: application/dtmf-relay\n", "Signal=5\n")
		e := wait(t, d, sip.Info)
		if e.ContentType != "application/dtmf-relay" || string(e.Body) != "Signal=5\r\n" {
			t.Errorf("%q %q", e.ContentType, e.Body)
		}
		e.Reply(415, nil)
		s.phone.status(415)
		for range 40 { // nobody listens
			s.phone.in("INFO", tag, "", "")
		}
		for range 8 {
			s.phone.status(500)
		}
		status := make(chan int, 2)
		d.Info("application/json", []byte("{}"), func(n int) { status <- n })
		info := s.phone.method("INFO")
		if string(info.Body()) != "{}" || siptx.Value(info, "Content-Type") != "application/json" {
			t.Errorf("sent\n%s", info)
		}
		s.phone.respond(info, 481, "", "") // the phone forgot the call
		if n := <-status; n != 481 {
			t.Errorf("told %d", n)
		}
		s.phone.respond(s.phone.method("BYE"), 481, "", "")
		for e := range d.Events() {
			if e.Kind == sip.Ended && e.Cause.Code != cause.Lost {
				t.Errorf("ended with %v", e.Cause)
			}
		}
	})
}

// RFC 4028 where we refresh: UPDATE at half the time, or re-INVITE where the phone allows no UPDATE.
func TestT44_WeRefresh(t *testing.T) {
	play(t, sip.Options{SessionExpires: 10 * time.Minute}, func(s *scene) {
		s.phone.request("INVITE", "Supported: timer\nSession-Expires: 90;refresher=uas\nAllow: UPDATE\n", offer)
		s.phone.status(100)
		d := <-s.calls
		d.Answer([]byte(offer))
		ok := s.phone.status(200)
		if got := siptx.Value(ok, "Session-Expires"); got != "90;refresher=uas" {
			t.Errorf("Session-Expires %s", got)
		}
		s.phone.ack(siptx.Param(ok.To().Params, "tag"), "")
		wait(t, d, sip.Confirmed)
		for i := range 3 {
			update := s.phone.method("UPDATE")
			if got := s.phone.when.Round(time.Second); got != time.Duration(i+1)*45*time.Second {
				t.Errorf("refreshed after %v", got)
			}
			if got := siptx.Value(update, "Session-Expires"); got != "90;refresher=uac" { // or the phone may take the task over
				t.Errorf("the refresh says Session-Expires %s", got)
			}
			s.phone.respond(update, 200, "Session-Expires: 90;refresher=uac\n", "")
		}
		for range 11 { // and now the phone is gone
			s.phone.method("UPDATE")
		}
		s.phone.respond(s.phone.method("BYE"), 481, "", "")
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Lost {
			t.Errorf("ended with %v", e.Cause)
		}
		s.empty()
	})
	play(t, sip.Options{SessionExpires: 10 * time.Minute}, func(s *scene) { // the phone knows no timers
		d, _ := s.up("")
		invite := s.phone.method("INVITE")
		if got := s.phone.when.Round(time.Second); got != 5*time.Minute || string(invite.Body()) != offer {
			t.Errorf("refreshed after %v with %q", got, invite.Body())
		}
		s.phone.respond(invite, 200, "", offer)
		s.phone.method("ACK")
		s.phone.method("INVITE")
		d.Hangup(cause.Cause{})
	})
	play(t, sip.Options{SessionExpires: 90 * time.Second}, func(s *scene) { // in a call of ours
		d, invite := s.dial(sip.DialOptions{})
		if got := siptx.Value(invite, "Session-Expires"); got != "90" {
			t.Errorf("Session-Expires %s", got)
		}
		s.phone.respond(invite, 422, "Min-SE: 120\n", "")
		s.phone.method("ACK")
		invite = s.phone.method("INVITE")
		if se, min := siptx.Value(invite, "Session-Expires"), siptx.Value(invite, "Min-SE"); se != "120" || min != "120" {
			t.Errorf("Session-Expires %s, Min-SE %s", se, min)
		}
		s.phone.respond(invite, 200, "Session-Expires: 120;refresher=uac\nAllow: UPDATE\n", offer)
		s.phone.method("ACK")
		start := time.Now()
		s.phone.respond(s.phone.method("UPDATE"), 501, "", "") // it does not after all
		s.phone.method("INVITE")
		if got := time.Since(start).Round(time.Second); got != 65*time.Second {
			t.Errorf("refreshed after %v", got)
		}
		d.Hangup(cause.Cause{})
	})
}

// RFC 4028 where the phone refreshes: BYE when it does not, 30 s of 90 before the end.
func TestT44_ThePhoneRefreshes(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("Supported: timer\nSession-Expires: 90;refresher=uac\n")
		time.Sleep(45 * time.Second)
		s.phone.in("UPDATE", tag, "Supported: timer\nSession-Expires: 90;refresher=uac\n", "")
		if got := siptx.Value(s.phone.status(200), "Session-Expires"); got != "90;refresher=uac" {
			t.Errorf("Session-Expires %s", got)
		}
		start := time.Now()
		d.Reinvite([]byte(offer), func([]byte, error) {})
		change := s.phone.method("INVITE")
		if got := siptx.Value(change, "Session-Expires"); got != "90;refresher=uas" { // a change of ours leaves it to the phone
			t.Errorf("the change says Session-Expires %s", got)
		}
		s.phone.respond(change, 200, "Session-Expires: 90;refresher=uas\n", offer)
		s.phone.method("ACK")
		bye := s.phone.method("BYE")
		if got := time.Since(start).Round(time.Second); got != 60*time.Second {
			t.Errorf("BYE after %v", got)
		}
		s.phone.respond(bye, 200, "", "")
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Lost {
			t.Errorf("ended with %v", e.Cause)
		}
	})
	play(t, sip.Options{SessionExpires: -1}, func(s *scene) { // switched off
		_, tag := s.up("Supported: timer\nSession-Expires: 90;refresher=uac\n")
		time.Sleep(time.Hour)
		s.phone.in("BYE", tag, "", "")
		s.phone.status(200)
	})
}

// A call that is up when the gateway closes is told so.
func TestCloseSaysBye(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.up("")
		s.phone.seq = 10
		s.phone.request("INVITE", "Call-ID: other\n", offer)
		ctx, cancel := contextFor(time.Second)
		defer cancel()
		_ = s.ua.Close(ctx)
		s.phone.method("BYE")
	})
}
