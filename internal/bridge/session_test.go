package bridge

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"testing"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"
	"jigasi/internal/rtpx"
	"jigasi/internal/xlog"

	"github.com/pion/srtp/v3"
)

// far is a session and the bridge's side of its keys.
type far struct {
	s   *session
	out *srtp.Context
	h   rtpx.Header
	buf [1600]byte
}

func newFar(t testing.TB, kind srtp.ProtectionProfile, o Options) *far {
	t.Helper()
	c := &Conn{opt: o, log: xlog.Or(nil), done: make(chan struct{}), cancel: func() {}, doubt: time.NewTimer(time.Hour)}
	c.SetLevelID(1)
	keys := srtp.SessionKeys{}
	saltLen, _ := kind.SaltLen()
	for _, k := range []*[]byte{&keys.LocalMasterKey, &keys.RemoteMasterKey} {
		*k = make([]byte, 16)
		_, _ = rand.Read(*k)
	}
	for _, k := range []*[]byte{&keys.LocalMasterSalt, &keys.RemoteMasterSalt} {
		*k = make([]byte, saltLen)
		_, _ = rand.Read(*k)
	}
	s := &session{c: c, keys: keys, kind: kind, streams: map[uint32]*stream{}, reporters: map[uint32]struct{}{}}
	f := &far{s: s, h: rtpx.Header{PT: 111, HasLevel: true, Level: 20}}
	var err error
	if s.in, err = s.newIn(); err != nil {
		t.Fatal(err)
	}
	if f.out, err = srtp.CreateContext(keys.RemoteMasterKey, keys.RemoteMasterSalt, kind); err != nil {
		t.Fatal(err)
	}
	c.media.Store(s)
	return f
}

