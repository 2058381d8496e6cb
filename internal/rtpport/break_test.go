package rtpport_test

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"jigasi/internal/audio"
	"jigasi/internal/lab/soak"
	"jigasi/internal/rtpport"
	"jigasi/internal/rtpx"
	"jigasi/internal/sdp"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// listen waits until each of the ears has heard so many samples more, or the machine is hopeless.
func listen(t *testing.T, more int, ears ...*ear) {
	t.Helper()
	want := make([]int, len(ears))
	for i, e := range ears {
		want[i] = e.count() + more
	}
	end := time.Now().Add(30 * time.Second)
	for i, e := range ears {
		for ; e.count() < want[i]; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("heard %d samples of %d in 30 s", e.count(), want[i])
			}
		}
	}
}

// sprayer sends loud RTP to many ports from one socket, of one stream or of many, and counts what comes back.
type sprayer struct {
	c    *net.UDPConn
	law  []byte
	sent int
}

func newSprayer(t *testing.T) *sprayer {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &sprayer{c: c, law: make([]byte, 160)}
	tone := make([]int16, 160)
	audio.NewTone(1500, 8000, -3).Fill(tone)
	for i, v := range tone {
		s.law[i] = byte(v>>8) ^ 0xff
	}
	return s
}

// spray sends count packets over the ports, in turn: every other round all of one stream, as a phone would.
func (s *sprayer) spray(to []netip.AddrPort, count int) {
	for i := range count {
		h := rtpx.Header{SSRC: 0xbad, Seq: uint16(i / len(to)), Timestamp: uint32(160 * i / len(to))}
		if i/len(to)%2 == 1 {
			h.SSRC = uint32(i)
		}
		_, _ = s.c.WriteToUDPAddrPort(append(h.Append(nil, 0), s.law...), to[i%len(to)])
		if s.sent++; s.sent%50 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// got counts the packets that came to the sprayer, to a thousand.
func (s *sprayer) got() (n int) {
	buf := make([]byte, 2000)
	for ; n < 1000; n++ {
		_ = s.c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, _, err := s.c.ReadFromUDPAddrPort(buf); err != nil {
			break
		}
	}
	return n
}

// T08: somebody who sprays all ports, before the calls and after their start, on hold and after the phones have
// fallen silent, is heard in none of them and gets no packet. Longer silence than this has a test in virtual time.
func TestT08_NobodyBreaksIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	calls, packets := soak.Count(6, 20), soak.Count(2000, 25000)
	var ours, phones []*rtpport.Port
	var ears, theirs []*ear
	var at []netip.AddrPort
	for range calls {
		ours, phones = append(ours, b.open(t, rtpport.Options{})), append(phones, b.open(t, rtpport.Options{}))
		ears, theirs = append(ears, &ear{hz: 440}), append(theirs, &ear{hz: 700})
		at = append(at, addr(ours[len(ours)-1]))
	}
	early, late := newSprayer(t), newSprayer(t)
	early.spray(at, packets)
	var agreed []sdp.Result
	for i := range calls {
		r, _ := negotiate(t, ours[i], phones[i], sdp.Local{Codecs: sdp.Codecs("PCMU")}, sdp.Local{Codecs: sdp.Codecs("PCMU")})
		agreed = append(agreed, r)
		ours[i].Connect(ears[i])
		phones[i].Connect(theirs[i])
	}
	early.spray(at, packets) // at once after the start, before the phones' own packets or with them
	listen(t, 1600, ears...)
	late.spray(at, packets)
	listen(t, 8000, ears...)
	for i, e := range ears {
		pcm := e.last(8000)
		if phone, evil := audio.Goertzel(pcm, 700, 16000), audio.Goertzel(pcm, 1500, 16000); phone < -22 || evil > -45 {
			t.Errorf("the phone is heard at %.1f dBov, the sprayer at %.1f", phone, evil)
		}
		if n := ours[i].Stats().Foreign; n == 0 {
			t.Error("no foreign packet was counted")
		}
	}
	for i, r := range agreed { // the phone is on hold
		r.Held, r.Send = true, false
		if err := ours[i].Start(r); err != nil {
			t.Fatal(err)
		}
	}
	late.spray(at, packets)
	for i, r := range agreed {
		if err := ours[i].Start(r); err != nil {
			t.Fatal(err)
		}
		phones[i].Close() // and now it says nothing any more
	}
	time.Sleep(time.Duration(soak.Count(400, 2100)) * time.Millisecond)
	for _, e := range ears {
		e.mu.Lock()
		e.heard = e.heard[:0]
		e.mu.Unlock()
	}
	late.spray(at, packets)
	time.Sleep(100 * time.Millisecond)
	for _, e := range ears {
		if pcm := e.last(1 << 20); len(pcm) > 0 && audio.Goertzel(pcm, 1500, 16000) > -60 {
			t.Errorf("the sprayer is heard: %d samples, 1500 Hz at %.1f dBov", len(pcm), audio.Goertzel(pcm, 1500, 16000))
		}
	}
	if n := early.got() + late.got(); n != 0 {
		t.Errorf("the sprayers got %d packets", n)
	}
}

// T11: 20000 streams of a phone that has the keys cost next to nothing, and the one that lasts is heard, also
// when its sequence number wraps among them; nothing is left after the hang-up.
func TestT11_StreamsOfAPhoneAreBounded(t *testing.T) {
	b := setup(t)
	p := b.open(t, rtpport.Options{})
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)), net.UDPAddrFromAddrPort(addr(p)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	key := make([]byte, 30)
	keys := &sdp.Keys{Suite: "AES_CM_128_HMAC_SHA1_80", Local: key, Peer: key}
	codec := sdp.Codecs("PCMU")[0]
	if err := p.Start(sdp.Result{Remote: c.LocalAddr().(*net.UDPAddr).AddrPort(), Codec: codec, RecvPT: codec.PT, DTMF: -1, CN: -1, Ptime: 20, Recv: true, SRTP: keys}); err != nil {
		t.Fatal(err)
	}
	out, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		t.Fatal(err)
	}
	send := func(ssrc uint32, seq uint16) {
		pkt := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: seq, Timestamp: uint32(seq) * 160}, Payload: make([]byte, 160)}
		raw, err := pkt.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		enc, err := out.EncryptRTP(nil, raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(enc)
	}
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	// taken waits until the port has dealt with all that was sent: loopback loses nothing that is waited for.
	total := int64(0)
	taken := func() {
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if s := p.Stats(); s.Received+s.Bad >= total {
				return
			}
		}
		t.Fatalf("%+v of %d packets", p.Stats(), total)
	}
	seq := uint16(65000)
	send(7, seq)
	total++
	taken()
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range 20000 {
		if i%3 == 0 {
			seq++
			send(7, seq)
			total++
		}
		send(uint32(1000+i), 1)
		total++
		if i%50 == 0 {
			taken()
		}
	}
	taken()
	// The sender's own context remembers all of them: what we measure is above that.
	mine := heap()
	out = nil
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("20000 streams took %d KiB (%d with the sender's)", grown>>10, (mine-before)>>10)
	}
	if s := p.Stats(); s.Bad != 0 {
		t.Errorf("%d good packets were refused: %+v", s.Bad, s)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, were %d", n, goroutines)
	}
	p.Close()
}
