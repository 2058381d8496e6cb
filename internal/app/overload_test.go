package app_test

import (
	"context"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/sip"
)

// refusals calls so often, and gives what each was refused with.
func (m *meeting) refusals(t *testing.T, count int) (out []cause.Cause) {
	t.Helper()
	for range count {
		d, err := m.ua.Dial(t.Context(), sip.DialOptions{To: "sip:gw@" + m.gateway(), From: "sip:+4930999@phone.test", SDP: []byte(m.offer(t)),
			Headers: []sip.Header{{Name: "Jitsi-Conference-Room", Value: "alpha"}}})
		if err != nil {
			t.Fatal(err)
		}
		for e := range d.Events() {
			switch e.Kind {
			case sip.Answered:
				t.Error("a call is taken that should be refused")
				d.Hangup(cause.Cause{Code: cause.Normal})
			case sip.Ended:
				out = append(out, e.Cause)
			}
		}
	}
	return out
}

// offer is one of a phone whose sound nobody waits for.
func (m *meeting) offer(t *testing.T) string {
	t.Helper()
	return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
}

// T54: more calls than there may be are refused with 503, and the one that runs does not notice.
func TestT54_CallsAreBounded(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		cfg.Limits.Calls, cfg.SIP.Trunks = 1, []string{"127.0.0.0/8"} // a stranger may not call so often
	})
	p, heard := connected(t, m)
	for _, why := range m.refusals(t, 20) {
		if why.Status != 503 {
			t.Errorf("refused with %+v, want 503", why)
		}
	}
	p.deaf()
	eventually(t, 10*time.Second, "everybody hears everybody", heard)
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 })
	q := m.call(t, "alpha", 440, "PCMU")
	eventually(t, 10*time.Second, "the next call is heard", func() bool { return q.tone(620) > -26 })
}

// T56: the RTP ports run out. More calls are refused with 503, the one that runs goes on, and when it has
// ended the next is taken; no port is lost.
func TestT56_PortsRunOut(t *testing.T) {
	t.Parallel()
	m := start(t, lab.Options{}, func(cfg *config.Config) {
		cfg.Media.MaxPort, cfg.SIP.Trunks = cfg.Media.MinPort+2, []string{"127.0.0.0/8"}
	})
	p, heard := connected(t, m)
	for _, why := range m.refusals(t, 20) {
		if why.Status != 503 {
			t.Errorf("refused with %+v, want 503", why)
		}
	}
	if n := m.app.PortsInUse(); n != 1 {
		t.Errorf("%d pairs of ports are taken, want 1", n)
	}
	p.deaf()
	eventually(t, 10*time.Second, "everybody hears everybody", heard)
	p.d.Hangup(cause.Cause{Code: cause.Normal})
	eventually(t, 15*time.Second, "the call ends", func() bool { return len(m.app.Calls()) == 0 && m.app.PortsInUse() == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var q *caller
	for q == nil && ctx.Err() == nil { // a port rests for 2 s after a call
		<-time.After(200 * time.Millisecond)
		q, _ = m.tryCall(t, "alpha", 440, "PCMU")
	}
	if q == nil {
		t.Fatal("no call is taken any more")
	}
	eventually(t, 10*time.Second, "the next call is heard", func() bool { return q.tone(620) > -26 })
}
