package rtpport

import (
	"net/netip"
	"sync/atomic"
	"time"

	"jigasi/internal/twin"
)

// line is the twin of the RTP socket for the phone where it is held fast. It is the clock's
// goroutine's; who closes it must not hold what the taker of packets waits for.
type line struct {
	twin *twin.Twin // nil: there is none for to
	to   netip.AddrPort
	open atomic.Pointer[opened] // the same, for who passes packets on beside the clock
}

type opened struct {
	twin *twin.Twin
	to   netip.AddrPort
}

func (l *line) close() {
	if l.twin != nil {
		l.open.Store(nil)
		l.twin.Close()
		l.twin = nil
	}
}

// follow makes the line that of the phone's address.
func (p *Port) follow(to netip.AddrPort, locked bool) {
	l := &p.out.line
	if l.to == to {
		return
	}
	l.close()
	l.to = netip.AddrPort{}
	if locked {
		l.to = to
		// An error means that this system has no twins: the socket serves all.
		if l.twin, _ = p.opt.Loop.Open(p.pair.rtp, to, func(b []byte) { p.take(b, to, time.Now()) }); l.twin != nil {
			l.open.Store(&opened{l.twin, to})
		}
	}
}

// write sends to the phone, by the twin if there is one.
func (p *Port) write(b []byte, to netip.AddrPort, locked bool) error {
	p.follow(to, locked)
	if l := &p.out.line; l.twin != nil {
		return l.twin.Write(b)
	}
	_, err := p.pair.rtp.WriteToUDPAddrPort(b, to)
	return err
}

// writeBeside is write on another goroutine than the clock's.
func (p *Port) writeBeside(b []byte, to netip.AddrPort) error {
	if o := p.out.line.open.Load(); o != nil && o.to == to {
		return o.twin.Write(b)
	}
	_, err := p.pair.rtp.WriteToUDPAddrPort(b, to)
	return err
}
