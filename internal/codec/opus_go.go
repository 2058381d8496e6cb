//go:build !libopus

package codec

import (
	"fmt"

	"github.com/thesyncim/gopus"
)

// OpusBuild says which Opus is inside.
func OpusBuild() string { return "gopus (pure Go)" }

// An OpusEncoder makes mono Opus packets.
type OpusEncoder struct{ enc *gopus.Encoder }

// NewOpusEncoder makes an encoder.
func NewOpusEncoder(o OpusOptions) (*OpusEncoder, error) {
	o = o.withDefaults()
	app := gopus.ApplicationVoIP
	if o.Mode == LowDelay {
		app = gopus.ApplicationLowDelay
	}
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: o.Rate, Channels: 1, Application: app})
	if err != nil {
		return nil, fmt.Errorf("codec: opus encoder at %d Hz: %w", o.Rate, err)
	}
	if err := enc.SetFrameSize(o.Rate / 50); err != nil {
		return nil, fmt.Errorf("codec: opus frame: %w", err)
	}
	for _, err := range []error{enc.SetBitrate(o.Bitrate), enc.SetComplexity(o.Complexity)} {
		if err != nil {
			return nil, fmt.Errorf("codec: opus encoder: %w", err)
		}
	}
	enc.SetDTX(o.DTX)
	e := &OpusEncoder{enc}
	return e, e.SetFEC(o.FEC, o.Loss)
}

// SetFEC turns in-band FEC on or off; loss is the expected loss in percent.
func (e *OpusEncoder) SetFEC(on bool, loss int) error {
	e.enc.SetFEC(on)
	if !on {
		loss = 0
	}
	return e.enc.SetPacketLoss(loss)
}

// Encode implements Encoder for 20 ms of mono PCM.
func (e *OpusEncoder) Encode(dst []byte, pcm []int16) (int, error) {
	return e.enc.EncodeInt16(pcm, dst)
}

// An OpusDecoder decodes any Opus stream to mono.
type OpusDecoder struct {
	dec  *gopus.Decoder
	rate int
}

// NewOpusDecoder makes a decoder whose PCM is mono at rate Hz: 8000, 16000 or 48000.
func NewOpusDecoder(rate int) (*OpusDecoder, error) {
	dec, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: rate, Channels: 1})
	if err != nil {
		return nil, fmt.Errorf("codec: opus decoder at %d Hz: %w", rate, err)
	}
	return &OpusDecoder{dec, rate}, nil
}

// Decode implements Decoder.
func (d *OpusDecoder) Decode(dst []int16, payload []byte) (int, error) {
	samples, _, ok := OpusInspect(payload)
	switch {
	case !ok:
		return 0, ErrPayload
	case len(dst) < samples*d.rate/48000:
		return 0, ErrShort
	}
	return d.dec.DecodeInt16(payload, dst)
}

// Conceal implements Decoder.
func (d *OpusDecoder) Conceal(dst []int16) int {
	n, err := d.dec.DecodeInt16(nil, dst)
	if err != nil {
		clear(dst)
		return len(dst)
	}
	return n
}
