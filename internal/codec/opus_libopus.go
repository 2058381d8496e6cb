//go:build libopus

package codec

/*
#cgo CFLAGS: -I/usr/include/opus -O2
#cgo LDFLAGS: -l:libopus.a -lm
#include <opus.h>

static int jg_set(OpusEncoder *e, int request, opus_int32 value) {
	return opus_encoder_ctl(e, request, value);
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// OpusBuild says which Opus is inside.
func OpusBuild() string { return C.GoString(C.opus_get_version_string()) + " (static)" }

// An OpusEncoder makes mono Opus packets. Its state lies in Go memory and needs no freeing.
type OpusEncoder struct{ state []uint64 }

// NewOpusEncoder makes an encoder.
func NewOpusEncoder(o OpusOptions) (*OpusEncoder, error) {
	o = o.withDefaults()
	app := C.int(C.OPUS_APPLICATION_VOIP)
	if o.Mode == LowDelay {
		app = C.OPUS_APPLICATION_RESTRICTED_LOWDELAY
	}
	e := &OpusEncoder{make([]uint64, (int(C.opus_encoder_get_size(1))+7)/8)}
	if r := C.opus_encoder_init(e.ptr(), C.opus_int32(o.Rate), 1, app); r != 0 {
		return nil, fmt.Errorf("codec: opus encoder at %d Hz: %w", o.Rate, opusError(r))
	}
	for _, set := range [][2]int{
		{C.OPUS_SET_BITRATE_REQUEST, o.Bitrate},
		{C.OPUS_SET_COMPLEXITY_REQUEST, o.Complexity},
		{C.OPUS_SET_DTX_REQUEST, flag(o.DTX)},
		{C.OPUS_SET_SIGNAL_REQUEST, C.OPUS_SIGNAL_VOICE},
	} {
		if err := e.set(set[0], set[1]); err != nil {
			return nil, err
		}
	}
	return e, e.SetFEC(o.FEC, o.Loss)
}

func (e *OpusEncoder) ptr() *C.OpusEncoder { return (*C.OpusEncoder)(unsafe.Pointer(&e.state[0])) }

func (e *OpusEncoder) set(request, value int) error {
	if r := C.jg_set(e.ptr(), C.int(request), C.opus_int32(value)); r != 0 {
		return fmt.Errorf("codec: opus control %d: %w", request, opusError(r))
	}
	return nil
}

// SetFEC turns in-band FEC on or off; loss is the expected loss in percent.
func (e *OpusEncoder) SetFEC(on bool, loss int) error {
	if !on {
		loss = 0
	}
	if err := e.set(C.OPUS_SET_INBAND_FEC_REQUEST, flag(on)); err != nil {
		return err
	}
	return e.set(C.OPUS_SET_PACKET_LOSS_PERC_REQUEST, loss)
}

// Encode implements Encoder for 20 ms of mono PCM.
func (e *OpusEncoder) Encode(dst []byte, pcm []int16) (int, error) {
	if len(dst) == 0 || len(pcm) == 0 {
		return 0, ErrShort
	}
	n := C.opus_encode(e.ptr(), (*C.opus_int16)(unsafe.Pointer(&pcm[0])), C.int(len(pcm)),
		(*C.uchar)(unsafe.Pointer(&dst[0])), C.opus_int32(len(dst)))
	if n < 0 {
		return 0, opusError(C.int(n))
	}
	return int(n), nil
}

// An OpusDecoder decodes any Opus stream to mono.
type OpusDecoder struct {
	state []uint64
	rate  int
}

// NewOpusDecoder makes a decoder whose PCM is mono at rate Hz: 8000, 16000 or 48000.
func NewOpusDecoder(rate int) (*OpusDecoder, error) {
	d := &OpusDecoder{make([]uint64, (int(C.opus_decoder_get_size(1))+7)/8), rate}
	if r := C.opus_decoder_init(d.ptr(), C.opus_int32(rate), 1); r != 0 {
		return nil, fmt.Errorf("codec: opus decoder at %d Hz: %w", rate, opusError(r))
	}
	return d, nil
}

func (d *OpusDecoder) ptr() *C.OpusDecoder { return (*C.OpusDecoder)(unsafe.Pointer(&d.state[0])) }

// Decode implements Decoder.
func (d *OpusDecoder) Decode(dst []int16, payload []byte) (int, error) {
	samples, _, ok := OpusInspect(payload)
	switch {
	case !ok:
		return 0, ErrPayload
	case len(dst) < samples*d.rate/48000:
		return 0, ErrShort
	}
	n := C.opus_decode(d.ptr(), (*C.uchar)(unsafe.Pointer(&payload[0])), C.opus_int32(len(payload)),
		(*C.opus_int16)(unsafe.Pointer(&dst[0])), C.int(len(dst)), 0)
	if n < 0 {
		return 0, opusError(C.int(n))
	}
	return int(n), nil
}

// Conceal implements Decoder.
func (d *OpusDecoder) Conceal(dst []int16) int {
	if len(dst) == 0 {
		return 0
	}
	n := C.opus_decode(d.ptr(), nil, 0, (*C.opus_int16)(unsafe.Pointer(&dst[0])), C.int(len(dst)), 0)
	if n < 0 {
		clear(dst)
		return len(dst)
	}
	return int(n)
}

// opusError is one of libopus' error codes.
type opusError C.int

func (e opusError) Error() string { return C.GoString(C.opus_strerror(C.int(e))) }

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}
