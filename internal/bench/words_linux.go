package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/media"
	"jigasi/internal/recognize"
	"jigasi/internal/rtpx"
	"jigasi/internal/scribe"
	"jigasi/internal/talk"
	"jigasi/internal/transcript"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"
)

// WordsOptions of a run.
type WordsOptions struct {
	Rooms []int         // of five talkers each; nil is 4, 10, 20
	Load  time.Duration // length of a phase; 0 is 12 s
	Page  string        // to write the figures to; "" is none
	Self  string        // this program, which is run again as the bridge of the second door
	Other int           // processor of that; everything else is bound to another one
	Out   io.Writer
}

const (
	talkers    = 5
	wordSettle = 2 * time.Second
	interval   = 20 * time.Millisecond
	aimWords   = 1.5
	aimDelay   = 50.0 // ms
)

// A wordsRun is one measurement.
type wordsRun struct {
	WordsOptions
	loops [][][]byte // packets by voice
	rows  []wordRow
}

// A wordRow is a phase.
type wordRow struct {
	door             string
	rooms            int
	cpu, floor       float64 // us a packet
	sinkSeconds      float64 // of sound, for each of the phase and speaker: 1 is all
	p50, p95         float64 // ms from the last sound that a final needed to when it is published
	goroutines, heap int     // heap in KiB, of a speaker
}

func (r wordRow) ratio() float64 { return r.cpu / r.floor }

// Words measures what transcription costs, in units of what it costs to decrypt and to decode the same packets.
func Words(ctx context.Context, o WordsOptions) error {
	if !strings.Contains(codec.OpusBuild(), "libopus") {
		return errors.New("bench: build with -tags libopus: a floor of another codec would flatter us")
	}
	if o.Rooms == nil {
		o.Rooms = []int{4, 10, 20}
	}
	if o.Load == 0 {
		o.Load = 12 * time.Second
	}
	r := &wordsRun{WordsOptions: o}
	for v := range voices {
		p, err := utterances(v)
		if err != nil {
			return err
		}
		r.loops = append(r.loops, p)
	}
	for _, n := range append(append([]int{}, o.Rooms...), reversed(o.Rooms)...) {
		if err := r.first(ctx, n); err != nil {
			return err
		}
	}
	if err := r.second(ctx); err != nil {
		return err
	}
	return r.report()
}

func reversed(list []int) []int {
	var out []int
	for i := len(list) - 1; i >= 0; i-- {
		out = append(out, list[i])
	}
	return out
}

// A talker is somebody whose encrypted packets are there before the clock starts.
type wordTalker struct {
	packets [][]byte
	at      int
	in      *srtp.Context
	src     *talk.Source
	voice   *scribe.Voice
	dec     *codec.OpusDecoder
}

// talker makes n packets of somebody, encrypted as a bridge sends them.
func (r *wordsRun) talker(i, n int) (*wordTalker, error) {
	key, salt := make([]byte, 16), make([]byte, 12)
	far, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		return nil, err
	}
	t := &wordTalker{}
	if t.in, err = srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm, srtp.SRTPReplayProtection(128)); err != nil {
		return nil, err
	}
	loop := r.loops[i%len(r.loops)]
	var plain [1500]byte
	for k := range n {
		h := rtpx.Header{SSRC: uint32(i + 1), Seq: uint16(k), Timestamp: uint32(k) * 960, PT: opusType, Level: 30, HasLevel: true, Voice: true}
		b := append(h.Append(plain[:0], levelID), loop[(k+i*37)%len(loop)]...)
		enc, err := far.EncryptRTP(nil, b, nil)
		if err != nil {
			return nil, err
		}
		t.packets = append(t.packets, enc)
	}
	return t, nil
}

// open decrypts the next packet.
func (t *wordTalker) open(plain []byte, head *rtp.Header) (rtpx.Header, []byte, error) {
	var h rtpx.Header
	b, err := t.in.DecryptRTP(plain, t.packets[t.at], head)
	if err != nil {
		return h, nil, err
	}
	t.at++
	payload, err := h.Parse(b, levelID)
	return h, payload, err
}

