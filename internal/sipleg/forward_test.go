package sipleg_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"jigasi/internal/cause"
)

// notes keeps what is logged.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) count(what string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.text.String(), what)
}

// TestWhyItIsMixed: a phone that was to get the speakers apart and speaks no Opus gets their mix, which is said once
// with what to do.
func TestWhyItIsMixed(t *testing.T) {
	r, log := newRig(t), &notes{}
	r.opt.RTP.Forward, r.opt.Log = true, slog.New(slog.NewTextHandler(log, nil))
	d, l := r.up()
	mixed := func() string {
		for _, f := range l.Report().Facts {
			if f.Key == "mixed" {
				return f.Value.String()
			}
		}
		return ""
	}
	if why := mixed(); !strings.Contains(why, "PCMU") || !strings.Contains(why, "offer Opus first") {
		t.Errorf("the report says %q", why)
	}
	if _, err := reinvite(t, d, describe(40002)); err != nil {
		t.Fatal(err)
	}
	if n := log.count("the meeting is mixed for this phone"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
	opus := strings.Replace(string(describe(40004, "a=rtpmap:111 opus/48000/2\r\n")), "RTP/AVP 0 8", "RTP/AVP 111 0", 1)
	if answer, err := reinvite(t, d, []byte(opus)); err != nil || !strings.Contains(answer, "opus/48000/2") {
		t.Fatal(err, answer)
	}
	if why := mixed(); why != "" {
		t.Errorf("with Opus the report says %q", why)
	}
	d.Hangup(cause.Cause{Code: cause.Normal})
	over(t, l, cause.Normal)
}
