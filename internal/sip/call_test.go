package sip_test

import (
	"context"
	"jigasi/internal/cause"
	"jigasi/internal/sip"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

const offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

// pair starts two user agents; calls to b arrive on the channel.
func pair(t *testing.T, network string) (a, b *sip.UA, calls chan *sip.Dialog, to string) {
	t.Helper()
	calls = make(chan *sip.Dialog, 10)
	listen := []sip.Listener{{Network: network, Addr: "127.0.0.1:0"}}
	a = sip.New(sip.Options{Listen: listen, Open: true, Incoming: func(d *sip.Dialog) { d.Reject(cause.Cause{Code: cause.Busy}) }})
	b = sip.New(sip.Options{Listen: listen, Open: true, Incoming: func(d *sip.Dialog) { calls <- d }})
	for _, u := range []*sip.UA{a, b} {
		if err := u.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_ = a.Close(ctx)
		_ = b.Close(ctx)
		goleak.VerifyNone(t)
	})
	return a, b, calls, "sip:room@" + b.Local()[0].String() + ";transport=" + network
}

// next waits for the next event of that kind, passing over progress.
func next(t *testing.T, d *sip.Dialog, kind sip.EventKind) sip.Event {
	t.Helper()
	for {
		select {
		case e, ok := <-d.Events():
			if !ok {
				t.Fatalf("the dialog is over, waiting for event %d", kind)
			}
			if e.Kind == kind {
				return e
			}
			if e.Kind != sip.Progress {
				t.Fatalf("event %d (%v), waiting for %d", e.Kind, e.Cause, kind)
			}
		case <-time.After(3 * time.Second):
			t.Fatalf("no event %d", kind)
		}
	}
}

func TestCallInAndOut(t *testing.T) {
	for _, network := range []string{"udp", "tcp", "ws"} {
		t.Run(network, func(t *testing.T) {
			a, _, calls, to := pair(t, network)
			out, err := a.Dial(t.Context(), sip.DialOptions{To: to, SDP: []byte(offer), Name: "Al \"ice\"", Headers: []sip.Header{
				{Name: "X-Room-Name", Value: "alpha\r\nEvil: yes"}, {Name: "Via", Value: "x"}, {Name: "bad name", Value: "x"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			in := <-calls
			if in.Header("x-room-name") != "alphaEvil: yes" || in.Header("Evil") != "" || string(in.SDP()) != offer {
				t.Errorf("room %q, SDP %q", in.Header("x-room-name"), in.SDP())
			}
			if _, name := in.Caller(); name != "Al ice" {
				t.Errorf("caller %q", name)
			}
			in.Ring()
			if e := next(t, out, sip.Progress); e.Status != 180 {
				t.Errorf("progress %d", e.Status)
			}
			in.Answer([]byte(offer))
			if e := next(t, out, sip.Answered); string(e.SDP) != offer {
				t.Errorf("answer %q", e.SDP)
			}
			next(t, in, sip.Confirmed)

			got := make(chan int, 1)
			out.Info("application/json", []byte(`{"t":1}`), func(status int) { got <- status })
			e := next(t, in, sip.Info)
			e.Reply(200, nil)
			if s := <-got; s != 200 || string(e.Body) != `{"t":1}` {
				t.Errorf("INFO %d %q", s, e.Body)
			}
			answers := make(chan string, 1)
			in.Reinvite([]byte(offer+"a=sendonly\r\n"), func(answer []byte, err error) { answers <- string(answer) })
			e = next(t, out, sip.Offer)
			e.Reply(200, []byte(offer+"a=recvonly\r\n"))
			if got := <-answers; got != offer+"a=recvonly\r\n" {
				t.Errorf("answer to the re-INVITE %q", got)
			}
			out.Hangup(cause.Cause{Code: cause.MediaFailed, Text: "no media"})
			if e := next(t, in, sip.Ended); e.Cause.Text != "no media" {
				t.Errorf("the peer reads %q", e.Cause)
			}
			next(t, out, sip.Ended)
		})
	}
}

func TestEndsBeforeTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		do      func(in, out *sip.Dialog)
		in, out cause.Code
	}{
		{"busy", func(in, _ *sip.Dialog) { in.Reject(cause.Cause{Code: cause.Busy}) }, cause.Busy, cause.Busy},
		{"declined", func(in, _ *sip.Dialog) { in.Hangup(cause.Cause{Code: cause.Declined}) }, cause.Declined, cause.Declined},
		{"cancelled while ringing", func(in, out *sip.Dialog) {
			in.Ring()
			out.Hangup(cause.Cause{Code: cause.Cancelled})
		}, cause.Cancelled, cause.Cancelled},
		{"hung up while the ACK is under way", func(in, out *sip.Dialog) {
			in.Answer([]byte(offer))
			in.Hangup(cause.Cause{Code: cause.Kicked})
		}, cause.Kicked, cause.Normal},
		{"CANCEL crosses 200", func(in, out *sip.Dialog) {
			in.Answer([]byte(offer))
			out.Hangup(cause.Cause{Code: cause.Cancelled})
		}, cause.Normal, cause.Cancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, _, calls, to := pair(t, "udp")
			out, err := a.Dial(t.Context(), sip.DialOptions{To: to, SDP: []byte(offer)})
			if err != nil {
				t.Fatal(err)
			}
			in := <-calls
			tt.do(in, out)
			for _, side := range []struct {
				d    *sip.Dialog
				want cause.Code
			}{{in, tt.in}, {out, tt.out}} {
				var last sip.Event
				for e := range side.d.Events() {
					last = e
				}
				if last.Kind != sip.Ended || last.Cause.Code != side.want {
					t.Errorf("ended with %v, want %v", last.Cause.Code, side.want)
				}
			}
		})
	}
}

// Two user agents that change one call at the same moment both get their way.
func TestGlareIsSolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan *sip.Dialog, 1)
		uas, end := both(t, newAir(), func(d *sip.Dialog) { calls <- d })
		defer end()
		out, err := uas[0].Dial(t.Context(), sip.DialOptions{To: "sip:x@" + phoneAt.String(), SDP: []byte(offer)})
		if err != nil {
			t.Fatal(err)
		}
		in := <-calls
		in.Answer([]byte(offer))
		next(t, out, sip.Answered)
		next(t, in, sip.Confirmed)
		done := make(chan error, 2)
		for _, d := range []*sip.Dialog{in, out} {
			go func() {
				for e := range d.Events() {
					if e.Kind == sip.Offer {
						e.Reply(200, []byte(offer))
					}
				}
			}()
			d.Reinvite([]byte(offer), func(_ []byte, err error) { done <- err })
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		out.Hangup(cause.Cause{Code: cause.Normal})
		time.Sleep(time.Minute)
	})
}

func TestDialNowhere(t *testing.T) {
	a, _, _, _ := pair(t, "tcp")
	for _, to := range []string{"", "sip:", "not a uri", "sip:x@127.0.0.1:1;transport=tcp"} {
		d, err := a.Dial(t.Context(), sip.DialOptions{To: to, SDP: []byte(offer)})
		if err != nil {
			continue
		}
		if e := next(t, d, sip.Ended); e.Cause.Code != cause.Unavailable {
			t.Errorf("%q ends with %v", to, e.Cause)
		}
	}
	if !netip.MustParsePrefix("127.0.0.0/8").Contains(a.Local()[0].Addr()) {
		t.Error("the listener is not on loopback")
	}
}
