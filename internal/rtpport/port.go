// Package rtpport is the phone's side of sound: one pair of UDP ports that
// speaks RTP and RTCP with the phone, in whatever codec the SDP agreed on.
//
// What the phone says is pushed into a media.Port as it arrives, 20 ms at a
// time. What it hears is pulled from that port once per tick of the clock,
// encoded and sent. The far end's address is learned from its packets
// (symmetric RTP, RFC 4961), held fast after a probation, and never one that the
// phone could use to have us send to a third party for long.
//
// One goroutine reads each socket, the loop a second one that has but the phone's packets once its
// address is held fast; the clock sends. Close waits for all.
package rtpport

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/qos"
	"jigasi/internal/rtpx"
	"jigasi/internal/sdp"
	"jigasi/internal/twin"
	"jigasi/internal/xlog"
)

// Options makes a port.
type Options struct {
	Pool    *Pool      // where ports come from; required
	LocalIP netip.Addr // to bind; the zero value binds all
	Clock   *media.Clock
	Loop    *twin.Loop        // reads the phone's packets, once it is known where the phone is; nil: as they come
	Opus    codec.OpusOptions // for phones that speak Opus; Rate is set here
	FEC     bool              // protect what an Opus phone gets while it reports that packets are lost
	Forward bool              // pass packets of an Opus phone, and those for it, on as they are, and mix nothing

	FirstPacket time.Duration // from the answer to the phone's first packet, else OnGone; 0 means 30 s
	Silence     time.Duration // without RTP and RTCP until OnQuiet; 0 means 10 s, negative never
	Gone        time.Duration // the same until OnGone; 0 means 60 s
	DSCP        int           // of what is sent

	OnKey   func(key rune, ms int) // a key of the phone; called on the reader's goroutine
	OnFirst func()                 // the first packet of the phone
	OnQuiet func(on bool)          // nothing came for Silence; or, after that, something
	OnGone  func()                 // nothing came for FirstPacket or Gone; once. On hold neither is told
	OnPanic func(cause.Cause)      // a defect of ours was met in this phone's sound; once
	Log     *slog.Logger
}

// A Port is the phone's RTP. Its methods are safe for concurrent use.
type Port struct {
	opt  Options
	log  *slog.Logger
	pair *pair
	ssrc uint32
	name string // CNAME

	readers sync.WaitGroup
	remove  func() // takes the port off the clock
	once    sync.Once
	broken  func(cause.Cause, []byte) // what is told of a panic, made once: the media path allocates nothing

	cfg   atomic.Pointer[config] // what was negotiated; nil before Start
	above atomic.Pointer[portBox]

	in    inbound  // reader's goroutine
	out   outbound // clock's goroutine
	apart apart    // the bridge's goroutines

	mu      sync.Mutex // guards peer, reports and keys
	peer    peer
	rtcp    netip.AddrPort
	recv    rtpx.Receiver
	sent    rtpx.Sender
	keys    rtpx.KeyWriter
	report  time.Time
	loss    uint8 // as the phone reports it, of 256
	told    bool  // loss is new
	quiet   bool  // OnQuiet was called
	quietAt int64 // when the last packet before that came
	gone    bool  // OnGone was called
	started time.Time

	first    atomic.Bool
	lastSeen atomic.Int64 // RTP, as elapsed gives it; 0: never
	lastRTCP atomic.Int64
	answered atomic.Int64 // the same of the answer
	counters counters
}

// portBox is what the phone is joined to. It takes the packets of that meeting's speakers, as long as it is.
type portBox struct {
	media.Port
	p  *Port
	to media.Forwarder // nil: it takes chunks alone
}

// config is one negotiated session; it never changes after it was stored.
type config struct {
	sdp.Result
	dec   codec.Decoder
	enc   coder
	rate  int // of the codec's PCM
	ask   int // rate asked of the meeting: 16 or 48 kHz
	opus  bool
	apart bool // nothing is mixed
	srtp  *secure
	began time.Time
}

