package bridge

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"jigasi/internal/rtpx"
)

// maxStreams bounds the SSRCs a context keeps state for: whoever could forge the
// bridge's address would fill it otherwise (T11).
const maxStreams = 256

// keepROC is how many packets of a stream may be passed over before one is decrypted
// anyway, so that its rollover counter stays right.
const keepROC = 8000

// session is SRTP with the bridge, once its keys are known.
type session struct {
	c       *Conn
	profile string
	keys    srtp.SessionKeys
	kind    srtp.ProtectionProfile

	inMu    sync.Mutex // RTP in; contended only if packets come by two sockets
	in      *srtp.Context
	streams map[uint32]*stream
	plain   [2048]byte
	inHead  rtp.Header

	outMu   sync.Mutex
	out     *srtp.Context
	packet  [1600]byte
	cipher  [1700]byte
	outHead rtp.Header
}

type stream struct {
	last    uint16 // sequence number decrypted last
	proved  bool   // a packet of it was authentic
	touched time.Time
}

func newSession(c *Conn) (*session, error) {
	state, ok := c.dtls.ConnectionState()
	if !ok {
		return nil, errors.New("DTLS has no state")
	}
	p, ok := c.dtls.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, errors.New("the bridge chose no SRTP profile")
	}
	s := &session{c: c, streams: map[uint32]*stream{}, kind: srtp.ProtectionProfileAes128CmHmacSha1_80, profile: "AES_CM_128_HMAC_SHA1_80"}
	if p == dtls.SRTP_AEAD_AES_128_GCM {
		s.kind, s.profile = srtp.ProtectionProfileAeadAes128Gcm, "AEAD_AES_128_GCM"
	}
	cfg := srtp.Config{Profile: s.kind}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		return nil, fmt.Errorf("SRTP keys: %w", err)
	}
	s.keys = cfg.Keys
	var err error
	if s.out, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, s.kind); err != nil {
		return nil, fmt.Errorf("SRTP: %w", err)
	}
	s.in, err = s.newIn()
	return s, err
}

func (s *session) newIn() (*srtp.Context, error) {
	in, err := srtp.CreateContext(s.keys.RemoteMasterKey, s.keys.RemoteMasterSalt, s.kind,
		srtp.SRTPReplayProtection(128), srtp.SRTCPReplayProtection(64))
	if err != nil {
		return nil, fmt.Errorf("SRTP: %w", err)
	}
	return in, nil
}

// take handles one packet of the bridge.
func (s *session) take(b []byte) {
	rtp, rtcp := rtpx.IsRTP(b)
	if rtcp || !rtp || len(b) > 1500 {
		return // the bridge's reports tell us nothing that we act upon
	}
	var h rtpx.Header
	n, err := h.ParseHeader(b, uint8(s.c.levelID.Load()))
	if err != nil {
		s.c.stats.bad.Add(1)
		return
	}
	s.inMu.Lock()
	defer s.inMu.Unlock()
	st := s.streams[h.SSRC]
	wanted := s.c.opt.Want == nil || s.c.opt.Want(&h)
	if !wanted && (st == nil || h.Seq-st.last < keepROC) {
		s.c.stats.skipped.Add(1)
		return
	}
	if st == nil && !s.admit(h.SSRC) {
		s.c.stats.flood.Add(1)
		return
	}
	plain, err := s.in.DecryptRTP(s.plain[:0], b, &s.inHead)
	if err != nil || n > len(plain) {
		s.c.stats.bad.Add(1)
		return
	}
	st = s.streams[h.SSRC]
	st.last, st.proved, st.touched = h.Seq, true, time.Now()
	s.c.stats.received.Add(1)
	if !wanted || s.c.opt.RTP == nil {
		return
	}
	payload, err := h.Parse(plain, uint8(s.c.levelID.Load()))
	if err != nil {
		s.c.stats.bad.Add(1)
		return
	}
	s.c.opt.RTP(&h, payload)
}

// admit makes room for one more stream. When there is none, the context is made anew and only
// streams that proved authentic and are alive go on, with their rollover counters.
func (s *session) admit(ssrc uint32) bool {
	if len(s.streams) >= maxStreams {
		fresh, err := s.newIn()
		if err != nil {
			return false
		}
		kept := map[uint32]*stream{}
		for id, st := range s.streams {
			if st.proved && time.Since(st.touched) < time.Minute && len(kept) < maxStreams/2 {
				if roc, ok := s.in.ROC(id); ok {
					fresh.SetROC(id, roc)
				}
				kept[id] = st
			}
		}
		s.in, s.streams = fresh, kept
	}
	s.streams[ssrc] = &stream{}
	return true
}

func (s *session) send(h *rtpx.Header, payload []byte) {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	b := append(h.Append(s.packet[:0], uint8(s.c.levelID.Load())), payload...)
	enc, err := s.out.EncryptRTP(s.cipher[:0], b, &s.outHead)
	if err != nil {
		return
	}
	if s.c.write(enc) == nil {
		s.c.stats.sent.Add(1)
	}
}

func (s *session) report(sent *rtpx.Sender, received []*rtpx.Receiver, cname string) {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	b := rtpx.AppendReport(s.packet[:0], sent, received, cname, false, time.Now())
	if enc, err := s.out.EncryptRTCP(nil, b, nil); err == nil {
		_ = s.c.write(enc) // the next report comes in 5 s
	}
}
