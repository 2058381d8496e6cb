package rtpport

import (
	"bytes"
	"fmt"

	"jigasi/internal/sdp"

	"github.com/pion/srtp/v3"
)

// secure is SRTP by SDES: a context each way.
type secure struct {
	keys    sdp.Keys
	in, out *srtp.Context
	inRTCP  *srtp.Context // of the RTCP reader's goroutine
}

func newSecure(k *sdp.Keys) (*secure, error) {
	profile, key := srtp.ProtectionProfileAes128CmHmacSha1_80, 16
	switch k.Suite {
	case "AES_CM_128_HMAC_SHA1_80":
	case "AES_CM_128_HMAC_SHA1_32":
		profile = srtp.ProtectionProfileAes128CmHmacSha1_32
	case "AEAD_AES_128_GCM":
		profile = srtp.ProtectionProfileAeadAes128Gcm
	default:
		return nil, fmt.Errorf("rtpport: SRTP suite %q is not spoken", k.Suite)
	}
	s := &secure{keys: *k}
	var err error
	if s.in, err = srtp.CreateContext(k.Peer[:key], k.Peer[key:], profile, srtp.SRTPReplayProtection(128)); err != nil {
		return nil, fmt.Errorf("rtpport: SRTP key of the phone: %w", err)
	}
	if s.inRTCP, err = srtp.CreateContext(k.Peer[:key], k.Peer[key:], profile, srtp.SRTCPReplayProtection(128)); err != nil {
		return nil, fmt.Errorf("rtpport: SRTP key of the phone: %w", err)
	}
	if s.out, err = srtp.CreateContext(k.Local[:key], k.Local[key:], profile); err != nil {
		return nil, fmt.Errorf("rtpport: SRTP key: %w", err)
	}
	return s, nil
}

func (s *secure) same(k *sdp.Keys) bool {
	return s.keys.Suite == k.Suite && bytes.Equal(s.keys.Local, k.Local) && bytes.Equal(s.keys.Peer, k.Peer)
}

// openRTCP decrypts a report.
func (s *secure) openRTCP(b []byte) ([]byte, error) { return s.inRTCP.DecryptRTCP(nil, b, nil) }
