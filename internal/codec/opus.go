package codec

// OpusMode is what an Opus encoder favors.
type OpusMode uint8

const (
	// VoIP is SILK or hybrid: best for speech at few bits.
	VoIP OpusMode = iota
	// LowDelay is CELT alone: a third of the cost at 8 kHz, 4 ms less delay, no in-band FEC.
	LowDelay
)

// OpusOptions makes an encoder. The zero value is mono VoIP at 16 kHz, 24 kbit/s, complexity 5.
type OpusOptions struct {
	Rate       int // Hz: 8000, 16000 or 48000; 0 means 16000
	Bitrate    int // bit/s; 0 means 24000
	Complexity int // 1..10; 0 means 5
	Mode       OpusMode
	FEC        bool
	Loss       int // expected loss, percent; only with FEC
	DTX        bool
}

func (o OpusOptions) withDefaults() OpusOptions {
	if o.Rate == 0 {
		o.Rate = 16000
	}
	if o.Bitrate == 0 {
		o.Bitrate = 24000
	}
	if o.Complexity == 0 {
		o.Complexity = 5
	}
	return o
}

// MaxOpus is the largest Opus packet that is made or taken here, in bytes.
const MaxOpus = 1275

// OpusInspect reads the first byte of a packet (RFC 6716, 3.1): its length in
// samples at 48 kHz and its channels. ok is false for what is no packet.
func OpusInspect(packet []byte) (samples, channels int, ok bool) {
	if len(packet) == 0 || len(packet) > MaxOpus*6 {
		return 0, 0, false
	}
	toc := packet[0]
	channels = 1 + int(toc>>2&1)
	var frame int
	switch config := toc >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [...]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = [...]int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 120 << (config & 3)
	}
	frames := 0
	switch toc & 3 {
	case 0:
		frames = 1
	case 1, 2:
		frames = 2
	default:
		if len(packet) < 2 {
			return 0, 0, false
		}
		frames = int(packet[1] & 0x3f)
	}
	samples = frame * frames
	return samples, channels, samples > 0 && samples <= 5760
}