type counters struct {
	received, sent, forwarded, bad, foreign, wrongType, late atomic.Int64
	levelIn, levelOut                                        atomic.Uint32
}

// Stats are what a port has counted.
type Stats struct {
	Codec                            string
	Received, Sent                   int64
	Forwarded                        int64 // of those sent, the speakers' own packets
	Lost                             int
	JitterMS                         float64
	LevelIn, LevelOut                uint8 // -dBov of the latest sound each way
	Bad, Foreign, WrongType, Dropped int64
	PeerLoss                         float64 // share of our packets that the phone misses, 0..1
	Remote                           netip.AddrPort
	Secure                           bool
}

// Open takes a pair of ports. Nothing is sent or taken before Start.
func Open(o Options) (*Port, error) {
	o = o.withDefaults()
	pair, err := o.Pool.take(o.LocalIP)
	if err != nil {
		return nil, err
	}
	for _, c := range []*net.UDPConn{pair.rtp, pair.rtcp} {
		if err := qos.Mark(c, c.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), o.DSCP); err != nil {
			xlog.Or(o.Log).Warn("the network is not asked to prefer this sound", xlog.Err, err)
		}
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	p := &Port{opt: o, log: xlog.Or(o.Log), pair: pair, ssrc: binary.BigEndian.Uint32(b[:]), name: hex.EncodeToString(b[4:])}
	p.out.seq, p.out.stamp = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint32(b[6:])
	p.sent.SSRC = p.ssrc
	p.started = time.Now()
	var told sync.Once
	p.broken = func(why cause.Cause, stack []byte) { told.Do(func() { p.broke(why, stack) }) }
	p.readers.Go(func() { p.readRTP(pair.rtp) })
	p.readers.Go(p.readRTCP)
	p.remove = o.Clock.Add(p.tick)
	return p, nil
}

func (o Options) withDefaults() Options {
	for p, d := range map[*time.Duration]time.Duration{&o.FirstPacket: 30 * time.Second, &o.Silence: 10 * time.Second, &o.Gone: 60 * time.Second} {
		if *p == 0 {
			*p = d
		}
	}
	return o
}

// LocalPort is the port of RTP; RTCP is the next one.
func (p *Port) LocalPort() uint16 { return p.pair.port }

// Start begins to speak as negotiated, or goes on as newly negotiated.
func (p *Port) Start(r sdp.Result) error {
	c, err := p.configure(r)
	if err != nil {
		return err
	}
	p.mu.Lock()
	old := p.cfg.Load()
	if old == nil || old.Remote != r.Remote {
		p.peer.announce(r.Remote, p.pair.port, time.Now())
		p.rtcp = r.RTCP
	}
	if old == nil || old.Codec != r.Codec {
		p.recv = rtpx.Receiver{Clock: r.Codec.Clock}
	}
	p.sent.Clock = r.Codec.Clock
	p.mu.Unlock()
	p.cfg.Store(c)
	return nil
}

func (p *Port) configure(r sdp.Result) (*config, error) {
	c := &config{Result: r, began: time.Now(), ask: media.Wide}
	var err error
	switch r.Codec.Name {
	case "PCMU":
		c.dec, c.rate = codec.NewPCMU(), media.Narrow
	case "PCMA":
		c.dec, c.rate = codec.NewPCMA(), media.Narrow
	case "G722":
		c.dec, c.rate = codec.NewG722(), media.Wide
	case "opus":
		c.opus, c.apart, c.rate, c.ask = true, p.opt.Forward, media.Full, media.Full
		if c.dec, err = codec.NewOpusDecoder(media.Wide); err != nil {
			return nil, err
		}
	}
	if c.enc, err = newCoder(r.Codec.Name, p.opt.Opus); err != nil {
		return nil, err
	}
	if c.apart {
		p.apart.prepare()
	}
	if r.SRTP != nil {
		if c.srtp, err = newSecure(r.SRTP, p.opt.Forward); err != nil {
			return nil, err
		}
		if old := p.cfg.Load(); old != nil && old.srtp != nil && old.srtp.same(r.SRTP) {
			c.srtp = old.srtp // the same keys go on with the same counters
		}
	}
	return c, nil
}

