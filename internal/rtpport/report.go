package rtpport

import (
	"time"

	"jigasi/internal/rtpx"
)

// maxReported is how many streams that are passed on one report tells of.
const maxReported = 10

// sendReport sends RTCP to where the phone takes it.
func (p *Port) sendReport(now time.Time, bye bool) {
	c := p.cfg.Load()
	if c == nil {
		return
	}
	passed, over := p.apart.report(now, bye)
	p.mu.Lock()
	to := p.rtcp
	if p.peer.to.IsValid() && p.peer.to != p.peer.said { // the phone is elsewhere than it says
		to = p.peer.to
		if !c.RTCPMux {
			to = portAfter(to)
		}
	}
	if !to.IsValid() || p.peer.heard == 0 && p.peer.blind >= unseen {
		p.mu.Unlock()
		return
	}
	b := rtpx.AppendReport(p.out.rtcp[:0], &p.sent, []*rtpx.Receiver{&p.recv}, p.name, false, now)
	p.mu.Unlock()
	for i := range passed {
		b = rtpx.AppendSender(b, &passed[i], p.nameOf(passed[i].SSRC), now)
	}
	if bye {
		over = append(over, p.ssrc)
	}
	if len(over) > 0 {
		b = rtpx.AppendBye(b, over...)
	}
	if c.srtp != nil {
		var err error
		if b, err = c.srtp.out.EncryptRTCP(nil, b, nil); err != nil {
			return
		}
	}
	conn := p.pair.rtcp
	if c.RTCPMux {
		conn = p.pair.rtp
	}
	_, _ = conn.WriteToUDPAddrPort(b, to) // reports come again
}
