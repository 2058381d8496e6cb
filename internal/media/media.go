// Package media is the vocabulary of sound between the legs of a call: a
// Chunk, who can be asked for one (Source), who can be told one (Sink), and
// the Clock that does the asking.
//
// The phone's leg drives both ways and owns the time of a call. What the phone
// says is pushed to the meeting as it arrives, without a clock: the far end
// has a jitter buffer of its own. What the phone hears is pulled from the
// meeting, once per 20 ms, by the process-wide Clock: jitter buffers take
// packets, the clock asks (docs/adr/0009).
//
// Nothing on this path allocates, blocks or logs. A Chunk is borrowed: it is
// valid until the call returns, and who wants to keep it copies it.
package media

import "time"

// Tick is the length of every Chunk.
const Tick = 20 * time.Millisecond

// Rates of PCM that cross between legs, in Hz.
const (
	Narrow = 8000
	Wide   = 16000
	Full   = 48000
)

// A Chunk is 20 ms of mono sound.
type Chunk struct {
	// PCM is 16-bit samples, Rate/50 of them.
	PCM []int16
	// Rate is in Hz: 8000, 16000 or 48000. For Pull, the caller sets it together with
	// the length of PCM, and the source delivers at this rate.
	Rate int
	// Opus is the same 20 ms as one Opus packet, where it came as one (mono or stereo, RFC 7587).
	// A sink that sends Opus may forward it instead of encoding PCM.
	Opus []byte
	// AcceptOpus is set by a puller that can forward Opus: the source may then
	// set Opus and leave PCM undefined. In Push, PCM is always defined.
	AcceptOpus bool
	// Coder is set by a puller that encodes PCM: the source may then set Coded to what an encoder like it made of
	// PCM, so that what many hear is encoded once. PCM is defined nevertheless.
	Coder Coder
	Coded []byte
	// Apart is set by a puller that takes each speaker's packets as they are: the source then sends them there as they
	// come, from this Pull until one without it, and leaves PCM silent. A source that cannot do so gives the sound, and Voice.
	Apart Apart
	// Voice is false where the chunk is silence or comfort noise.
	Voice bool
	// Level is the loudness in -dBov: 0 loudest, 127 digital silence (RFC 6464).
	// A source that has not measured it sets Measured to false.
	Level    uint8
	Measured bool
}

// Reset makes c an empty chunk to pull into: rate in Hz, with buf of rate/50 samples.
func (c *Chunk) Reset(rate int, buf []int16, acceptOpus bool) {
	*c = Chunk{PCM: buf[:rate/50], Rate: rate, AcceptOpus: acceptOpus}
}

// A Coder encodes 20 ms chunks, each in the light of what it remembers of those before.
type Coder interface {
	// Encode writes the payload of pcm to dst and gives its length, which may be 0.
	Encode(dst []byte, pcm []int16) (int, error)
	// Like reports whether o makes the same payloads, but for what either remembers.
	Like(o Coder) bool
	// Another makes one like it.
	Another() (Coder, error)
	// Follow goes on where o is, which is like it, as well as it can.
	Follow(o Coder)
}

// A Packet is one RTP packet of Opus on its way through a call that does not mix (docs/adr/0031). It is borrowed like
// a Chunk.
type Packet struct {
	SSRC, Timestamp uint32
	Seq             uint16
	Marker          bool
	Cut             bool // its stream begins, or what was just before was left out on purpose: missing numbers are no loss
	Measured        bool // Level is known
	Level           uint8
	Payload         []byte
}

// A Forwarder takes packets as they are. A Port that is one takes those of the phone in place of chunks.
type Forwarder interface{ Forward(p Packet) }

// Apart takes the packets of several speakers, each by the SSRC of its own. Gone says that no more follow of one.
type Apart interface {
	Forwarder
	Gone(ssrc uint32)
}

// A Source is asked for one chunk per tick. It fills c completely, with
// concealment or silence where it has nothing better. It never blocks.
type Source interface{ Pull(c *Chunk) }

// A Sink is told one chunk. It never blocks and does not keep c.
type Sink interface{ Push(c *Chunk) }

// A Port is the passive audio of a leg: what it says (Pull) and what it hears
// (Push). Pull and Push may run at the same time, each on one goroutine.
type Port interface {
	Source
	Sink
}
