package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/rtpx"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"
)

// floorCalls is how many calls are worked on in turn, so that caches are as cold as in a gateway.
const floorCalls = 200

// A floor does the bare work of calls, and nothing else: receive, decrypt, decode, bring to 8 kHz,
// G.711, send; receive, G.711, Opus, encrypt, send. Opus is libopus with the settings that the
// gateway uses. What it takes is what no gateway with these codecs can go below.
type floor struct {
	sounds *sounds
	calls  []*floorCall
	turn   int
	clock  time.Duration // what reading the thread's clock costs
	buf    [2048]byte
	plain  [2048]byte
	packet [2048]byte
	cipher [2048]byte
	wide   [media.Wide / 50]int16
	narrow [media.Narrow / 50]int16
	head   rtp.Header
	err    error
}

type floorCall struct {
	meet, bridge, sip, phone *socket
	far, in, out             *srtp.Context
	dec                      *codec.OpusDecoder
	enc                      *codec.OpusEncoder
	pcmIn, pcmOut            *codec.G711
	half                     audio.Halver
	seq                      uint16
}

func newFloor(s *sounds, calls int) (*floor, error) {
	f := &floor{sounds: s}
	for range calls {
		c, err := newFloorCall()
		if err != nil {
			f.close()
			return nil, err
		}
		f.calls = append(f.calls, c)
	}
	return f, nil
}

func newFloorCall() (*floorCall, error) {
	c := &floorCall{pcmIn: codec.NewPCMU(), pcmOut: codec.NewPCMU()}
	var errs [8]error
	c.meet, c.bridge, errs[0] = socketPair()
	c.sip, c.phone, errs[1] = socketPair()
	key, salt := make([]byte, 16), make([]byte, 12)
	c.far, errs[2] = srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
	c.in, errs[3] = srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm, srtp.SRTPReplayProtection(128))
	c.out, errs[4] = srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
	c.dec, errs[5] = codec.NewOpusDecoder(media.Wide)
	c.enc, errs[6] = codec.NewOpusEncoder(codec.OpusOptions{Rate: media.Narrow, Bitrate: 24000, Complexity: 5})
	return c, errors.Join(errs[:]...)
}

// socketPair are two sockets that speak with each other alone.
func socketPair() (a, b *socket, err error) {
	loop := netip.MustParseAddr("127.0.0.1")
	if a, err = openSocket(loop); err != nil {
		return nil, nil, err
	}
	if b, err = openSocket(loop); err != nil {
		a.close()
		return nil, nil, err
	}
	return a, b, errors.Join(a.connect(b.local), b.connect(a.local))
}

func (f *floor) close() {
	for _, c := range f.calls {
		for _, s := range []*socket{c.meet, c.bridge, c.sip, c.phone} {
			s.close()
		}
	}
}

// threadTime is what this thread has used of its processor.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // cannot fail for this clock
	return time.Duration(t.Nano())
}

// measure runs for so long on processor cpu and gives the median of many rounds.
func (f *floor) measure(ctx context.Context, cpu int, long time.Duration) (cost, error) {
	var c cost
	var err error
	done := make(chan struct{})
	go func() { // a thread of its own, which ends with it: its processor is not that of the others
		defer close(done)
		runtime.LockOSThread()
		if err = pinThread(cpu); err == nil {
			c, err = f.rounds(ctx, long)
		}
	}()
	<-done
	return c, err
}

func (f *floor) rounds(ctx context.Context, long time.Duration) (cost, error) {
	const reads = 2000
	began := threadTime()
	for range reads {
		_ = threadTime()
	}
	f.clock = (threadTime() - began) / reads
	var ups, downs []float64
	n := float64(len(f.calls))
	for end := time.Now().Add(long); time.Now().Before(end) && ctx.Err() == nil; {
		var sum cost
		f.turn++
		for i, c := range f.calls {
			f.feed(c, i)
			t0 := threadTime()
			f.down(c)
			t1 := threadTime()
			f.up(c)
			t2 := threadTime()
			sum.down += t1 - t0 - f.clock
			sum.up += t2 - t1 - f.clock
			f.drain(c)
		}
		ups, downs = append(ups, float64(sum.up)/n), append(downs, float64(sum.down)/n)
	}
	if f.err != nil {
		return cost{}, fmt.Errorf("bench: the floor: %w", f.err)
	}
	return cost{up: time.Duration(median(ups)), down: time.Duration(median(downs))}, ctx.Err()
}

// feed sends what the far ends send; its cost does not count.
func (f *floor) feed(c *floorCall, i int) {
	c.seq++
	speaker, phone := f.sounds.speaker[i%len(f.sounds.speaker)], f.sounds.phone[i%len(f.sounds.phone)]
	h := rtpx.Header{SSRC: 1, Seq: c.seq, Timestamp: uint32(c.seq) * 960, PT: opusType, Level: 30, HasLevel: true, Voice: true}
	b := append(h.Append(f.packet[:0], levelID), speaker[(f.turn+i*7)%len(speaker)]...)
	enc, err := c.far.EncryptRTP(f.cipher[:0], b, &f.head)
	f.note(err)
	c.bridge.write(enc)
	h = rtpx.Header{SSRC: 2, Seq: c.seq, Timestamp: uint32(c.seq) * 160}
	c.phone.write(append(h.Append(f.packet[:0], 0), phone[(f.turn+i*7)%len(phone)]...))
}

func (f *floor) down(c *floorCall) {
	n := c.meet.read(f.buf[:])
	plain, err := c.in.DecryptRTP(f.plain[:0], f.buf[:n], &f.head)
	f.note(err)
	var h rtpx.Header
	payload, err := h.Parse(plain, levelID)
	f.note(err)
	_, err = c.dec.Decode(f.wide[:], payload)
	f.note(err)
	c.half.Run(f.narrow[:], f.wide[:])
	out := rtpx.Header{SSRC: 3, Seq: c.seq, Timestamp: uint32(c.seq) * 160}
	b := out.Append(f.packet[:0], 0)
	n, err = c.pcmOut.Encode(f.packet[len(b):], f.narrow[:])
	f.note(err)
	c.sip.write(f.packet[:len(b)+n])
}

func (f *floor) up(c *floorCall) {
	n := c.sip.read(f.buf[:])
	var h rtpx.Header
	payload, err := h.Parse(f.buf[:n], 0)
	f.note(err)
	_, err = c.pcmIn.Decode(f.narrow[:], payload)
	f.note(err)
	out := rtpx.Header{SSRC: 4, Seq: c.seq, Timestamp: uint32(c.seq) * 960, PT: opusType, Level: 30, HasLevel: true, Voice: true}
	b := out.Append(f.packet[:0], levelID)
	n, err = c.enc.Encode(f.packet[len(b):], f.narrow[:])
	f.note(err)
	enc, err := c.out.EncryptRTP(f.cipher[:0], f.packet[:len(b)+n], &f.head)
	f.note(err)
	c.meet.write(enc)
}

func (f *floor) drain(c *floorCall) {
	if c.phone.read(f.buf[:]) == 0 || c.bridge.read(f.buf[:]) == 0 {
		f.note(errors.New("a packet is missing"))
	}
}

func (f *floor) note(err error) {
	if err != nil && f.err == nil {
		f.err = err
	}
}
