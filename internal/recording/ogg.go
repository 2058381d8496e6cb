package recording

import (
	"crypto/rand"
	"encoding/binary"
	"io"

	"jigasi/internal/codec"
)

// ogg is Opus in Ogg (RFC 7845): pages of a second that each stand for themselves, so that a kill costs one.
type ogg struct {
	w       io.WriterAt
	enc     *codec.OpusEncoder
	size    int64 // of whole pages
	serial  uint32
	page    uint32
	pos     int64 // behind the last sample in frame
	frame   [Frame]int16
	n       int
	body    []byte
	lens    []byte // of the packets in body
	count   int
	packets int64 // of sound, in all
}

const (
	preSkip     = 312 // samples at 48 kHz that an encoder is late
	pagePackets = 50
	perSample   = 48000 / Rate
	fade        = 10 // frames of silence that are encoded before the rest is left out
)

func newOgg(w io.WriterAt) (*ogg, error) {
	enc, err := codec.NewOpusEncoder(codec.OpusOptions{Rate: Rate})
	if err != nil {
		return nil, err
	}
	var serial [4]byte
	_, _ = rand.Read(serial[:]) // never fails
	o := &ogg{w: w, enc: enc, serial: binary.LittleEndian.Uint32(serial[:])}
	head := append([]byte("OpusHead\x01\x01"), preSkip&0xff, preSkip>>8)
	head = binary.LittleEndian.AppendUint32(head, Rate)
	head = append(head, 0, 0, 0)
	o.add(head)
	if err := o.put(2, 0); err != nil {
		return nil, err
	}
	o.add([]byte("OpusTags\x06\x00\x00\x00jigasi\x00\x00\x00\x00"))
	return o, o.put(0, 0)
}

// add appends a packet to the page in the making.
func (o *ogg) add(packet []byte) {
	o.body = append(o.body, packet...)
	n := len(packet)
	for ; n >= 255; n -= 255 {
		o.lens = append(o.lens, 255)
	}
	o.lens = append(o.lens, byte(n))
	o.count++
}

// put writes the page. One that the disk does not take is lost, and the next is in its place.
func (o *ogg) put(flags byte, granule int64) error {
	b := append([]byte("OggS\x00"), flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(granule))
	b = binary.LittleEndian.AppendUint32(b, o.serial)
	b = binary.LittleEndian.AppendUint32(b, o.page)
	b = append(b, 0, 0, 0, 0, byte(len(o.lens)))
	b = append(append(b, o.lens...), o.body...)
	binary.LittleEndian.PutUint32(b[22:], checksum(b))
	o.body, o.lens, o.count = o.body[:0], o.lens[:0], 0
	if _, err := o.w.WriteAt(b, o.size); err != nil {
		return err
	}
	o.page++
	o.size += int64(len(b))
	return nil
}

func (o *ogg) write(pos int64, pcm []int16) error {
	for quiet := 0; o.pos < pos; quiet++ {
		n := min(int64(Frame-o.n), pos-o.pos)
		if n == Frame && quiet > fade { // hours of it cost nothing
			o.pos += n
			if err := o.packet([]byte{silentTOC}); err != nil {
				return err
			}
			continue
		}
		clear(o.frame[o.n : o.n+int(n)])
		if err := o.grow(int(n)); err != nil {
			return err
		}
	}
	for len(pcm) > 0 {
		n := copy(o.frame[o.n:], pcm)
		pcm = pcm[n:]
		if err := o.grow(n); err != nil {
			return err
		}
	}
	return nil
}

// grow takes n more samples of the frame, and encodes one that is whole.
func (o *ogg) grow(n int) error {
	o.n, o.pos = o.n+n, o.pos+int64(n)
	if o.n < Frame {
		return nil
	}
	o.n = 0
	var packet [codec.MaxOpus]byte
	size, err := o.enc.Encode(packet[:], o.frame[:])
	if err != nil {
		return err
	}
	if size == 0 { // nothing is sent: a packet that says so has its first byte alone
		packet[0], size = silentTOC, 1
	}
	return o.packet(packet[:size])
}

// packet adds a packet, and writes the page before it where that is whole, so that the last page is never empty.
func (o *ogg) packet(b []byte) error {
	var err error
	if o.count >= pagePackets || len(o.lens)+len(b)/255+1 > 255 {
		err = o.put(0, o.packets*Frame*perSample)
	}
	o.add(b)
	o.packets++
	return err
}

// silentTOC is a packet of 20 ms without content: SILK, wideband, mono.
const silentTOC = 9 << 3

// flush waits for a whole page.
func (o *ogg) flush() error { return nil }

func (o *ogg) renew() error { return nil }

// end writes the last page, and says where in it the sound ends, which an encoder has a little later.
func (o *ogg) end() error {
	last := preSkip + o.pos*perSample
	for o.packets*Frame*perSample < last {
		clear(o.frame[o.n:])
		if err := o.grow(Frame - o.n); err != nil {
			return err
		}
	}
	return o.put(4, last)
}

var table = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// checksum is that of Ogg.
func checksum(b []byte) (c uint32) {
	for _, v := range b {
		c = c<<8 ^ table[byte(c>>24)^v]
	}
	return c
}
