package sipleg_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/lab/phone"
	"jigasi/internal/leg"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
)

// out makes the leg of a call to the phone's user agent.
func (r *rig) out() *sipleg.Leg {
	r.t.Helper()
	l, err := sipleg.Dial(r.opt, loop, func(offer []byte, _ bool) (*sip.Dialog, error) {
		if !strings.Contains(string(offer), "m=audio ") {
			r.t.Errorf("offers %s", offer)
		}
		return r.gw.Dial(r.t.Context(), sip.DialOptions{To: "sip:x@" + r.phone.Local()[0].String(), From: "sip:gw@gateway.test", SDP: offer})
	})
	if err != nil {
		r.t.Fatal(err)
	}
	legEvent(r.t, l, phase(leg.Trying))
	return l
}

// TestOutgoing: nothing is dialled before the call says so; what the phone does is told, and the
// answer is the end of it.
func TestOutgoing(t *testing.T) {
	r := newRig(t)
	l := r.out()
	select {
	case <-r.calls:
		t.Fatal("dials before the meeting is there")
	default:
	}
	l.Answer()
	l.Answer() // dials once
	legEvent(t, l, status("Connecting"))
	d := r.call()
	d.Ring()
	legEvent(t, l, phase(leg.Ringing))
	legEvent(t, l, status("Ringing"))
	d.Progress(describe(40000)) // early media
	legEvent(t, l, status("Connecting*"))
	d.Answer(describe(40000), sip.Header{Name: "x-Session-Info", Value: "node 7"})
	legEvent(t, l, phase(leg.Up))
	legEvent(t, l, status("Connected"))
	if got := l.SessionInfo(); got != "node 7" {
		t.Errorf("the phone says of the session %q", got)
	}
	sipEvent(t, d, sip.Confirmed)
	d.Hangup(cause.Cause{Code: cause.Normal})
	over(t, l, cause.Normal)
	select {
	case <-r.calls:
		t.Error("dialled twice")
	default:
	}
}

// TestOutgoingRefused: what the phone answers is the cause.
func TestOutgoingRefused(t *testing.T) {
	r := newRig(t)
	for status, want := range map[int]cause.Code{
		486: cause.Busy, 600: cause.Busy, 480: cause.NoAnswer, 404: cause.NotFound, 603: cause.Declined, 403: cause.Forbidden, 488: cause.NoCodec, 503: cause.Unavailable, 500: cause.Unavailable,
	} {
		l := r.out()
		l.Answer()
		r.call().Reject(cause.Cause{Status: status})
		if why := over(t, l, want); why.Status != status {
			t.Errorf("%d: %+v", status, why)
		}
	}
}

func TestOutgoingEnds(t *testing.T) {
	t.Run("before it is dialled", func(t *testing.T) {
		r := newRig(t)
		l := r.out()
		if err := l.Hangup(t.Context(), cause.Cause{Code: cause.Kicked}); err != nil {
			t.Error(err)
		}
		over(t, l, cause.Kicked)
	})
	t.Run("while it rings: CANCEL", func(t *testing.T) {
		r := newRig(t)
		l := r.out()
		l.Answer()
		d := r.call()
		d.Ring()
		legEvent(t, l, status("Connecting"))
		legEvent(t, l, phase(leg.Ringing))
		if err := l.Hangup(t.Context(), cause.Cause{Code: cause.Kicked}); err != nil {
			t.Error(err)
		}
		if e := sipEvent(t, d, sip.Ended); e.Cause.Code != cause.Cancelled {
			t.Errorf("the phone sees %+v", e.Cause)
		}
		over(t, l, cause.Kicked)
	})
	t.Run("cannot be dialled", func(t *testing.T) {
		r := newRig(t)
		l, err := sipleg.Dial(r.opt, loop, func([]byte, bool) (*sip.Dialog, error) {
			return nil, cause.Cause{Code: cause.NotFound, Text: "no such number"}
		})
		if err != nil {
			t.Fatal(err)
		}
		l.Answer()
		if why := over(t, l, cause.NotFound); why.Text != "no such number" {
			t.Errorf("%+v", why)
		}
	})
	t.Run("answers with a codec that was not offered", func(t *testing.T) {
		r := newRig(t)
		l := r.out()
		l.Answer()
		d := r.call()
		d.Answer([]byte(strings.Replace(string(describe(40000)), "RTP/AVP 0 8", "RTP/AVP 3", 1)))
		over(t, l, cause.NoCodec)
		for e := range d.Events() {
			if e.Kind == sip.Ended && e.Cause.Code == cause.Unknown {
				t.Errorf("the phone sees %+v", e.Cause)
			}
		}
	})
}

// TestNoPort: without a port for its sound there is no leg, in either direction.
func TestNoPort(t *testing.T) {
	r := newRig(t)
	r.opt.RTP.LocalIP = netip.MustParseAddr("192.0.2.1") // nobody's
	if l, err := sipleg.Dial(r.opt, loop); err == nil {
		t.Errorf("%v", l)
	}
	in := r.dial(describe(40000))
	d := r.call()
	if _, err := sipleg.Accept(d, r.opt); err == nil {
		t.Error("accepts without a port")
	} else {
		d.Reject(cause.Of(err))
	}
	for range in.Events() { //nolint:revive // to the end
	}
}