// Answered says that the phone is picked up: from now on it is noticed when nothing comes from it.
func (p *Port) Answered() { p.answered.CompareAndSwap(0, p.elapsed(time.Now())) }

// Connect joins the phone to a port in place of what it was joined to; nil is silence.
// When it returns, the old port is no longer used.
func (p *Port) Connect(above media.Port) {
	var box *portBox
	if above != nil {
		to, _ := above.(media.Forwarder)
		box = &portBox{above, p, to}
	}
	p.above.Store(box)
	p.in.barrier()
	p.out.barrier()
	p.apart.barrier()
}

// SendKey sends a key as telephone event and reports whether the phone takes events.
func (p *Port) SendKey(key rune, ms int) bool {
	c := p.cfg.Load()
	if c == nil || c.DTMF < 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys.Press(key, ms)
}

// Stats gives the counters.
func (p *Port) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{
		Received: p.counters.received.Load(), Sent: p.counters.sent.Load(), Forwarded: p.counters.forwarded.Load(), Lost: p.recv.Lost(), JitterMS: p.recv.Jitter(),
		LevelIn: uint8(p.counters.levelIn.Load()), LevelOut: uint8(p.counters.levelOut.Load()),
		Bad: p.counters.bad.Load(), Foreign: p.counters.foreign.Load(), WrongType: p.counters.wrongType.Load(),
		Dropped: p.counters.late.Load(), PeerLoss: float64(p.loss) / 256, Remote: p.peer.to,
	}
	if c := p.cfg.Load(); c != nil {
		s.Codec, s.Secure = c.Codec.Name, c.srtp != nil
	}
	return s
}

// Close says goodbye in RTCP, stops all and gives the ports back.
func (p *Port) Close() {
	p.once.Do(func() {
		p.remove()
		p.out.mu.Lock()
		p.out.line.close()
		p.out.mu.Unlock()
		p.sendReport(time.Now(), true)
		p.pair.close()
		p.readers.Wait()
	})
}

func (p *Port) readRTCP() {
	buf := make([]byte, 2048)
	for {
		n, from, err := p.pair.rtcp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		p.takeRTCP(buf[:n], unmap(from))
	}
}

// broke says that a defect of ours was met: this call's sound is wrong, and no other's.
func (p *Port) broke(why cause.Cause, stack []byte) {
	p.log.Error("panic in a phone's sound", xlog.Err, why.Err, "stack", string(stack))
	if p.opt.OnPanic != nil {
		p.opt.OnPanic(why)
	}
}

// takeRTCP reads the phone's reports. They never end a call.
func (p *Port) takeRTCP(b []byte, from netip.AddrPort) {
	defer cause.Recover(p.broken)
	c := p.cfg.Load()
	if c == nil {
		return
	}
	if c.srtp != nil {
		var err error
		if b, err = c.srtp.openRTCP(b); err != nil {
			p.counters.bad.Add(1)
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.peer.knows(from.Addr()) {
		p.counters.foreign.Add(1)
		return
	}
	if !p.in.report.ParseReport(b) {
		p.counters.bad.Add(1)
		return
	}
	p.lastRTCP.Store(p.elapsed(time.Now()))
	if p.in.report.NTPMiddle != 0 {
		p.recv.SenderReport(p.in.report.NTPMiddle, time.Now())
	}
	if loss, ok := p.lossOf(c, p.in.report.About); ok {
		p.loss, p.told = loss, true
	}
}

// lossOf is what the phone misses of what we send; of streams that are passed on, of the worst one.
func (p *Port) lossOf(c *config, about []rtpx.Block) (loss uint8, ok bool) {
	for _, b := range about {
		if b.SSRC == p.ssrc || c.apart {
			loss, ok = max(loss, b.FractionLost), true
		}
	}
	return loss, ok
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
