package app_test

import (
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/config"
	"jigasi/internal/lab/soak"
)

// T54: a machine that stalls serves the calls that run, and refuses more with 503 and Retry-After; when it does not
// stall any more, calls are taken again.
func TestT54_OverloadUnderLoad(t *testing.T) {
	t.Parallel()
	p := spawnWith(t, func(cfg *config.Config) { cfg.Limits.Overload = 0.4 })
	m := p.phones(t)
	p.Join("room0", 620)
	p.connect(t, 10) // below that, a clock that is late is not taken for load
	phone := m.call(t, "room0", 440, "PCMU")
	eventually(t, 20*time.Second, "the phone hears the meeting", func() bool { return phone.tone(620) > -40 })
	quit := make(chan struct{})
	var stalls sync.WaitGroup
	stalls.Go(func() { // three quarters of the time
		for {
			_ = p.cmd.Process.Signal(syscall.SIGSTOP)
			<-time.After(150 * time.Millisecond)
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
			select {
			case <-quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	line, after := "", ""
	eventually(t, 20*time.Second, "a call is refused", func() bool {
		line, after, _ = p.refused(t)
		return strings.HasPrefix(line, "SIP/2.0 503")
	})
	close(quit)
	stalls.Wait()
	calm := time.Now()
	if _, err := strconv.Atoi(after); err != nil {
		t.Errorf("refused with %q, Retry-After %q", line, after)
	}
	if line, _, took := p.refused(t); soak.Full() && (took > 100*time.Millisecond || !strings.HasPrefix(line, "SIP/2.0 503")) {
		t.Errorf("%q came after %v", line, took)
	} else {
		t.Logf("%q came after %v", line, took)
	}
	taken := func() bool {
		d := p.dial(t, "room0")
		ok, _ := outcome(d)
		d.Hangup(cause.Cause{Code: cause.Normal})
		return ok
	}
	promised(t, 10*time.Second, "calls are taken again", taken)
	t.Logf("taken again %v after the last stall", time.Since(calm).Round(100*time.Millisecond))
	if n := p.over.Load(); n != 0 {
		t.Errorf("%d of 10 calls have ended", n)
	}
	phone.deaf()
	eventually(t, 10*time.Second, "the phone hears the meeting as before", func() bool { return phone.tone(620) > -30 })
}
