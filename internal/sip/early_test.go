package sip_test

import (
	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"jigasi/internal/siptx"
	"strings"
	"testing"
	"time"
)

// ringing has a call of the phone ring.
func (s *scene) ringing(fields string) (d *sip.Dialog, tag string) {
	s.Helper()
	s.phone.request("INVITE", fields, offer)
	s.phone.status(100)
	d = <-s.calls
	d.Ring()
	return d, siptx.Param(s.phone.status(180).To().Params, "tag")
}

// TestNoSecondOfferBeforeTheAnswer: while the first INVITE has no answer, another one and an UPDATE with an offer are
// asked to come later (RFC 3261, 14.2; RFC 3311, 5.2); the call is what it was.
func TestNoSecondOfferBeforeTheAnswer(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.ringing("")
		for _, method := range []string{"INVITE", "UPDATE"} {
			s.phone.in(method, tag, "", offer)
			if siptx.Value(s.phone.status(500), "Retry-After") == "" {
				t.Errorf("%s is not asked to come later", method)
			}
			if method == "INVITE" {
				s.phone.ackRefusal(tag)
			}
		}
		s.phone.in("UPDATE", tag, "", "") // a refresh
		s.phone.status(200)
		d.Answer([]byte(offer))
		s.phone.status(200)
		s.phone.requestAs("ACK", "To: <sip:room@192.0.2.1>;tag="+tag+"\n", "", 1, "z9hG4bKack1")
		wait(t, d, sip.Confirmed)
		s.phone.in("BYE", tag, "", "")
		s.phone.status(200)
		wait(t, d, sip.Ended)
		s.empty()
	})
}

// TestUpdateAfterEarlyMedia: once there is an answer, if only in a 183, an UPDATE may offer anew.
func TestUpdateAfterEarlyMedia(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.ringing("")
		d.Progress([]byte(offer))
		s.phone.status(183)
		s.phone.in("UPDATE", tag, "", offer)
		wait(t, d, sip.Offer).Reply(200, []byte(offer))
		s.phone.status(200)
		s.phone.in("BYE", tag, "", "")
		s.phone.status(200)
		s.phone.status(487)
		wait(t, d, sip.Ended)
	})
}

// TestInvitesExpire: a caller that says how long it waits is told when that is over (RFC 3261, 13.3.1).
func TestInvitesExpire(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		start := time.Now()
		d, tag := s.ringing("Expires: 20\n")
		s.phone.status(487)
		s.phone.ackRefusal(tag)
		if got := time.Since(start).Round(time.Second); got != 20*time.Second {
			t.Errorf("expired after %v", got)
		}
		if e := wait(t, d, sip.Ended); e.Cause.Code != cause.Cancelled || !strings.Contains(e.Cause.Text, "expired") {
			t.Errorf("ended with %v", e.Cause)
		}
		s.empty()
		d, tag = s.up("Expires: 20\n") // an answered call is not ended by it
		time.Sleep(30 * time.Second)
		s.phone.in("BYE", tag, "", "")
		s.phone.status(200)
		wait(t, d, sip.Ended)
		s.empty()
	})
}

// TestRefusedInfoSaysWhatWouldDo (RFC 3261, 8.2.3).
func TestRefusedInfoSaysWhatWouldDo(t *testing.T) {
	play(t, sip.Options{}, func(s *scene) {
		d, tag := s.up("")
		s.phone.in("INFO", tag, "Content-Type: text/plain\n", "x")
		wait(t, d, sip.Info).Reply(415, nil)
		if got := siptx.Value(s.phone.status(415), "Accept"); !strings.Contains(got, "application/json") {
			t.Errorf("Accept: %q", got)
		}
	})
}

// TestDescriptionsWithinParts: a session description is found in a part of a part (RFC 5621), and one whose encoding
// is none is read.
func TestDescriptionsWithinParts(t *testing.T) {
	inner := "--b\nContent-Type: application/isup\n\nx\n--b\nContent-Type: application/sdp\n\n" + offer + "\n--b--\n"
	for name, part := range map[string][2]string{
		"nested":      {"Content-Type: multipart/mixed;boundary=\"o\"\n", "preamble\n--o\nContent-Type: multipart/alternative; boundary=b\n\n" + inner + "--o--\n"},
		"no encoding": {"Content-Encoding: Identity\nContent-Type: application/sdp\n", offer},
	} {
		play(t, sip.Options{}, func(s *scene) {
			s.phone.request("INVITE", part[0], crlf(part[1]))
			s.phone.status(100)
			d := <-s.calls
			if got := string(d.SDP()); got != crlf(offer) {
				t.Errorf("%s: the offer is %q", name, got)
			}
		})
	}
}
