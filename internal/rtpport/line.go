package rtpport

import (
	"net/netip"
	"time"

	"jigasi/internal/twin"
)

// line is the twin of the RTP socket for the phone where it is held fast. It is the clock's
// goroutine's; who closes it must not hold what the taker of packets waits for.
type line struct {
	twin *twin.Twin // nil: there is none for to
	to   netip.AddrPort
}

func (l *line) close() {
	if l.twin != nil {
		l.twin.Close()
		l.twin = nil
	}
}

// write sends to the phone, by the twin if there is one.
func (p *Port) write(b []byte, to netip.AddrPort, locked bool) error {
	l := &p.out.line
	if l.to != to {
		l.close()
		l.to = netip.AddrPort{}
		if locked {
			l.to = to
			// An error means that this system has no twins: the socket serves all.
			l.twin, _ = p.opt.Loop.Open(p.pair.rtp, to, func(b []byte) { p.take(b, to, time.Now()) })
		}
	}
	if l.twin != nil {
		return l.twin.Write(b)
	}
	_, err := p.pair.rtp.WriteToUDPAddrPort(b, to)
	return err
}
