package sipleg_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/media"
	"jigasi/internal/rtpport"
	"jigasi/internal/sdp"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
)

var loop = netip.MustParseAddr("127.0.0.1")

// A rig is two user agents on loopback: the gateway's, with legs, and the phone's, a bare dialog that the
// test speaks for.
type rig struct {
	t         *testing.T
	gw, phone *sip.UA
	opt       sipleg.Options
	pool      *rtpport.Pool
	calls     chan *sip.Dialog // that come to either
}

func newRig(t *testing.T, change ...func(*sip.Options)) *rig {
	r := &rig{t: t, calls: make(chan *sip.Dialog, 1)}
	clock := media.NewClock(nil)
	low := uint16(23200)
	var err error
	if r.pool, err = rtpport.NewPool(low, low+99); err != nil {
		t.Fatal(err)
	}
	r.opt = sipleg.Options{RTP: rtpport.Options{Pool: r.pool, Clock: clock, LocalIP: loop}}
	ua := func() *sip.UA {
		o := sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Trunks: []netip.Prefix{netip.PrefixFrom(loop, 8)}, Incoming: func(d *sip.Dialog) { r.calls <- d }}
		for _, f := range change {
			f(&o)
		}
		u := sip.New(o)
		if err := u.Start(); err != nil {
			t.Fatal(err)
		}
		return u
	}
	r.gw, r.phone = ua(), ua()
	t.Cleanup(func() {
		_ = r.phone.Close(t.Context())
		_ = r.gw.Close(t.Context())
		clock.Close()
		if n := r.pool.InUse(); n != 0 {
			t.Errorf("%d ports are left", n)
		}
	})
	return r
}

// describe is a session description of the phone.
func describe(port int, more ...string) []byte {
	d := fmt.Sprintf("v=0\no=- 1 %d IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio %d RTP/AVP 0 8\n%s", port, port, strings.Join(more, ""))
	return []byte(strings.ReplaceAll(d, "\n", "\r\n"))
}

func (r *rig) dial(offer []byte) *sip.Dialog {
	r.t.Helper()
	d, err := r.phone.Dial(r.t.Context(), sip.DialOptions{To: "sip:gw@" + r.gw.Local()[0].String(), From: "sip:1@phone.test", SDP: offer})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) call() *sip.Dialog {
	r.t.Helper()
	return next(r.t, r.calls, "a call")
}

func next[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(15 * time.Second):
		t.Fatalf("no %s", what)
		panic("not reached")
	}
}

// sipEvent wants the phone's dialog to tell that next.
func sipEvent(t *testing.T, d *sip.Dialog, want sip.EventKind) sip.Event {
	t.Helper()
	e := next(t, d.Events(), fmt.Sprint("SIP event ", want))
	if e.Kind != want {
		t.Fatalf("the phone sees %d (%+v), want %d", e.Kind, e, want)
	}
	return e
}

// legEvent wants the leg to tell that next; a phase or a signal.
func legEvent(t *testing.T, l *sipleg.Leg, want leg.Event) leg.Event {
	t.Helper()
	e := next(t, l.Events(), fmt.Sprintf("event %+v", want))
	if e.Signal != want.Signal || want.Signal == nil && e.Phase != want.Phase {
		t.Fatalf("the leg tells %+v, want %+v", e, want)
	}
	return e
}

func phase(p leg.Phase) leg.Event  { return leg.Event{Phase: p} }
func status(text string) leg.Event { return leg.Event{Signal: leg.Status{Text: text}} }

// over wants the end of the leg for that reason, and nothing after it.
func over(t *testing.T, l *sipleg.Leg, want cause.Code) cause.Cause {
	t.Helper()
	for {
		e := next(t, l.Events(), "end")
		if e.Phase != leg.Over || e.Signal != nil {
			continue
		}
		if e.Why.Code != want {
			t.Errorf("ends because of %v (%s), want %v", e.Why.Code, e.Why, want)
		}
		for range l.Events() {
			t.Error("something follows the end")
		}
		return e.Why
	}
}

