package rtpx_test

import (
	"bytes"
	"testing"
	"time"

	"jigasi/internal/rtpx"
)

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []rtpx.Header{
		{SSRC: 1, Timestamp: 2, Seq: 3, PT: 111},
		{SSRC: 0xffffffff, Timestamp: 0xffffffff, Seq: 0xffff, PT: 127, Marker: true},
		{SSRC: 7, Seq: 9, PT: 0, Level: 42, Voice: true, HasLevel: true},
	} {
		b := append(h.Append(nil, 1), "payload"...)
		var got rtpx.Header
		payload, err := got.Parse(b, 1)
		if err != nil || got != h || string(payload) != "payload" {
			t.Errorf("Parse = %+v %q, %v, want %+v", got, payload, err, h)
		}
	}
}

func TestT10_DamagedPacketsAreErrors(t *testing.T) {
	good := (&rtpx.Header{SSRC: 1, PT: 8, Level: 3, HasLevel: true}).Append(nil, 1)
	good = append(good, 1, 2, 3, 4)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, b := range map[string][]byte{
		"empty":              nil,
		"eleven bytes":       good[:11],
		"version 1":          change(func(b []byte) []byte { b[0] = 0x40; return b }),
		"15 CSRCs":           change(func(b []byte) []byte { b[0] |= 15; return b }),
		"extension too long": change(func(b []byte) []byte { b[15] = 200; return b }),
		"padding 255":        change(func(b []byte) []byte { b[0] |= 0x20; b[len(b)-1] = 255; return b }),
		"padding 0":          change(func(b []byte) []byte { b[0] |= 0x20; b[len(b)-1] = 0; return b }),
		"RTCP":               change(func(b []byte) []byte { b[1] = 200; return b }),
	} {
		var h rtpx.Header
		if _, err := h.Parse(b, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var h rtpx.Header
	if p, err := h.Parse(change(func(b []byte) []byte { b[0] |= 0x20; b[len(b)-1] = 2; return b }), 1); err != nil || len(p) != 2 {
		t.Errorf("padding 2: %v, %v", p, err)
	}
}

// TestT10_ReportsOfAnyLength: a goodbye of nobody, and reports that are cut anywhere.
func TestT10_ReportsOfAnyLength(t *testing.T) {
	var r rtpx.Report
	if bye := []byte{0x80, 203, 0, 0, 0x80, 203, 0, 0}; r.ParseReport(bye[:4]) && !r.Bye {
		t.Error("a goodbye is not heard")
	} else if r.ParseReport(append(bye, 0x80, 201, 0, 0)); !r.Bye {
		t.Error("a goodbye before something broken is not heard")
	}
	s := rtpx.Sender{SSRC: 9, Packets: 10}
	whole := rtpx.AppendReport(nil, &s, []*rtpx.Receiver{{SSRC: 5, Clock: 8000}}, "c", true, time.Unix(5, 0))
	for n := range whole {
		for _, typ := range []byte{200, 201, 202, 203, 204} {
			b := bytes.Clone(whole[:n])
			if len(b) > 1 {
				b[1] = typ
			}
			r.ParseReport(b)
			for words := range 4 {
				if len(b) > 3 {
					b[2], b[3] = 0, byte(words)
					r.ParseReport(b)
				}
			}
		}
	}
}

func TestHeaderAllocatesNothing(t *testing.T) {
	h := rtpx.Header{SSRC: 1, HasLevel: true}
	b := h.Append(nil, 1)
	if n := testing.AllocsPerRun(100, func() {
		b = h.Append(b[:0], 1)
		_, _ = h.Parse(b, 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReceiverCountsLossAcrossTheWrap(t *testing.T) {
	r := rtpx.Receiver{SSRC: 5, Clock: 8000}
	now := time.Unix(1000, 0)
	for i := range 200 {
		if i%10 == 3 {
			continue
		}
		r.Packet(uint16(65500+i), uint32(160*i), now.Add(time.Duration(i)*20*time.Millisecond))
	}
	if r.Lost() != 20 || r.Received() != 180 || r.Jitter() > 0.5 {
		t.Errorf("lost %d, received %d, jitter %.2f ms", r.Lost(), r.Received(), r.Jitter())
	}
	s := rtpx.Sender{SSRC: 9, Packets: 10, Octets: 1600, Clock: 8000, At: now}
	r.SenderReport(0x1234, now)
	b := rtpx.AppendReport(nil, &s, []*rtpx.Receiver{&r}, "cname", true, now.Add(time.Second))
	var got rtpx.Report
	if !got.ParseReport(b) || got.SSRC != 9 || !got.Bye || got.NTPMiddle == 0 || len(got.About) != 1 {
		t.Fatalf("report %+v", got)
	}
	if bl := got.About[0]; bl.SSRC != 5 || bl.Lost != 20 || bl.FractionLost < 20 || bl.FractionLost > 30 || bl.LSR != 0x1234 || bl.DLSR != 65536 {
		t.Errorf("block %+v", bl)
	}
}

func TestRoundTrip(t *testing.T) {
	now := time.Unix(1000, 500e6)
	s := rtpx.Sender{SSRC: 9, Packets: 1, At: now}
	var sr rtpx.Report
	sr.ParseReport(rtpx.AppendReport(nil, &s, nil, "c", false, now))
	b := rtpx.Block{LSR: sr.NTPMiddle, DLSR: 65536 / 2}
	if got := b.RoundTrip(now.Add(580 * time.Millisecond)); got < 79*time.Millisecond || got > 81*time.Millisecond {
		t.Errorf("round trip %v, want 80 ms", got)
	}
}

func TestKeysSurviveLoss(t *testing.T) {
	var w rtpx.KeyWriter
	var r rtpx.KeyReader
	const want = "0123456789*#ABCD"
	for _, k := range want {
		if !w.Press(k, 120) {
			t.Fatalf("key %c is refused", k)
		}
	}
	if w.Press('x', 100) {
		t.Error("x is taken for a key")
	}
	var got []rune
	var buf [4]byte
	for i := uint32(0); w.Busy(); i++ {
		p, stamp, _, ok := w.Next(buf[:], i*160, 8000)
		if !ok || i%3 == 0 {
			continue
		}
		if key, _, ok := r.Read(stamp, p); ok {
			got = append(got, key)
		}
	}
	if string(got) != want {
		t.Errorf("keys %q, want %q", string(got), want)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add((&rtpx.Header{SSRC: 1, HasLevel: true, Level: 3}).Append(nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h rtpx.Header
		payload, err := h.Parse(b, 1)
		if err != nil {
			return
		}
		var again rtpx.Header
		p2, err := again.Parse(append(h.Append(nil, 1), payload...), 1)
		if err != nil || again != h || !bytes.Equal(p2, payload) {
			t.Errorf("%+v becomes %+v, %v", h, again, err)
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add([]byte{0x80, 203, 0, 0, 0x80, 203, 0, 0})
	s := rtpx.Sender{SSRC: 9, Packets: 10}
	f.Add(rtpx.AppendReport(nil, &s, nil, "c", true, time.Unix(5, 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r rtpx.Report
		if r.ParseReport(b) && 24*len(r.About) > len(b) {
			t.Errorf("%d blocks in %d bytes", len(r.About), len(b))
		}
	})
}

// FuzzKeys: a key is one of sixteen, is told once for a timestamp, and one that is pressed is read.
func FuzzKeys(f *testing.F) {
	f.Add([]byte{5, 10, 0, 160}, uint32(1000), uint32(160))
	f.Add([]byte{11, 0x8a, 3, 32, 5, 10, 0, 160}, uint32(0xfffffff0), uint32(8))
	f.Fuzz(func(t *testing.T, b []byte, stamp, step uint32) {
		var r rtpx.KeyReader
		told := map[uint32]bool{}
		for at := 0; at < len(b); at += 4 {
			key, duration, ok := r.Read(stamp, b[at:min(len(b), at+4)])
			if ok && (!bytes.ContainsRune([]byte("0123456789*#ABCD"), key) || duration < 0 || duration > 0xffff || told[stamp]) {
				t.Fatalf("%q for %d, told before: %v", key, duration, told[stamp])
			}
			told[stamp] = told[stamp] || ok
			if at/4%3 == 2 {
				stamp += step
			}
		}
		var w rtpx.KeyWriter
		var again rtpx.KeyReader
		var buf [4]byte
		want := "0123456789*#ABCD"[stamp%16]
		w.Press(rune(want), int(step%5000))
		for now := stamp; w.Busy(); now += 160 {
			p, at, _, ok := w.Next(buf[:], now, 8000)
			if !ok {
				continue
			}
			if key, _, ok := again.Read(at, p); ok {
				if key != rune(want) {
					t.Fatalf("%q was pressed, %q is read", want, key)
				}
				return
			}
		}
		t.Fatalf("%q was pressed and is not read", want)
	})
}
