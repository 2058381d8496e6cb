package rtpport

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// jumped is now on a clock on the wall that was set by so many seconds; what was measured stays.
func jumped(now time.Time, seconds int64) time.Time {
	const nanoseconds = 30 // bits below the seconds, of a time that has both
	*(*uint64)(unsafe.Pointer(&now)) += uint64(seconds << nanoseconds)
	return now
}

// T55: the clock on the wall is set by an hour or a day, forth and back, while a phone talks. It is not taken
// for silent; when it is silent, it is.
func TestT55_TheClockIsSet(t *testing.T) {
	for _, jump := range []int64{3600, -3600, 86400, -86400, 1} {
		p, c, phone := lone(t, "PCMU", 0, false)
		p.opt = p.opt.withDefaults()
		quiet, gone := 0, 0
		p.opt.OnQuiet, p.opt.OnGone = func(bool) { quiet++ }, func() { gone++ }
		p.Answered()
		packets, _ := talk(100, "")
		now, from := time.Now(), netip.MustParseAddrPort(phone.LocalAddr().String())
		if after := jumped(now, jump); after.Sub(now) != 0 || after.Unix()-now.Unix() != jump {
			t.Fatalf("the clock was not set by %d s: %v, %v", jump, now, after)
		}
		for i, b := range packets {
			now = now.Add(20 * time.Millisecond)
			if i == 50 {
				now = jumped(now, jump)
				p.watch(now, c) // before the next packet comes
			}
			p.take(b, from, now)
			p.watch(now, c)
		}
		if quiet+gone > 0 {
			t.Errorf("set by %d s: a phone that talks is taken for silent", jump)
		}
		p.watch(now.Add(61*time.Second), c)
		if quiet != 1 || gone != 1 {
			t.Errorf("set by %d s: silence is told %d times, and that the phone is gone %d times, want 1 and 1", jump, quiet, gone)
		}
	}
}
