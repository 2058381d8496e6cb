package rtpport

import (
	"sync"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/cause"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"

	"github.com/pion/rtp"
)

// outbound is the state of the clock's goroutine.
type outbound struct {
	mu     sync.Mutex
	config *config
	line   line
	guard  codec.Protection
	seq    uint16
	stamp  uint32
	talked bool // the last tick was sound
	chunk  media.Chunk
	buf    [media.Full / 50]int16
	still  int                    // ticks of digital silence in a row
	same   int                    // length of the payload in pay that is silence, of G.711 alone
	pcm    [media.Full / 50]int16 // a packet: 20 ms at 48 kHz, or 60 ms at 16 kHz
	have   int
	event  [4]byte
	alive  keepAlive
	packet [1500]byte
	cipher [1600]byte
	pay    [1300]byte
	rtcp   [1024]byte
	head   rtp.Header // the library's scratch
}

func (o *outbound) barrier() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.have = 0
}

// reportEvery is the interval of RTCP (RFC 3550, 6.2, for two parties).
const reportEvery = 5 * time.Second

// tick is one turn of the clock: ask the meeting, encode, send.
func (p *Port) tick() {
	defer cause.Recover(p.broken)
	c := p.cfg.Load()
	now := time.Now()
	p.watch(now, c)
	if c == nil {
		return
	}
	p.send(c)
	if now.Sub(p.report) >= reportEvery {
		p.report = now
		p.sendReport(now, false)
		p.protect(c)
	}
}

// elapsed is now as what has passed since the port was opened, in ns, and never 0. The clock on the wall may
// be set meanwhile: no call may end of that (T55).
func (p *Port) elapsed(now time.Time) int64 { return max(1, int64(now.Sub(p.started))) }

// watch tells when the phone is silent for too long (T46), and when it is heard again. On hold, and before the answer,
// it may be silent.
func (p *Port) watch(now time.Time, c *config) {
	answered := p.answered.Load()
	if c == nil || answered == 0 || !c.Recv || c.Held {
		return
	}
	seen := max(p.lastSeen.Load(), p.lastRTCP.Load())
	idle := time.Duration(p.elapsed(now) - max(seen, answered, p.elapsed(c.began)))
	switch {
	case p.quiet && seen > p.quietAt:
		p.silent(false)
	case !p.quiet && p.opt.Silence > 0 && idle > p.opt.Silence:
		p.quietAt = seen
		p.silent(true)
	}
	limit := p.opt.Gone
	if seen == 0 {
		limit = p.opt.FirstPacket
	}
	if !p.gone && p.opt.OnGone != nil && idle > limit {
		p.gone = true
		p.opt.OnGone()
	}
}

func (p *Port) silent(on bool) {
	p.quiet = on
	if p.opt.OnQuiet != nil {
		p.opt.OnQuiet(on)
	}
}

// protect follows the loss that an Opus phone reports.
func (p *Port) protect(c *config) {
	p.mu.Lock()
	told, loss := p.told, p.loss
	p.told = false
	p.mu.Unlock()
	enc, ok := c.enc.(*opus)
	if !ok || !told || !p.opt.FEC {
		return
	}
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	if on, percent, changed := p.out.guard.Reported(loss); changed {
		enc.protected = enc.SetFEC(on, percent) == nil && on // an encoder that cannot goes on without
	}
}

