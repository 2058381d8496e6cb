package rtpport

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"jigasi/internal/sdp"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// maxStreams is how many streams of one phone are remembered: one at a time is what it sends, and another
// after each transfer. A context of the library never forgets, so it is made anew beyond that (T11).
const maxStreams = 16

// secure is SRTP by SDES: a context each way.
type secure struct {
	keys    sdp.Keys
	in, out *srtp.Context
	apart   *srtp.Context // of the speakers' own packets, which go out beside ours; nil: there are none
	inRTCP  *srtp.Context // of the RTCP reader's goroutine

	streams, reporters ssrcs
}

// ssrcs are those that a context remembers.
type ssrcs struct {
	list [maxStreams]struct {
		ssrc    uint32
		packets int
	}
	n int
}

// full notes a packet of one, and reports whether there is no more place: then it keeps those that last.
func (s *ssrcs) full(ssrc uint32) bool {
	for i := range s.list[:s.n] {
		if s.list[i].ssrc == ssrc {
			s.list[i].packets++
			return false
		}
	}
	full := s.n == maxStreams
	if full {
		s.n = 0
		for _, have := range s.list {
			if have.packets > 4 && s.n < maxStreams/2 {
				have.packets = 1 // and has to go on lasting
				s.list[s.n] = have
				s.n++
			}
		}
	}
	s.list[s.n].ssrc, s.list[s.n].packets = ssrc, 1
	s.n++
	return full
}

func newSecure(k *sdp.Keys, apart bool) (*secure, error) {
	s := &secure{keys: *k}
	var err error
	if s.in, err = s.context(k.Peer, srtp.SRTPReplayProtection(128)); err != nil {
		return nil, fmt.Errorf("rtpport: SRTP key of the phone: %w", err)
	}
	if s.inRTCP, err = s.context(k.Peer, srtp.SRTCPReplayProtection(128)); err != nil {
		return nil, fmt.Errorf("rtpport: SRTP key of the phone: %w", err)
	}
	if s.out, err = s.context(k.Local); err == nil && apart {
		s.apart, err = s.context(k.Local)
	}
	if err != nil {
		return nil, fmt.Errorf("rtpport: SRTP key: %w", err)
	}
	return s, nil
}

func (s *secure) context(key []byte, opts ...srtp.ContextOption) (*srtp.Context, error) {
	const size = 16 // of the key, which the salt follows
	profile := srtp.ProtectionProfileAes128CmHmacSha1_80
	switch s.keys.Suite {
	case "AES_CM_128_HMAC_SHA1_80":
	case "AES_CM_128_HMAC_SHA1_32":
		profile = srtp.ProtectionProfileAes128CmHmacSha1_32
	case "AEAD_AES_128_GCM":
		profile = srtp.ProtectionProfileAeadAes128Gcm
	default:
		return nil, fmt.Errorf("suite %q is not spoken", s.keys.Suite)
	}
	return srtp.CreateContext(key[:size], key[size:], profile, opts...)
}

// open decrypts a packet of a stream into dst.
func (s *secure) open(dst, b []byte, ssrc uint32, head *rtp.Header) ([]byte, error) {
	plain, err := s.in.DecryptRTP(dst, b, head)
	if err != nil || !s.streams.full(ssrc) {
		return plain, err
	}
	fresh, err := s.context(s.keys.Peer, srtp.SRTPReplayProtection(128))
	if err != nil {
		return nil, err
	}
	for _, kept := range s.streams.list[:s.streams.n] {
		if roc, ok := s.in.ROC(kept.ssrc); ok {
			fresh.SetROC(kept.ssrc, roc)
		}
	}
	s.in = fresh
	return plain, nil
}

func (s *secure) same(k *sdp.Keys) bool {
	return s.keys.Suite == k.Suite && bytes.Equal(s.keys.Local, k.Local) && bytes.Equal(s.keys.Peer, k.Peer)
}

// openRTCP decrypts a report.
func (s *secure) openRTCP(b []byte) ([]byte, error) {
	plain, err := s.inRTCP.DecryptRTCP(nil, b, nil)
	if err != nil || len(b) < 8 || !s.reporters.full(binary.BigEndian.Uint32(b[4:])) {
		return plain, err
	}
	s.inRTCP, err = s.context(s.keys.Peer, srtp.SRTCPReplayProtection(128)) // each report bears its own index
	return plain, err
}
