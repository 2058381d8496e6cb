package rtpport

import (
	"net/netip"
	"testing"
	"time"

	"jigasi/internal/media"
	"jigasi/internal/sdp"
)

// T46: a phone that sends nothing is given up 30 s after the start, one that stops after 60 s, and told of
// after 10 s; on hold never; and RTCP alone keeps it. The clock is turned by hand.
func TestT46_SilenceIsTold(t *testing.T) {
	const second, never = time.Second, time.Duration(0)
	for _, tt := range []struct {
		name                string
		opt                 Options
		last                time.Duration // of the phone's RTP, from 1 s on; 0 is none at all
		rtcp                time.Duration // of its RTCP
		hold, resume        time.Duration // when it is on hold; resume 0 is for ever
		first, quiet, ended time.Duration // what is to be told, and when
	}{
		{name: "before the first packet", first: 30 * second},
		{name: "stops after a minute", last: 60 * second, quiet: 70 * second, ended: 120 * second},
		{name: "goes on", last: 4000 * second},
		{name: "RTCP goes on", last: 60 * second, rtcp: 4000 * second, quiet: 70 * second},
		{name: "RTCP stops later", last: 60 * second, rtcp: 100 * second, quiet: 70 * second, ended: 160 * second},
		{name: "on hold", last: 60 * second, hold: 60 * second},
		{name: "on hold before the first packet", hold: second},
		{name: "does not come back from hold", last: 60 * second, hold: 60 * second, resume: 600 * second, quiet: 610 * second, ended: 660 * second},
		{name: "never told", opt: Options{Silence: -1}, last: 60 * second, ended: 120 * second},
		{name: "other limits", opt: Options{Silence: 5 * second, Gone: 20 * second}, last: 60 * second, quiet: 65 * second, ended: 80 * second},
		{name: "other first", opt: Options{FirstPacket: 3 * second}, first: 3 * second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(1000, 0)
			now := start
			first, quiet, ended := never, never, never
			p := &Port{opt: tt.opt.withDefaults(), started: start}
			set := func(d *time.Duration) {
				if *d != never {
					t.Error("told twice")
				}
				*d = now.Sub(start)
			}
			p.opt.OnQuiet = func(f bool) {
				if f {
					set(&first)
				} else {
					set(&quiet)
				}
			}
			p.opt.OnGone = func() { set(&ended) }
			c := &config{Result: sdp.Result{Recv: true}, began: start}
			for ; now.Before(start.Add(time.Hour)); now = now.Add(media.Tick) {
				at := now.Sub(start)
				if tt.last > 0 && at >= second && at <= tt.last {
					p.lastSeen.Store(p.elapsed(now))
				}
				if tt.rtcp > 0 && at >= second && at <= tt.rtcp {
					p.lastRTCP.Store(p.elapsed(now))
				}
				if tt.hold > 0 && at == tt.hold {
					c = &config{Result: sdp.Result{Recv: true, Held: true}, began: now}
				}
				if tt.resume > 0 && at == tt.resume {
					c = &config{Result: sdp.Result{Recv: true}, began: now}
				}
				p.watch(now, c)
			}
			for what, v := range map[string][2]time.Duration{"no first packet": {first, tt.first}, "silence": {quiet, tt.quiet}, "the end": {ended, tt.ended}} {
				if got, want := v[0], v[1]; (got == never) != (want == never) || got < want || got > want+second {
					t.Errorf("%s is told after %v, want %v", what, got, want)
				}
			}
		})
	}
}

// T09: an address from which nothing ever comes gets 500 packets, wherever it is said again, and reports
// no longer than that; once it is heard there is no such bound.
func TestT09_BlindPacketsAreBounded(t *testing.T) {
	victim := netip.MustParseAddrPort("198.51.100.7:4000")
	now := time.Unix(1000, 0)
	var p peer
	p.announce(victim, 10000, now)
	sent := 0
	for range 10000 {
		if p.may() {
			sent++
		}
	}
	if sent != unseen {
		t.Errorf("%d packets were sent blindly, want %d", sent, unseen)
	}
	if !p.from(victim, now) || !p.may() {
		t.Error("a phone that is heard gets nothing")
	}
	for _, nowhere := range []string{"224.0.0.1:5000", "239.1.2.3:5000", "255.255.255.255:5000", "0.0.0.0:5000", "[::]:5000", "[ff02::1]:5000", "127.0.0.1:10000", "[::1]:10000", "198.51.100.7:0"} {
		p.announce(netip.MustParseAddrPort(nowhere), 10000, now)
		if p.may() {
			t.Errorf("packets are sent to %s", nowhere)
		}
	}
}