// send makes the packet of this tick.
func (p *Port) send(c *config) {
	o := &p.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.config != c {
		o.config, o.have, o.talked, o.still, o.same, o.guard = c, 0, false, 0, 0, codec.Protection{}
	}
	step := uint32(c.Codec.Clock / 50)
	defer func() { o.stamp += step }()
	if !c.Send {
		return
	}
	if p.sendKeys(c) {
		o.have, o.talked = 0, false
		return
	}
	o.chunk.Reset(c.ask, o.buf[:], c.opus && c.Ptime == 20)
	if c.Ptime == 20 && o.have == 0 {
		o.chunk.Coder = c.enc
	}
	above := p.above.Load()
	if above != nil {
		p.takeApart(c, above)
		above.Pull(&o.chunk)
	} else {
		clear(o.chunk.PCM)
	}
	if c.apart && !o.chunk.Voice {
		p.rest(c)
		return
	}
	if o.chunk.Opus != nil && c.opus && len(o.chunk.Opus) <= len(o.pay) {
		p.transmit(c, o.chunk.Opus, c.Codec.PT, o.stamp, !o.talked)
		o.talked = true
		return
	}
	level := o.chunk.Level
	if !o.chunk.Measured {
		level = audio.Level(o.chunk.PCM)
	}
	p.counters.levelOut.Store(uint32(level))
	if coded := o.chunk.Coded; coded != nil && len(coded) <= len(o.pay) {
		o.still, o.same = 0, 0
		if len(coded) > 0 {
			p.transmit(c, coded, c.Codec.PT, o.stamp, !o.talked)
			o.talked = true
		}
		return
	}
	if o.silent(c, level) {
		p.transmit(c, o.pay[:o.same], c.Codec.PT, o.stamp, false)
		return
	}
	p.sendPCM(c)
}

// silent reports whether pay is right as it is: silence again, of a codec without memory.
func (o *outbound) silent(c *config, level uint8) bool {
	if level != audio.Silent || c.rate != media.Narrow || c.Ptime != 20 {
		o.still, o.same = 0, 0
		return false
	}
	o.still++
	return o.still > 2 && o.same > 0 && o.talked
}

// sendPCM collects what was pulled to packets of the phone's length.
func (p *Port) sendPCM(c *config) {
	o := &p.out
	frame := c.rate / 50
	dst := o.pcm[o.have : o.have+frame]
	c.enc.frame(dst, o.chunk.PCM)
	o.have += frame
	frames := max(1, c.Ptime/20)
	if c.opus || c.Ptime < 20 {
		frames = 1
	}
	if o.have < frames*frame {
		return
	}
	pcm := o.pcm[:o.have]
	stamp := o.stamp - uint32(frames-1)*uint32(c.Codec.Clock/50)
	o.have = 0
	if c.Ptime == 10 && !c.opus { // two packets a tick
		half := len(pcm) / 2
		p.encode(c, pcm[:half], stamp)
		p.encode(c, pcm[half:], stamp+uint32(c.Codec.Clock/100))
		return
	}
	p.encode(c, pcm, stamp)
}

func (p *Port) encode(c *config, pcm []int16, stamp uint32) {
	n, err := c.enc.payload(p.out.pay[:], pcm)
	if err != nil || n == 0 {
		return
	}
	p.out.same = n
	p.transmit(c, p.out.pay[:n], c.Codec.PT, stamp, !p.out.talked)
	p.out.talked = true
}

// sendKeys sends the event of this tick, if a key is down; sound is silent meanwhile.
func (p *Port) sendKeys(c *config) bool {
	p.mu.Lock()
	if c.DTMF < 0 || !p.keys.Busy() {
		p.mu.Unlock()
		return false
	}
	o := &p.out
	stamp := o.stamp
	payload, at, marker, ok := p.keys.Next(o.event[:], stamp, c.DTMFClock)
	p.mu.Unlock()
	if ok {
		p.transmit(c, payload, c.DTMF, at, marker)
	}
	return true
}

// transmit writes one packet to the phone.
func (p *Port) transmit(c *config, payload []byte, pt int, stamp uint32, marker bool) {
	o := &p.out
	h := rtpx.Header{SSRC: p.ssrc, Seq: o.seq, Timestamp: stamp, PT: uint8(pt), Marker: marker}
	o.seq++
	b := append(h.Append(o.packet[:0], 0), payload...)
	p.mu.Lock()
	may, to, locked := p.peer.may(), p.peer.to, p.peer.locked
	if may {
		p.sent.Packets++
		p.sent.Octets += uint32(len(payload))
		p.sent.Timestamp, p.sent.At = stamp, time.Now()
	}
	p.mu.Unlock()
	if !may {
		return
	}
	if c.srtp != nil {
		var err error
		if b, err = c.srtp.out.EncryptRTP(o.cipher[:0], b, &o.head); err != nil {
			p.counters.bad.Add(1)
			return
		}
	}
	if p.write(b, to, locked) == nil {
		p.counters.sent.Add(1)
	}
}
