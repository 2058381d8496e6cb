package sip_test

import (
	"testing"

	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
)

// cancels sends the CANCEL of the phone's first INVITE.
func (s *scene) cancels() { s.phone.requestAs("CANCEL", "", "", 1, "z9hG4bK192.0.2.21") }

func TestCancelWhileRinging(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.phone.request("INVITE", "", offer)
		s.phone.status(100)
		d := <-s.calls
		d.Ring()
		ringing := s.phone.status(180)
		s.cancels()
		if ok := s.phone.status(200); siptx.Value(ok, "To") != siptx.Value(ringing, "To") {
			t.Error("the answer to CANCEL has another tag")
		}
		s.phone.status(487)
		s.phone.requestAs("ACK", "To: "+siptx.Value(ringing, "To")+"\n", "", 1, "z9hG4bK192.0.2.21")
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Cancelled {
			t.Errorf("ended with %v", e.Cause)
		}
		d.Answer([]byte(offer)) // too late
		s.phone.quiet()
		s.empty()
	})
}

func TestCancelTogetherWithTheInvite(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.cancels() // of nothing
		s.phone.status(481)
		s.phone.request("INVITE", "", offer)
		s.cancels()
		s.phone.status(100)
		s.phone.status(200)
		s.phone.status(487)
		wait(t, <-s.calls, sip.Ended)
		s.empty()
	})
}

func TestCancelCrossesOur200(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		s.phone.request("INVITE", "", offer)
		s.phone.status(100)
		d := <-s.calls
		d.Answer([]byte(offer))
		s.cancels()
		ok := s.phone.status(200)
		s.phone.status(200) // to the CANCEL, which has no effect
		tag := siptx.Param(ok.To().Params, "tag")
		s.phone.ack(tag, "")
		wait(t, d, sip.Confirmed)
		s.phone.in("BYE", tag, "", "")
		s.phone.status(200)
		wait(t, d, sip.Ended)
		s.empty()
	})
}

func TestCancelOfAReinvite(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("")
		s.phone.in("INVITE", tag, "", offer)
		s.phone.status(100)
		e := wait(t, d, sip.Offer)
		s.phone.requestAs("CANCEL", "To: <sip:room@192.0.2.1>;tag="+tag+"\n", "", 2, "z9hG4bK192.0.2.22")
		s.phone.status(200)
		s.phone.status(487)
		e.Reply(200, []byte(offer)) // too late
		s.phone.ackRefusal(tag)
		s.phone.in("OPTIONS", tag, "", "")
		s.phone.status(200)
	})
}
