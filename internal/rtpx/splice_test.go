package rtpx_test

import (
	"testing"

	"jigasi/internal/rtpx"
)

func TestSplice(t *testing.T) {
	type packet struct {
		ssrc, stamp uint32
		seq         uint16
		cut         bool
		due         uint32
		want        uint16 // number given
		wantStamp   uint32
		drop        bool
	}
	for name, tt := range map[string]struct {
		begin   uint16
		packets []packet
	}{
		"one stream keeps its numbers": {100, []packet{
			{ssrc: 1, seq: 100, stamp: 960, due: 960, want: 100, wantStamp: 960},
			{ssrc: 1, seq: 101, stamp: 1920, due: 9, want: 101, wantStamp: 1920},
			{ssrc: 1, seq: 104, stamp: 4800, want: 104, wantStamp: 4800}, // a loss stays one
			{ssrc: 1, seq: 103, stamp: 3840, want: 103, wantStamp: 3840}, // and who comes late is let in
		}},
		"what is left out is no gap": {7, []packet{
			{ssrc: 1, seq: 7, stamp: 0, want: 7},
			{ssrc: 1, seq: 40, stamp: 5000, cut: true, want: 8, wantStamp: 5000},
			{ssrc: 1, seq: 42, stamp: 6000, want: 10, wantStamp: 6000},
			{ssrc: 1, seq: 39, stamp: 4000, drop: true}, // its number is another's
			{ssrc: 1, seq: 41, stamp: 5500, want: 9, wantStamp: 5500},
			{ssrc: 1, seq: 20, stamp: 10, cut: true, drop: true},
			{ssrc: 1, seq: 43, stamp: 7000, want: 11, wantStamp: 7000},
		}},
		"another stream goes on where the first one was": {65535, []packet{
			{ssrc: 1, seq: 500, stamp: 77, due: 1000, want: 65535, wantStamp: 1000},
			{ssrc: 1, seq: 501, stamp: 78, due: 0, want: 0, wantStamp: 1001},
			{ssrc: 2, seq: 9, stamp: 4_000_000_000, due: 2000, want: 1, wantStamp: 2000},
			{ssrc: 2, seq: 10, stamp: 4_000_000_960, want: 2, wantStamp: 2960},
		}},
		"one that begins anew under its old SSRC": {1, []packet{
			{ssrc: 1, seq: 5000, stamp: 10, due: 10, want: 1, wantStamp: 10},
			{ssrc: 1, seq: 3, stamp: 99, due: 20, want: 2, wantStamp: 20},
			{ssrc: 1, seq: 4, stamp: 100, want: 3, wantStamp: 21},
		}},
		"a stream that ran on for longer than numbers tell": {1, []packet{
			{ssrc: 1, seq: 1, due: 0, want: 1},
			{ssrc: 1, seq: 40001, stamp: 5, cut: true, due: 5, want: 2, wantStamp: 5},
			{ssrc: 1, seq: 40002, stamp: 6, want: 3, wantStamp: 6},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var s rtpx.Splice
			s.Begin(tt.begin)
			for i, p := range tt.packets {
				h := rtpx.Header{SSRC: p.ssrc, Seq: p.seq, Timestamp: p.stamp}
				ok := s.Next(&h, p.cut, p.due)
				if ok == p.drop || ok && (h.Seq != p.want || h.Timestamp != p.wantStamp) {
					t.Errorf("packet %d: %v, number %d at %d, want %d at %d, dropped %v", i, ok, h.Seq, h.Timestamp, p.want, p.wantStamp, p.drop)
				}
			}
		})
	}
	var s rtpx.Splice
	s.Begin(1)
	h := rtpx.Header{SSRC: 1, Seq: 1}
	if n := testing.AllocsPerRun(100, func() { h.Seq++; s.Next(&h, false, 0) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if got := s.Newest(); got != h.Seq {
		t.Errorf("the newest is %d, want %d", got, h.Seq)
	}
}