// TestDelayedOffer: an INVITE without a description is answered by our offer, and the ACK brings the answer.
// The phone is one that shares no code with the gateway.
func TestDelayedOffer(t *testing.T) {
	r := newRig(t)
	p, err := phone.Dial(phone.Options{Server: r.gw.Local()[0], User: "gw", Slow: true, Tone: 440})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Hangup(t.Context()) }()
	l, err := sipleg.Accept(r.call(), r.opt)
	if err != nil {
		t.Fatal(err)
	}
	legEvent(t, l, phase(leg.Ready))
	l.Answer()
	legEvent(t, l, phase(leg.Up))
	legEvent(t, l, status("Connected"))
	next(t, p.Up(), "word that the phone is up")
	if err := p.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	over(t, l, cause.Normal)
}

// TestKeysByInfo: keys of phones that send them by INFO, and what is none is refused.
func TestKeysByInfo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.opt.KeysToMeeting = true
	d, l := r.up()
	info := func(kind, body string) int {
		t.Helper()
		done := make(chan int, 1)
		d.Info(kind, []byte(body), func(status int) { done <- status })
		return next(t, done, "answer to an INFO")
	}
	for _, tt := range []struct {
		kind, body string
		want       leg.Digit
	}{
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", leg.Digit{Key: '5', Duration: 160}},
		{"application/dtmf-relay", "Signal= 11 \nDuration= 99999999", leg.Digit{Key: '#', Duration: 10000}},
		{"Application/DTMF-Relay;x=y", "signal=d\r\nduration=-1", leg.Digit{Key: 'D', Duration: 200}},
		{"application/dtmf", "7", leg.Digit{Key: '7', Duration: 200}},
	} {
		if status := info(tt.kind, tt.body); status != 200 {
			t.Errorf("%q: %d", tt.body, status)
		}
		legEvent(t, l, leg.Event{Signal: tt.want})
	}
	for _, key := range "**9*6*4" {
		info("application/dtmf", string(key))
	}
	star, four := leg.Digit{Key: '*', Duration: 200}, leg.Digit{Key: '4', Duration: 200}
	for _, want := range []leg.Signal{star, leg.RaiseHand{}, leg.Mute{On: true}, star, four} {
		legEvent(t, l, leg.Event{Signal: want})
	}
	for _, body := range []string{"", "Signal=", "Signal=55", "Signal=E", "Signal=!", "Duration=100", strings.Repeat("1", 300), "\x00"} {
		if status := info("application/dtmf-relay", body); status != 400 && (body != "" || status != 200) {
			t.Errorf("%.20q: %d", body, status)
		}
	}
	if status := info("text/plain", "hello"); status != 415 {
		t.Errorf("text: %d", status)
	}
	d.Hangup(cause.Cause{Code: cause.Normal})
	over(t, l, cause.Normal)
}

// TestAStarThatNothingFollows: it goes to the meeting as it is, after a while.
func TestAStarThatNothingFollows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.opt.KeysToMeeting, r.opt.Star = true, 100*time.Millisecond
	d, l := r.up()
	d.Info("application/dtmf", []byte(" 10 \r\n"), nil)
	legEvent(t, l, leg.Event{Signal: leg.Digit{Key: '*', Duration: 200}})
	d.Hangup(cause.Cause{Code: cause.Normal})
	over(t, l, cause.Normal)
}

// TestWhichWayKeysGo: keys go to the phone as events where it takes them, else by INFO, or as the account says.
func TestWhichWayKeysGo(t *testing.T) {
	for _, c := range []struct {
		way    sipleg.KeyWay
		events bool // the phone takes telephone events
		info   int  // INFOs that the phone gets
	}{
		{sipleg.KeysAuto, false, 1}, {sipleg.KeysAuto, true, 0}, {sipleg.KeysInfo, true, 1}, {sipleg.KeysInfo, false, 1}, {sipleg.KeysRTP, false, 0}, {sipleg.KeysRTP, true, 0},
		{sipleg.KeysTones, true, 1}, // the rig has no voice
	} {
		r := newRig(t)
		r.opt.Keys, r.opt.MinKey = c.way, 120
		offer := describe(40000)
		if c.events {
			offer = []byte(strings.Replace(string(offer), "RTP/AVP 0 8", "RTP/AVP 0 8 101", 1) + "a=rtpmap:101 telephone-event/8000\r\n")
		}
		d := r.dial(offer)
		l, err := sipleg.Accept(r.call(), r.opt)
		if err != nil {
			t.Fatal(err)
		}
		legEvent(t, l, phase(leg.Ready))
		l.Answer()
		legEvent(t, l, phase(leg.Up))
		l.Send(leg.Digit{Key: '5', Duration: 40})
		go func() { _ = l.Hangup(t.Context(), cause.Cause{Code: cause.Normal}) }()
		got := 0
		for e := range d.Events() {
			if e.Kind == sip.Info {
				got++
				e.Reply(200, nil)
				if want := "Signal=5\r\nDuration=120\r\n"; string(e.Body) != want || e.ContentType != "application/dtmf-relay" {
					t.Errorf("%q", e.Body)
				}
			}
		}
		if got != c.info {
			t.Errorf("way %d, events %v: %d INFOs, want %d", c.way, c.events, got, c.info)
		}
		over(t, l, cause.Normal)
	}
}

// TestPlaceError: what failed is not lost.
func TestPlaceError(t *testing.T) {
	r := newRig(t)
	failed := errors.New("no route")
	l, err := sipleg.Dial(r.opt, loop, func([]byte, bool) (*sip.Dialog, error) { return nil, failed })
	if err != nil {
		t.Fatal(err)
	}
	l.Answer()
	if why := over(t, l, cause.Unknown); !errors.Is(why, failed) {
		t.Errorf("%+v", why)
	}
}
