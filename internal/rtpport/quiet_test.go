package rtpport

import (
	"net/netip"
	"testing"
	"time"

	"jigasi/internal/media"
	"jigasi/internal/sdp"
)

// T46: a phone that sends nothing is given up 30 s after the answer, one that stops after 60 s, and told of
// after 10 s; on hold and before the answer never; RTCP alone is life. The clock is turned by hand.
func TestT46_SilenceIsTold(t *testing.T) {
	t.Parallel()
	type told struct {
		what string
		at   time.Duration // seconds
	}
	for _, tt := range []struct {
		name         string
		opt          Options
		answer       time.Duration // 0 is never
		last         time.Duration // of the phone's RTP, from 1 s on; 0 is none at all
		again        time.Duration // it comes again then, for a second
		rtcp         time.Duration // of its RTCP
		hold, resume time.Duration // when it is on hold; resume 0 is for ever
		want         []told
	}{
		{name: "before the first packet", answer: 1, want: []told{{"quiet", 10}, {"gone", 30}}},
		{name: "before the answer", last: 60},
		{name: "answered late", answer: 200, want: []told{{"quiet", 210}, {"gone", 230}}},
		{name: "stops after a minute", answer: 1, last: 60, want: []told{{"quiet", 70}, {"gone", 120}}},
		{name: "goes on", answer: 1, last: 4000},
		{name: "comes again", answer: 1, last: 60, again: 100, want: []told{{"quiet", 70}, {"again", 100}, {"quiet", 111}, {"gone", 161}}},
		{name: "RTCP goes on", answer: 1, last: 60, rtcp: 4000},
		{name: "RTCP alone", answer: 1, rtcp: 4000},
		{name: "RTCP stops later", answer: 1, last: 60, rtcp: 100, want: []told{{"quiet", 110}, {"gone", 160}}},
		{name: "on hold", answer: 1, last: 60, hold: 60},
		{name: "on hold before the first packet", answer: 1, hold: 1},
		{name: "does not come back from hold", answer: 1, last: 60, hold: 60, resume: 600, want: []told{{"quiet", 610}, {"gone", 660}}},
		{name: "silent, then on hold", answer: 1, last: 60, hold: 75, resume: 600, want: []told{{"quiet", 70}, {"gone", 660}}},
		{name: "never told", answer: 1, opt: Options{Silence: -1}, last: 60, want: []told{{"gone", 120}}},
		{name: "other limits", answer: 1, opt: Options{Silence: 5 * time.Second, Gone: 20 * time.Second}, last: 60, want: []told{{"quiet", 65}, {"gone", 80}}},
		{name: "other first", answer: 1, opt: Options{FirstPacket: 3 * time.Second}, want: []told{{"gone", 4}, {"quiet", 11}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(1000, 0)
			now := start
			p := &Port{opt: tt.opt.withDefaults(), started: start}
			var got []told
			tell := func(what string) { got = append(got, told{what, now.Sub(start) / time.Second}) }
			p.opt.OnQuiet = func(on bool) {
				if on {
					tell("quiet")
				} else {
					tell("again")
				}
			}
			p.opt.OnGone = func() { tell("gone") }
			c := &config{Result: sdp.Result{Recv: true}, began: start}
			for ; now.Before(start.Add(time.Hour)); now = now.Add(media.Tick) {
				at, exact := now.Sub(start)/time.Second, now.Sub(start)%time.Second == 0
				if exact && at == tt.answer && at > 0 {
					p.answered.Store(p.elapsed(now))
				}
				if at >= 1 && (at < tt.last || at == tt.last && exact) || tt.again > 0 && at == tt.again {
					p.lastSeen.Store(p.elapsed(now))
				}
				if at >= 1 && (at < tt.rtcp || at == tt.rtcp && exact) {
					p.lastRTCP.Store(p.elapsed(now))
				}
				if tt.hold > 0 && at == tt.hold && exact {
					c = &config{Result: sdp.Result{Recv: true, Held: true}, began: now}
				}
				if tt.resume > 0 && at == tt.resume && exact {
					c = &config{Result: sdp.Result{Recv: true}, began: now}
				}
				p.watch(now, c)
			}
			near := len(got) == len(tt.want)
			for i := 0; near && i < len(got); i++ {
				near = got[i].what == tt.want[i].what && got[i].at >= tt.want[i].at && got[i].at <= tt.want[i].at+1
			}
			if !near {
				t.Errorf("told %v, want %v", got, tt.want)
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

// T08: however long a phone has said nothing, nobody else takes its place: only the address of its SDP may.
func TestT08_SilenceOpensNoDoor(t *testing.T) {
	t.Parallel()
	said, phone := netip.MustParseAddrPort("198.51.100.7:4000"), netip.MustParseAddrPort("203.0.113.9:62000") // behind NAT
	for _, silence := range []time.Duration{0, time.Second, 2 * time.Second, time.Minute, 24 * time.Hour} {
		now := time.Unix(1000, 0)
		var p peer
		p.announce(said, 10000, now)
		now = now.Add(patience)
		for range 2 * probation {
			p.from(phone, now)
		}
		if p.to != phone || !p.locked {
			t.Fatalf("the phone is not held fast: %+v", p)
		}
		now = now.Add(silence)
		for _, a := range []string{"192.0.2.1:4000", "203.0.113.9:62002", "198.51.100.7:4002"} {
			for i := range 3000 {
				now = now.Add(media.Tick)
				if p.from(netip.MustParseAddrPort(a), now) || p.to != phone {
					t.Fatalf("after %v of silence packet %d of %s is taken for the phone's", silence, i, a)
				}
			}
		}
		if !p.from(phone, now) {
			t.Errorf("after %v of silence the phone is not heard", silence)
		}
		for range lockAfter {
			p.from(said, now)
		}
		if p.to != said {
			t.Errorf("after %v of silence the phone cannot come back to the address of its SDP", silence)
		}
	}
}
