package bridge

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"jigasi/internal/rtpx"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	// maxStreams bounds the SSRCs that state is kept for (T11). Only authentic packets make state.
	maxStreams = 512
	// A stream's state may go when it has been silent for longer than alive, or never brought
	// more packets than a few.
	alive   = time.Minute
	lasting = 10
	// keepROC is how many packets of a stream may be passed over before one is decrypted
	// anyway, so that its rollover counter stays right: less than half of 2^16 (RFC 3711, 3.3.1).
	keepROC = 8000
	// maxPacket is what fits in a datagram that no network cuts up.
	maxPacket = 1500
)

// session is SRTP with the bridge, once its keys are known.
type session struct {
	c       *Conn
	profile string
	keys    srtp.SessionKeys
	kind    srtp.ProtectionProfile

	inMu      sync.Mutex // contended only if packets come by two sockets
	in        *srtp.Context
	streams   map[uint32]*stream
	reporters map[uint32]struct{} // SSRCs of RTCP
	plain     [2048]byte
	inHead    rtp.Header
	inRTCP    rtcp.Header
	head      rtpx.Header
	rtcp      rtpx.Report

	outMu   sync.Mutex
	out     *srtp.Context
	packet  [1600]byte
	cipher  [1700]byte
	outHead rtp.Header
}

// stream is what is known of an SSRC that proved authentic.
type stream struct {
	last    uint16 // sequence number decrypted last
	packets int
	touched time.Time
	moved   bool   // the context is new and knows nothing of it but
	roc     uint32 // the rollover counter at last
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
	s := &session{
		c: c, streams: map[uint32]*stream{}, reporters: map[uint32]struct{}{},
		kind: srtp.ProtectionProfileAes128CmHmacSha1_80, profile: "AES_CM_128_HMAC_SHA1_80",
	}
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
	s.inMu.Lock()
	defer s.inMu.Unlock()
	switch ok := len(b) <= maxPacket; {
	case ok && rtcp:
		s.takeRTCP(b)
	case ok && rtp:
		s.takeRTP(b)
	default:
		s.c.stats.bad.Add(1)
	}
}

func (s *session) takeRTP(b []byte) {
	h, level := &s.head, uint8(s.c.levelID.Load())
	n, err := h.ParseHeader(b, level)
	if err != nil {
		s.c.stats.bad.Add(1)
		return
	}
	wanted := s.c.opt.Want == nil || s.c.opt.Want(h)
	st := s.streams[h.SSRC]
	if !wanted && st != nil && h.Seq-st.last < keepROC { // the first one is decrypted: it begins the counting
		s.c.stats.skipped.Add(1)
		return
	}
	if st != nil && st.moved {
		s.in.SetROC(h.SSRC, st.rocOf(h.Seq))
	}
	plain, err := s.in.DecryptRTP(s.plain[:0], b, &s.inHead)
	if err != nil || n > len(plain) {
		s.c.stats.bad.Add(1)
		return
	}
	s.note(st, h)
	s.c.stats.received.Add(1)
	if !wanted || s.c.opt.RTP == nil {
		return
	}
	payload, err := h.Parse(plain, level)
	if err != nil {
		s.c.stats.bad.Add(1)
		return
	}
	s.c.opt.RTP(h, payload)
}

// rocOf is the rollover counter of seq, the first packet that the new context sees.
func (st *stream) rocOf(seq uint16) uint32 {
	if seq < st.last && int16(seq-st.last) > 0 {
		return st.roc + 1
	}
	if seq > st.last && int16(seq-st.last) < 0 && st.roc > 0 {
		return st.roc - 1
	}
	return st.roc
}

func (s *session) takeRTCP(b []byte) {
	plain, err := s.in.DecryptRTCP(s.plain[:0], b, &s.inRTCP)
	if err != nil || !s.rtcp.ParseReport(plain) {
		s.c.stats.bad.Add(1)
		return
	}
	if s.reporters[s.rtcp.SSRC] = struct{}{}; len(s.reporters) > maxStreams {
		s.renew()
	}
	if s.c.opt.RTCP != nil {
		s.c.opt.RTCP(&s.rtcp)
	}
}

// note counts a packet that has just proved authentic; st is nil for the first one of its stream.
func (s *session) note(st *stream, h *rtpx.Header) {
	first := st == nil
	if first {
		st = &stream{}
		s.streams[h.SSRC] = st
	}
	if first || st.moved || int16(h.Seq-st.last) > 0 {
		st.last = h.Seq
	}
	st.moved, st.touched = false, time.Now()
	st.packets++
	if first && len(s.streams) > maxStreams {
		s.renew()
	}
}

// renew makes the context anew, since one never forgets: only streams that last and are alive go
// on, half of what is bearable at most, with their rollover counters.
func (s *session) renew() {
	fresh, err := s.newIn()
	if err != nil {
		return // it worked when the session began
	}
	s.c.stats.flood.Add(1)
	kept := make(map[uint32]*stream, maxStreams)
	for ssrc, st := range s.streams {
		roc, ok := s.in.ROC(ssrc)
		if ok && st.packets >= lasting && time.Since(st.touched) < alive && len(kept) < maxStreams/2 {
			st.moved, st.roc = true, roc
			kept[ssrc] = st
		}
	}
	s.in, s.streams = fresh, kept
	clear(s.reporters)
}

func (s *session) send(h *rtpx.Header, payload []byte) {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	b := h.Append(s.packet[:0], uint8(s.c.levelID.Load()))
	if len(b)+len(payload) > maxPacket-16 {
		s.c.stats.unsent.Add(1)
		return
	}
	enc, err := s.out.EncryptRTP(s.cipher[:0], append(b, payload...), &s.outHead)
	if err == nil {
		err = s.c.write(enc)
	}
	if err != nil {
		s.c.stats.unsent.Add(1)
		return
	}
	s.c.stats.sent.Add(1)
}

func (s *session) report(sent *rtpx.Sender, received []*rtpx.Receiver, cname string) {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	b := rtpx.AppendReport(s.packet[:0], sent, received, cname, false, time.Now())
	if enc, err := s.out.EncryptRTCP(nil, b, nil); err == nil {
		_ = s.c.write(enc) // the next report comes in 5 s
	}
}