// up has a phone call the gateway, and answered.
func (r *rig) up() (*sip.Dialog, *sipleg.Leg) {
	r.t.Helper()
	d := r.dial(describe(40000))
	l, err := sipleg.Accept(r.call(), r.opt)
	if err != nil {
		r.t.Fatal(err)
	}
	legEvent(r.t, l, phase(leg.Ready))
	if e := sipEvent(r.t, d, sip.Progress); e.Status != 180 {
		r.t.Errorf("the phone sees %d", e.Status)
	}
	l.Answer()
	e := sipEvent(r.t, d, sip.Answered)
	if !strings.Contains(string(e.SDP), "m=audio ") || !strings.Contains(string(e.SDP), "PCMU/8000") {
		r.t.Errorf("answered by %s", e.SDP)
	}
	legEvent(r.t, l, phase(leg.Up))
	legEvent(r.t, l, status("Connected"))
	l.Answer() // once more does nothing
	return d, l
}

func TestIncoming(t *testing.T) {
	t.Run("the phone hangs up", func(t *testing.T) {
		r := newRig(t)
		d, l := r.up()
		d.Hangup(cause.Cause{Code: cause.Normal})
		over(t, l, cause.Normal)
	})
	t.Run("we hang up", func(t *testing.T) {
		r := newRig(t)
		d, l := r.up()
		if err := l.Hangup(t.Context(), cause.Cause{Code: cause.Kicked, Text: "a moderator hung up"}); err != nil {
			t.Error(err)
		}
		sipEvent(t, d, sip.Ended)
		over(t, l, cause.Kicked)
	})
	t.Run("the caller gives up", func(t *testing.T) {
		r := newRig(t)
		d := r.dial(describe(40000))
		l, err := sipleg.Accept(r.call(), r.opt)
		if err != nil {
			t.Fatal(err)
		}
		sipEvent(t, d, sip.Progress)
		d.Hangup(cause.Cause{Code: cause.Cancelled})
		over(t, l, cause.Cancelled)
	})
}

// TestRefusals: each cause that ends a call before the answer arrives as its SIP status, and is read
// there as what it was.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	for _, code := range []cause.Code{
		cause.Busy, cause.NotFound, cause.NoRoom, cause.Forbidden, cause.Full, cause.Draining, cause.Timeout, cause.NoInvite, cause.NoBridge, cause.Kicked, cause.Banned,
		cause.Destroyed, cause.PasswordNeeded, cause.LobbyDenied, cause.NotLive, cause.FocusLeft, cause.Lost, cause.Panic, cause.Normal,
	} {
		d := r.dial(describe(40000))
		l, err := sipleg.Accept(r.call(), r.opt)
		if err != nil {
			t.Fatal(err)
		}
		sipEvent(t, d, sip.Progress)
		if err := l.Hangup(t.Context(), cause.Cause{Code: code, Text: "why"}); err != nil {
			t.Error(err)
		}
		want := code.SIPStatus()
		if code == cause.Normal {
			want = 480
		}
		if e := sipEvent(t, d, sip.Ended); e.Cause.Status != want || e.Cause.Code != cause.FromSIPStatus(want) {
			t.Errorf("%v arrives as %+v, want status %d", code, e.Cause, want)
		}
		over(t, l, code)
	}
}

// TestOffersThatCannotBe are an error with a cause, and the dialog is left to the caller.
func TestOffersThatCannotBe(t *testing.T) {
	for name, tt := range map[string]struct {
		offer  string
		policy sdp.Policy
		want   cause.Code
	}{
		"no codec":      {"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 3\r\na=rtpmap:3 GSM/8000\r\n", sdp.Off, cause.NoCodec},
		"no audio":      {"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 40000 RTP/AVP 96\r\n", sdp.Off, cause.NoCodec},
		"nonsense":      {"hello\r\n", sdp.Off, cause.BadRequest},
		"SRTP required": {string(describe(40000)), sdp.Required, cause.NoCodec},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opt.SRTP = tt.policy
			d := r.dial([]byte(tt.offer))
			in := r.call()
			_, err := sipleg.Accept(in, r.opt)
			if why := cause.Of(err); err == nil || why.Code != tt.want {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			in.Reject(cause.Of(err))
			if e := sipEvent(t, d, sip.Ended); e.Cause.Status != tt.want.SIPStatus() {
				t.Errorf("the phone sees %+v", e.Cause)
			}
		})
	}
}

