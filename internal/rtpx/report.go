package rtpx

import (
	"encoding/binary"
	"time"
)

// A Receiver counts one incoming stream (RFC 3550, A.1, A.3, A.8). It is not safe
// for concurrent use.
type Receiver struct {
	SSRC  uint32
	Clock int // Hz of the RTP clock

	started            bool
	base, max          uint16
	cycles             uint32
	received           uint32
	expectedAt, lostAt uint32 // at the last report
	transit            int64
	jitter             float64 // in units of the clock
	srMiddle           uint32
	srAt               time.Time
}

// Packet counts one packet that arrived at now.
func (r *Receiver) Packet(seq uint16, timestamp uint32, now time.Time) {
	if !r.started {
		r.started, r.base, r.max = true, seq, seq
	}
	switch d := int16(seq - r.max); {
	case d > 0:
		if seq < r.max {
			r.cycles += 1 << 16
		}
		r.max = seq
	case d < -3000: // restarted
		r.base, r.max, r.cycles, r.received, r.expectedAt, r.lostAt = seq, seq, 0, 0, 0, 0
	}
	r.received++
	if r.Clock == 0 {
		return
	}
	arrival := now.UnixMicro() * int64(r.Clock) / 1e6
	transit := int64(int32(uint32(arrival) - timestamp))
	if r.received > 1 {
		d := float64(transit - r.transit)
		if d < 0 {
			d = -d
		}
		if d < float64(r.Clock) { // a jump of the far clock is no jitter
			r.jitter += (d - r.jitter) / 16
		}
	}
	r.transit = transit
}

// SenderReport notes the middle bits of an SR's NTP time, for LSR and DLSR.
func (r *Receiver) SenderReport(ntpMiddle uint32, now time.Time) { r.srMiddle, r.srAt = ntpMiddle, now }

// Received is the number of packets so far, duplicates included.
func (r *Receiver) Received() uint32 { return r.received }

// Lost is how many packets are missing so far.
func (r *Receiver) Lost() int {
	if !r.started {
		return 0
	}
	return max(0, int(r.expected())-int(r.received))
}

// Jitter is the interarrival jitter in ms.
func (r *Receiver) Jitter() float64 {
	if r.Clock == 0 {
		return 0
	}
	return r.jitter * 1000 / float64(r.Clock)
}

func (r *Receiver) expected() uint32 { return r.cycles + uint32(r.max) - uint32(r.base) + 1 }

// appendBlock adds a reception report block for the time since the last one.
func (r *Receiver) appendBlock(b []byte, now time.Time) []byte {
	expected := r.expected()
	lost := expected - r.received
	if int32(lost) < 0 {
		lost = 0
	}
	fraction := byte(0)
	if span := expected - r.expectedAt; span > 0 && lost > r.lostAt {
		fraction = byte(min(255, (lost-r.lostAt)*256/span))
	}
	r.expectedAt, r.lostAt = expected, lost
	b = binary.BigEndian.AppendUint32(b, r.SSRC)
	b = binary.BigEndian.AppendUint32(b, uint32(fraction)<<24|min(lost, 0x7fffff))
	b = binary.BigEndian.AppendUint32(b, r.cycles+uint32(r.max))
	b = binary.BigEndian.AppendUint32(b, uint32(r.jitter))
	b = binary.BigEndian.AppendUint32(b, r.srMiddle)
	delay := uint32(0)
	if r.srMiddle != 0 {
		delay = uint32(now.Sub(r.srAt) * 65536 / time.Second)
	}
	return binary.BigEndian.AppendUint32(b, delay)
}

// A Sender counts one outgoing stream.
type Sender struct {
	SSRC            uint32
	Packets, Octets uint32
	Timestamp       uint32    // of the last packet
	At              time.Time // when it was sent
	Clock           int
}

// MaxBlocks is how many reception report blocks one packet holds (RFC 3550, 6.4.1).
const MaxBlocks = 31

const (
	typeSR, typeRR, typeSDES, typeBYE = 200, 201, 202, 203
	ntpEpoch                          = 2208988800 // seconds from 1900 to 1970
)

// AppendReport writes a compound packet: SR (RR as long as nothing was sent), the
// blocks of at most MaxBlocks receivers, SDES with a CNAME, and BYE if bye is set.
func AppendReport(b []byte, s *Sender, in []*Receiver, cname string, bye bool, now time.Time) []byte {
	start := len(b)
	n := 0
	b = append(b, 0x80, typeRR, 0, 0)
	b = binary.BigEndian.AppendUint32(b, s.SSRC)
	if s.Packets > 0 {
		b[start+1] = typeSR
		b = s.appendInfo(b, now)
	}
	for _, r := range in {
		if r.started && n < MaxBlocks {
			b = r.appendBlock(b, now)
			n++
		}
	}
	b[start] |= byte(n)
	b = finish(b, start)
	b = appendSDES(b, s.SSRC, cname)
	if bye {
		b = AppendBye(b, s.SSRC)
	}
	return b
}

