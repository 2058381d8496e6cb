package sipleg_test

import (
	"strings"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/leg"
	"jigasi/internal/sip"
	"jigasi/internal/sipleg"
)

// TestHeartbeats: an IVR that answers them keeps its call, one that does not for two of them loses it, and that is counted; a phone that
// rings is asked nothing.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	const every = 200 * time.Millisecond
	t.Run("answered", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.opt.Heartbeat, r.opt.Counts = every, &leg.Counts{}
		d, l := r.up()
		for range 5 { // more than go unanswered
			e := sipEvent(t, d, sip.Info)
			if string(e.Body) != `{"t":11}` || e.ContentType != "application/json" {
				t.Fatalf("asks %s %s", e.ContentType, e.Body)
			}
			e.Reply(200, nil)
			d.Info("application/json", []byte(`{"t":11}`), nil)
		}
		d.Hangup(cause.Cause{Code: cause.Normal})
		over(t, l, cause.Normal)
		if n := r.opt.Counts.NoHeartbeat.Load(); n != 0 {
			t.Errorf("%d calls without heartbeat", n)
		}
	})
	t.Run("not answered", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.opt.Heartbeat, r.opt.Counts = every, &leg.Counts{}
		d, l := r.up()
		for range 2 {
			sipEvent(t, d, sip.Info).Reply(200, nil)
		}
		sipEvent(t, d, sip.Ended)
		if why := over(t, l, cause.Timeout); !strings.HasPrefix(why.Text, "No response on heartbeat") { // as Jigasi says it
			t.Errorf("ends because %s", why)
		}
		if n := r.opt.Counts.NoHeartbeat.Load(); n != 1 {
			t.Errorf("%d calls without heartbeat", n)
		}
	})
	t.Run("ringing", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.opt.Heartbeat = every
		d := r.dial(describe(40000))
		l, err := sipleg.Accept(r.call(), r.opt)
		if err != nil {
			t.Fatal(err)
		}
		legEvent(t, l, phase(leg.Ready))
		sipEvent(t, d, sip.Progress)
		select {
		case e := <-l.Events():
			t.Fatalf("while it rings, the leg tells %+v", e)
		case <-time.After(5 * every):
		}
		d.Hangup(cause.Cause{Code: cause.Cancelled})
		over(t, l, cause.Cancelled)
	})
}