// reinvite offers the gateway another session and gives its answer.
func reinvite(t *testing.T, d *sip.Dialog, offer []byte) (string, error) {
	t.Helper()
	type reply struct {
		answer []byte
		err    error
	}
	done := make(chan reply, 1)
	d.Reinvite(offer, func(answer []byte, err error) { done <- reply{answer, err} })
	res := next(t, done, "answer to a re-INVITE")
	return string(res.answer), res.err
}

// TestHoldAndResume: by each of the forms that phones use; the meeting is told once.
func TestHoldAndResume(t *testing.T) {
	r := newRig(t)
	d, l := r.up()
	for _, tt := range []struct {
		name, line, answer string
	}{
		{"sendonly", "a=sendonly\n", "a=recvonly"},
		{"inactive", "a=inactive\n", "a=inactive"},
	} {
		answer, err := reinvite(t, d, describe(40000, tt.line))
		if err != nil || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s: %v, %s", tt.name, err, answer)
		}
		legEvent(t, l, leg.Event{Signal: leg.Hold{On: true}})
		if _, err := reinvite(t, d, describe(40000, tt.line)); err != nil { // again: nothing new
			t.Error(err)
		}
		answer, err = reinvite(t, d, describe(40000, "a=sendrecv\n"))
		if err != nil || strings.Contains(answer, "a=recvonly") || strings.Contains(answer, "a=inactive") {
			t.Errorf("resume: %v, %s", err, answer)
		}
		legEvent(t, l, leg.Event{Signal: leg.Hold{On: false}})
	}
	zero := strings.Replace(string(describe(40000)), "c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0", 1)
	if _, err := reinvite(t, d, []byte(zero)); err != nil { // the old form (RFC 2543)
		t.Error(err)
	}
	legEvent(t, l, leg.Event{Signal: leg.Hold{On: true}})
	d.Hangup(cause.Cause{Code: cause.Normal})
	over(t, l, cause.Normal)
}

// TestReinvite: another address and codec are taken, what cannot be is refused, and the call goes on.
func TestReinvite(t *testing.T) {
	r := newRig(t)
	d, l := r.up()
	first, err := reinvite(t, d, describe(40002))
	if err != nil {
		t.Fatal(err)
	}
	alaw := strings.Replace(string(describe(40004)), "RTP/AVP 0 8", "RTP/AVP 8", 1)
	second, err := reinvite(t, d, []byte(alaw))
	if err != nil || !strings.Contains(second, "PCMA/8000") || strings.Contains(second, "PCMU") {
		t.Errorf("%v, %s", err, second)
	}
	version := func(s string) (n int) {
		_, _ = fmt.Sscanf(s[strings.Index(s, "o="):], "o=jigasi %d %d ", new(uint64), &n)
		return n
	}
	if version(first) == 0 || version(second) != version(first)+1 {
		t.Errorf("the version goes from %d to %d", version(first), version(second))
	}
	gsm := strings.Replace(string(describe(40006)), "RTP/AVP 0 8", "RTP/AVP 3", 1)
	if answer, err := reinvite(t, d, []byte(gsm)); err == nil {
		t.Errorf("GSM is answered by %s", answer)
	}
	third, err := reinvite(t, d, describe(40000))
	if err != nil {
		t.Fatalf("after a refused change: %v", err)
	}
	if version(third) != version(second)+1 { // RFC 3264, 8: a refused offer said nothing
		t.Errorf("after a refused change the version goes from %d to %d", version(second), version(third))
	}
	d.Hangup(cause.Cause{Code: cause.Normal})
	over(t, l, cause.Normal)
}
