package rtpport

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/cause"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"

	"github.com/pion/rtp"
)

// A phone that mixes by itself gets the packets of each speaker as they come, beside our own stream, in which there is
// only what we say ourselves: prompts, keys, and now and then a sign of life (docs/adr/0031). What it says goes to the
// meeting in the same way.

const (
	// maxPassed is how many SSRCs are ever passed on in one session. None is forgotten, as no number may be given
	// twice under one key; after so many, the phone hears the mix.
	maxPassed = 4096
	// aliveAfter is how long nothing may be sent, and aliveEvery how often that is looked at (gateway spec 3.11).
	aliveAfter = 20 * time.Second
	aliveEvery = 15 * time.Second
	maxRenamed = 4  // a phone that sends back what it gets takes any SSRC
	comfort    = 13 // payload type of comfort noise (RFC 3389)
)

// apart is what goes to the phone beside the clock. Those who bring it read other calls' packets too: its lock is held for
// moments, and never while a line is closed.
type apart struct {
	full atomic.Bool

	mu      sync.Mutex
	streams map[uint32]*passed // by SSRC as it came
	latest  time.Time          // packet
	scratch *scratch           // of a phone that is to get them
}

type scratch struct {
	packet [1500]byte
	cipher [1600]byte
	head   rtp.Header // the library's
}

// prepare makes room for packets that are passed on.
func (a *apart) prepare() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.scratch == nil {
		a.scratch = &scratch{}
	}
}

// passed is one speaker's stream.
type passed struct {
	splice rtpx.Splice
	sent   rtpx.Sender // SSRC is that towards the phone
	cut    bool        // something was not sent
	over   bool        // no more follows
	told   bool        // and the phone was told so

	renamed int // times that its SSRC was another's
}

func (a *apart) barrier() {
	a.mu.Lock()
	defer a.mu.Unlock()
}

// takeApart has the next Pull give each speaker's packets by themselves.
func (p *Port) takeApart(c *config, above *portBox) {
	if c.apart && !p.apart.full.Load() {
		p.out.chunk.Apart, p.out.chunk.AcceptOpus, p.out.chunk.Coder = above, false, nil
	}
}

// Forward implements media.Apart, on the bridge's goroutine.
func (b *portBox) Forward(k media.Packet) { b.p.forward(b, k) }

// Gone implements media.Apart.
func (b *portBox) Gone(ssrc uint32) {
	a := &b.p.apart
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.streams[ssrc]; s != nil {
		s.over = true
	}
}

// forward sends a speaker's packet, if from is what the phone is joined to.
func (p *Port) forward(from *portBox, k media.Packet) {
	defer cause.Recover(p.broken)
	a := &p.apart
	a.mu.Lock()
	defer a.mu.Unlock()
	c := p.cfg.Load()
	if c == nil || !c.apart || p.above.Load() != from || len(k.Payload) > len(p.out.pay) {
		return
	}
	p.mu.Lock()
	may, to, theirs := c.Send && p.peer.may(), p.peer.to, p.recv.SSRC
	p.mu.Unlock()
	s := a.stream(k, p.ssrc, theirs)
	if s == nil {
		return
	}
	if !may {
		s.cut = true
		return
	}
	h := rtpx.Header{SSRC: k.SSRC, Seq: k.Seq, Timestamp: k.Timestamp, PT: uint8(c.Codec.PT), HasLevel: k.Measured, Level: k.Level}
	cut := k.Cut || s.cut
	if s.cut = false; !s.splice.Next(&h, cut, k.Timestamp) {
		return
	}
	h.SSRC, h.Marker = s.sent.SSRC, k.Marker || cut
	b := append(h.Append(a.scratch.packet[:0], c.LevelID), k.Payload...)
	if c.srtp != nil {
		var err error
		if b, err = c.srtp.apart.EncryptRTP(a.scratch.cipher[:0], b, &a.scratch.head); err != nil {
			p.counters.bad.Add(1)
			return
		}
	}
	if p.writeBeside(b, to) != nil {
		return
	}
	a.latest = time.Now()
	s.sent.Packets++
	s.sent.Octets += uint32(len(k.Payload))
	s.sent.Timestamp, s.sent.At = h.Timestamp, a.latest
	p.counters.sent.Add(1)
	p.counters.forwarded.Add(1)
	if k.Measured {
		p.counters.levelOut.Store(uint32(k.Level))
	}
}