// appendInfo adds the sender information of an SR.
func (s *Sender) appendInfo(b []byte, now time.Time) []byte {
	sec, frac := uint32(now.Unix()+ntpEpoch), uint32(uint64(now.Nanosecond())<<32/1e9)
	b = binary.BigEndian.AppendUint32(b, sec)
	b = binary.BigEndian.AppendUint32(b, frac)
	b = binary.BigEndian.AppendUint32(b, s.Timestamp+uint32(int64(now.Sub(s.At))*int64(s.Clock)/1e9))
	b = binary.BigEndian.AppendUint32(b, s.Packets)
	return binary.BigEndian.AppendUint32(b, s.Octets)
}

// AppendSender adds to a compound packet the SR and the name of one more stream that we send (RFC 3550, 6.1: who
// passes several on says it of all in one packet).
func AppendSender(b []byte, s *Sender, cname string, now time.Time) []byte {
	start := len(b)
	b = append(b, 0x80, typeSR, 0, 0)
	b = binary.BigEndian.AppendUint32(b, s.SSRC)
	b = s.appendInfo(b, now)
	return appendSDES(finish(b, start), s.SSRC, cname)
}

// AppendBye ends a compound packet with the end of streams, at most MaxBlocks of them.
func AppendBye(b []byte, ssrcs ...uint32) []byte {
	ssrcs = ssrcs[:min(len(ssrcs), MaxBlocks)]
	start := len(b)
	b = append(b, 0x80|byte(len(ssrcs)), typeBYE, 0, 0)
	for _, ssrc := range ssrcs {
		b = binary.BigEndian.AppendUint32(b, ssrc)
	}
	return finish(b, start)
}

func appendSDES(b []byte, ssrc uint32, cname string) []byte {
	start := len(b)
	b = append(b, 0x81, typeSDES, 0, 0)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	cname = cname[:min(len(cname), 255)]
	b = append(b, 1, byte(len(cname)))
	b = append(b, cname...)
	b = append(b, 0)
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	return finish(b, start)
}

// finish fills in the length of the packet that began at start.
func finish(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+2:], uint16((len(b)-start)/4-1))
	return b
}

// A Report is what a peer says in RTCP.
type Report struct {
	SSRC      uint32 // who says it
	NTPMiddle uint32 // of an SR: the middle 32 bits of its NTP time; 0 for an RR
	Bye       bool
	About     []Block // valid until the next ParseReport with the same Report
}

// A Block is a peer's word about one of our streams.
type Block struct {
	SSRC         uint32
	FractionLost uint8 // of 256
	Lost         uint32
	Jitter       uint32 // in units of the clock
	LSR, DLSR    uint32
}

// ParseReport reads the compound packet b into r and reports whether it was
// well formed. Types other than SR, RR and BYE are passed over.
func (r *Report) ParseReport(b []byte) bool {
	*r = Report{About: r.About[:0]}
	for len(b) > 0 {
		if len(b) < 8 || b[0]>>6 != 2 {
			return false
		}
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if size > len(b) || size < 8 && b[1] != typeBYE {
			return false
		}
		if !r.one(b[:size]) {
			return false
		}
		b = b[size:]
	}
	return true
}

func (r *Report) one(p []byte) bool {
	if p[1] == typeBYE { // of nobody, it is four bytes long
		r.Bye = true
		return true
	}
	count, body := int(p[0]&0x1f), p[8:]
	switch p[1] {
	case typeSR:
		if len(body) < 20 {
			return false
		}
		r.NTPMiddle = binary.BigEndian.Uint32(body[2:])
		body = body[20:]
	case typeRR:
	default:
		return true
	}
	r.SSRC = binary.BigEndian.Uint32(p[4:])
	if len(body) < 24*count {
		return false
	}
	for i := range count {
		f := body[24*i:]
		r.About = append(r.About, Block{
			SSRC: binary.BigEndian.Uint32(f), FractionLost: f[4], Lost: binary.BigEndian.Uint32(f[4:]) & 0xffffff,
			Jitter: binary.BigEndian.Uint32(f[12:]), LSR: binary.BigEndian.Uint32(f[16:]), DLSR: binary.BigEndian.Uint32(f[20:]),
		})
	}
	return true
}

// RoundTrip is the time to the peer and back that a block tells (RFC 3550, 6.4.1); 0 if it tells none.
func (b Block) RoundTrip(now time.Time) time.Duration {
	if b.LSR == 0 {
		return 0
	}
	mid := uint32(now.Unix()+ntpEpoch)<<16 | uint32(uint64(now.Nanosecond())<<16/1e9)
	rtt := int32(mid - b.LSR - b.DLSR)
	if rtt < 0 {
		return 0
	}
	return time.Duration(rtt) * time.Second / 65536
}
