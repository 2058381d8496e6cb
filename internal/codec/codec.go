// Package codec turns 20 ms of PCM into payloads and back: G.711, G.722 and Opus.
//
// Encoders and decoders are states of one stream each: not safe for concurrent
// use, nothing to close, no allocation after the constructor. Which Opus is
// inside is a matter of the build (opus_go.go, opus_libopus.go; docs/adr/0006).
package codec

import "errors"

// An Encoder turns PCM into payloads.
type Encoder interface {
	// Encode writes the payload of pcm to dst and gives its length. pcm is mono at
	// the encoder's rate; its length is one that the codec knows, 20 ms always.
	Encode(dst []byte, pcm []int16) (int, error)
}

// A Decoder turns payloads into PCM.
type Decoder interface {
	// Decode writes the sound of payload to dst, mono at the decoder's rate, and gives the
	// number of samples. A payload that is damaged or longer than dst is an error, never a panic.
	Decode(dst []int16, payload []byte) (int, error)
	// Conceal fills dst with what probably stood in a payload that was lost.
	Conceal(dst []int16) int
}

// ErrPayload says that a payload cannot be decoded; ErrShort that dst is too small for it.
var (
	ErrPayload = errors.New("codec: payload cannot be decoded")
	ErrShort   = errors.New("codec: destination is too short")
)