// packet is the next one of ssrc, valid until the next call.
func (f *far) packet(t testing.TB, ssrc uint32, seq uint16) []byte {
	f.h.SSRC, f.h.Seq = ssrc, seq
	b := append(f.h.Append(f.buf[:0], 1), "opus packet"...)
	enc, err := f.out.EncryptRTP(f.buf[800:800], b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

var kinds = []srtp.ProtectionProfile{srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80}

func TestReceivedPacketsAllocateNothing(t *testing.T) {
	for _, kind := range kinds {
		got := 0
		f := newFar(t, kind, Options{
			Want: func(h *rtpx.Header) bool { return h.SSRC == 1 },
			RTP:  func(*rtpx.Header, []byte) { got++ },
		})
		var wanted, passedOver [][]byte
		for i := range uint16(300) {
			wanted = append(wanted, bytes.Clone(f.packet(t, 1, i)))
			passedOver = append(passedOver, bytes.Clone(f.packet(t, 2, i)))
		}
		i := 0
		if n := testing.AllocsPerRun(200, func() {
			f.s.c.take(wanted[i])
			f.s.c.take(passedOver[i])
			i++
		}); n != 0 || got != i {
			t.Errorf("%v: %v allocations, %d of %d packets", kind, n, got, i)
		}
	}
}

func TestReplaysAreDropped(t *testing.T) {
	got := 0
	f := newFar(t, kinds[0], Options{RTP: func(*rtpx.Header, []byte) { got++ }})
	for i := range uint16(50) {
		b := f.packet(t, 1, i)
		for range 3 {
			f.s.c.take(b)
		}
	}
	if s := f.s.c.stats.bad.Load(); got != 50 || s != 100 {
		t.Errorf("%d packets taken and %d refused, want 50 and 100", got, s)
	}
}

// TestROCOfStreamsPassedOver: a speaker who is never among the loudest can be heard an hour later.
func TestROCOfStreamsPassedOver(t *testing.T) {
	want, got := false, 0
	f := newFar(t, kinds[0], Options{
		Want: func(*rtpx.Header) bool { return want },
		RTP:  func(*rtpx.Header, []byte) { got++ },
	})
	const packets = 180000
	for i := range packets {
		want = i >= packets-10
		f.s.c.take(f.packet(t, 1, uint16(60000+i)))
	}
	if got != 10 {
		t.Errorf("%d of the last 10 packets after %d that were passed over", got, packets)
	}
	if n := f.s.c.stats.received.Load(); n > packets/keepROC+20 {
		t.Errorf("%d packets were decrypted to keep count", n)
	}
}

// TestT11_AuthenticFloodIsBounded: as many streams as a bridge can make, and a speaker whose sequence
// number wraps in the midst of it.
func TestT11_AuthenticFloodIsBounded(t *testing.T) {
	got := 0
	f := newFar(t, kinds[0], Options{RTP: func(h *rtpx.Header, _ []byte) {
		if h.SSRC == 7 {
			got++
		}
	}})
	seq := uint16(65400)
	for i := range 20000 {
		f.s.c.take(f.packet(t, uint32(1000+i), 1))
		if i%50 == 0 {
			f.s.c.take(f.packet(t, 7, seq))
			seq++
		}
	}
	if got != 400 {
		t.Errorf("%d of 400 packets of the speaker", got)
	}
	if n := len(f.s.streams); n > maxStreams {
		t.Errorf("%d streams are kept", n)
	}
}

func TestReportsOfTheBridge(t *testing.T) {
	for _, kind := range kinds {
		var got []rtpx.Report
		f := newFar(t, kind, Options{RTCP: func(r *rtpx.Report) { got = append(got, *r) }})
		sent := &rtpx.Sender{SSRC: 3, Packets: 1, Clock: 48000, At: time.Now()}
		recv := &rtpx.Receiver{SSRC: 9, Clock: 48000}
		recv.Packet(1, 1, time.Now())
		recv.Packet(3, 1, time.Now())
		b := rtpx.AppendReport(nil, sent, []*rtpx.Receiver{recv}, "x", false, time.Now())
		enc, err := f.out.EncryptRTCP(nil, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		forged := bytes.Clone(enc)
		forged[len(forged)-1] ^= 1
		f.s.c.take(forged)
		f.s.c.take(enc)
		f.s.c.take(enc) // a replay
		if len(got) != 1 || got[0].SSRC != 3 || got[0].NTPMiddle == 0 || len(got[0].About) != 1 || got[0].About[0].FractionLost == 0 {
			t.Errorf("%v: %+v", kind, got)
		}
	}
}

func TestT33_APanicEndsOneConnection(t *testing.T) {
	f := newFar(t, kinds[0], Options{RTP: func(*rtpx.Header, []byte) { panic("defect") }})
	f.s.c.take(f.packet(t, 1, 1))
	select {
	case <-f.s.c.Done():
		if cause.Of(f.s.c.Err()).Code != cause.Panic {
			t.Errorf("Err = %v", f.s.c.Err())
		}
	default:
		t.Error("the connection goes on")
	}
}

func TestFingerprints(t *testing.T) {
	der := []byte("a certificate")
	fp := func(hash string) jingle.Fingerprint {
		return jingle.Fingerprint{Hash: hash, Value: digest(hash, der)}
	}
	bad := fp("sha-256")
	bad.Value = digest("sha-256", []byte("another one"))
	for _, tt := range []struct {
		name string
		fps  []jingle.Fingerprint
		ok   bool
	}{
		{"sha-256", []jingle.Fingerprint{fp("sha-256")}, true},
		{"sha-384", []jingle.Fingerprint{fp("SHA-384")}, true},
		{"sha-512", []jingle.Fingerprint{fp("sha-512")}, true},
		{"lower case", []jingle.Fingerprint{{Hash: "sha-256", Value: string(bytes.ToLower([]byte(fp("sha-256").Value)))}}, true},
		{"unknown beside known", []jingle.Fingerprint{{Hash: "sha-1", Value: "00"}, fp("sha-256")}, true},
		{"right and wrong", []jingle.Fingerprint{fp("sha-512"), bad}, false},
		{"wrong", []jingle.Fingerprint{bad}, false},
		{"only sha-1", []jingle.Fingerprint{{Hash: "sha-1", Value: "00"}}, false},
		{"empty", []jingle.Fingerprint{{}}, false},
		{"none", nil, false},
	} {
		if err := matches([][]byte{der}, tt.fps); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if matches(nil, []jingle.Fingerprint{fp("sha-256")}) == nil {
		t.Error("no certificate matches")
	}
}

func TestCertificateIsSharedForADay(t *testing.T) {
	identity.Lock()
	now := identity.until.Add(time.Hour) // whatever other tests, and this one, have left
	identity.Unlock()
	a, fpA, err := certificate(now)
	if err != nil || fpA.Setup != "active" || fpA.Value != digest("sha-256", a.Certificate[0]) {
		t.Fatalf("%+v, %v", fpA, err)
	}
	if _, fpB, _ := certificate(now.Add(23 * time.Hour)); fpB != fpA {
		t.Error("the certificate does not last a day")
	}
	if _, fpC, _ := certificate(now.Add(25 * time.Hour)); fpC == fpA {
		t.Error("the certificate is used for more than a day")
	}
}

// FuzzTake: whatever a stranger sends, no callback learns of it as authentic.
func FuzzTake(f *testing.F) {
	fr := newFar(f, kinds[0], Options{})
	good := bytes.Clone(fr.packet(f, 1, 1))
	f.Add(good)
	f.Add([]byte{0x80, 201, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(bytes.Repeat([]byte{0x9f}, 60))
	f.Add(append([]byte{0xbf, 0x6f}, make([]byte, 100)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		heard := false
		fr.s.c.opt = Options{
			Want: func(h *rtpx.Header) bool { return h.Seq%2 == 0 },
			RTP:  func(*rtpx.Header, []byte) { heard = true },
			RTCP: func(*rtpx.Report) { heard = true },
		}
		if len(b) > 0 && b[0] >= 20 && b[0] <= 63 {
			return // DTLS has its own
		}
		fr.s.c.take(b)
		if heard && !(len(b) >= 12 && binary.BigEndian.Uint32(b[8:]) == 1 && bytes.Equal(b, good)) {
			t.Error("a packet without the keys was taken for authentic")
		}
		if fr.s.c.Err() != nil {
			t.Error(fr.s.c.Err())
		}
	})
}
