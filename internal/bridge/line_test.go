package bridge_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"jigasi/internal/bridge"
	"jigasi/internal/rtpx"
)

// TestConsentGoesOnBesideTheTwin: the checks of both ends come by the twin, and have to reach the agent:
// else consent is lost.
func TestConsentGoesOnBesideTheTwin(t *testing.T) {
	t.Parallel()
	const packets = 100
	var got atomic.Int64
	c, p := connect(t, bridge.Options{ConsentLimit: 1400 * time.Millisecond, RTP: func(*rtpx.Header, []byte) { got.Add(1) }})
	if runtime.GOOS == "linux" && !c.HasTwin() {
		t.Fatal("there is no twin")
	}
	for i := range packets { // for half again as long as the limit
		p.send(1, uint16(i), false)
		select {
		case <-c.Done():
			t.Fatalf("after %d packets: %v", i, c.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if got.Load() < packets-10 {
		t.Errorf("%d of %d packets came", got.Load(), packets)
	}
	c.Close()
	if c.HasTwin() {
		t.Error("the twin is left")
	}
}