// stream finds or makes the stream of a packet; nil if there are too many. It has the SSRC it came with, unless that is
// ours or the phone's own in this session (RFC 3550, 8.2).
func (a *apart) stream(k media.Packet, ours, theirs uint32) *passed {
	s := a.streams[k.SSRC]
	if s == nil {
		if len(a.streams) >= maxPassed {
			a.full.Store(true)
			return nil
		}
		if a.streams == nil {
			a.streams = map[uint32]*passed{}
		}
		s = &passed{sent: rtpx.Sender{SSRC: k.SSRC, Clock: media.Full}}
		s.splice.Begin(k.Seq)
		a.streams[k.SSRC] = s
	}
	for ; (s.sent.SSRC == ours || s.sent.SSRC == theirs) && s.renamed < maxRenamed; s.renamed++ {
		s.sent = rtpx.Sender{SSRC: rand.Uint32(), Clock: media.Full}
	}
	s.over, s.told = false, false
	return s
}

// report gives the streams that have sent lately, and those of which the phone is to be told that they are over; at the
// end of the call that is all of them.
func (a *apart) report(now time.Time, end bool) (sending []rtpx.Sender, over []uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.streams {
		if s.sent.Packets == 0 || s.told {
			continue
		}
		if now.Sub(s.sent.At) < 2*reportEvery && len(sending) < maxReported {
			sending = append(sending, s.sent)
		}
		if (s.over || end) && len(over) < rtpx.MaxBlocks-1 {
			s.told = true
			over = append(over, s.sent.SSRC)
		}
	}
	return sending, over
}

// nameOf is the CNAME of a stream that is passed on: one of this call, and nobody's name.
func (p *Port) nameOf(ssrc uint32) string { return fmt.Sprintf("%s-%08x", p.name, ssrc) }

// rest is a tick in which we say nothing ourselves. The way to the phone is kept.
func (p *Port) rest(c *config) {
	o := &p.out
	o.have, o.talked = 0, false
	p.mu.Lock()
	to, locked, last := p.peer.to, p.peer.locked, p.sent.At
	p.mu.Unlock()
	if !to.IsValid() {
		return
	}
	p.follow(to, locked)
	p.apart.mu.Lock()
	if p.apart.latest.After(last) {
		last = p.apart.latest
	}
	p.apart.mu.Unlock()
	if !o.alive.due(time.Now(), last) {
		return
	}
	o.event[0] = 0
	for i := range uint32(3) {
		p.transmit(c, o.event[:1], comfort, o.stamp+160*i, false)
	}
}

// keepAlive says when the phone needs a sign of life. The first one is due at once: it opens the way.
type keepAlive struct{ looked time.Time }

func (k *keepAlive) due(now, last time.Time) bool {
	if now.Sub(k.looked) < aliveEvery {
		return false
	}
	k.looked = now
	return now.Sub(last) >= aliveAfter
}

// forwarder is what takes the phone's packets as they are; nil if nothing does.
func (p *Port) forwarder(c *config) media.Forwarder {
	if above := p.above.Load(); c.apart && above != nil {
		return above.to
	}
	return nil
}

// forward hands a packet of the phone on. Its level is what the phone says, or is measured: the meeting's view follows it.
func (in *inbound) forward(p *Port, c *config, to media.Forwarder, h *rtpx.Header, payload []byte) {
	k := media.Packet{
		SSRC: h.SSRC, Timestamp: h.Timestamp, Seq: h.Seq, Marker: h.Marker, Cut: in.cut, Measured: true, Level: h.Level, Payload: payload,
	}
	_, _, ok := codec.OpusInspect(payload)
	if ok && !h.HasLevel {
		n, err := c.dec.Decode(in.pcm[:], payload)
		k.Level, ok = audio.Level(in.pcm[:n]), err == nil
	}
	if !ok {
		p.counters.bad.Add(1)
		return
	}
	in.cut = false
	p.counters.levelIn.Store(uint32(k.Level))
	to.Forward(k)
}
