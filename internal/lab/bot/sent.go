package bot

import (
	"hash/crc32"
	"slices"
	"sync"

	"github.com/pion/rtp"
)

// A Packet is what is remembered of an RTP packet with sound.
type Packet struct {
	Seq       uint16
	Timestamp uint32
	Sum       uint32 // CRC-32 of the payload
}

// sent is the latest packets of a stream.
type sent struct {
	mu   sync.Mutex
	kept []Packet
}

const maxSent = 5000

func (s *sent) note(h *rtp.Header, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxSent {
		s.kept = slices.Delete(s.kept, 0, maxSent/2)
	}
	s.kept = append(s.kept, Packet{h.SequenceNumber, h.Timestamp, crc32.ChecksumIEEE(payload)})
}

func (s *sent) list() []Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// Sent are the packets of sound that the bot has sent lately, and SSRC is under what.
func (b *Bot) Sent() []Packet { return b.sent.list() }

// SSRC is that of the bot's stream.
func (b *Bot) SSRC() uint32 { return b.ssrc }
