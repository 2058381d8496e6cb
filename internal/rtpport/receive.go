package rtpport

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/cause"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"

	"github.com/pion/rtp"
)

// inbound is the state of the reader's goroutine, behind a lock that only Connect
// and a change of the session ever contend for.
type inbound struct {
	mu      sync.Mutex
	started bool
	next    uint16
	key     rtpx.KeyReader
	config  *config
	report  rtpx.Report
	plain   [2048]byte
	head    rtp.Header  // the library's scratch
	pcm     [3000]int16 // one packet: 120 ms of Opus at 16 kHz, or a datagram full of G.722
	ahead   ahead
	cut     bool        // a packet was passed over that has a number like the others
	pending [960]int16  // the beginning of a chunk
	chunk   media.Chunk // what is pushed; a variable of its own would be made anew for each packet
	have    int
}

// barrier waits until the packet that is being handled is done.
func (in *inbound) barrier() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.have = 0
}

// gapLimit is how many lost packets in a row are concealed.
const gapLimit = 3

func (p *Port) readRTP(conn *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		p.take(buf[:n], unmap(from), time.Now())
	}
}

// take handles one datagram of the RTP socket.
func (p *Port) take(b []byte, from netip.AddrPort, now time.Time) {
	defer cause.Recover(p.broken)
	c := p.cfg.Load()
	if c == nil || !c.Recv {
		return
	}
	rtp, rtcp := rtpx.IsRTP(b)
	if rtcp && c.RTCPMux {
		p.takeRTCP(b, from)
		return
	}
	var h rtpx.Header
	if !rtp || len(b) > 1500 {
		p.counters.bad.Add(1)
		return
	}
	if _, err := h.ParseHeader(b, c.LevelID); err != nil {
		p.counters.bad.Add(1)
		return
	}
	if !c.takes(int(h.PT)) {
		p.counters.wrongType.Add(1)
		return
	}
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	if c.srtp != nil { // who has the key is the phone, wherever it is
		plain, err := c.srtp.open(p.in.plain[:0], b, h.SSRC, &p.in.head)
		if err != nil {
			p.counters.bad.Add(1)
			return
		}
		b = plain
	}
	payload, err := h.Parse(b, c.LevelID)
	if err != nil {
		p.counters.bad.Add(1)
		return
	}
	if !p.accept(&h, from, now) {
		return
	}
	p.in.packet(p, c, &h, payload, now)
}

func (c *config) takes(pt int) bool {
	return pt == c.RecvPT || pt == c.DTMF || pt == c.CN || pt == 13
}

// accept judges the source of a packet and counts it.
func (p *Port) accept(h *rtpx.Header, from netip.AddrPort, now time.Time) bool {
	p.mu.Lock()
	if !p.peer.from(from, now) {
		p.mu.Unlock()
		p.counters.foreign.Add(1)
		return false
	}
	if p.recv.SSRC != h.SSRC {
		p.recv = rtpx.Receiver{SSRC: h.SSRC, Clock: p.recv.Clock}
		p.in.started = false
	}
	p.recv.Packet(h.Seq, h.Timestamp, now)
	p.mu.Unlock()
	p.counters.received.Add(1)
	p.lastSeen.Store(p.elapsed(now))
	if p.first.CompareAndSwap(false, true) && p.opt.OnFirst != nil {
		p.opt.OnFirst()
	}
	return true
}

// packet handles one packet of the phone.
func (in *inbound) packet(p *Port, c *config, h *rtpx.Header, payload []byte, now time.Time) {
	if in.config != c {
		in.config, in.started, in.have, in.ahead.count = c, false, 0, 0
	}
	if int(h.PT) == c.DTMF {
		for in.ahead.count > 0 {
			in.release(p, c)
		}
		in.cut = true
		if key, units, ok := in.key.Read(h.Timestamp, payload); ok && p.opt.OnKey != nil {
			p.opt.OnKey(key, max(100, units*1000/max(1, c.DTMFClock)))
		}
		if !in.started || int16(h.Seq-in.next) >= 0 {
			in.next = h.Seq + 1
		}
		return
	}
	if c.Held { // what comes now is music on hold, and not for the meeting
		in.started, in.cut = false, true
		return
	}
	if !in.started {
		in.ahead.count = 0
	} else if !in.ordered(p, c, h, payload, now) {
		return
	}
	in.play(p, c, h, payload)
	for in.ahead.count > 0 && in.ahead.kept[0].head.Seq == in.next { // what was missing has come
		in.release(p, c)
	}
}

// play hands on a packet whose turn it is.
func (in *inbound) play(p *Port, c *config, h *rtpx.Header, payload []byte) {
	in.started, in.next = true, h.Seq+1
	if int(h.PT) != c.RecvPT || len(payload) == 0 {
		in.cut = true
		return // comfort noise: nothing is said
	}
	if to := p.forwarder(c); to != nil {
		in.forward(p, c, to, h, payload)
		return
	}
	n, err := c.dec.Decode(in.pcm[:], payload)
	if err != nil {
		p.counters.bad.Add(1)
		return
	}
	whole := c.opus && n == media.Wide/50 && in.have == 0
	in.say(p, c, in.pcm[:n], payload, whole, h)
}

// conceal makes up for lost packets of the size of the last one.
func (in *inbound) conceal(p *Port, c *config, packets int) {
	if p.forwarder(c) != nil {
		return // the far end sees by the numbers what is missing
	}
	size := c.decRate() / 50
	for range packets {
		n := c.dec.Conceal(in.pcm[:size])
		in.say(p, c, in.pcm[:n], nil, false, nil)
	}
}

// decRate is the rate of decoded PCM: Opus is decoded to 16 kHz, as its packets go on as they are.
func (c *config) decRate() int {
	if c.opus {
		return media.Wide
	}
	return c.rate
}

// say gives PCM to the meeting in chunks of 20 ms.
func (in *inbound) say(p *Port, c *config, pcm []int16, opus []byte, whole bool, h *rtpx.Header) {
	above := p.above.Load()
	if above == nil {
		in.have = 0
		return
	}
	size := c.decRate() / 50
	in.chunk = media.Chunk{Rate: c.decRate(), Voice: true, Measured: true}
	if whole {
		in.chunk.PCM, in.chunk.Opus = pcm, opus
		in.push(p, above, &in.chunk, h)
		return
	}
	for len(pcm) > 0 {
		n := copy(in.pending[in.have:size], pcm)
		in.have += n
		pcm = pcm[n:]
		if in.have == size {
			in.chunk.PCM, in.have = in.pending[:size], 0
			in.push(p, above, &in.chunk, h)
		}
	}
}

func (in *inbound) push(p *Port, above *portBox, c *media.Chunk, h *rtpx.Header) {
	c.Level = audio.Level(c.PCM)
	if h != nil && h.HasLevel {
		c.Level = h.Level
	}
	p.counters.levelIn.Store(uint32(c.Level))
	above.Push(c)
}