// measureFloor is what it costs to decrypt and decode a packet, in us, where so many people speak, in real time as
// everything else here: a processor that sleeps between two packets is slower than one that does not.
func (r *wordsRun) measureFloor(ctx context.Context, people int) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slots := int(floorLong / interval)
	var list []*wordTalker
	for i := range people {
		t, err := r.talker(i, slots)
		if err != nil {
			return 0, err
		}
		if t.dec, err = codec.NewOpusDecoder(recognize.Rate); err != nil {
			return 0, err
		}
		list = append(list, t)
	}
	var plain [1500]byte
	var pcm [6 * wordBlock]int16
	var head rtp.Header
	var sum time.Duration
	clock := time.NewTicker(interval)
	defer clock.Stop()
	for range slots {
		select {
		case <-clock.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		began := threadTime()
		for _, t := range list {
			_, payload, err := t.open(plain[:0], &head)
			if err == nil {
				_, err = t.dec.Decode(pcm[:], payload)
			}
			if err != nil {
				return 0, fmt.Errorf("bench: the floor: %w", err)
			}
		}
		sum += threadTime() - began
	}
	return us(sum) / float64(slots*people), nil
}

// processTime is what the whole process has used.
func processTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail for this process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// first measures the way of the brewery's transcriber: packets as they come out of the bridge's connection, decrypted,
// made speech of, recognized by a sink, published.
func (r *wordsRun) first(ctx context.Context, rooms int) error {
	before, err := r.measureFloor(ctx, rooms*talkers)
	if err != nil {
		return err
	}
	service, read := &sink{}, &reader{}
	var list []*wordTalker
	var scribes []*scribe.Scribe
	n := int((wordSettle+r.Load)/interval) + 100
	var counts talk.Counts
	for i := range rooms {
		s := scribe.New(scribe.Options{Room: "bench", Session: fmt.Sprint(i), Service: service, Publishers: []scribe.Publisher{read}})
		scribes = append(scribes, s)
		for k := range talkers {
			t, err := r.talker(i*talkers+k, n)
			if err != nil {
				return err
			}
			if t.voice, err = s.Join(transcript.Person{ID: fmt.Sprint(k)}, "en", time.Now()); err != nil {
				return err
			}
			if t.src, err = talk.New(&counts, func(c *media.Chunk, at time.Time) { t.voice.Push(c, at) }); err != nil {
				return err
			}
			list = append(list, t)
		}
	}
	row := wordRow{door: "brewery", rooms: rooms}
	if err := r.play(ctx, list, service, read, &row); err != nil {
		return err
	}
	for _, s := range scribes {
		if err := s.Close(ctx, time.Now()); err != nil {
			return err
		}
	}
	after, err := r.measureFloor(ctx, rooms*talkers)
	if err != nil {
		return err
	}
	row.floor = (before + after) / 2
	r.add(row)
	return nil
}

func (r *wordsRun) add(row wordRow) {
	r.rows = append(r.rows, row)
	fmt.Fprintf(r.Out, "%s, %d rooms: %.1f us a packet, floor %.1f, R=%.2f; sound %.2f; added p50 %.1f, p95 %.1f ms\n",
		row.door, row.rooms, row.cpu, row.floor, row.ratio(), row.sinkSeconds, row.p50, row.p95)
}

// play has everybody speak in real time, and measures behind a settling time.
func (r *wordsRun) play(ctx context.Context, list []*wordTalker, service *sink, read *reader, row *wordRow) error {
	runtime.GC()
	clock := time.NewTimer(0)
	defer clock.Stop()
	var plain [1500]byte
	var head rtp.Header
	var cpu time.Duration
	settled, slots := int(wordSettle/interval), int((wordSettle+r.Load)/interval)
	began := time.Now()
	read.fed(began)
	for slot := 0; slot < slots; slot++ {
		clock.Reset(time.Until(began.Add(time.Duration(slot) * interval)))
		select {
		case <-clock.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if slot == settled {
			cpu = processTime()
			service.bytes.Store(0)
			read.take()
		}
		now := time.Now()
		for i, t := range list {
			h, payload, err := t.open(plain[:0], &head)
			if err != nil {
				return err
			}
			if t.src.Settling(now) {
				payload = append([]byte(nil), payload...)
			}
			t.src.Hear(talk.Packet{At: int64(h.Timestamp), Number: int64(h.Seq), Payload: payload}, now)
			if (slot+i)%5 == 0 {
				t.src.Tick(now, talk.Pause)
			}
		}
	}
	packets := float64((slots - settled) * len(list))
	row.cpu = us(processTime()-cpu) / packets
	row.sinkSeconds = float64(service.bytes.Load()) / (2 * recognize.Rate) / (packets * interval.Seconds())
	delays, finals := read.take()
	if finals < len(list) || row.sinkSeconds < 0.97 || row.sinkSeconds > 1.03 {
		return fmt.Errorf("bench: %d finals of %d speakers, %.2f of the sound came to the sink", finals, len(list), row.sinkSeconds)
	}
	row.p50, row.p95 = median(delays), percentile(delays, 0.95)
	return nil
}
