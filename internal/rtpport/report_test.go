package rtpport

import (
	"net"
	"slices"
	"testing"
	"time"

	"jigasi/internal/rtpx"
)

// TestReportsTellOfEachStream: a sender's report and a name for each that is heard, a goodbye for each that was.
func TestReportsTellOfEachStream(t *testing.T) {
	p, c, _, h := loneApart(t, false)
	reports, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer reports.Close()
	_ = reports.SetReadDeadline(time.Now().Add(20 * time.Second))
	p.rtcp, p.sent.SSRC = reports.LocalAddr().(*net.UDPAddr).AddrPort(), p.ssrc
	type told struct {
		senders, byes []uint32
		names         map[uint32]string
		packets       map[uint32]uint32
	}
	next := func(end bool) told {
		p.sendReport(time.Now(), end)
		buf := make([]byte, 1500)
		n, err := reports.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		k := told{names: map[uint32]string{}, packets: map[uint32]uint32{}}
		word := func(b []byte) uint32 { return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]) }
		for b := buf[:n]; len(b) > 0; {
			size := 4 * (int(b[2])<<8 + int(b[3]) + 1)
			switch one := b[:size]; one[1] {
			case 200:
				k.senders = append(k.senders, word(one[4:]))
				k.packets[word(one[4:])] = word(one[20:])
			case 202:
				k.names[word(one[4:])] = string(one[10 : 10+one[9]])
			case 203:
				for i := range int(one[0] & 31) {
					k.byes = append(k.byes, word(one[4+4*i:]))
				}
			}
			b = b[size:]
		}
		slices.Sort(k.senders)
		slices.Sort(k.byes)
		return k
	}
	for ssrc := uint32(20); ssrc < 23; ssrc++ {
		for i := range uint16(ssrc) {
			h.apart.Forward(spoken(ssrc, i, uint32(i)*960))
		}
	}
	h.apart.Gone(55) // never sent
	k := next(false)
	if !slices.Equal(k.senders, []uint32{20, 21, 22}) || k.packets[21] != 21 || len(k.byes) != 0 {
		t.Errorf("the report says %+v", k)
	}
	if len(k.names) != 4 || k.names[20] == k.names[21] || k.names[20] == "" || k.names[p.ssrc] == "" {
		t.Errorf("names %v", k.names)
	}
	h.apart.Gone(21)
	if k = next(false); !slices.Equal(k.byes, []uint32{21}) {
		t.Errorf("21 is gone, and the report says %+v", k)
	}
	if k = next(false); len(k.byes) != 0 || !slices.Equal(k.senders, []uint32{20, 22}) {
		t.Errorf("then it says %+v", k)
	}
	p.takeRTCP(rtpx.AppendReport(nil, &rtpx.Sender{SSRC: 9}, []*rtpx.Receiver{lossy(20)}, "phone", false, time.Now()), c.Remote)
	if loss := p.Stats().PeerLoss; loss < 0.4 || loss > 0.6 {
		t.Errorf("the phone misses half of 20, and we know of %.2f", loss)
	}
	if k = next(true); !slices.Equal(k.byes, []uint32{p.ssrc, 20, 22}) {
		t.Errorf("at the end it says %+v", k)
	}
}

// lossy is what half of a stream came of.
func lossy(ssrc uint32) *rtpx.Receiver {
	r := &rtpx.Receiver{SSRC: ssrc, Clock: 48000}
	for i := range uint16(50) {
		r.Packet(2*i, 0, time.Now())
	}
	return r
}
